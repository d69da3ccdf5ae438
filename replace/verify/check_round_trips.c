/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What a server does with its ids, in one thread: gain root, act as a user, come back, become a
 * user for good, and fail to come back. Samba tests its own calls in this order before it trusts
 * them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "verify.h"

enum { MANY = 2000 };

/* The calls for one kind of ids. */
struct family {
	int (*set_effective)(uid_t), (*set_two)(uid_t, uid_t);
	int (*set_all)(uid_t, uid_t, uid_t), (*get_all)(uid_t *, uid_t *, uid_t *);
	enum unit unit;
};

static const struct family families[] = {
    {libreplace_seteuid, libreplace_setreuid, libreplace_setresuid, libreplace_getresuid, UID},
    {libreplace_setegid, libreplace_setregid, libreplace_setresgid, libreplace_getresgid, GID},
};
static const uid_t same = (uid_t)-1;

static void step(const struct family *calls, const char *name, uid_t real, uid_t effective,
                 uid_t saved)
{
	uid_t r, e, s;

	DO(calls->get_all(&r, &e, &s));
	if (saved == same)
		s = same;
	MUST(r == real && e == effective && s == saved,
	     "after '%s' the ids are %u, %u and %u, not %u, %u and %u", name, (unsigned)r,
	     (unsigned)e, (unsigned)s, (unsigned)real, (unsigned)effective, (unsigned)saved);
}

static void refused(const char *call, int result)
{
	int error = errno;

	MUST(result == -1, "a user for good regained root with %s", call);
	MUST(error == EPERM, "%s by a user for good fails with another error: %s", call,
	     strerror(error));
}

#define REFUSED(call) refused(#call, call)

void check_round_trip(const void *unit)
{
	const struct family *calls = &families[*(const enum unit *)unit];
	uid_t user = calls->unit == UID ? uid(USER) : gid(GROUP);

	become_root();
	DO(calls->set_all(0, 0, 0));
	step(calls, "gain root", 0, 0, 0);
	DO(calls->set_effective(user));
	step(calls, "set effective", 0, user, 0);
	DO(calls->set_effective(0));
	step(calls, "restore effective", 0, 0, 0);
	DO(calls->set_two(same, user));
	step(calls, "save", 0, user, same); /* what the saved id becomes: setreuid(2) */
	DO(calls->set_effective(0));
	step(calls, "restore", 0, 0, same);
	DO(calls->set_all(0, 0, 0));
	DO(calls->set_all(same, user, 0));
	step(calls, "set effective, keep saved", 0, user, 0);
	DO(calls->set_all(same, 0, same));
	step(calls, "gain root again", 0, 0, 0);
	DO(calls->set_all(user, user, user));
	if (calls->unit == GID) /* only a privileged user may set group ids, so drop that too */
		DO(libreplace_setresuid(uid(USER), uid(USER), uid(USER)));
	step(calls, "become a user for good", user, user, user);
	REFUSED(calls->set_all(0, 0, 0));
	REFUSED(calls->set_all(same, 0, same));
	REFUSED(calls->set_all(0, same, same));
	REFUSED(calls->set_effective(0));
	step(calls, "fail to regain root", user, user, user);
}

/* Set the groups, and read them back. The list must be in ascending order. */
static void set_groups(const gid_t *list, size_t size)
{
	gid_t *found;
	int count;

	MUST(libreplace_setgroups(size, list) == 0, "setgroups with %zu groups failed: %s", size,
	     strerror(errno));
	count = libreplace_getgroups(0, NULL);
	found = malloc(((size_t)(count < 0 ? 0 : count) + 1) * sizeof *found);
	if (found == NULL)
		not_here("there is no memory");
	count = libreplace_getgroups(count, found);
	MUST(count == (int)size, "%zu groups were set, but the kernel reports %d", size, count);
	sort_groups(found, size);
	MUST(size == 0 || memcmp(found, list, size * sizeof *found) == 0,
	     "the kernel reports other groups than the %zu that were set", size);
	free(found);
}

void check_groups_round_trip(const void *unused)
{
	gid_t twice[] = {gid(GROUP), gid(OTHER), gid(OTHER)}, many[MANY];
	long most = sysconf(_SC_NGROUPS_MAX);

	(void)unused;
	become_root();
	sort_groups(twice, 3);
	set_groups(NULL, 0);
	set_groups((gid_t[]){gid(GROUP)}, 1);
	set_groups(twice, 3);
	set_groups(many, many_groups(many, most < MANY && most > 0 ? (size_t)most : MANY));
	set_groups(NULL, 0);
	DO(libreplace_setresuid(uid(USER), uid(USER), uid(USER)));
	MUST(libreplace_setgroups(1, &(gid_t){0}) == -1, "setgroups as a user succeeded");
	MUST(errno == EPERM, "setgroups as a user fails with another error: %s", strerror(errno));
}

void check_wide_ids(const void *unused)
{
	(void)unused;
	become_root();
	for (size_t i = 0; i < WIDE_IDS; i++) {
		uint32_t id = wide_ids[i];
		struct seen seen, wanted;
		const char *text;

		if (!is_mapped(UID, id) || !is_mapped(GID, id) ||
		    (i == WIDE_IDS - 1 && obstacle("highest id") != NULL))
			continue;
		wanted = observe();
		DO(libreplace_setegid(id));
		DO(libreplace_seteuid(id));
		seen = observe();
		wanted.calls.ids[UID][EFFECTIVE] = wanted.calls.ids[UID][FS] = id;
		wanted.calls.ids[GID][EFFECTIVE] = wanted.calls.ids[GID][FS] = id;
		wanted.proc.ids[UID][EFFECTIVE] = wanted.proc.ids[UID][FS] = id;
		wanted.proc.ids[GID][EFFECTIVE] = wanted.proc.ids[GID][FS] = id;
		wanted.owner.ids[UID][FS] = wanted.owner.ids[GID][FS] = id;
		text = difference(&seen, &wanted);
		MUST(text == NULL, "with id %u, %s", (unsigned)id, text);
		DO(libreplace_seteuid(0));
		DO(libreplace_setegid(0));
	}
}
