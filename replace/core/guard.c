/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_enter(), libreplace_check() and libreplace_leave(). prepare.c decides whether a thread
 * may enter and which ids it gets, walk.c changes the ids, capabilities.c the capabilities. The ids
 * of the thread are read from the kernel each time. No function here allocates memory or takes a
 * lock. A signal handler may interrupt these functions at any moment; see signals.c.
 * libreplace/guard.h explains the public functions.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

/*
 * Change the thread's ids to those of the entry. If the user namespace does not map
 * LIBREPLACE_SHIELD_UID, setresuid(2) fails with EINVAL. Then try the second such ID. If that is
 * not mapped either, refuse the entry. If the thread has the user's ID already, the same call makes
 * it the effective ID. Otherwise root that becomes root would lose its capabilities if its real
 * user ID is the only one that is 0.
 */
static int walk_in(struct libreplace_guard *guard, struct libreplace_ids *now, uid_t user)
{
	static const uid_t unused_ids[] = {LIBREPLACE_SHIELD_UID, LIBREPLACE_SECOND_SHIELD_UID};
	uid_t effective;

	if (libreplace_walk(guard, now, &guard->set, libreplace_wanted(guard)) == 0)
		return 0;
	if (guard->level != LIBREPLACE_LEVEL_SHIELDED || guard->step != LIBREPLACE_STEP_UID ||
	    guard->error != EINVAL)
		return -1;
	effective = libreplace_has_uid(now, user) ? user : (uid_t)-1;
	for (size_t i = 0; i < sizeof unused_ids / sizeof *unused_ids; i++) {
		if (unused_ids[i] == user)
			continue;
		guard->changes++;
		if (libreplace_setresuid(unused_ids[i], effective, (uid_t)-1) != 0) {
			if (errno == EINVAL)
				continue;
			guard->error = errno; /* it is mapped, but the thread may not set it */
			return -1;
		}
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

/* Restore the ids from before the entry, and then the capabilities. @finding: the step that found
 * changes inside the entry. */
static int restore_once(struct libreplace_guard *guard, struct libreplace_ids *now, int finding)
{
	const struct libreplace_ids *before = &guard->before;
	int are_unknown = now->euid == (uid_t)-1;
	int by_kernel = finding != LIBREPLACE_STEP_CAPABILITIES &&
	                libreplace_kernel_restores_capabilities(guard, now->euid);

	if (libreplace_walk(guard, now, before, libreplace_found(guard)) != 0)
		return -1;
	/* if setresuid(2) only reports success, the fs uid does not follow */
	if (are_unknown) {
		if (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0)
			return -1;
		if (now->fsuid != before->fsuid || now->fsgid != before->fsgid)
			return libreplace_fail(guard, LIBREPLACE_STEP_VERIFY, EPERM);
	}
	return by_kernel ? 0 : libreplace_restore_capabilities(guard);
}

/* After a failure, read the ids. If they cannot be read, use ids that no thread has, so that each
 * step of restoring is made. Restoring verifies them in the end. */
static void read_or_guess(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	if (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0)
		memset(now, 0xff, sizeof *now);
}

/* Try twice: EAGAIN and ENOMEM may be temporary. */
static int restore(struct libreplace_guard *guard, struct libreplace_ids *now, int finding)
{
	if (restore_once(guard, now, finding) == 0)
		return 0;
	read_or_guess(guard, now);
	libreplace_mine.explicit = 1; /* whatever the kernel did not do */
	return restore_once(guard, now, finding);
}

static int get_state(const struct libreplace_guard *guard)
{
	return __atomic_load_n(&guard->state, __ATOMIC_ACQUIRE);
}

static int taint(struct libreplace_guard *guard)
{
	libreplace_mine.tainted = 1;
	return libreplace_end(guard, LIBREPLACE_STATE_TAINTED);
}

static int cannot_restore(struct libreplace_guard *guard)
{
	if ((guard->flags & LIBREPLACE_ABORT_UNLESS_RESTORED) && !libreplace_mine.forked)
		abort();
	return taint(guard);
}

/* Whether the entry is held, by this or another thread. */
static int is_held(const struct libreplace_guard *guard)
{
	int state = get_state(guard);

	return guard->initialized == LIBREPLACE_INITIALIZED &&
	       (state == LIBREPLACE_STATE_ENTERED || state == LIBREPLACE_STATE_ORPHANED);
}

int libreplace_tainted(void)
{
	if (libreplace_mine.tainted)
		return 1;
	for (const struct libreplace_guard *one = libreplace_mine.top; one != NULL;
	     one = one->outer)
		if (get_state(one) == LIBREPLACE_STATE_ORPHANED)
			return 1;
	return 0;
}

int libreplace_guard_init(struct libreplace_guard *guard, size_t size)
{
	size_t room = size < sizeof *guard ? 0 : (size - sizeof *guard) / (3 * sizeof(gid_t));

	if (size < sizeof *guard) {
		errno = EINVAL;
		return -1;
	}
	memset(guard, 0, sizeof *guard);
	if (libreplace_become_on_fork() != 0)
		return -1;
	guard->room = room > INT_MAX ? INT_MAX : room;
	guard->initialized = LIBREPLACE_INITIALIZED;
	return 0;
}

/* End an entry that has changed nothing. */
static int end_unchanged(struct libreplace_guard *guard)
{
	if (libreplace_mine.depth == 0)
		libreplace_count_out();
	return libreplace_end(guard, LIBREPLACE_STATE_IDLE);
}

/* Make the guard the innermost entry of the thread. */
static void push(struct libreplace_guard *guard)
{
	if (libreplace_mine.last == 0)
		libreplace_mine.last = (uint64_t)(uintptr_t)&libreplace_mine << 16;
	guard->owner = &libreplace_mine;
	guard->outer = libreplace_mine.top;
	guard->outer_token = libreplace_mine.token;
	libreplace_mine.top = guard;
	libreplace_mine.token = guard->token = ++libreplace_mine.last;
	libreplace_mine.depth++;
}

static int enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                 int level)
{
	int before = errno, error;
	struct libreplace_ids now;

	error = libreplace_refusal(guard, identity, level);
	guard->step = LIBREPLACE_STEP_NONE;
	guard->error = guard->changes = 0;
	guard->level = level;
	if (error != 0)
		libreplace_fail(guard, LIBREPLACE_STEP_REFUSED, error);
	else if (identity->size > guard->room)
		libreplace_fail(guard, LIBREPLACE_STEP_READ, ENOBUFS);
	if (guard->step != LIBREPLACE_STEP_NONE)
		return libreplace_end(guard, LIBREPLACE_STATE_IDLE); /* knows forked children */
	libreplace_copy_identity(guard, identity);
	if (!libreplace_begin(guard))
		return libreplace_end(guard, LIBREPLACE_STATE_IDLE);
	if (libreplace_mine.depth == 0) {
		error = libreplace_count_in();
		if (error != 0) {
			libreplace_fail(guard, LIBREPLACE_STEP_REFUSED, error);
			return libreplace_end(guard, LIBREPLACE_STATE_IDLE);
		}
	}
	if (libreplace_prepare(guard, identity) != 0)
		return end_unchanged(guard);
	now = guard->before;
	if (walk_in(guard, &now, identity->uid) == 0 && libreplace_verify_fs_ids(guard) == 0 &&
	    libreplace_lose_capabilities(guard, identity->uid, level) == 0) {
		push(guard);
		errno = before;
		return libreplace_end(guard, LIBREPLACE_STATE_ENTERED);
	}
	read_or_guess(guard, &now);
	if (restore(guard, &now, LIBREPLACE_STEP_NONE) != 0) {
		libreplace_mine.depth++;
		return cannot_restore(guard);
	}
	if (libreplace_mine.depth == 0)
		libreplace_count_out();
	return libreplace_end(guard, guard->step == LIBREPLACE_STEP_REFUSED
	                                 ? LIBREPLACE_STATE_IDLE
					 : LIBREPLACE_STATE_ROLLED_BACK);
}

int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level)
{
	int started = libreplace_mark_busy(guard), result = -1;

	if (!libreplace_mine.forked &&
	    (is_held(guard) || (!started && libreplace_mine.busy == guard)))
		errno = EBUSY;
	else
		result = enter(guard, identity, level);
	libreplace_unmark_busy(started);
	return result;
}

/* Read the thread's ids and compare them with the ids that the entry set. Return: 0, or -1 with the
 * failure stored in the guard. */
static int compare(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	const struct libreplace_ids *set = &guard->set;

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

/* An inner entry that libreplace_check() found has changed nothing. It may be left meanwhile. */
static void forget_inner_entry(struct libreplace_guard *guard)
{
	if (guard->step == LIBREPLACE_STEP_ORDER && get_state(guard) != LIBREPLACE_STATE_ORPHANED)
		guard->step = LIBREPLACE_STEP_NONE;
}

static int check(struct libreplace_guard *guard)
{
	int before = errno;
	struct libreplace_ids now;

	if (guard->owner != &libreplace_mine) {
		errno = EPERM;
		return -1;
	}
	forget_inner_entry(guard);
	if (!is_innermost(guard) || get_state(guard) == LIBREPLACE_STATE_ORPHANED)
		libreplace_fail(guard, LIBREPLACE_STEP_ORDER, EPERM);
	else if (compare(guard, &now) == 0)
		libreplace_compare_capabilities(guard);
	if (libreplace_mine.forked) {
		guard->step = LIBREPLACE_STEP_FORKED;
		guard->error = EPERM;
	}
	errno = guard->step == LIBREPLACE_STEP_NONE ? before : guard->error;
	return guard->step == LIBREPLACE_STEP_NONE ? 0 : -1;
}

int libreplace_check(struct libreplace_guard *guard)
{
	int started = libreplace_mark_busy(guard), result = -1;

	if (!is_held(guard))
		errno = ESRCH;
	else if (!started && !libreplace_mine.forked)
		errno = EBUSY;
	else
		result = check(guard);
	libreplace_unmark_busy(started);
	return result;
}

/*
 * A thread tries to leave an entry that is not its innermost one. If another thread holds the
 * entry, that thread learns of the attempt from the state; later attempts do nothing. The token of
 * an entry is unique in its thread only, so look at the owner.
 */
static int leave_in_wrong_order(struct libreplace_guard *guard)
{
	int held = LIBREPLACE_STATE_ENTERED;

	if (guard->owner == &libreplace_mine) {
		libreplace_fail(guard, LIBREPLACE_STEP_ORDER, EPERM);
		return taint(guard);
	}
	if (!__atomic_compare_exchange_n(&guard->state, &held, LIBREPLACE_STATE_ORPHANED, 0,
	                                 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	libreplace_mine.tainted = 1;
	errno = EPERM;
	return -1;
}

static int leave(struct libreplace_guard *guard)
{
	int before = errno, step, error;
	struct libreplace_ids now;

	if (libreplace_mine.forked)
		return libreplace_end(guard, LIBREPLACE_STATE_FOR_GOOD);
	if (!is_innermost(guard))
		return leave_in_wrong_order(guard);
	if (!libreplace_begin(guard))
		return libreplace_end(guard, LIBREPLACE_STATE_FOR_GOOD);
	forget_inner_entry(guard);
	step = guard->step; /* what libreplace_check() has found */
	error = guard->error;
	guard->step = LIBREPLACE_STEP_NONE;
	if (compare(guard, &now) != 0 && guard->step == LIBREPLACE_STEP_READ) {
		guard->step = LIBREPLACE_STEP_NONE;
		if (compare(guard, &now) != 0 && guard->step == LIBREPLACE_STEP_READ)
			memset(&now, 0xff, sizeof now); /* make each step of restoring */
	}
	if (step == LIBREPLACE_STEP_NONE) {
		step = guard->step;
		error = guard->error;
	}
	guard->step = LIBREPLACE_STEP_NONE;
	if (restore(guard, &now, step) != 0)
		return cannot_restore(guard);
	guard->step = step;
	guard->error = error;
	libreplace_mine.top = guard->outer;
	libreplace_mine.token = guard->outer_token;
	if (--libreplace_mine.depth == 0)
		libreplace_count_out();
	errno = before;
	return libreplace_end(guard, LIBREPLACE_STATE_LEFT);
}

int libreplace_leave(struct libreplace_guard *guard)
{
	int started = libreplace_mark_busy(guard), result = 0;

	if (is_held(guard)) {
		if (started || libreplace_mine.forked) {
			result = leave(guard);
		} else {
			errno = EBUSY;
			result = -1;
		}
	}
	libreplace_unmark_busy(started);
	return result;
}
