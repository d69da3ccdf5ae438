/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_drop_privileges(): the steps of a drop, the roll-back, and the checks of the calling
 * thread. drop_linux.c and drop_none.c look at all threads. libc's calls change every thread; the
 * generated replace_calls.c has them. libreplace/drop.h explains the public function.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

/* The ids, groups and capabilities of the calling thread. */
struct own {
	struct libreplace_ids ids;
	struct libreplace_capabilities capabilities;
	gid_t *groups; /* malloc(3) */
};

int libreplace_drop_failed(struct libreplace_drop *result, int step, int error, pid_t thread)
{
	result->step = step;
	result->error = error;
	result->thread = thread;
	return -1;
}

/* Another thread may change the groups meanwhile; then read them again. */
static int read_groups(struct own *own)
{
	int size, room;

	do {
		room = libreplace_getgroups(0, NULL) + 1;
		free(own->groups);
		own->groups = malloc((size_t)room * sizeof *own->groups);
		if (room < 1 || own->groups == NULL)
			return -1;
		size = libreplace_getgroups(room, own->groups);
	} while (size < 0 && errno == EINVAL && libreplace_getgroups(0, NULL) >= room);
	own->ids.size = (size_t)size;
	return size < 0 ? -1 : 0;
}

/* If a system cannot show the saved ids, use the effective ids. */
static int read_own(struct own *own)
{
	struct libreplace_ids *ids = &own->ids;

	if (libreplace_getresuid(&ids->ruid, &ids->euid, &ids->suid) != 0) {
		if (errno != ENOSYS)
			return -1;
		ids->ruid = getuid();
		ids->euid = ids->suid = geteuid();
	}
	if (libreplace_getresgid(&ids->rgid, &ids->egid, &ids->sgid) != 0) {
		if (errno != ENOSYS)
			return -1;
		ids->rgid = getgid();
		ids->egid = ids->sgid = getegid();
	}
	if (libreplace_read_fs_ids(ids) != 0 ||
	    libreplace_get_capabilities(&own->capabilities) != 0)
		return -1;
	return read_groups(own);
}

static int same_own(const struct own *a, const struct own *b)
{
	const struct libreplace_ids *x = &a->ids, *y = &b->ids;

	return libreplace_same_uids(x, y) && libreplace_same_gids(x, y) && x->fsuid == y->fsuid &&
	       x->fsgid == y->fsgid && x->size == y->size &&
	       (x->size == 0 || memcmp(a->groups, b->groups, x->size * sizeof *a->groups) == 0);
}

/* Whether the groups are those of the identity. The gid does not count: on some systems, it is
 * always one of the groups. Sorts the groups, and removes duplicates. */
static int has_groups(struct own *own, const struct libreplace_identity *identity)
{
	size_t i = 0, j = 0;

	own->ids.size = libreplace_sort_groups(own->groups, own->ids.size);
	for (;;) {
		while (i < own->ids.size && own->groups[i] == identity->gid)
			i++;
		while (j < identity->size && identity->groups[j] == identity->gid)
			j++;
		if (i == own->ids.size || j == identity->size)
			return i == own->ids.size && j == identity->size;
		if (own->groups[i++] != identity->groups[j++])
			return 0;
	}
}

/* Whether the calling thread has the group IDs and the groups of the identity. */
static int is_member(const struct libreplace_identity *identity)
{
	struct own own = {.groups = NULL};
	gid_t gid = identity->gid;
	int good = read_own(&own) == 0 && own.ids.rgid == gid && own.ids.egid == gid &&
	           own.ids.sgid == gid && has_groups(&own, identity);

	free(own.groups);
	return good;
}

static int is_user(struct own *own, const struct libreplace_identity *identity)
{
	struct own user = *own;
	struct libreplace_ids *ids = &user.ids;

	ids->ruid = ids->euid = ids->suid = ids->fsuid = identity->uid;
	ids->rgid = ids->egid = ids->sgid = ids->fsgid = identity->gid;
	return same_own(own, &user) && has_groups(own, identity);
}

/*
 * Set the groups even if they seem to be right: in a user namespace, the kernel may show another
 * group under the same number. But a process without privileges that certainly is the user already
 * needs no change, so it may drop again.
 */
static int set_groups(const struct libreplace_identity *identity, struct libreplace_drop *result)
{
	struct own own = {.groups = NULL};
	int error, good;

	if (libreplace_set_process_groups(identity) == 0) {
		if (identity->uid == 0 || libreplace_join_new_keyring() == 0)
			return 0;
		return libreplace_drop_failed(result, LIBREPLACE_STEP_KEYRING, errno, 0);
	}
	error = errno;
	good = error == EPERM && read_own(&own) == 0 &&
	       !libreplace_unmapped(&own.ids, own.groups) && is_user(&own, identity);
	free(own.groups);
	return good ? 0 : libreplace_drop_failed(result, LIBREPLACE_STEP_GROUPS, error, 0);
}

/* Whether the calling thread has none. Then it need not drop them, which a filter may refuse. */
static int has_no_capabilities(void)
{
	struct libreplace_capabilities left;

	return libreplace_get_capabilities(&left) == 0 &&
	       (left.effective | left.permitted | left.inheritable) == 0;
}

static int change(const struct libreplace_identity *identity, const struct libreplace_ids *before,
                  struct libreplace_drop *result)
{
	uid_t uid = identity->uid;
	gid_t gid = identity->gid;

	if (set_groups(identity, result) != 0)
		return -1;
	if (libreplace_process_setresgid(gid, gid, gid) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_GID, errno, 0);
	/* what follows cannot be undone */
	if (!is_member(identity))
		return libreplace_drop_failed(result, LIBREPLACE_STEP_VERIFY, EPERM, 0);
	if (libreplace_try_uid(identity, before, result) != 0)
		return -1;
	if (libreplace_process_setresuid(uid, uid, uid) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_UID, errno, 0);
	/* the kernel drops the capabilities of threads that were root, but not inheritable ones */
	if (uid != 0 && !has_no_capabilities() && libreplace_drop_capabilities() != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_CAPABILITIES, errno, 0);
	return 0;
}

/* Restore the ids as far as possible, and verify them. Return: the state of the process. */
static int roll_back(const struct own *before, int step)
{
	const struct libreplace_ids *ids = &before->ids;
	struct own now = {.groups = NULL};
	struct libreplace_drop found;
	int unchanged = step == LIBREPLACE_STEP_GROUPS, good;

	if (!unchanged) {
		/*
		 * The comparison below finds every failure. The call for the user IDs also sets the
		 * fs uid, which a process without CAP_SETUID may not be able to set back.
		 */
		if (read_own(&now) != 0 || !libreplace_same_uids(&now.ids, ids))
			(void)libreplace_process_setresuid(ids->ruid, ids->euid, ids->suid);
		(void)libreplace_process_setresgid(ids->rgid, ids->egid, ids->sgid);
		(void)libreplace_process_setgroups(ids->size, before->groups);
		/* of this thread; libc cannot set those of others */
		(void)libreplace_setfsuid(ids->fsuid);
		(void)libreplace_setfsgid(ids->fsgid);
		(void)libreplace_set_capabilities(&before->capabilities);
	}
	good = (unchanged || !libreplace_unmapped(ids, before->groups)) && read_own(&now) == 0 &&
	       same_own(&now, before) &&
	       libreplace_look_at_threads(LIBREPLACE_ARE_ALIKE, NULL, LIBREPLACE_ALLOW_IO_URING,
	                                  &found) == 0;
	free(now.groups);
	if (!good)
		return LIBREPLACE_STATE_TAINTED;
	return unchanged ? LIBREPLACE_STATE_IDLE : LIBREPLACE_STATE_ROLLED_BACK;
}

/* Whether one of the calls with which a thread becomes root again succeeds. Each of them changes at
 * most the calling thread, where that is possible. */
static int can_become_root(const struct libreplace_identity *identity)
{
	if (identity->uid == 0)
		return 0;
	return libreplace_setuid(0) == 0 || libreplace_seteuid(0) == 0 ||
	       (identity->gid != 0 && (libreplace_setgid(0) == 0 || libreplace_setegid(0) == 0)) ||
	       libreplace_setgroups(identity->size, identity->groups) == 0;
}

static int verify(const struct libreplace_identity *identity, int flags,
                  struct libreplace_drop *result)
{
	struct own now = {.groups = NULL};
	int good = read_own(&now) == 0, error = good ? EPERM : errno;

	good = good && is_user(&now, identity);
	free(now.groups);
	if (!good)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_VERIFY, error, 0);
	if (libreplace_look_at_threads(LIBREPLACE_HAVE_DROPPED, identity, flags, result) != 0)
		return -1;
	if (can_become_root(identity))
		return libreplace_drop_failed(result, LIBREPLACE_STEP_ROOT_AGAIN, EPERM, 0);
	return 0;
}

static int drop(const struct libreplace_identity *identity, int flags,
                struct libreplace_drop *result)
{
	struct own before = {.groups = NULL};
	int known = LIBREPLACE_ALLOW_ROOT | LIBREPLACE_ALLOW_IO_URING, status = -1;
	int error = (flags & ~known) != 0 ? EINVAL : libreplace_unacceptable(identity, flags);

	if (error != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_REFUSED, error, 0);
	if (libreplace_drop_begin() != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_REFUSED, errno, 0);
	if (libreplace_has_rings())
		libreplace_drop_failed(result, LIBREPLACE_STEP_IO_URING, EBUSY, 0);
	else if (read_own(&before) != 0)
		libreplace_drop_failed(result, LIBREPLACE_STEP_READ, errno, 0);
	else if (libreplace_look_at_threads(LIBREPLACE_MAY_DROP, identity, flags, result) != 0)
		; /* nothing is changed */
	else if (change(identity, &before.ids, result) != 0)
		result->state = roll_back(&before, result->step);
	else {
		status = verify(identity, flags, result);
		result->state = status == 0 ? LIBREPLACE_STATE_FOR_GOOD : LIBREPLACE_STATE_TAINTED;
	}
	libreplace_drop_end();
	free(before.groups);
	return status;
}

int libreplace_drop_privileges(const struct libreplace_identity *identity, int flags,
                               struct libreplace_drop *result)
{
	int before = errno, cancel, status;
	struct libreplace_drop unused;

	if (result == NULL)
		result = &unused;
	memset(result, 0, sizeof *result);
	/* opening files is a cancellation point */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	status = drop(identity, flags, result);
	(void)pthread_setcancelstate(cancel, NULL);
	errno = status == 0 ? before : result->error;
	return status;
}
