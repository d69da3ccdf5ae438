/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What libreplace/guard.h promises, for the program explore: the ids inside an entry, and the
 * reasons for which an entry may be refused. explore.h explains the functions.
 */
#include "explore.h"
#include "inside.h"

struct credentials promised_ids(const struct run *run, const struct holding *entry)
{
	return ids_inside(&run->thread, &run->start, &entry->user, entry->level, run->faults > 0);
}

static int is_hidden(const struct range *map, uint32_t id, uint32_t overflow)
{
	return id == NO_ID || shown_id(map, id, overflow) == overflow;
}

/* Whether the user namespace hides an id or a group, or shows one as it shows hidden ones. */
static int has_hidden_id(const struct user_namespace *in, const struct credentials *is)
{
	const uint32_t uids[] = {is->ruid, is->euid, is->suid, is->fsuid};
	const uint32_t gids[] = {is->rgid, is->egid, is->sgid, is->fsgid};
	int found = 0;

	for (int i = 0; i < 4; i++)
		found |= is_hidden(in->uids, uids[i], in->overflow_uid) ||
		         is_hidden(in->gids, gids[i], in->overflow_gid);
	for (int i = 0; i < is->size; i++)
		found |= is_hidden(in->gids, is->groups[i], in->overflow_gid);
	return found && in != &initial_namespace;
}

static int has_zero(const struct run *run, const struct credentials *is)
{
	uint32_t root = kernel_id(run->thread.namespace->uids, 0);

	return is->ruid == root || is->euid == root || is->suid == root;
}

int is_privileged(const struct run *run, const struct holding *entry)
{
	const struct user_namespace *in = run->thread.namespace;
	struct credentials set = promised_ids(run, entry);
	uint64_t both = BIT(SETUID) | BIT(SETGID);

	return (run->start.permitted & both) == both && !in->denies_setgroups &&
	       !has_hidden_id(in, &set);
}

int may_be_refused(const struct run *run, const struct holding *entry)
{
	const struct user_namespace *in = run->thread.namespace;
	const struct credentials *before = &entry->before;
	struct credentials set = promised_ids(run, entry);
	int bits = before->securebits;

	if (!is_privileged(run, entry) || has_hidden_id(in, before))
		return 1;
	if ((before->inheritable & before->permitted & ~before->bounding) != 0 ||
	    (before->ambient != 0 && (bits & NO_CAP_AMBIENT_RAISE) != 0))
		return 1;
	if ((bits & NO_SETUID_FIXUP) != 0)
		return run->start.euid == kernel_id(in->uids, 0) && entry->user.uid != 0;
	return (bits & KEEP_CAPS) == 0 && has_zero(run, before) != has_zero(run, &set);
}
