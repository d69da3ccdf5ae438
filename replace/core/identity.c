/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * rep_enter() and rep_leave(): one walk from the ids a thread has to the ids it shall
 * have, used on the way in, on the way out and to roll back. What the thread is gets
 * read, never remembered. No heap, no locks; the state is thread-local but for the
 * count of entries. Declared and explained in libreplace/identity.h.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <libreplace/replace.h>

#if !LIBREPLACE_THREAD_SCOPE

int rep_enter(struct rep_guard *guard, const struct rep_identity *identity, int level)
{
	(void)identity;
	(void)level;
	guard->step = REP_STEP_REFUSED;
	guard->error = errno = ENOSYS;
	return -1;
}

int rep_leave(struct rep_guard *guard)
{
	(void)guard;
	return 0;
}

unsigned rep_active(void)
{
	return 0;
}

unsigned rep_depth(void)
{
	return 0;
}

int rep_tainted(void)
{
	return 0;
}

#else
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* CAP_FS_SET of include/linux/capability.h: what file access as somebody else must not have. */
#define FS_CAPABILITIES                                                                            \
	(1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_DAC_READ_SEARCH |              \
	 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID | 1ULL << CAP_LINUX_IMMUTABLE |                   \
	 1ULL << CAP_MKNOD | 1ULL << CAP_MAC_OVERRIDE)

static atomic_uint active;

static _Thread_local struct {
	const struct rep_guard *top; /* innermost entry; NULL: none. Compared, never followed: */
	uint64_t token;              /* its memory may be gone, so the token must agree as well */
	uint64_t last;               /* thread id and a number, for the next token */
	unsigned depth;
	int tainted;
	struct rep_ids base; /* observed on the outermost entry */
} mine;

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

static int fail(struct rep_guard *guard, int step, int error)
{
	if (guard->step == REP_STEP_NONE) {
		guard->step = step;
		guard->error = error;
	}
	return -1;
}

static int read_ids(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups)
{
	int size = rep_getgroups(0, NULL);

	if (size >= 0 && (size_t)size > guard->room)
		return fail(guard, REP_STEP_READ, ENOBUFS);
	if (size > 0)
		size = rep_getgroups(size, groups);
	if (size < 0 || rep_getresuid(&ids->ruid, &ids->euid, &ids->suid) != 0 ||
	    rep_getresgid(&ids->rgid, &ids->egid, &ids->sgid) != 0 ||
	    rep_getfsuid(&ids->fsuid) != 0 || rep_getfsgid(&ids->fsgid) != 0)
		return fail(guard, REP_STEP_READ, errno);
	ids->size = (size_t)size;
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

static int same_groups(const struct rep_ids *a, const gid_t *x, const struct rep_ids *b,
                       const gid_t *y)
{
	return a->size == b->size && (a->size == 0 || memcmp(x, y, a->size * sizeof *x) == 0);
}

/* capget(2), capset(2): version 3 has two 32-bit words for each set. */
static int get_capabilities(struct rep_capabilities *set)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	set->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	set->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	set->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
	    {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
	    {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
	     (uint32_t)(inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

/*
 * A server without root keeps its capabilities across a switch from one user id to
 * another, so they are put down by hand: effective, and inheritable, with which the
 * kernel drops the ambient ones (a child that execs would have them).
 */
static int put_down(struct rep_capabilities *held)
{
	held->ambient = 0;
	for (int bit = 0; bit <= CAP_LAST_CAP && held->inheritable != 0; bit++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1)
			held->ambient |= 1ULL << bit;
	return set_capabilities(0, held->permitted, 0);
}

/* Exactly the sets that were observed on entry. */
static int take_up(const struct rep_capabilities *held)
{
	if (set_capabilities(held->effective, held->permitted, held->inheritable) != 0)
		return -1;
	for (int bit = 0; bit <= CAP_LAST_CAP && held->ambient != 0; bit++)
		if ((held->ambient >> bit & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) != 0)
			return -1;
	return 0;
}

static int is_one_of(uid_t id, const struct rep_ids *ids)
{
	return id == ids->ruid || id == ids->euid || id == ids->suid;
}

/*
 * Make the thread able to change the rest: back to its privileged effective id, on the
 * way out straight to all three ids. Without root it is the capabilities that do it.
 */
static int gain(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to)
{
	const struct rep_capabilities *held = &guard->capabilities;
	int out =
	    to->euid == mine.base.euid && is_one_of(to->ruid, now) && is_one_of(to->suid, now);

	if (mine.base.euid != 0 &&
	    set_capabilities(held->permitted, held->permitted, held->inheritable) != 0)
		return fail(guard, REP_STEP_PRIVILEGE, errno);
	if (now->euid == mine.base.euid)
		return 0;
	guard->changes++;
	if (rep_setresuid(out ? to->ruid : (uid_t)-1, mine.base.euid, out ? to->suid : (uid_t)-1) !=
	    0)
		return fail(guard, REP_STEP_PRIVILEGE, errno);
	now->euid = now->fsuid = mine.base.euid;
	if (out) {
		now->ruid = to->ruid;
		now->suid = to->suid;
	}
	return 0;
}

/* From what the thread is to what it shall be, by way of its privileged id, verified. */
static int walk(struct rep_guard *guard, const struct rep_ids *to, const gid_t *groups)
{
	gid_t *list = scratch(guard);
	struct rep_ids now;
	int gids, lists;

	if (read_ids(guard, &now, list) != 0)
		return -1;
	gids = !same_gids(&now, to);
	lists = !same_groups(&now, list, to, groups);
	if ((gids || lists || !same_uids(&now, to) || now.fsuid != to->fsuid ||
	     now.fsgid != to->fsgid) &&
	    gain(guard, &now, to) != 0)
		return -1;
	if (lists) {
		guard->changes++;
		if (rep_setgroups(to->size, groups) != 0)
			return fail(guard, REP_STEP_GROUPS, errno);
	}
	if (gids) {
		guard->changes++;
		if (rep_setresgid(to->rgid, to->egid, to->sgid) != 0)
			return fail(guard, REP_STEP_GID, errno);
		now.fsgid = to->egid;
	}
	if (now.fsgid != to->fsgid) {
		guard->changes++;
		if (rep_setfsgid(to->fsgid) != 0)
			return fail(guard, REP_STEP_GID, errno);
	}
	if (!same_uids(&now, to)) {
		guard->changes++;
		if (rep_setresuid(to->ruid, to->euid, to->suid) != 0)
			return fail(guard, REP_STEP_UID, errno);
		now.fsuid = to->euid;
	}
	if (now.fsuid != to->fsuid) {
		guard->changes++;
		if (rep_setfsuid(to->fsuid) != 0)
			return fail(guard, REP_STEP_UID, errno);
	}
	if (read_ids(guard, &now, list) != 0)
		return -1;
	if (!same_uids(&now, to) || !same_gids(&now, to) || now.fsuid != to->fsuid ||
	    now.fsgid != to->fsgid || !same_groups(&now, list, to, groups))
		return fail(guard, REP_STEP_VERIFY, EPERM);
	return 0;
}

static void shape(const struct rep_identity *who, int level, struct rep_ids *to)
{
	*to = mine.base;
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

/* What may not remain after entering; a server without root puts it down first. */
static int lose_capabilities(struct rep_guard *guard, int level)
{
	uint64_t forbidden = level == REP_LEVEL_FILESYSTEM ? FS_CAPABILITIES : ~0ULL;
	struct rep_capabilities now;

	if (mine.base.euid != 0 && put_down(&guard->capabilities) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	if (get_capabilities(&now) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	return (now.effective & forbidden) == 0 ? 0 : fail(guard, REP_STEP_CAPABILITIES, EPERM);
}

/* Back to the ids from before the entry, verified, and then to no more capabilities than then. */
static int go_back(struct rep_guard *guard)
{
	const struct rep_capabilities *held = &guard->capabilities;

	if (walk(guard, &guard->before, found(guard)) != 0)
		return -1;
	if ((mine.base.euid != 0 || held->effective != held->permitted) && take_up(held) != 0)
		return fail(guard, REP_STEP_CAPABILITIES, errno);
	return 0;
}

static int taint(struct rep_guard *guard)
{
	mine.tainted = 1;
	guard->state = REP_STATE_TAINTED;
	errno = guard->error;
	return -1;
}

int rep_enter(struct rep_guard *guard, const struct rep_identity *identity, int level)
{
	guard->step = REP_STEP_NONE;
	guard->state = REP_STATE_IDLE;
	guard->error = guard->changes = 0;
	if (mine.tainted)
		fail(guard, REP_STEP_REFUSED, ENOTRECOVERABLE);
	else if (identity->uid == (uid_t)-1 || identity->gid == (gid_t)-1 ||
	         level < REP_LEVEL_EFFECTIVE || level > REP_LEVEL_FILESYSTEM)
		fail(guard, REP_STEP_REFUSED, EINVAL);
	else if (identity->size > guard->room)
		fail(guard, REP_STEP_READ, ENOBUFS);
	else if (read_ids(guard, &guard->before, found(guard)) == 0 &&
	         get_capabilities(&guard->capabilities) != 0)
		fail(guard, REP_STEP_READ, errno);
	if (guard->step != REP_STEP_NONE) {
		errno = guard->error;
		return -1;
	}
	if (mine.depth == 0)
		mine.base = guard->before;
	shape(identity, level, &guard->set);
	if (identity->size > 0)
		memcpy(wanted(guard), identity->groups, identity->size * sizeof *identity->groups);
	atomic_fetch_add(&active, 1);
	if (walk(guard, &guard->set, wanted(guard)) == 0 && lose_capabilities(guard, level) == 0) {
		if (mine.last == 0)
			mine.last = (uint64_t)syscall(SYS_gettid) << 32;
		guard->outer = mine.top;
		guard->outer_token = mine.token;
		mine.top = guard;
		mine.token = guard->token = ++mine.last;
		mine.depth++;
		guard->state = REP_STATE_ENTERED;
		return 0;
	}
	atomic_fetch_sub(&active, 1);
	if (go_back(guard) != 0)
		return taint(guard);
	guard->state = REP_STATE_ROLLED_BACK;
	errno = guard->error;
	return -1;
}

int rep_leave(struct rep_guard *guard)
{
	struct rep_ids now;

	if (guard->state != REP_STATE_ENTERED)
		return 0;
	if (mine.top != guard || mine.token != guard->token) {
		fail(guard, REP_STEP_ORDER, EPERM);
		return taint(guard);
	}
	if (read_ids(guard, &now, scratch(guard)) != 0 || !same_uids(&now, &guard->set) ||
	    !same_gids(&now, &guard->set) || now.fsuid != guard->set.fsuid ||
	    now.fsgid != guard->set.fsgid ||
	    !same_groups(&now, scratch(guard), &guard->set, wanted(guard)))
		fail(guard, REP_STEP_FOUND, EPERM);
	if (go_back(guard) != 0)
		return taint(guard);
	mine.top = guard->outer;
	mine.token = guard->outer_token;
	mine.depth--;
	atomic_fetch_sub(&active, 1);
	guard->state = REP_STATE_LEFT;
	errno = guard->error;
	return guard->step == REP_STEP_NONE ? 0 : -1;
}

unsigned rep_active(void)
{
	return atomic_load(&active);
}

unsigned rep_depth(void)
{
	return mine.depth;
}

int rep_tainted(void)
{
	return mine.tainted;
}
#endif
