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

/* Whether @uid is the real, effective or saved user ID. */
static int has_uid(const struct libreplace_ids *ids, uid_t uid)
{
	return ids->ruid == uid || ids->euid == uid || ids->suid == uid;
}

static int has_gid(const struct libreplace_ids *ids, gid_t gid)
{
	return ids->rgid == gid || ids->egid == gid || ids->sgid == gid;
}

/* Whether a thread without privilege could set the real, effective and saved user ID of @to. */
static int reaches_uids(const struct libreplace_ids *from, const struct libreplace_ids *to)
{
	return has_uid(from, to->ruid) && has_uid(from, to->euid) && has_uid(from, to->suid);
}

static int reaches_gids(const struct libreplace_ids *from, const struct libreplace_ids *to)
{
	return has_gid(from, to->rgid) && has_gid(from, to->egid) && has_gid(from, to->sgid);
}

/*
 * The effective capabilities that the thread has when it has returned to the privileged user ID. A
 * server without root raises all that are permitted. For root, the kernel does the same when the
 * effective user ID becomes 0. If the entry does not change that ID, root keeps what it has.
 */
static uint64_t regained(const struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	int stays = guard->before.euid == 0 && guard->set.euid == 0;

	return libreplace_mine.base.euid == 0 && stays ? held->effective : held->permitted;
}

/* Whether the thread could set the user IDs of @before again: the calls of libreplace_walk(). */
static int returns_to_uids(const struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before;
	struct libreplace_ids now = guard->set;
	uid_t privileged = libreplace_mine.base.euid;
	/* at first, root that acts as a user has no effective capability */
	uint64_t effective = privileged != 0 || now.euid == 0 ? regained(guard) : 0;
	int may = libreplace_may_set_uids(now.euid, effective);

	if (!libreplace_outwards(before) && now.euid != privileged) {
		if (!may && !has_uid(&now, privileged))
			return 0;
		now.euid = now.fsuid = privileged;
		may = libreplace_may_set_uids(privileged, regained(guard));
	}
	if (!libreplace_same_uids(&now, before)) {
		if (!may && !reaches_uids(&now, before))
			return 0;
		now.fsuid = before->euid;
		if (privileged == 0 && before->euid != 0)
			may = 0;
	}
	return may || now.fsuid == before->fsuid || has_uid(before, before->fsuid);
}

/* Whether the thread could set the group IDs and the groups of @before again. It does this with the
 * privileged user ID. */
static int returns_to_gids(struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before, *set = &guard->set;

	if (libreplace_may_set_gids(libreplace_mine.base.euid, regained(guard)))
		return 1;
	return reaches_gids(set, before) && has_gid(before, before->fsgid) &&
	       libreplace_same_groups(before, libreplace_scratch(guard), set,
	                              libreplace_wanted(guard));
}

/*
 * Whether the kernel would take capabilities away for good. If the last of the three user IDs that
 * is 0 becomes another id, the kernel clears the permitted set. If the effective user ID changes
 * from 0 to another id, it clears the effective set, and a server without root needs that set for
 * its next call.
 */
static int would_be_cleared(const struct libreplace_guard *guard, int securebits)
{
	const struct libreplace_ids *before = &guard->before, *set = &guard->set;

	if (guard->capabilities.permitted == 0 || (securebits & LIBREPLACE_NO_SETUID_FIXUP) != 0)
		return 0;
	if (libreplace_mine.base.euid != 0 && (before->euid == 0 || set->euid == 0))
		return 1;
	return has_uid(before, 0) != has_uid(set, 0) && (securebits & LIBREPLACE_KEEP_CAPS) == 0;
}

int libreplace_cannot_return(struct libreplace_guard *guard, int securebits)
{
	const struct libreplace_capabilities *held = &guard->capabilities;

	if (libreplace_ids_are_imitated())
		return 0;
	if (!returns_to_uids(guard) || !returns_to_gids(guard) ||
	    would_be_cleared(guard, securebits))
		return EPERM;
	if (held->inheritable != 0 &&
	    ((held->ambient != 0 && (securebits & LIBREPLACE_NO_CAP_AMBIENT_RAISE) != 0) ||
	     !libreplace_bounded(held->inheritable & held->permitted)))
		return EACCES;
	return 0;
}
