/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_enter(), libreplace_check() and libreplace_leave(). This file decides whether a thread
 * may enter, which ids it gets, and which capabilities remain; walk.c changes the ids. The ids of
 * the thread are read from the kernel each time. No function here allocates memory or takes a lock.
 * libreplace/guard.h explains the public functions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* Whether capabilities must be cleared explicitly. If the effective uid changes from 0 to another
 * id, the kernel clears the effective capabilities, but not the inheritable ones. If the effective
 * uid was not 0, the kernel clears none. */
static int must_clear(const struct libreplace_guard *guard)
{
	return libreplace_mine.base.euid != 0 || guard->capabilities.inheritable != 0;
}

/* Store in @to the ids that the identity has at @level; see enum libreplace_level. */
static void choose_ids(const struct libreplace_identity *identity, int level,
                       struct libreplace_ids *to)
{
	*to = libreplace_mine.base;
	to->size = identity->size;
	to->fsuid = identity->uid;
	to->fsgid = identity->gid;
	if (level == LIBREPLACE_LEVEL_FILESYSTEM)
		return;
	to->euid = identity->uid;
	to->rgid = to->egid = identity->gid;
	if (level == LIBREPLACE_LEVEL_REAL)
		to->ruid = identity->uid;
	else if (level == LIBREPLACE_LEVEL_SHIELDED)
		to->ruid = LIBREPLACE_SHIELD_UID;
}

/*
 * Change the thread's ids to those of the entry. If the user namespace does not map
 * LIBREPLACE_SHIELD_UID, setresuid(2) fails with EINVAL. Then try 65535, which systemd's list of
 * ids reserves, and which is the last id in the usual map of a container. If that is not mapped
 * either, refuse the entry.
 */
static int walk_in(struct libreplace_guard *guard, struct libreplace_ids *now, uid_t user)
{
	static const uid_t unused_ids[] = {LIBREPLACE_SHIELD_UID, 65535};

	if (libreplace_walk(guard, now, &guard->set, libreplace_wanted(guard)) == 0)
		return 0;
	if (guard->level != LIBREPLACE_LEVEL_SHIELDED || guard->step != LIBREPLACE_STEP_UID ||
	    guard->error != EINVAL)
		return -1;
	for (size_t i = 0; i < sizeof unused_ids / sizeof *unused_ids; i++) {
		if (unused_ids[i] == user)
			continue;
		guard->changes++;
		if (libreplace_setresuid(unused_ids[i], (uid_t)-1, (uid_t)-1) != 0)
			continue;
		if (unused_ids[i] == guard->set.ruid) /* the user's own id is not mapped */
			return -1;
		guard->set.ruid = unused_ids[i];
		guard->step = LIBREPLACE_STEP_NONE;
		if (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0)
			return -1;
		return libreplace_walk(guard, now, &guard->set, libreplace_wanted(guard));
	}
	guard->step = LIBREPLACE_STEP_REFUSED;
	guard->error = EOVERFLOW;
	return -1;
}

/*
 * Clear the capabilities and check that no forbidden one remains. An identity with uid 0 keeps the
 * capabilities of root.
 *
 * If the thread was root, its effective set stays as the kernel has left it: at level filesystem,
 * the thread keeps the effective user ID 0, so the kernel would not give CAP_SETGID back on
 * leaving.
 */
static int lose_capabilities(struct libreplace_guard *guard, uid_t uid, int level)
{
	struct libreplace_capabilities now;

	if (uid == 0)
		return 0;
	if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (libreplace_mine.base.euid != 0)
		now.effective = 0;
	if (must_clear(guard) &&
	    (libreplace_clear_capabilities(&guard->capabilities, now.effective) != 0 ||
	     libreplace_get_capabilities(&now) != 0))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (libreplace_forbidden_capabilities(now.effective, level) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* Restore the capabilities that were found on entry, and verify them. This is not needed if root's
 * effective set was equal to its permitted set, because the kernel has restored it with the uid. */
static int restore_capabilities(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (!must_clear(guard) && held->effective == held->permitted)
		return 0;
	if (libreplace_set_capabilities(held) != 0 || libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (now.effective != held->effective || now.permitted != held->permitted ||
	    now.inheritable != held->inheritable)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* Restore the ids from before the entry, and then the capabilities. */
static int restore_once(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	if (libreplace_walk(guard, now, &guard->before, libreplace_found(guard)) != 0)
		return -1;
	return restore_capabilities(guard);
}

/* Try twice: EAGAIN and ENOMEM may be temporary. If this succeeds, the guard keeps the failure that
 * it had before. */
static int restore(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	int step = guard->step, error = guard->error;

	if (restore_once(guard, now) != 0 &&
	    (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0 ||
	     restore_once(guard, now) != 0))
		return -1;
	guard->step = step;
	guard->error = error;
	return 0;
}

/* Store the state and set errno. Return: -1. */
static int end(struct libreplace_guard *guard, int state)
{
	guard->state = state;
	errno = guard->error;
	return -1;
}

static int taint(struct libreplace_guard *guard)
{
	libreplace_mine.tainted = 1;
	return end(guard, LIBREPLACE_STATE_TAINTED);
}

/* fork.c has made this process the user for good, so the thread can neither enter nor leave. */
static int fail_for_good(struct libreplace_guard *guard)
{
	libreplace_fail(guard, LIBREPLACE_STEP_FORKED, EPERM);
	return end(guard, LIBREPLACE_STATE_FOR_GOOD);
}

static int cannot_restore(struct libreplace_guard *guard)
{
	if (guard->flags & LIBREPLACE_ABORT_UNLESS_RESTORED)
		abort();
	return taint(guard);
}

int libreplace_identity_has_root(const struct libreplace_identity *identity)
{
	return identity->uid == 0 || identity->gid == 0 ||
	       (identity->size > 0 && identity->groups[0] == 0);
}

/* Look for a reason to refuse the entry before the ids are read. Return: the errno of that reason,
 * or 0. */
static int refusal(const struct libreplace_guard *guard, const struct libreplace_identity *identity,
                   int level)
{
	if (libreplace_mine.tainted)
		return ENOTRECOVERABLE;
	if (identity->uid == (uid_t)-1 || identity->gid == (gid_t)-1 ||
	    level < LIBREPLACE_LEVEL_EFFECTIVE || level > LIBREPLACE_LEVEL_FILESYSTEM ||
	    !libreplace_ascending(identity->groups, identity->size) ||
	    (identity->size > 0 && identity->groups[identity->size - 1] == (gid_t)-1))
		return EINVAL;
	if (libreplace_identity_has_root(identity) && !(guard->flags & LIBREPLACE_ALLOW_ROOT))
		return EPERM;
	if (LIBREPLACE_THREAD_SCOPE)
		return 0;
	if (!(guard->flags & LIBREPLACE_ALLOW_PROCESS))
		return ENOSYS;
	return libreplace_alone() ? 0 : ENOTSUP;
}

/* Fail an entry that has changed nothing. */
static int fail_unchanged(struct libreplace_guard *guard, int step, int error)
{
	libreplace_fail(guard, step, error);
	if (libreplace_mine.depth == 0 && libreplace_mine.counted)
		libreplace_count_out();
	return end(guard, LIBREPLACE_STATE_IDLE);
}

static int has_id(const struct libreplace_ids *ids, uid_t uid)
{
	return ids->ruid == uid || ids->euid == uid || ids->suid == uid;
}

/*
 * Whether the thread could return from the ids in @set to those in @before. Under the identity, the
 * thread has no CAP_SETUID. Without it, setresuid(2) accepts only ids that the thread already has:
 *
 * - If @before has the privileged user ID as its effective ID, one call sets all three ids. So @set
 *   must contain all three.
 * - Otherwise libreplace_walk() first sets the effective user ID to the privileged one, which gives
 *   the capability back. So @set must contain that ID.
 *
 * A server without root can always return, because libreplace_walk() raises its capabilities first.
 * Source: setresuid(2).
 */
static int can_return(const struct libreplace_ids *before, const struct libreplace_ids *set)
{
	uid_t root = libreplace_mine.base.euid;

	if (root != 0 || set->euid == root)
		return 1;
	if (!libreplace_outwards(before))
		return has_id(set, root);
	return has_id(set, before->ruid) && has_id(set, root) && has_id(set, before->suid);
}

int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level)
{
	int before = errno, error = refusal(guard, identity, level);
	struct libreplace_ids now;

	guard->step = LIBREPLACE_STEP_NONE;
	guard->state = LIBREPLACE_STATE_IDLE;
	guard->error = guard->changes = 0;
	guard->level = level;
	if (libreplace_mine.forked)
		return fail_for_good(guard);
	if (error == 0 && libreplace_mine.depth == 0)
		error = libreplace_count_in();
	if (error != 0) {
		libreplace_fail(guard, LIBREPLACE_STEP_REFUSED, error);
		return end(guard, LIBREPLACE_STATE_IDLE);
	}
	if (identity->size > guard->room)
		return fail_unchanged(guard, LIBREPLACE_STEP_READ, ENOBUFS);
	if (libreplace_read_all(guard, &guard->before, libreplace_found(guard)) != 0 ||
	    libreplace_get_capabilities(&guard->capabilities) != 0)
		return fail_unchanged(guard, LIBREPLACE_STEP_READ, errno);
	if (libreplace_mine.depth == 0)
		libreplace_mine.base = guard->before;
	choose_ids(identity, level, &guard->set);
	if (!can_return(&guard->before, &guard->set))
		return fail_unchanged(guard, LIBREPLACE_STEP_PRIVILEGE, EPERM);
	if (identity->size > 0)
		memcpy(libreplace_wanted(guard), identity->groups,
		       identity->size * sizeof *identity->groups);
	now = guard->before;
	if (now.size > 0)
		memcpy(libreplace_scratch(guard), libreplace_found(guard),
		       now.size * sizeof(gid_t));
	libreplace_mine.depth++;
	if (walk_in(guard, &now, identity->uid) == 0 &&
	    lose_capabilities(guard, identity->uid, level) == 0) {
		if (libreplace_mine.last == 0)
			libreplace_mine.last = (uint64_t)(uintptr_t)&libreplace_mine << 16;
		guard->outer = libreplace_mine.top;
		guard->outer_token = libreplace_mine.token;
		libreplace_mine.top = guard;
		libreplace_mine.token = guard->token = ++libreplace_mine.last;
		guard->state = LIBREPLACE_STATE_ENTERED;
		errno = before;
		return 0;
	}
	if (libreplace_read_all(guard, &now, libreplace_scratch(guard)) != 0 ||
	    restore(guard, &now) != 0)
		return cannot_restore(guard);
	if (--libreplace_mine.depth == 0)
		libreplace_count_out();
	return end(guard, guard->step == LIBREPLACE_STEP_REFUSED ? LIBREPLACE_STATE_IDLE
	                                                         : LIBREPLACE_STATE_ROLLED_BACK);
}

/* Read the thread's ids and compare them with the ids that the entry set. To save two system calls,
 * the fs ids are not read if setresuid(2) and setresgid(2) will restore them anyway. Return: 0, or
 * -1 with the failure stored in the guard. */
static int compare(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	const struct libreplace_ids *set = &guard->set;

	if (libreplace_read_ids(guard, now, libreplace_scratch(guard)) != 0)
		return -1;
	now->fsuid = now->euid;
	now->fsgid = now->egid;
	if (libreplace_same_uids(now, set) && libreplace_same_gids(now, set) &&
	    libreplace_same_groups(now, libreplace_scratch(guard), set, libreplace_wanted(guard)) &&
	    /* the restoring calls will set the fs ids to the effective ids */
	    set->fsuid == set->euid && set->fsgid == set->egid &&
	    !libreplace_same_uids(set, &guard->before) &&
	    !libreplace_same_gids(set, &guard->before))
		return 0;
	if (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0)
		return -1;
	if (libreplace_same_uids(now, set) && libreplace_same_gids(now, set) &&
	    now->fsuid == set->fsuid && now->fsgid == set->fsgid &&
	    libreplace_same_groups(now, libreplace_scratch(guard), set, libreplace_wanted(guard)))
		return 0;
	return libreplace_fail(guard, LIBREPLACE_STEP_FOUND, EPERM);
}

/* Whether this is the calling thread's innermost entry. */
static int is_innermost(const struct libreplace_guard *guard)
{
	return libreplace_mine.top == guard && libreplace_mine.token == guard->token;
}

int libreplace_check(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	int before = errno;
	struct libreplace_capabilities caps;
	struct libreplace_ids now;

	if (guard->state != LIBREPLACE_STATE_ENTERED) {
		errno = ESRCH;
		return -1;
	}
	if (libreplace_mine.forked) {
		libreplace_fail(guard, LIBREPLACE_STEP_FORKED, EPERM);
	} else if (!is_innermost(guard)) {
		libreplace_fail(guard, LIBREPLACE_STEP_ORDER, EPERM);
	} else if (compare(guard, &now) == 0 && guard->set.fsuid != 0) {
		if (libreplace_get_capabilities(&caps) != 0)
			libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
		else if (libreplace_forbidden_capabilities(caps.effective, guard->level) != 0 ||
		         caps.permitted != held->permitted ||
		         caps.inheritable != (held->inheritable & ~held->permitted))
			libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	}
	errno = guard->step == LIBREPLACE_STEP_NONE ? before : guard->error;
	return guard->step == LIBREPLACE_STEP_NONE ? 0 : -1;
}

int libreplace_leave(struct libreplace_guard *guard)
{
	int before = errno;
	struct libreplace_ids now;

	if (guard->state == LIBREPLACE_STATE_TAINTED && !libreplace_mine.tainted &&
	    is_innermost(guard)) {
		/* another thread tried to leave this entry; this thread still holds it */
		guard->state = LIBREPLACE_STATE_ENTERED;
		guard->step = LIBREPLACE_STEP_NONE;
	}
	if (guard->state != LIBREPLACE_STATE_ENTERED)
		return 0;
	if (libreplace_mine.forked)
		return fail_for_good(guard);
	if (!is_innermost(guard)) {
		libreplace_fail(guard, LIBREPLACE_STEP_ORDER, EPERM);
		return taint(guard);
	}
	if (compare(guard, &now) != 0 && guard->step == LIBREPLACE_STEP_READ) {
		guard->step = LIBREPLACE_STEP_NONE;
		if (compare(guard, &now) != 0 && guard->step == LIBREPLACE_STEP_READ)
			return cannot_restore(guard);
	}
	if (restore(guard, &now) != 0)
		return cannot_restore(guard);
	libreplace_mine.top = guard->outer;
	libreplace_mine.token = guard->outer_token;
	if (--libreplace_mine.depth == 0)
		libreplace_count_out();
	if (guard->step != LIBREPLACE_STEP_NONE)
		return end(guard, LIBREPLACE_STATE_LEFT);
	guard->state = LIBREPLACE_STATE_LEFT;
	errno = before;
	return 0;
}
