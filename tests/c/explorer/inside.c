/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * inside.h explains the functions.
 */
#include <stddef.h>
#include <string.h>
#include "inside.h"

int same_credentials(const struct credentials *a, const struct credentials *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

int same_ids(const struct credentials *a, const struct credentials *b)
{
	size_t start = offsetof(struct credentials, ruid),
	       end = offsetof(struct credentials, securebits);

	return memcmp((const char *)a + start, (const char *)b + start, end - start) == 0;
}

void set_groups(struct credentials *is, const struct range *gids,
                const struct libreplace_identity *user)
{
	memset(is->groups, 0, sizeof is->groups);
	is->size = (int)user->size;
	for (int i = 0; i < is->size; i++)
		is->groups[i] = kernel_id(gids, user->groups[i]);
	sort_groups(is->groups, is->size);
}

/* The real user ID at level shielded, or NO_ID if no ID is left */
static uint32_t shield_id(const struct thread *thread, uint32_t uid, int may_be_second)
{
	const struct range *uids = thread->namespace->uids;
	uint32_t first = kernel_id(uids, LIBREPLACE_SHIELD_UID), second = kernel_id(uids, 65535);

	if (first == NO_ID || first == uid || (may_be_second && thread->is.ruid == second))
		return second != uid ? second : NO_ID;
	return first;
}

struct credentials ids_inside(const struct thread *thread, const struct credentials *base,
                              const struct libreplace_identity *user, int level, int second)
{
	struct credentials set = *base;

	set.fsuid = kernel_id(thread->namespace->uids, user->uid);
	set.fsgid = kernel_id(thread->namespace->gids, user->gid);
	if (level != LIBREPLACE_LEVEL_FILESYSTEM) {
		set.euid = set.fsuid;
		set.rgid = set.egid = set.fsgid;
	}
	if (level == LIBREPLACE_LEVEL_SHIELDED)
		set.ruid = shield_id(thread, set.fsuid, second);
	if (level == LIBREPLACE_LEVEL_REAL)
		set.ruid = set.fsuid;
	set_groups(&set, thread->namespace->gids, user);
	return set;
}
