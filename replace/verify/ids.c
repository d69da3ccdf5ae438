/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Chooses the ids that the checks switch to: large ids that no account has, so that a truncated id
 * is noticed. A user namespace may not map them; then the highest ids of the map are used. Source:
 * user_namespaces(7).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "verify.h"

enum { ROWS = 340, IDS = 5 }; /* the kernel's limit for the rows of a map */

struct map {
	int exists; /* without a map, every id is valid */
	size_t size;
	struct {
		uint32_t first, count;
	} rows[ROWS];
};

static struct map maps[2];
static const uint32_t preferred[IDS] = {0, 80001, 80002, 80003, 2147483648U + 80001U};
static uint32_t chosen[2][IDS];
static int found_all;

const uint32_t wide_ids[WIDE_IDS] = {65536, 80001, 2147483648U + 80001U, 4294967294U};

static void read_map(struct map *map, const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned first, outside, count;

	if (file == NULL)
		return;
	while (map->size < ROWS && fscanf(file, "%u %u %u", &first, &outside, &count) == 3) {
		map->exists = 1;
		map->rows[map->size].first = first;
		map->rows[map->size++].count = count;
	}
	fclose(file);
}

int is_mapped(enum unit unit, uint32_t id)
{
	const struct map *map = &maps[unit == UID ? UID : GID];

	for (size_t i = 0; i < map->size; i++)
		if (id >= map->rows[i].first && id - map->rows[i].first < map->rows[i].count)
			return 1;
	return !map->exists;
}

/* Whether an id must not be chosen: an id of the caller, an id with a meaning, or one that is
 * chosen already. 65534 is shown for every unmapped id, and 65535 is an id of level shielded. */
static int is_taken(enum unit unit, uint32_t id)
{
	uint32_t real = unit == UID ? getuid() : getgid();
	uint32_t effective = unit == UID ? geteuid() : getegid();

	for (int i = 0; i < IDS; i++)
		if (chosen[unit][i] == id)
			return 1;
	return id == real || id == effective || id == 65534 || id == 65535 || id >= 4294967293U;
}

/* The highest mapped id that is free and below a limit; 0 if there is none. */
static uint32_t highest(enum unit unit, uint32_t limit)
{
	const struct map *map = &maps[unit];
	uint32_t best = 0;

	for (size_t i = 0; i < map->size; i++) {
		uint32_t id = map->rows[i].first + map->rows[i].count;

		id = id > limit ? limit : id;
		while (id > map->rows[i].first && is_taken(unit, id - 1))
			id--;
		if (id > map->rows[i].first && id - 1 > best)
			best = id - 1;
	}
	return best;
}

void choose_ids(void)
{
	static const int needed[2][IDS] = {{0, 1, 0, 1, 0}, {0, 0, 1, 1, 1}};

	read_map(&maps[UID], "/proc/self/uid_map");
	read_map(&maps[GID], "/proc/self/gid_map");
	found_all = 1;
	for (int unit = UID; unit <= GID; unit++)
		for (int i = USER; i < IDS; i++) {
			if (!needed[unit][i])
				continue;
			if (is_mapped((enum unit)unit, preferred[i]) &&
			    !is_taken((enum unit)unit, preferred[i]))
				chosen[unit][i] = preferred[i];
			else
				chosen[unit][i] = highest((enum unit)unit, UINT32_MAX);
			found_all = found_all && chosen[unit][i] != 0;
		}
	if (chosen[UID][OTHER] == 0) /* for the check that it is refused */
		chosen[UID][OTHER] = preferred[OTHER];
	if (chosen[GID][OTHER] == 0)
		chosen[GID][OTHER] = preferred[OTHER];
}

int have_ids(void)
{
	return found_all;
}

uid_t uid(enum test_id name)
{
	return chosen[UID][name];
}

gid_t gid(enum test_id name)
{
	return chosen[GID][name];
}

size_t many_groups(gid_t *list, size_t room)
{
	size_t size = 0;

	if (is_mapped(GID, 80000) && is_mapped(GID, 80000 + (uint32_t)room - 1)) {
		for (; size < room; size++)
			list[size] = 80000 + (gid_t)size;
		return size;
	}
	for (uint32_t id = highest(GID, UINT32_MAX); id > 0 && size < room; id = highest(GID, id))
		list[size++] = id;
	for (size_t i = 0; i < size / 2; i++) {
		gid_t first = list[i];

		list[i] = list[size - 1 - i];
		list[size - 1 - i] = first;
	}
	return size;
}
