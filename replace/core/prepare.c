/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The first half of libreplace_enter(), which changes nothing: looks for reasons to refuse the
 * entry, reads what the thread is, and chooses the ids to set. internal.h explains the functions.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

void libreplace_copy_identity(struct libreplace_guard *guard,
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
		set->ruid = set->fsuid != LIBREPLACE_SHIELD_UID ? LIBREPLACE_SHIELD_UID
		                                                : LIBREPLACE_SECOND_SHIELD_UID;
	set->euid = fs_only ? base->euid : set->fsuid;
	set->suid = base->suid;
	set->rgid = fs_only ? base->rgid : set->fsgid;
	set->egid = fs_only ? base->egid : set->fsgid;
	set->sgid = base->sgid;
}

int libreplace_refusal(const struct libreplace_guard *guard,
                       const struct libreplace_identity *identity, int level)
{
	const int known =
	    LIBREPLACE_ALLOW_ROOT | LIBREPLACE_ALLOW_PROCESS | LIBREPLACE_ABORT_UNLESS_RESTORED;
	int error;

	if (guard->initialized != LIBREPLACE_INITIALIZED)
		return EINVAL;
	if (libreplace_tainted())
		return ENOTRECOVERABLE;
	if (libreplace_mine.busy != guard)
		return EBUSY;
	if (level < LIBREPLACE_LEVEL_EFFECTIVE || level > LIBREPLACE_LEVEL_FILESYSTEM)
		return EINVAL;
	if ((guard->flags & ~known) != 0) /* a newer program may rely on it */
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

int libreplace_prepare(struct libreplace_guard *guard, const struct libreplace_identity *identity)
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
	securebits = libreplace_choose_explicit(guard);
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
