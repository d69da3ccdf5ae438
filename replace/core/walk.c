/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads, compares and changes the ids of a thread. guard.c uses libreplace_walk() to enter, to
 * leave and to roll back. internal.h explains the functions. If you change the order of the calls,
 * change can_return.c, too.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

gid_t *libreplace_found(struct libreplace_guard *guard)
{
	return guard->groups;
}

gid_t *libreplace_wanted(struct libreplace_guard *guard)
{
	return guard->groups + guard->room;
}

gid_t *libreplace_scratch(struct libreplace_guard *guard)
{
	return guard->groups + 2 * guard->room;
}

/* The first failure is the cause. Failures of the roll-back come after it. */
int libreplace_fail(struct libreplace_guard *guard, int step, int error)
{
	if (guard->step == LIBREPLACE_STEP_NONE) {
		guard->step = step;
		guard->error = error;
	}
	return -1;
}

/* Count a credential-changing call, and store its failure. */
static int changed(struct libreplace_guard *guard, int step, int result)
{
	guard->changes++;
	return result == 0 ? 0 : libreplace_fail(guard, step, errno);
}

int libreplace_read_ids(struct libreplace_guard *guard, struct libreplace_ids *ids, gid_t *groups)
{
	int size = libreplace_getgroups((int)guard->room, groups);

	/* getgroups(2): EINVAL if the list is too short; size 0 returns only the number */
	if ((size < 0 && errno == EINVAL) || size > (int)guard->room)
		ids->size = LIBREPLACE_NOT_READ;
	else if (size < 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	else
		ids->size = (size_t)size;
	if (libreplace_getresuid(&ids->ruid, &ids->euid, &ids->suid) != 0 ||
	    libreplace_getresgid(&ids->rgid, &ids->egid, &ids->sgid) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	return 0;
}

int libreplace_read_all(struct libreplace_guard *guard, struct libreplace_ids *ids, gid_t *groups)
{
	if (libreplace_read_ids(guard, ids, groups) != 0)
		return -1;
	if (libreplace_ids_are_imitated()) {
		ids->fsuid = ids->euid;
		ids->fsgid = ids->egid;
		return 0;
	}
	if (libreplace_read_fs_ids(ids) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	return 0;
}

int libreplace_same_uids(const struct libreplace_ids *a, const struct libreplace_ids *b)
{
	return a->ruid == b->ruid && a->euid == b->euid && a->suid == b->suid;
}

int libreplace_same_gids(const struct libreplace_ids *a, const struct libreplace_ids *b)
{
	return a->rgid == b->rgid && a->egid == b->egid && a->sgid == b->sgid;
}

int libreplace_unacceptable(const struct libreplace_identity *identity, int flags)
{
	if (identity->uid == (uid_t)-1 || identity->gid == (gid_t)-1 ||
	    !libreplace_ascending(identity->groups, identity->size) ||
	    (identity->size > 0 && identity->groups[identity->size - 1] == (gid_t)-1))
		return EINVAL;
	if (libreplace_identity_has_root(identity) && !(flags & LIBREPLACE_ALLOW_ROOT))
		return EPERM;
	return 0;
}

int libreplace_ascending(const gid_t *list, size_t size)
{
	for (size_t i = 1; i < size; i++)
		if (list[i - 1] >= list[i])
			return 0;
	return 1;
}

/*
 * The kernel sorts groups by its internal ids. In a user namespace that maps several ranges, it may
 * therefore report them in another order than ascending. If @set is ascending and @read is not,
 * @read is sorted before the comparison. Source: groups_sort() in kernel/groups.c.
 */
int libreplace_same_groups(const struct libreplace_ids *a, gid_t *read,
                           const struct libreplace_ids *b, const gid_t *set)
{
	size_t bytes = a->size * sizeof *read;

	if (a->size != b->size)
		return 0;
	if (bytes == 0 || memcmp(read, set, bytes) == 0)
		return 1;
	if (libreplace_ascending(read, a->size) || !libreplace_ascending(set, b->size))
		return 0;
	return libreplace_sort_groups(read, a->size) == a->size && memcmp(read, set, bytes) == 0;
}

int libreplace_raise(struct libreplace_guard *guard)
{
	if (!libreplace_mine.explicit || libreplace_raise_capabilities(&guard->capabilities) == 0)
		return 0;
	return libreplace_fail(guard, LIBREPLACE_STEP_PRIVILEGE, errno);
}

/*
 * Set the real, effective and saved user ID. @now has the effective user ID from before, and gets
 * the new one. If that ID changes from 0 to another id, the kernel clears the effective
 * capabilities, which the next calls may need.
 */
static int set_resuid(struct libreplace_guard *guard, int step, struct libreplace_ids *now,
                      uid_t real, uid_t effective, uid_t saved)
{
	uid_t before = now->euid;

	if (changed(guard, step, libreplace_setresuid(real, effective, saved)) != 0)
		return -1;
	now->euid = now->fsuid = effective;
	return before == 0 && effective != 0 ? libreplace_raise(guard) : 0;
}

/* Set the real, effective and saved user ID with one call, if one of them differs. That call also
 * sets the fs uid to the effective user ID. Then set the fs uid, if it still differs. */
static int set_uids(struct libreplace_guard *guard, struct libreplace_ids *now,
                    const struct libreplace_ids *to)
{
	if (!libreplace_same_uids(now, to)) {
		if (set_resuid(guard, LIBREPLACE_STEP_UID, now, to->ruid, to->euid, to->suid) != 0)
			return -1;
		now->ruid = to->ruid;
		now->suid = to->suid;
	}
	if (now->fsuid != to->fsuid) {
		if (changed(guard, LIBREPLACE_STEP_UID, libreplace_setfsuid(to->fsuid)) != 0)
			return -1;
		now->fsuid = to->fsuid;
	}
	return 0;
}

static int set_gids(struct libreplace_guard *guard, struct libreplace_ids *now,
                    const struct libreplace_ids *to)
{
	if (!libreplace_same_gids(now, to)) {
		if (changed(guard, LIBREPLACE_STEP_GID,
		            libreplace_setresgid(to->rgid, to->egid, to->sgid)) != 0)
			return -1;
		now->fsgid = to->egid;
	}
	if (now->fsgid != to->fsgid &&
	    changed(guard, LIBREPLACE_STEP_GID, libreplace_setfsgid(to->fsgid)) != 0)
		return -1;
	return 0;
}

int libreplace_has_uid(const struct libreplace_ids *ids, uid_t uid)
{
	return ids->ruid == uid || ids->euid == uid || ids->suid == uid;
}

int libreplace_reaches_uids(const struct libreplace_ids *from, const struct libreplace_ids *to)
{
	return libreplace_has_uid(from, to->ruid) && libreplace_has_uid(from, to->euid) &&
	       libreplace_has_uid(from, to->suid);
}

/* Whether the way leads to the privileged user ID, with one call for the user IDs. */
static int is_outwards(const struct libreplace_ids *from, const struct libreplace_ids *to)
{
	uid_t privileged = libreplace_mine.base.euid;

	return to->euid == privileged && to->fsuid == privileged &&
	       (libreplace_mine.explicit || from->euid == privileged ||
	        libreplace_reaches_uids(from, to));
}

/*
 * The order of the calls gives the thread the privilege for each of them:
 *
 * - outwards, to the privileged user ID: the uids first, then the gids, then the groups
 * - inwards, to other user IDs: first the privileged user ID as the effective one, unless the
 *   library raises the capabilities; then the groups, then the gids, and last the uids
 */
int libreplace_walk(struct libreplace_guard *guard, struct libreplace_ids *now,
                    const struct libreplace_ids *to, const gid_t *groups)
{
	gid_t *list = libreplace_scratch(guard);
	int outwards = is_outwards(now, to);
	int groups_differ = !libreplace_same_groups(now, list, to, groups);

	if (!groups_differ && libreplace_same_gids(now, to) && libreplace_same_uids(now, to) &&
	    now->fsuid == to->fsuid && now->fsgid == to->fsgid)
		return 0;
	if (libreplace_raise(guard) != 0)
		return -1;
	if (outwards) {
		if (set_uids(guard, now, to) != 0 || set_gids(guard, now, to) != 0)
			return -1;
	} else if (!libreplace_mine.explicit && now->euid != libreplace_mine.base.euid &&
	           set_resuid(guard, LIBREPLACE_STEP_PRIVILEGE, now, (uid_t)-1,
	                      libreplace_mine.base.euid, (uid_t)-1) != 0) {
		return -1;
	}
	if (groups_differ &&
	    changed(guard, LIBREPLACE_STEP_GROUPS, libreplace_setgroups(to->size, groups)) != 0)
		return -1;
	if (!outwards && (set_gids(guard, now, to) != 0 || set_uids(guard, now, to) != 0))
		return -1;
	if (libreplace_read_ids(guard, now, list) != 0)
		return -1;
	if (!libreplace_same_uids(now, to) || !libreplace_same_gids(now, to) ||
	    !libreplace_same_groups(now, list, to, groups))
		return libreplace_fail(guard, LIBREPLACE_STEP_VERIFY, EPERM);
	return 0;
}
