/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Chooses the ids that the checks switch to: large ids that no account has, so that a truncated id
 * is noticed. A user namespace may not map them; then the highest ids of the map are used. Source:
 * user_namespaces(7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "verify.h"

enum { ROWS = 340, IDS = 5, MOST = 65536 }; /* the kernel's limits: rows of a map, groups */

struct map {
	size_t size;
	struct {
		uint32_t first, count;
	} rows[ROWS];
};

static struct map maps[2];
static const uint32_t preferred[IDS] = {0, 80001, 80002, 80003, 2147483648U + 80001U};
static uint32_t chosen[IDS];
static int found_all;
static uint32_t own[MOST + 8]; /* the caller's ids and groups */
static size_t owned;

const uint32_t wide_ids[WIDE_IDS] = {65536, 80001, 2147483648U + 80001U, 4294967294U};

/* Without a map, every id is valid. */
static void read_map(struct map *map, const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned first, outside, count;

	while (file != NULL && map->size < ROWS &&
	       fscanf(file, "%u %u %u", &first, &outside, &count) == 3) {
		map->rows[map->size].first = first;
		map->rows[map->size++].count = count;
	}
	if (file != NULL)
		fclose(file);
	if (map->size == 0)
		map->rows[map->size++].count = UINT32_MAX;
}

int is_mapped(enum unit unit, uint32_t id)
{
	const struct map *map = &maps[unit == UID ? UID : GID];

	for (size_t i = 0; i < map->size; i++)
		if (id >= map->rows[i].first && id - map->rows[i].first < map->rows[i].count)
			return 1;
	return 0;
}

static void read_own_ids(void)
{
	static const char *const lines[] = {"Uid", "Gid", "Groups"};
	static char text[MOST * 11];
	char *next, *end;

	own[owned++] = getuid();
	own[owned++] = geteuid();
	own[owned++] = getgid();
	own[owned++] = getegid();
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (read_status(lines[i], text, sizeof text))
			for (next = text; owned < sizeof own / sizeof *own; next = end) {
				uint32_t id = (uint32_t)strtoul(next, &end, 10);

				if (end == next)
					break;
				own[owned++] = id;
			}
}

/* Whether an id must not be chosen: an id of the caller, an id with a meaning, or one that is
 * chosen already. 65534 is shown for every unmapped id, and 65535 is an id of level shielded. */
static int is_taken(uint32_t id)
{
	for (size_t i = 0; i < IDS; i++)
		if (chosen[i] == id)
			return 1;
	for (size_t i = 0; i < owned; i++)
		if (own[i] == id)
			return 1;
	return id == 65534 || id == 65535 || id >= 4294967293U;
}

/* The highest id that is free, is below a limit and is in both maps; 0 if there is none. */
static uint32_t highest(enum unit a, enum unit b, uint32_t limit)
{
	uint32_t best = 0;

	for (size_t i = 0; i < maps[a].size; i++)
		for (size_t j = 0; j < maps[b].size; j++) {
			uint32_t first = maps[a].rows[i].first, other = maps[b].rows[j].first;
			uint32_t id = first + maps[a].rows[i].count;
			uint32_t stop = other + maps[b].rows[j].count;

			first = first > other ? first : other;
			id = id < stop ? id : stop;
			id = id < limit ? id : limit;
			while (id > first && is_taken(id - 1))
				id--;
			if (id > first && id - 1 > best)
				best = id - 1;
		}
	return best;
}

/* All chosen ids differ, so that a check notices a user ID in the place of a group ID. */
void choose_ids(void)
{
	static const enum unit units[IDS][2] = {
	    {UID, GID}, {UID, UID}, {GID, GID}, {UID, GID}, {GID, GID}};

	read_map(&maps[UID], "/proc/self/uid_map");
	read_map(&maps[GID], "/proc/self/gid_map");
	read_own_ids();
	found_all = 1;
	for (int i = USER; i < IDS; i++) {
		uint32_t id = preferred[i];

		if (is_taken(id) || !is_mapped(units[i][0], id) || !is_mapped(units[i][1], id))
			id = highest(units[i][0], units[i][1], UINT32_MAX);
		found_all = found_all && id != 0;
		chosen[i] = id == 0 ? preferred[i] : id; /* for the check that it is refused */
	}
}

int have_ids(void)
{
	return found_all;
}

uid_t uid(enum test_id name)
{
	return chosen[name];
}

gid_t gid(enum test_id name)
{
	return chosen[name];
}

size_t many_groups(gid_t *list, size_t room)
{
	size_t size = 0;

	if (is_mapped(GID, 80000) && is_mapped(GID, 80000 + (uint32_t)room - 1)) {
		for (; size < room; size++)
			list[size] = 80000 + (gid_t)size;
		return size;
	}
	for (uint32_t id = highest(GID, GID, UINT32_MAX); id > 0 && size < room;
	     id = highest(GID, GID, id))
		list[size++] = id;
	for (size_t i = 0; i < size / 2; i++) {
		gid_t first = list[i];

		list[i] = list[size - 1 - i];
		list[size - 1 - i] = first;
	}
	return size;
}
