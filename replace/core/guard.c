/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_enter(), libreplace_check() and libreplace_leave(). This file decides whether a thread
 * may enter, which ids it gets, and which capabilities remain; walk.c changes the ids. The ids of
 * the thread are read from the kernel each time. No function here allocates memory or takes a lock.
 * libreplace/guard.h explains the public functions.
 *
 * A signal handler may interrupt these functions at any moment. libreplace_mine.busy tells the
 * functions that the handler calls. While an entry is made or left, libreplace_mine.walking points
 * to it: if the handler forks, fork.c makes the child the user of that entry. The child continues
 * in the function that was interrupted, and end() notices it.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* The value of guard->initialized, so that storage that was only set to zero is refused. */
#define INITIALIZED 0x6c69627265706c61ULL

/* Whether the library must clear capabilities. If the effective user ID changes from 0 to another
 * id, the kernel clears the effective capabilities, but not the inheritable ones. */
static int must_clear(const struct libreplace_guard *guard)
{
	return libreplace_mine.explicit || guard->capabilities.inheritable != 0;
}

/*
 * Whether the thread is ordinary root: with no other user ID, with all permitted capabilities
 * effective, and with none inheritable. An inner entry finds other ids, but the outer one has
 * looked.
 */
static int is_ordinary_root(const struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before;
	const struct libreplace_capabilities *held = &guard->capabilities;

	if (held->inheritable != 0)
		return 0;
	if (libreplace_mine.depth > 0)
		return !libreplace_mine.explicit;
	return before->ruid == 0 && before->euid == 0 && before->suid == 0 && before->fsuid == 0 &&
	       held->effective == held->permitted;
}

/*
 * Decide whether the library raises and clears the capabilities. The kernel does it for ordinary
 * root. Ordinary root can always return, so this function does not read its securebits: that would
 * cost 1 % of an entry. If a securebit keeps the kernel from clearing, lose_capabilities() finds
 * the capabilities, and the entry is rolled back. Return: the securebits, or -1 with errno set.
 */
static int choose_explicit(const struct libreplace_guard *guard)
{
	static const int changing = LIBREPLACE_NO_SETUID_FIXUP | LIBREPLACE_KEEP_CAPS;
	int ordinary = is_ordinary_root(guard), outermost = libreplace_mine.depth == 0;
	int securebits = ordinary ? 0 : libreplace_get_securebits();

	if (outermost)
		libreplace_mine.explicit = 0;
	/* nothing is permitted on a system without capabilities */
	if (!ordinary && guard->capabilities.permitted != 0 &&
	    (outermost || (securebits & changing) != 0))
		libreplace_mine.explicit = 1;
	return securebits;
}

/* Store the identity. A signal handler can fork from now on, so fork.c must find it; see begin().
 */
static void copy_identity(struct libreplace_guard *guard,
                          const struct libreplace_identity *identity)
{
	guard->set.fsuid = identity->uid;
	guard->set.fsgid = identity->gid;
	guard->set.size = identity->size;
	if (identity->size > 0)
		memcpy(libreplace_wanted(guard), identity->groups,
		       identity->size * sizeof *identity->groups);
}

/* Store the other ids that the identity has at this level; see enum libreplace_level. */
static void choose_ids(struct libreplace_guard *guard, int level)
{
	const struct libreplace_ids *base = &libreplace_mine.base;
	struct libreplace_ids *set = &guard->set;
	int fs_only = level == LIBREPLACE_LEVEL_FILESYSTEM;

	set->ruid = base->ruid;
	if (level == LIBREPLACE_LEVEL_REAL)
		set->ruid = set->fsuid;
	else if (level == LIBREPLACE_LEVEL_SHIELDED)
		set->ruid = LIBREPLACE_SHIELD_UID;
	set->euid = fs_only ? base->euid : set->fsuid;
	set->suid = base->suid;
	set->rgid = fs_only ? base->rgid : set->fsgid;
	set->egid = fs_only ? base->egid : set->fsgid;
	set->sgid = base->sgid;
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

static int same_capabilities(const struct libreplace_capabilities *a,
                             const struct libreplace_capabilities *b)
{
	return a->effective == b->effective && a->permitted == b->permitted &&
	       a->inheritable == b->inheritable && a->ambient == b->ambient;
}

/* Restore the capabilities that were found on entry, and verify them. */
static int restore_capabilities(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (same_capabilities(&now, held))
		return 0;
	if (libreplace_set_capabilities(held) != 0 || libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (!same_capabilities(&now, held))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/*
 * Clear the capabilities and check that no forbidden one remains. An identity with uid 0 keeps the
 * capabilities of root.
 *
 * If the kernel raises the capabilities, the effective set stays as the kernel has left it: at
 * level filesystem, the thread keeps the effective user ID 0, so the kernel would not give
 * CAP_SETGID back on leaving.
 */
static int lose_capabilities(struct libreplace_guard *guard, uid_t uid, int level)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (uid == 0 && libreplace_mine.explicit && guard->before.euid == 0)
		return restore_capabilities(guard);
	if (uid == 0)
		return 0;
	if (libreplace_mine.explicit && libreplace_mine.base.euid != 0)
		now.effective = 0;
	else if (libreplace_mine.explicit) /* root: what the kernel would leave */
		now.effective =
		    held->effective & ~libreplace_forbidden_capabilities(held->effective, level);
	else if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (must_clear(guard) && (libreplace_clear_capabilities(held, now.effective) != 0 ||
	                          libreplace_get_capabilities(&now) != 0))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (libreplace_forbidden_capabilities(now.effective, level) != 0 ||
	    (now.inheritable & held->permitted) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/*
 * Restore the ids from before the entry, and then the capabilities. These need no look if they were
 * root's full set and nothing was cleared: when the effective user ID becomes 0 again, the kernel
 * makes all permitted capabilities effective.
 */
static int restore_once(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	int by_kernel = !must_clear(guard) && held->effective == held->permitted &&
	                now->euid == guard->set.euid && now->euid != 0 && guard->before.euid == 0;

	if (libreplace_walk(guard, now, &guard->before, libreplace_found(guard)) != 0)
		return -1;
	return by_kernel ? 0 : restore_capabilities(guard);
}

/* Read the ids. If they cannot be read, use ids that no thread has, so that each step of restoring
 * is made. Restoring verifies them in the end. */
static void read_or_guess(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	int step = guard->step, error = guard->error;

	if (libreplace_read_all(guard, now, libreplace_scratch(guard)) != 0)
		memset(now, 0xff, sizeof *now);
	guard->step = step;
	guard->error = error;
}

/* Try twice: EAGAIN and ENOMEM may be temporary. If this succeeds, the guard keeps the failure that
 * it had before. */
static int restore(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	int step = guard->step, error = guard->error;

	if (restore_once(guard, now) != 0) {
		read_or_guess(guard, now);
		libreplace_mine.explicit = 1; /* whatever the kernel did not do */
		if (restore_once(guard, now) != 0)
			return -1;
	}
	guard->step = step;
	guard->error = error;
	return 0;
}

static int get_state(const struct libreplace_guard *guard)
{
	return __atomic_load_n(&guard->state, __ATOMIC_ACQUIRE);
}

static void set_state(struct libreplace_guard *guard, int state)
{
	__atomic_store_n(&guard->state, state, __ATOMIC_RELEASE);
}

/* Tell the functions that a signal handler calls that this one runs. Return: 1, or 0 if this one
 * was called by such a handler. */
static int mark_busy(struct libreplace_guard *guard)
{
	if (libreplace_mine.busy != NULL)
		return 0;
	libreplace_mine.busy = guard;
	atomic_signal_fence(memory_order_seq_cst);
	return 1;
}

static void unmark_busy(int started)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (started)
		libreplace_mine.busy = NULL;
}

/* Begin to change the ids of the thread for this entry. Return: 1, or 0 if this is a forked child
 * already. */
static int begin(struct libreplace_guard *guard)
{
	atomic_signal_fence(memory_order_seq_cst);
	libreplace_mine.walking = guard;
	atomic_signal_fence(memory_order_seq_cst);
	if (libreplace_mine.forked)
		libreplace_mine.walking = NULL;
	return !libreplace_mine.forked;
}

/*
 * End what begin() began, if it did, and store the state. Return: 0, or -1 with errno set if a step
 * is stored.
 *
 * If a signal handler forked since begin(), this is the child. It could not change its ids, unless
 * it is root.
 */
static int end(struct libreplace_guard *guard, int state)
{
	int walked = libreplace_mine.walking == guard, forked;

	set_state(guard, state);
	atomic_signal_fence(memory_order_seq_cst);
	forked = libreplace_mine.forked;
	atomic_signal_fence(memory_order_seq_cst);
	if (walked)
		libreplace_mine.walking = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	if (libreplace_mine.forked) {
		if (walked && forked && guard->set.fsuid == 0)
			libreplace_become_for_good(guard);
		libreplace_forget();
		guard->step = LIBREPLACE_STEP_FORKED;
		guard->error = EPERM;
		set_state(guard, LIBREPLACE_STATE_FOR_GOOD);
	}
	if (guard->step == LIBREPLACE_STEP_NONE)
		return 0;
	errno = guard->error;
	return -1;
}

static int taint(struct libreplace_guard *guard)
{
	libreplace_mine.tainted = 1;
	return end(guard, LIBREPLACE_STATE_TAINTED);
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

	return state == LIBREPLACE_STATE_ENTERED || state == LIBREPLACE_STATE_ORPHANED;
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
	guard->initialized = INITIALIZED;
	return 0;
}

/* Look for a reason to refuse the entry before the ids are read. Return: the errno of that reason,
 * or 0. */
static int refusal(const struct libreplace_guard *guard, const struct libreplace_identity *identity,
                   int level)
{
	int error;

	if (guard->initialized != INITIALIZED)
		return EINVAL;
	if (libreplace_tainted())
		return ENOTRECOVERABLE;
	if (libreplace_mine.busy != guard)
		return EBUSY;
	if (level < LIBREPLACE_LEVEL_EFFECTIVE || level > LIBREPLACE_LEVEL_FILESYSTEM)
		return EINVAL;
	error = libreplace_unacceptable(identity, guard->flags);
	if (error != 0)
		return error;
	if (LIBREPLACE_THREAD_SCOPE)
		return 0;
	if (!(guard->flags & LIBREPLACE_ALLOW_PROCESS))
		return ENOSYS;
	return libreplace_alone() ? 0 : ENOTSUP;
}

/* End an entry that has changed nothing. */
static int end_unchanged(struct libreplace_guard *guard, int step, int error)
{
	libreplace_fail(guard, step, error);
	if (libreplace_mine.depth == 0)
		libreplace_count_out();
	return end(guard, LIBREPLACE_STATE_IDLE);
}

/* Read what the thread is, and decide whether it may enter. Return: 0, or -1 with the failure
 * stored in the guard. Changes nothing. */
static int prepare(struct libreplace_guard *guard, const struct libreplace_identity *identity)
{
	struct libreplace_capabilities *held = &guard->capabilities;
	int securebits, error;

	if (libreplace_read_all(guard, &guard->before, libreplace_found(guard)) != 0)
		return -1;
	if (guard->before.size == LIBREPLACE_NOT_READ)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, ENOBUFS);
	if (libreplace_get_capabilities(held) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	if (libreplace_recognize_imitation(guard) != 0)
		return -1;
	if (guard->before.size > 0)
		memcpy(libreplace_scratch(guard), libreplace_found(guard),
		       guard->before.size * sizeof(gid_t));
	/* an inner entry finds ids that the outer one has set and verified */
	if (libreplace_mine.depth == 0 &&
	    libreplace_unmapped(&guard->before, libreplace_found(guard)))
		return libreplace_fail(guard, LIBREPLACE_STEP_RETURN, EOVERFLOW);
	if (libreplace_mine.depth == 0)
		libreplace_mine.base = guard->before;
	securebits = choose_explicit(guard);
	if (securebits < 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	choose_ids(guard, guard->level);
	error = libreplace_cannot_return(guard, securebits);
	if (error != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_RETURN, error);
	if ((securebits & LIBREPLACE_NO_SETUID_FIXUP) != 0 && libreplace_mine.base.euid == 0 &&
	    identity->uid != 0 &&
	    libreplace_forbidden_capabilities(held->effective, guard->level) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
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

	error = refusal(guard, identity, level);
	guard->step = LIBREPLACE_STEP_NONE;
	guard->error = guard->changes = 0;
	guard->level = level;
	if (libreplace_mine.forked)
		libreplace_fail(guard, LIBREPLACE_STEP_FORKED, EPERM);
	else if (error != 0)
		libreplace_fail(guard, LIBREPLACE_STEP_REFUSED, error);
	else if (identity->size > guard->room)
		libreplace_fail(guard, LIBREPLACE_STEP_READ, ENOBUFS);
	if (guard->step != LIBREPLACE_STEP_NONE)
		return end(guard, LIBREPLACE_STATE_IDLE);
	copy_identity(guard, identity);
	if (!begin(guard))
		return end(guard, LIBREPLACE_STATE_IDLE);
	if (libreplace_mine.depth == 0) {
		error = libreplace_count_in();
		if (error != 0) {
			libreplace_fail(guard, LIBREPLACE_STEP_REFUSED, error);
			return end(guard, LIBREPLACE_STATE_IDLE);
		}
	}
	if (prepare(guard, identity) != 0)
		return end_unchanged(guard, guard->step, guard->error);
	now = guard->before;
	if (walk_in(guard, &now, identity->uid) == 0 && libreplace_verify_fs_ids(guard) == 0 &&
	    lose_capabilities(guard, identity->uid, level) == 0) {
		push(guard);
		errno = before;
		return end(guard, LIBREPLACE_STATE_ENTERED);
	}
	read_or_guess(guard, &now);
	if (restore(guard, &now) != 0) {
		libreplace_mine.depth++;
		return cannot_restore(guard);
	}
	if (libreplace_mine.depth == 0)
		libreplace_count_out();
	return end(guard, guard->step == LIBREPLACE_STEP_REFUSED ? LIBREPLACE_STATE_IDLE
	                                                         : LIBREPLACE_STATE_ROLLED_BACK);
}

int libreplace_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
                     int level)
{
	int started = mark_busy(guard), result = -1;

	if (guard->initialized == INITIALIZED && !libreplace_mine.forked &&
	    (is_held(guard) || (!started && libreplace_mine.busy == guard)))
		errno = EBUSY;
	else
		result = enter(guard, identity, level);
	unmark_busy(started);
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

static int check(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	int before = errno;
	struct libreplace_capabilities caps;
	struct libreplace_ids now;

	if (!is_innermost(guard) || get_state(guard) == LIBREPLACE_STATE_ORPHANED) {
		libreplace_fail(guard, LIBREPLACE_STEP_ORDER, EPERM);
	} else if (compare(guard, &now) == 0 && guard->set.fsuid != 0) {
		if (libreplace_get_capabilities(&caps) != 0)
			libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
		else if (libreplace_forbidden_capabilities(caps.effective, guard->level) != 0 ||
		         caps.permitted != held->permitted ||
		         caps.inheritable != (held->inheritable & ~held->permitted))
			libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	}
	if (libreplace_mine.forked) {
		guard->step = LIBREPLACE_STEP_FORKED;
		guard->error = EPERM;
	}
	errno = guard->step == LIBREPLACE_STEP_NONE ? before : guard->error;
	return guard->step == LIBREPLACE_STEP_NONE ? 0 : -1;
}

int libreplace_check(struct libreplace_guard *guard)
{
	int started = mark_busy(guard), result = -1;

	if (!is_held(guard))
		errno = ESRCH;
	else if (!started && !libreplace_mine.forked)
		errno = EBUSY;
	else
		result = check(guard);
	unmark_busy(started);
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
		return end(guard, LIBREPLACE_STATE_FOR_GOOD);
	if (!is_innermost(guard))
		return leave_in_wrong_order(guard);
	if (!begin(guard))
		return end(guard, LIBREPLACE_STATE_FOR_GOOD);
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
	if (restore(guard, &now) != 0)
		return cannot_restore(guard);
	guard->step = step;
	guard->error = error;
	libreplace_mine.top = guard->outer;
	libreplace_mine.token = guard->outer_token;
	if (--libreplace_mine.depth == 0)
		libreplace_count_out();
	errno = before;
	return end(guard, LIBREPLACE_STATE_LEFT);
}

int libreplace_leave(struct libreplace_guard *guard)
{
	int started = mark_busy(guard), result = 0;

	if (is_held(guard)) {
		if (started || libreplace_mine.forked) {
			result = leave(guard);
		} else {
			errno = EBUSY;
			result = -1;
		}
	}
	unmark_busy(started);
	return result;
}
