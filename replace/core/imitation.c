/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Recognizes a layer such as uid_wrapper(1), which imitates ids for tests: it stores the ids that a
 * program sets, and reports them, but the kernel's ids stay the same. It does not imitate file
 * system ids and /proc. The library accepts such a layer only in a thread without capabilities:
 * another thread would keep its rights. Source: uid_wrapper.c; setfsuid(2).
 */
#include <errno.h>
#include "internal.h"

/* What is known. A layer is loaded when the program starts, so an answer stays true. */
enum { UNKNOWN, KERNEL, IMITATION };
static int answer;

static int known(void)
{
	return __atomic_load_n(&answer, __ATOMIC_RELAXED);
}

int libreplace_ids_are_imitated(void)
{
	return known() == IMITATION;
}

/* Accept the layer for this entry, or refuse it. */
static int accept_imitation(struct libreplace_guard *guard)
{
	if (guard->capabilities.permitted != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_VERIFY, EPERM);
	if (guard->level == LIBREPLACE_LEVEL_FILESYSTEM)
		return libreplace_fail(guard, LIBREPLACE_STEP_UID, ENOSYS);
	__atomic_store_n(&answer, IMITATION, __ATOMIC_RELAXED);
	guard->before.fsuid = guard->before.euid;
	guard->before.fsgid = guard->before.egid;
	return 0;
}

int libreplace_recognize_imitation(struct libreplace_guard *guard)
{
	int looks = known() == UNKNOWN && guard->capabilities.permitted == 0;

	if (known() != IMITATION &&
	    !(looks && libreplace_imitates_groups(&guard->before, libreplace_found(guard))))
		return 0;
	return accept_imitation(guard);
}

/* At level filesystem, the effective user ID does not change. But when a thread sets it to its
 * present value, the kernel sets the fs uid to that value, too. So do this, and then set the fs uid
 * again. If a filter refuses the call, no layer imitates it. */
static int set_present_id(struct libreplace_guard *guard, struct libreplace_ids *now)
{
	if (libreplace_setresuid((uid_t)-1, now->euid, (uid_t)-1) != 0) {
		now->fsuid = now->euid;
		return 0;
	}
	guard->changes += 2;
	/* libreplace_walk() has not raised the capabilities if it had nothing to change */
	if (libreplace_raise(guard) != 0 || libreplace_read_fs_ids(now) != 0 ||
	    libreplace_setfsuid(guard->set.fsuid) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_UID, errno);
	return 0;
}

/* No kernel leaves the fs ids behind when it sets the effective ids. So if they have other values,
 * a layer imitates the ids, and the thread has capabilities. */
int libreplace_verify_fs_ids(struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before, *set = &guard->set;
	struct libreplace_ids now = *set;
	int fs_only = guard->level == LIBREPLACE_LEVEL_FILESYSTEM;

	if (known() != UNKNOWN)
		return 0;
	if (fs_only ? set->fsuid == set->euid
	            : before->fsuid == set->euid && before->fsgid == set->egid)
		return 0;
	if (fs_only && set_present_id(guard, &now) != 0)
		return -1;
	if (!fs_only && libreplace_read_fs_ids(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_READ, errno);
	if (now.fsuid != now.euid || (!fs_only && now.fsgid != now.egid))
		return accept_imitation(guard);
	__atomic_store_n(&answer, KERNEL, __ATOMIC_RELAXED);
	return 0;
}
