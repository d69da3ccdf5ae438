/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * random_entries.h explains the function.
 */
#include "../cases.h"
#include "inside.h"
#include "random_calls.h"
#include "random_entries.h"

enum { LEVELS = 4 };

static const struct comparison *now;
static struct entries *counted;

static int is_subset(uint64_t set, uint64_t of)
{
	return (set & ~of) == 0;
}

/* Whether a filter may make the return impossible: it lies, or it refuses to restore capabilities
 * that the kernel does not restore itself. Nobody can see that before the entry. */
static int may_be_tainted(void)
{
	return now->filter != NULL &&
	       (now->filter->error == 0 || now->filter->number == SYS_capset);
}

/* An entry may fail, but it must not change anything then. If the return is impossible, the thread
 * must say so, and must not have more rights. */
static const char *wrong_outside(int result, int state, const struct credentials *before)
{
	const struct credentials *is = &now->thread.is;

	if (libreplace_tainted()) {
		counted->tainted++;
		if (!may_be_tainted() || result == 0 || state != LIBREPLACE_STATE_TAINTED)
			return "tainted";
		if (!is_subset(is->permitted, before->permitted) ||
		    !is_subset(is->ambient, before->ambient))
			return "more capabilities than before";
		return NULL;
	}
	return same_credentials(is, before) ? NULL
	                                    : "enter or leave did not restore the credentials";
}

/* @base: the credentials before the outermost entry; @before: those before this one */
static const char *wrong_inside(const struct libreplace_identity *user, int level,
                                const struct credentials *base, const struct credentials *before)
{
	const struct credentials *is = &now->thread.is;
	struct credentials set = ids_inside(&now->thread, base, user, level, 0);
	uint64_t forbidden = level == LIBREPLACE_LEVEL_FILESYSTEM ? FS_SET : ALL_CAPABILITIES;
	uint64_t inheritable = before->inheritable & (user->uid == 0 ? ~0ULL : ~before->permitted);

	if (!same_ids(is, &set))
		return "other ids or groups inside";
	if (is->permitted != set.permitted || is->bounding != set.bounding ||
	    is->securebits != set.securebits)
		return "another permitted or bounding set or securebits inside";
	if (is->inheritable != inheritable)
		return "another inheritable set inside";
	if (user->uid != 0 && ((is->effective & forbidden) != 0 || is->ambient != 0))
		return "a forbidden capability inside";
	return NULL;
}

/* Most identities are possible. */
static struct libreplace_identity choose_identity(gid_t *groups)
{
	struct libreplace_identity user = {.uid = any_uid(), .groups = groups};

	user.gid = any_gid();
	while (kernel_id(now->thread.namespace->uids, user.uid) == NO_ID && pick(16, "id") != 0)
		user.uid = any_uid();
	while (kernel_id(now->thread.namespace->gids, user.gid) == NO_ID && pick(16, "id") != 0)
		user.gid = any_gid();
	user.size = (size_t)any_groups(groups);
	user.size = libreplace_sort_groups(groups, user.size);
	return user;
}

/* @base: the credentials before the outermost entry */
static const char *try_entry(const struct credentials *base, int nested)
{
	const struct credentials before = now->thread.is;
	gid_t groups[MOST_GROUPS];
	struct libreplace_identity user = choose_identity(groups);
	int level = pick(LEVELS, "level"), result;
	const char *what;
	entry held;

	fresh(&held)->flags = pick(4, "allow root") == 0 ? 0 : LIBREPLACE_ALLOW_ROOT;
	result = libreplace_enter(&held.guard, &user, level);
	if (now->verbose)
		printf("  enter uid %u gid %u with %zu groups at level %d: %d, step %s\n", user.uid,
		       user.gid, user.size, level, result, libreplace_step_name(held.guard.step));
	if (result != 0) {
		counted->refused += held.guard.state == LIBREPLACE_STATE_IDLE;
		counted->rolled_back += held.guard.state == LIBREPLACE_STATE_ROLLED_BACK;
		return wrong_outside(result, held.guard.state, &before);
	}
	counted->entered++;
	what = wrong_inside(&user, level, base, &before);
	if (what == NULL && libreplace_check(&held.guard) != 0)
		what = "the check fails";
	if (what == NULL && nested)
		what = try_entry(base, 0);
	if (what != NULL || libreplace_tainted())
		return what;
	result = libreplace_leave(&held.guard);
	if (now->verbose)
		printf("  leave: %d\n", result);
	return wrong_outside(result, held.guard.state, &before);
}

const char *enter_and_leave(const struct comparison *comparison, struct entries *entries)
{
	const struct credentials base = comparison->thread.is;

	now = comparison;
	counted = entries;
	return try_entry(&base, 1);
}
