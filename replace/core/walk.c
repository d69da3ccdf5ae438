/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * From the ids that a thread has to the ids that it shall have: reading, comparing, and
 * one walk that is used on the way in, on the way out and to roll back. The other half
 * is identity.c, which says from where to where.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

/* The three lists of groups that a guard has room for. */
gid_t *rep_found(struct rep_guard *guard)
{
	return guard->groups;
}

gid_t *rep_wanted(struct rep_guard *guard)
{
	return guard->groups + guard->room;
}

gid_t *rep_scratch(struct rep_guard *guard)
{
	return guard->groups + 2 * guard->room;
}

/* The first failure is the one that is told; those of a roll-back come after it. */
int rep_fail(struct rep_guard *guard, int step, int error)
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
	return result == 0 ? 0 : rep_fail(guard, step, errno);
}

/* Real, effective and saved ids, and the groups. */
int rep_read_ids(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups)
{
	int size = rep_getgroups((int)guard->room, groups);

	if ((size < 0 && errno == EINVAL) || size > (int)guard->room) /* getgroups(2) */
		return rep_fail(guard, REP_STEP_READ, ENOBUFS);
	if (size < 0 || rep_getresuid(&ids->ruid, &ids->euid, &ids->suid) != 0 ||
	    rep_getresgid(&ids->rgid, &ids->egid, &ids->sgid) != 0)
		return rep_fail(guard, REP_STEP_READ, errno);
	ids->size = (size_t)size;
	return 0;
}

/* The fs ids as well, which follow each change of an effective id (credentials(7)). */
int rep_read_all(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups)
{
	if (rep_read_ids(guard, ids, groups) != 0)
		return -1;
	if (rep_getfsuid(&ids->fsuid) != 0 || rep_getfsgid(&ids->fsgid) != 0) {
		if (errno != ENOSYS)
			return rep_fail(guard, REP_STEP_READ, errno);
		ids->fsuid = ids->euid;
		ids->fsgid = ids->egid;
	}
	return 0;
}

int rep_same_uids(const struct rep_ids *a, const struct rep_ids *b)
{
	return a->ruid == b->ruid && a->euid == b->euid && a->suid == b->suid;
}

int rep_same_gids(const struct rep_ids *a, const struct rep_ids *b)
{
	return a->rgid == b->rgid && a->egid == b->egid && a->sgid == b->sgid;
}

int rep_ascending(const gid_t *list, size_t size)
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
int rep_same_groups(const struct rep_ids *a, gid_t *read, const struct rep_ids *b, const gid_t *set)
{
	size_t bytes = a->size * sizeof *read;

	if (a->size != b->size)
		return 0;
	if (bytes == 0 || memcmp(read, set, bytes) == 0)
		return 1;
	if (rep_ascending(read, a->size) || !rep_ascending(set, b->size))
		return 0;
	sort(read, a->size);
	return memcmp(read, set, bytes) == 0;
}

static int set_uids(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to)
{
	if (!rep_same_uids(now, to)) {
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
	if (!rep_same_gids(now, to)) {
		if (changed(guard, REP_STEP_GID, rep_setresgid(to->rgid, to->egid, to->sgid)) != 0)
			return -1;
		now->fsgid = to->egid;
	}
	if (now->fsgid != to->fsgid && changed(guard, REP_STEP_GID, rep_setfsgid(to->fsgid)) != 0)
		return -1;
	return 0;
}

int rep_outwards(const struct rep_ids *to)
{
	return to->euid == rep_mine.base.euid && to->fsuid == rep_mine.base.euid;
}

/*
 * From what the thread is, as read, to what it shall be, verified. Inwards: by way of
 * the privileged id, then groups, gids, uids. Outwards, to the privileged id itself:
 * uids, gids, groups.
 */
int rep_walk(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to,
             const gid_t *groups)
{
	gid_t *list = rep_scratch(guard);
	uid_t privileged = rep_mine.base.euid;
	int outwards = rep_outwards(to);
	int lists = !rep_same_groups(now, list, to, groups);

	if (!lists && rep_same_gids(now, to) && rep_same_uids(now, to) && now->fsuid == to->fsuid &&
	    now->fsgid == to->fsgid)
		return 0;
	if (privileged != 0 && rep_raise_capabilities(&guard->capabilities) != 0)
		return rep_fail(guard, REP_STEP_PRIVILEGE, errno);
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
	if (rep_read_ids(guard, now, list) != 0)
		return -1;
	if (!rep_same_uids(now, to) || !rep_same_gids(now, to) ||
	    !rep_same_groups(now, list, to, groups))
		return rep_fail(guard, REP_STEP_VERIFY, EPERM);
	return 0;
}
