/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Decides before an entry whether the thread could return from it. It applies the kernel's rules to
 * the calls that libreplace_leave() would make. A thread that could not return would have to be
 * given up, so its entry is refused. tests/c/returns.c compares the decision with the kernel.
 * Source: setresuid(2), setresgid(2), setfsuid(2), capabilities(7), "Effect of user ID changes on
 * capabilities"; kernel/sys.c, security/commoncap.c.
 */
#include <errno.h>
#include "internal.h"

static int has_gid(const struct libreplace_ids *ids, gid_t gid)
{
	return ids->rgid == gid || ids->egid == gid || ids->sgid == gid;
}

static int reaches_gids(const struct libreplace_ids *from, const struct libreplace_ids *to)
{
	return has_gid(from, to->rgid) && has_gid(from, to->egid) && has_gid(from, to->sgid);
}

/* Whether the thread could set the user IDs of @before again: the calls of libreplace_walk(). */
static int returns_to_uids(const struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before;
	uid_t privileged = libreplace_mine.base.euid;
	int regains = libreplace_mine.explicit || libreplace_has_uid(&guard->set, privileged);

	if (regains && libreplace_may_set_uids(privileged, guard->capabilities.permitted))
		return 1;
	return libreplace_reaches_uids(&guard->set, before) &&
	       libreplace_has_uid(before, before->fsuid);
}

/* Whether the thread could set the group IDs and the groups of @before again. It has then regained
 * its permitted capabilities and the privileged user ID. */
static int returns_to_gids(struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before, *set = &guard->set;

	if (libreplace_may_set_gids(libreplace_mine.base.euid, guard->capabilities.permitted))
		return 1;
	return reaches_gids(set, before) && has_gid(before, before->fsgid) &&
	       libreplace_same_groups(before, libreplace_scratch(guard), set,
	                              libreplace_wanted(guard));
}

/* Whether the thread could set its fs ids again. The calls that restore the other ids set them to
 * the effective ids. */
static int returns_to_fs_ids(const struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before, *set = &guard->set;

	if (before->fsuid != before->euid && !libreplace_same_uids(before, set) &&
	    !libreplace_can_set_fsuid(before))
		return 0;
	return before->fsgid == before->egid || libreplace_same_gids(before, set) ||
	       libreplace_can_set_fsgid(before);
}

/*
 * Whether the last of the three user IDs that is 0 becomes another id, there or on the way back.
 * The kernel then clears the ambient capabilities, and the permitted ones unless SECBIT_KEEP_CAPS
 * is set.
 */
static int loses_last_zero(const struct libreplace_guard *guard, int securebits)
{
	return libreplace_has_uid(&guard->before, 0) != libreplace_has_uid(&guard->set, 0) &&
	       (securebits & LIBREPLACE_NO_SETUID_FIXUP) == 0;
}

/* Whether the thread could set its inheritable and ambient capabilities again. An entry with uid 0
 * does not clear them, but the kernel may clear the ambient ones. */
static int returns_to_capabilities(const struct libreplace_guard *guard, int loses_zero,
                                   int securebits)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	int cleared = guard->set.fsuid != 0;

	if (held->ambient != 0 && (cleared || loses_zero) &&
	    (securebits & LIBREPLACE_NO_CAP_AMBIENT_RAISE) != 0)
		return 0;
	return !cleared || libreplace_bounded(held->inheritable & held->permitted);
}

int libreplace_cannot_return(struct libreplace_guard *guard, int securebits)
{
	int loses_zero = loses_last_zero(guard, securebits);

	if (libreplace_ids_are_imitated())
		return 0;
	if (!returns_to_uids(guard) || !returns_to_gids(guard) || !returns_to_fs_ids(guard))
		return EPERM;
	if (loses_zero && guard->capabilities.permitted != 0 &&
	    (securebits & LIBREPLACE_KEEP_CAPS) == 0)
		return EPERM;
	return returns_to_capabilities(guard, loses_zero, securebits) ? 0 : EACCES;
}
