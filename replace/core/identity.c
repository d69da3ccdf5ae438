/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * rep_enter() and rep_leave(): one walk from the ids a thread has to the ids it shall
 * have, used on the way in, on the way out and to roll back. What the thread is gets
 * read, never remembered. No heap, no locks; the state is thread-local but for what
 * thread.c says. Declared and explained in libreplace/identity.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* The three lists of groups that a guard has room for. */
static gid_t *found(struct rep_guard *guard)
{
	return guard->groups;
}

static gid_t *wanted(struct rep_guard *guard)
{
	return guard->groups + guard->room;
}

static gid_t *scratch(struct rep_guard *guard)
{
	return guard->groups + 2 * guard->room;
}

/* The first failure is the one that is told; those of a roll-back come after it. */
static int fail(struct rep_guard *guard, int step, int error)
{
	if (guard->step == REP_STEP_NONE) {
		guard->step = step;
		guard->error = error;
	}
	return -1;
}

static int changed(struct rep_guard *guard, int step, int result)
{
	guard->changes++;
	return result == 0 ? 0 : fail(guard, step, errno);
}

/* Real, effective and saved ids, and the groups. */
static int read_ids(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups)
{
	int size = rep_getgroups((int)guard->room, groups);

	if ((size < 0 && errno == EINVAL) || size > (int)guard->room) /* getgroups(2) */
		return fail(guard, REP_STEP_READ, ENOBUFS);
	if (size < 0 || rep_getresuid(&ids->ruid, &ids->euid, &ids->suid) != 0 ||
	    rep_getresgid(&ids->rgid, &ids->egid, &ids->sgid) != 0)
		return fail(guard, REP_STEP_READ, errno);
	ids->size = (size_t)size;
	return 0;
}

/* The fs ids as well, which follow each change of an effective id (credentials(7)). */
static int read_all(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups)
{
	if (read_ids(guard, ids, groups) != 0)
		return -1;
	if (rep_getfsuid(&ids->fsuid) != 0 || rep_getfsgid(&ids->fsgid) != 0) {
		if (errno != ENOSYS)
			return fail(guard, REP_STEP_READ, errno);
		ids->fsuid = ids->euid;
		ids->fsgid = ids->egid;
	}
	return 0;
}

static int same_uids(const struct rep_ids *a, const struct rep_ids *b)
{
	return a->ruid == b->ruid && a->euid == b->euid && a->suid == b->suid;
}

static int same_gids(const struct rep_ids *a, const struct rep_ids *b)
{
	return a->rgid == b->rgid && a->egid == b->egid && a->sgid == b->sgid;
}

static int ascending(const gid_t *list, size_t size)
{
	for (size_t i = 1; i < size; i++)
		if (list[i - 1] >= list[i])
			return 0;
	return 1;
}

/* Shell's sort: qsort(3) may allocate. */
static void sort(gid_t *list, size_t size)
{
	for (size_t gap = size / 2; gap > 0; gap /= 2)
		for (size_t i = gap; i < size; i++) {
			gid_t moved = list[i];
			size_t j = i;

			for (; j >= gap && list[j - gap] > moved; j -= gap)
				list[j] = list[j - gap];
			list[j] = moved;
		}
}

/*
 * The kernel sorts by its own ids, which in a user namespace of several ranges is not
 * the order of those it shows: a list read back is compared in ascending order then.
 */
static int same_groups(const struct rep_ids *a, gid_t *read, const struct rep_ids *b,
                       const gid_t *set)
{
	size_t bytes = a->size * sizeof *read;

	if (a->size != b->size)
		return 0;
	if (bytes == 0 || memcmp(read, set, bytes) == 0)
		return 1;
	if (ascending(read, a->size) || !ascending(set, b->size))
		return 0;
	sort(read, a->size);
	return memcmp(read, set, bytes) == 0;
}

/* A server without root, or one whose children would inherit capabilities, has them put down by
 * hand. */
static int puts_down(const struct rep_guard *guard)
{
	return rep_mine.base.euid != 0 || guard->capabilities.inheritable != 0;
}

static int set_uids(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to)
{
	if (!same_uids(now, to)) {
		if (changed(guard, REP_STEP_UID, rep_setresuid(to->ruid, to->euid, to->suid)) != 0)
			return -1;
		now->ruid = to->ruid;
		now->euid = now->fsuid = to->euid;
		now->suid = to->suid;
	}
	if (now->fsuid != to->fsuid) {
		if (changed(guard, REP_STEP_UID, rep_setfsuid(to->fsuid)) != 0)
			return -1;
		now->fsuid = to->fsuid;
	}
	return 0;
}

static int set_gids(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to)
{
	if (!same_gids(now, to)) {
		if (changed(guard, REP_STEP_GID, rep_setresgid(to->rgid, to->egid, to->sgid)) != 0)
			return -1;
		now->fsgid = to->egid;
	}
	if (now->fsgid != to->fsgid && changed(guard, REP_STEP_GID, rep_setfsgid(to->fsgid)) != 0)
		return -1;
	return 0;
}

/*
 * From what the thread is, as read, to what it shall be, verified. Inwards: by way of
 * the privileged id, then groups, gids, uids. Outwards, to the privileged id itself:
 * uids, gids, groups.
 */
static int walk(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to,
                const gid_t *groups)
{
	gid_t *list = scratch(guard);
	uid_t privileged = rep_mine.base.euid;
	int outwards = to->euid == privileged && to->fsuid == privileged;
	int lists = !same_groups(now, list, to, groups);

	if (!lists && same_gids(now, to) && same_uids(now, to) && now->fsuid == to->fsuid &&
	    now->fsgid == to->fsgid)
		return 0;
	if (privileged != 0 && rep_raise_capabilities(&guard->capabilities) != 0)
		return fail(guard, REP_STEP_PRIVILEGE, errno);
	if (outwards) {
		if (set_uids(guard, now, to) != 0 || set_gids(guard, now, to) != 0)
			return -1;
	} else if (now->euid != privileged) {
		if (changed(guard, REP_STEP_PRIVILEGE,
		            rep_setresuid((uid_t)-1, privileged, (uid_t)-1)) != 0)
			return -1;
		now->euid = now->fsuid = privileged;
	}
	if (lists && changed(guard, REP_STEP_GROUPS, rep_setgroups(to->size, groups)) != 0)
		return -1;
	if (!outwards && (set_gids(guard, now, to) != 0 || set_uids(guard, now, to) != 0))
		return -1;
	if (read_ids(guard, now, list) != 0)
		return -1;
	if (!same_uids(now, to) || !same_gids(now, to) || !same_groups(now, list, to, groups))
		return fail(guard, REP_STEP_VERIFY, EPERM);
	return 0;
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
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	if (rep_get_capabilities(&now) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	if (rep_forbidden_capabilities(now.effective, level) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* Back to the ids from before the entry, verified, and then to no more capabilities than then. */
static int go_back(struct rep_guard *guard, struct rep_ids *now)
{
	const struct rep_capabilities *held = &guard->capabilities;

	if (walk(guard, now, &guard->before, found(guard)) != 0)
		return -1;
	if ((puts_down(guard) || held->effective != held->permitted) &&
	    rep_take_up_capabilities(held) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	return 0;
}

/* Once more where it fails: EAGAIN and ENOMEM pass, and a thread that stays switched is worse. */
static int restore(struct rep_guard *guard, struct rep_ids *now)
{
	int step = guard->step, error = guard->error;

	if (go_back(guard, now) != 0 &&
	    (read_all(guard, now, scratch(guard)) != 0 || go_back(guard, now) != 0))
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
	    level > REP_LEVEL_FILESYSTEM || !ascending(who->groups, who->size) ||
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
	fail(guard, step, error);
	if (rep_mine.depth == 0 && rep_mine.counted)
		rep_count_out();
	return end(guard, REP_STATE_IDLE);
}

int rep_enter(struct rep_guard *guard, const struct rep_identity *identity, int level)
{
	int before = errno, error = refusal(guard, identity, level);
	struct rep_ids now;

	guard->step = REP_STEP_NONE;
	guard->state = REP_STATE_IDLE;
	guard->error = guard->changes = 0;
	if (error == 0 && rep_mine.depth == 0)
		error = rep_count_in();
	if (error != 0) {
		fail(guard, REP_STEP_REFUSED, error);
		return end(guard, REP_STATE_IDLE);
	}
	if (identity->size > guard->room)
		return give_up(guard, REP_STEP_READ, ENOBUFS);
	if (read_all(guard, &guard->before, found(guard)) != 0 ||
	    rep_get_capabilities(&guard->capabilities) != 0)
		return give_up(guard, REP_STEP_READ, errno);
	if (rep_mine.depth == 0)
		rep_mine.base = guard->before;
	shape(identity, level, &guard->set);
	if (identity->size > 0)
		memcpy(wanted(guard), identity->groups, identity->size * sizeof *identity->groups);
	now = guard->before;
	if (now.size > 0)
		memcpy(scratch(guard), found(guard), now.size * sizeof(gid_t));
	rep_mine.depth++;
	if (walk(guard, &now, &guard->set, wanted(guard)) == 0 &&
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
	if (read_all(guard, &now, scratch(guard)) != 0 || restore(guard, &now) != 0)
		return cannot_restore(guard);
	if (--rep_mine.depth == 0)
		rep_count_out();
	return end(guard, REP_STATE_ROLLED_BACK);
}

/* What the thread is now, and whether it still is what enter had made of it. */
static int compare(struct rep_guard *guard, struct rep_ids *now)
{
	const struct rep_ids *set = &guard->set;

	if (read_ids(guard, now, scratch(guard)) != 0)
		return -1;
	now->fsuid = now->euid;
	now->fsgid = now->egid;
	if (same_uids(now, set) && same_gids(now, set) &&
	    same_groups(now, scratch(guard), set, wanted(guard)) &&
	    /* going back resets the fs ids with the effective ones, so then they need no look */
	    set->fsuid == set->euid && set->fsgid == set->egid && !same_uids(set, &guard->before) &&
	    !same_gids(set, &guard->before))
		return 0;
	if (read_all(guard, now, scratch(guard)) != 0)
		return -1;
	if (same_uids(now, set) && same_gids(now, set) && now->fsuid == set->fsuid &&
	    now->fsgid == set->fsgid && same_groups(now, scratch(guard), set, wanted(guard)))
		return 0;
	return fail(guard, REP_STEP_FOUND, EPERM);
}

int rep_leave(struct rep_guard *guard)
{
	int before = errno;
	struct rep_ids now;

	if (guard->state != REP_STATE_ENTERED)
		return 0;
	if (rep_mine.forked) {
		fail(guard, REP_STEP_FORKED, EPERM);
		return end(guard, REP_STATE_FOR_GOOD);
	}
	if (rep_mine.top != guard || rep_mine.token != guard->token) {
		fail(guard, REP_STEP_ORDER, EPERM);
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
