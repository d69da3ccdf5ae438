/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What callers need to prepare an identity, and no database; users_*.c look one up.
 * libreplace/identity.h explains the functions.
 */
#include "internal.h"

/* Shell sort, because qsort(3) may allocate memory, and walk.c calls this function while a thread
 * is leaving. With gaps that are powers of two, some lists would take quadratic time. */
static void sort(gid_t *list, size_t size)
{
	for (size_t gap = size / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
		for (size_t i = gap; i < size; i++) {
			gid_t moved = list[i];
			size_t j = i;

			for (; j >= gap && list[j - gap] > moved; j -= gap)
				list[j] = list[j - gap];
			list[j] = moved;
		}
}

size_t libreplace_sort_groups(gid_t *groups, size_t size)
{
	size_t count = 0;

	sort(groups, size);
	for (size_t i = 0; i < size; i++)
		if (count == 0 || groups[i] != groups[count - 1])
			groups[count++] = groups[i];
	return count;
}

int libreplace_identity_has_root(const struct libreplace_identity *identity)
{
	return identity->uid == 0 || identity->gid == 0 ||
	       (identity->size > 0 && identity->groups[0] == 0);
}
