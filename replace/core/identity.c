/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * rep_enter() and rep_leave(): whether, from which ids to which, and what is left of the
 * capabilities; walk.c goes there. What the thread is gets read, never remembered. No
 * heap, no locks; the state is thread-local but for what thread.c says. Declared and
 * explained in libreplace/identity.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* A server without root, or one whose children would inherit capabilities, has them put down by
 * hand. */
static int puts_down(const struct rep_guard *guard)
{
	return rep_mine.base.euid != 0 || guard->capabilities.inheritable != 0;
}

static void shape(const struct rep_identity *who, int level, struct rep_ids *to)
{
	*to = rep_mine.base;
	to->size = who->size;
	to->fsuid = who->uid;
	to->fsgid = who->gid;
	if (level == REP_LEVEL_FILESYSTEM)
		return;
	to->euid = who->uid;
	to->rgid = to->egid = who->gid;
	if (level == REP_LEVEL_REAL)
		to->ruid = who->uid;
	else if (level == REP_LEVEL_SHIELDED)
		to->ruid = LIBREPLACE_SHIELD_UID;
}

/* What may not remain after entering. Root that was asked for by name keeps root's. */
static int lose_capabilities(struct rep_guard *guard, uid_t uid, int level)
{
	struct rep_capabilities now;

	if (uid == 0)
		return 0;
	if (puts_down(guard) && rep_put_down_capabilities(&guard->capabilities) != 0)
		return rep_fail(guard, REP_STEP_CAPABILITIES, errno);
	if (rep_get_capabilities(&now) != 0)
		return rep_fail(guard, REP_STEP_CAPABILITIES, errno);
	if (rep_forbidden_capabilities(now.effective, level) != 0)
		return rep_fail(guard, REP_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* Exactly the capabilities that were observed on entry; the kernel has given back all that are
 * permitted. */
static int take_up(struct rep_guard *guard)
{
	const struct rep_capabilities *held = &guard->capabilities;
	struct rep_capabilities now;

	if (!puts_down(guard) && held->effective == held->permitted)
		return 0;
	if (rep_take_up_capabilities(held) != 0 || rep_get_capabilities(&now) != 0)
		return rep_fail(guard, REP_STEP_CAPABILITIES, errno);
	if (now.effective != held->effective || now.permitted != held->permitted ||
	    now.inheritable != held->inheritable)
		return rep_fail(guard, REP_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* Back to the ids from before the entry, verified, and then to no more capabilities than then. */
static int go_back(struct rep_guard *guard, struct rep_ids *now)
{
	if (rep_walk(guard, now, &guard->before, rep_found(guard)) != 0)
		return -1;
	return take_up(guard);
}

/* Once more where it fails: EAGAIN and ENOMEM pass, and a thread that stays switched is worse. */
static int restore(struct rep_guard *guard, struct rep_ids *now)
{
	int step = guard->step, error = guard->error;

	if (go_back(guard, now) != 0 &&
	    (rep_read_all(guard, now, rep_scratch(guard)) != 0 || go_back(guard, now) != 0))
		return -1;
	guard->step = step;
	guard->error = error;
	return 0;
}

static int end(struct rep_guard *guard, int state)
{
	guard->state = state;
	errno = guard->error;
	return -1;
}

static int taint(struct rep_guard *guard)
{
	rep_mine.tainted = 1;
	return end(guard, REP_STATE_TAINTED);
}

/* A fork has made the thread the user: it neither enters nor leaves any more. */
static int for_good(struct rep_guard *guard)
{
	rep_fail(guard, REP_STEP_FORKED, EPERM);
	return end(guard, REP_STATE_FOR_GOOD);
}

static int cannot_restore(struct rep_guard *guard)
{
	if (guard->flags & REP_ABORT_UNLESS_RESTORED)
		abort();
	return taint(guard);
}

int rep_identity_has_root(const struct rep_identity *identity)
{
	return identity->uid == 0 || identity->gid == 0 ||
	       (identity->size > 0 && identity->groups[0] == 0);
}

/* Why an entry is refused before anything is looked at; 0 if it is not. */
static int refusal(const struct rep_guard *guard, const struct rep_identity *who, int level)
{
	if (rep_mine.tainted)
		return ENOTRECOVERABLE;
	if (who->uid == (uid_t)-1 || who->gid == (gid_t)-1 || level < REP_LEVEL_EFFECTIVE ||
	    level > REP_LEVEL_FILESYSTEM || !rep_ascending(who->groups, who->size) ||
	    (who->size > 0 && who->groups[who->size - 1] == (gid_t)-1))
		return EINVAL;
	if (rep_identity_has_root(who) && !(guard->flags & REP_ALLOW_ROOT))
		return EPERM;
	if (LIBREPLACE_THREAD_SCOPE)
		return 0;
	if (!(guard->flags & REP_ALLOW_PROCESS))
		return ENOSYS;
	return rep_alone() ? 0 : ENOTSUP;
}

static int give_up(struct rep_guard *guard, int step, int error)
{
	rep_fail(guard, step, error);
	if (rep_mine.depth == 0 && rep_mine.counted)
		rep_count_out();
	return end(guard, REP_STATE_IDLE);
}

static int holds(const struct rep_ids *ids, uid_t uid)
{
	return ids->ruid == uid || ids->euid == uid || ids->suid == uid;
}

/*
 * Whether root finds the way back from what it will be: setresuid(2) of somebody without
 * CAP_SETUID takes ids that the thread has already. A server without root raises its
 * capabilities first, and rep_walk() goes by way of the privileged id unless that is its goal.
 */
static int comes_back(const struct rep_ids *before, const struct rep_ids *set)
{
	uid_t root = rep_mine.base.euid;

	if (root != 0 || set->euid == root)
		return 1;
	if (!rep_outwards(before))
		return holds(set, root);
	return holds(set, before->ruid) && holds(set, root) && holds(set, before->suid);
}

int rep_enter(struct rep_guard *guard, const struct rep_identity *identity, int level)
{
	int before = errno, error = refusal(guard, identity, level);
	struct rep_ids now;

	guard->step = REP_STEP_NONE;
	guard->state = REP_STATE_IDLE;
	guard->error = guard->changes = 0;
	guard->level = level;
	if (rep_mine.forked)
		return for_good(guard);
	if (error == 0 && rep_mine.depth == 0)
		error = rep_count_in();
	if (error != 0) {
		rep_fail(guard, REP_STEP_REFUSED, error);
		return end(guard, REP_STATE_IDLE);
	}
	if (identity->size > guard->room)
		return give_up(guard, REP_STEP_READ, ENOBUFS);
	if (rep_read_all(guard, &guard->before, rep_found(guard)) != 0 ||
	    rep_get_capabilities(&guard->capabilities) != 0)
		return give_up(guard, REP_STEP_READ, errno);
	if (rep_mine.depth == 0)
		rep_mine.base = guard->before;
	shape(identity, level, &guard->set);
	if (!comes_back(&guard->before, &guard->set))
		return give_up(guard, REP_STEP_PRIVILEGE, EPERM);
	if (identity->size > 0)
		memcpy(rep_wanted(guard), identity->groups,
		       identity->size * sizeof *identity->groups);
	now = guard->before;
	if (now.size > 0)
		memcpy(rep_scratch(guard), rep_found(guard), now.size * sizeof(gid_t));
	rep_mine.depth++;
	if (rep_walk(guard, &now, &guard->set, rep_wanted(guard)) == 0 &&
	    lose_capabilities(guard, identity->uid, level) == 0) {
		if (rep_mine.last == 0)
			rep_mine.last = (uint64_t)(uintptr_t)&rep_mine << 16;
		guard->outer = rep_mine.top;
		guard->outer_token = rep_mine.token;
		rep_mine.top = guard;
		rep_mine.token = guard->token = ++rep_mine.last;
		guard->state = REP_STATE_ENTERED;
		errno = before;
		return 0;
	}
	if (rep_read_all(guard, &now, rep_scratch(guard)) != 0 || restore(guard, &now) != 0)
		return cannot_restore(guard);
	if (--rep_mine.depth == 0)
		rep_count_out();
	return end(guard, REP_STATE_ROLLED_BACK);
}

/* What the thread is now, and whether it still is what enter had made of it. */
static int compare(struct rep_guard *guard, struct rep_ids *now)
{
	const struct rep_ids *set = &guard->set;

	if (rep_read_ids(guard, now, rep_scratch(guard)) != 0)
		return -1;
	now->fsuid = now->euid;
	now->fsgid = now->egid;
	if (rep_same_uids(now, set) && rep_same_gids(now, set) &&
	    rep_same_groups(now, rep_scratch(guard), set, rep_wanted(guard)) &&
	    /* going back resets the fs ids with the effective ones, so then they need no look */
	    set->fsuid == set->euid && set->fsgid == set->egid &&
	    !rep_same_uids(set, &guard->before) && !rep_same_gids(set, &guard->before))
		return 0;
	if (rep_read_all(guard, now, rep_scratch(guard)) != 0)
		return -1;
	if (rep_same_uids(now, set) && rep_same_gids(now, set) && now->fsuid == set->fsuid &&
	    now->fsgid == set->fsgid &&
	    rep_same_groups(now, rep_scratch(guard), set, rep_wanted(guard)))
		return 0;
	return rep_fail(guard, REP_STEP_FOUND, EPERM);
}

/* Whether it is the calling thread's own entry, and no other is held inside. */
static int innermost(const struct rep_guard *guard)
{
	return rep_mine.top == guard && rep_mine.token == guard->token;
}

int rep_check(struct rep_guard *guard)
{
	const struct rep_capabilities *held = &guard->capabilities;
	int before = errno;
	struct rep_capabilities caps;
	struct rep_ids now;

	if (guard->state != REP_STATE_ENTERED) {
		errno = ESRCH;
		return -1;
	}
	if (rep_mine.forked) {
		rep_fail(guard, REP_STEP_FORKED, EPERM);
	} else if (!innermost(guard)) {
		rep_fail(guard, REP_STEP_ORDER, EPERM);
	} else if (compare(guard, &now) == 0 && guard->set.fsuid != 0) {
		if (rep_get_capabilities(&caps) != 0)
			rep_fail(guard, REP_STEP_CAPABILITIES, errno);
		else if (rep_forbidden_capabilities(caps.effective, guard->level) != 0 ||
		         caps.permitted != held->permitted ||
		         caps.inheritable != (held->inheritable & ~held->permitted))
			rep_fail(guard, REP_STEP_CAPABILITIES, EPERM);
	}
	errno = guard->step == REP_STEP_NONE ? before : guard->error;
	return guard->step == REP_STEP_NONE ? 0 : -1;
}

int rep_leave(struct rep_guard *guard)
{
	int before = errno;
	struct rep_ids now;

	if (guard->state == REP_STATE_TAINTED && !rep_mine.tainted && innermost(guard)) {
		guard->state = REP_STATE_ENTERED; /* another thread tried to leave it, in vain */
		guard->step = REP_STEP_NONE;
	}
	if (guard->state != REP_STATE_ENTERED)
		return 0;
	if (rep_mine.forked)
		return for_good(guard);
	if (!innermost(guard)) {
		rep_fail(guard, REP_STEP_ORDER, EPERM);
		return taint(guard);
	}
	if (compare(guard, &now) != 0 && guard->step == REP_STEP_READ) {
		guard->step = REP_STEP_NONE;
		if (compare(guard, &now) != 0 && guard->step == REP_STEP_READ)
			return cannot_restore(guard);
	}
	if (restore(guard, &now) != 0)
		return cannot_restore(guard);
	rep_mine.top = guard->outer;
	rep_mine.token = guard->outer_token;
	if (--rep_mine.depth == 0)
		rep_count_out();
	if (guard->step != REP_STEP_NONE)
		return end(guard, REP_STATE_LEFT);
	guard->state = REP_STATE_LEFT;
	errno = before;
	return 0;
}
