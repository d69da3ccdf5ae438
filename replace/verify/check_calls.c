/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The checks of single calls: what a setter changes in its own and in other threads, that bad input
 * and missing privilege change nothing, and that the getters are right.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "verify.h"
#include "verify_table.h"

void check_verdict(const void *unused)
{
	static const char *const systems[][2] = {
	    {"linux", "Linux"}, {"darwin", "Darwin"}, {"freebsd", "FreeBSD"}, {"netbsd", "NetBSD"}};
	static const char *const facts[][2] = {
	    {"backend", VERIFY_BACKEND}, {"scope", VERIFY_SCOPE}, {"system", VERIFY_SYSTEM}};
	struct utsname machine;

	(void)unused;
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		const char *found = libreplace_build_info(facts[i][0]);

		MUST(found != NULL && strcmp(found, facts[i][1]) == 0,
		     "the report says %s %s, but the library says %s", facts[i][0], facts[i][1],
		     found == NULL ? "nothing" : found);
	}
	MUST(LIBREPLACE_THREAD_SCOPE == (strcmp(VERIFY_SCOPE, "thread") == 0),
	     "the report says scope %s, but LIBREPLACE_THREAD_SCOPE is %d", VERIFY_SCOPE,
	     LIBREPLACE_THREAD_SCOPE);
	if (uname(&machine) == -1)
		not_here("uname failed: %s", strerror(errno));
	for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
		if (strcmp(VERIFY_SYSTEM, systems[i][0]) == 0)
			MUST(strcmp(machine.sysname, systems[i][1]) == 0,
			     "built for %s, but running on %s", systems[i][1], machine.sysname);
}

static void call_it(void *place)
{
	const struct call *call = place;

	MUST(call->attempt() == 0, "%s failed: %s", call->name, strerror(errno));
}

/* A second thread makes the call. The main thread and a third thread look at their own ids. */
void check_setter(const void *argument)
{
	struct call call = *(const struct call *)argument;
	struct worker *caller, *third;
	struct seen base, wanted, seen;
	const char *text;

	become_root();
	base = observe();
	caller = start_worker();
	third = start_worker();
	seen = observe_worker(third);
	text = difference(&seen, &base);
	MUST(text == NULL, "a new thread does not have its creator's ids: %s", text);
	wanted = base;
	expect_line(&wanted, call.line, call.ids, call.size);

	in_worker(caller, call_it, &call);
	seen = observe_worker(caller);
	text = difference(&seen, &wanted);
	MUST(text == NULL, "in the calling thread: %s", text);
	seen = observe();
	text = difference(&seen, call.thread ? &base : &wanted);
	MUST(text == NULL, "in the main thread: %s", text);
	seen = observe_worker(third);
	text = difference(&seen, call.thread ? &base : &wanted);
	MUST(text == NULL, "in a third thread: %s", text);
}

void check_missing(const void *argument)
{
	const struct call *call = argument;
	struct seen before = observe(), after;
	const char *text;
	int result = call->attempt(), error = errno;

	MUST(result == -1, "the call succeeded, but the build says that it does not exist");
	MUST(error == ENOSYS, "the call failed with %s, not with ENOSYS", strerror(error));
	after = observe();
	text = difference(&after, &before);
	MUST(text == NULL, "the failed call changed something: %s", text);
}

static void refused(const char *name, int result)
{
	int error = errno, wanted = has_call(name) ? EINVAL : ENOSYS;

	MUST(result == -1, "bad input of %s was not refused", name);
	MUST(error == wanted, "%s refused bad input with %s, not with %s", name, strerror(error),
	     strerror(wanted));
}

#define REFUSED(name, ...) refused(#name, libreplace_##name(__VA_ARGS__))

void check_refusals(const void *unused)
{
	const gid_t none = (gid_t)-1;
	struct seen before = observe(), after;
	const char *text;

	(void)unused;
	REFUSED(setuid, (uid_t)-1);
	REFUSED(setgid, (gid_t)-1);
	REFUSED(seteuid, (uid_t)-1);
	REFUSED(setegid, (gid_t)-1);
	REFUSED(setfsuid, (uid_t)-1);
	REFUSED(setfsgid, (gid_t)-1);
	REFUSED(initgroups, "libreplace-nobody", (gid_t)-1);
	REFUSED(setgroups, (size_t)INT_MAX + 1, &none);
	after = observe();
	text = difference(&after, &before);
	MUST(text == NULL, "a refused call changed something: %s", text);
}

/* A thread without privilege asks for an id that it does not have. */
static void denied(const char *name, int result)
{
	int error = errno, exists = has_call(name);

	MUST(result == -1, "%s succeeded without privilege", name);
	MUST(exists ? error == EPERM || error == EINVAL : error == ENOSYS,
	     "without privilege, %s failed with %s", name, strerror(error));
}

#define DENIED(name, ...) denied(#name, libreplace_##name(__VA_ARGS__))

/* A call that changes nothing needs no privilege. */
static void allowed(const char *name, int result)
{
	MUST(result == 0 || (errno == ENOSYS && !has_call(name)),
	     "%s failed with unchanged ids: %s", name, strerror(errno));
}

#define ALLOWED(name, ...) allowed(#name, libreplace_##name(__VA_ARGS__))

void check_unprivileged(const void *unused)
{
	const gid_t other = gid(OTHER);
	struct seen before, after;
	const char *text;

	(void)unused;
	if (may_become_user()) {
		become_root();
		DO(libreplace_setresgid(gid(GROUP), gid(GROUP), gid(GROUP)));
		DO(libreplace_setresuid(uid(USER), uid(USER), uid(USER)));
	}
	/* a root without CAP_SETGID may still have CAP_SETUID */
	DO(libreplace_drop_capabilities());
	before = observe();
	DENIED(setresuid, (uid_t)-1, uid(OTHER), (uid_t)-1);
	DENIED(setresgid, (gid_t)-1, gid(OTHER), (gid_t)-1);
	DENIED(seteuid, uid(OTHER));
	DENIED(setegid, gid(OTHER));
	DENIED(setgroups, 1, &other);
	ALLOWED(setresuid, (uid_t)-1, (uid_t)-1, (uid_t)-1);
	ALLOWED(setresgid, (gid_t)-1, (gid_t)-1, (gid_t)-1);
	ALLOWED(setreuid, (uid_t)-1, (uid_t)-1);
	after = observe();
	text = difference(&after, &before);
	MUST(text == NULL, "without privilege, something changed: %s", text);
}

static int compare_groups(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

void check_getters(const void *unused)
{
	struct seen seen, libc;
	const char *text;
	int size = getgroups(0, NULL);

	(void)unused;
	seen = libc = observe();
	/* /proc must say what the library's getters say, and so must libc */
	for (int unit = UID; unit <= GID; unit++)
		for (int which = REAL; which <= FS; which++)
			libc.proc.ids[unit][which] = seen.calls.ids[unit][which];
	libc.calls.ids[UID][REAL] = getuid();
	libc.calls.ids[UID][EFFECTIVE] = geteuid();
	libc.calls.ids[GID][REAL] = getgid();
	libc.calls.ids[GID][EFFECTIVE] = getegid();
	libc.calls.groups = size < 0 ? NULL : malloc(((size_t)size + 1) * sizeof(gid_t));
	if (libc.calls.groups == NULL || (size = getgroups(size, libc.calls.groups)) < 0)
		not_here("libc's getgroups failed: %s", strerror(errno));
	qsort(libc.calls.groups, (size_t)size, sizeof(gid_t), compare_groups);
	libc.calls.size = (size_t)size;
	text = difference(&seen, &libc);
	MUST(text == NULL, "the getters, libc and /proc do not agree: %s", text);
}

static void libc_seteuid(void *result)
{
	if (seteuid(uid(USER)) != 0)
		*(int *)result = errno;
}

void check_libc(const void *reaches)
{
	struct worker *worker;
	int error = 0, reached;

	become_root();
	worker = start_worker();
	in_worker(worker, libc_seteuid, &error);
	MUST(error == 0, "libc's seteuid failed: %s", strerror(error));
	reached = geteuid() == uid(USER);
	MUST(reached == *(const int *)reaches, "libc's seteuid in one thread %s the main thread",
	     reached ? "changed" : "did not change");
}
