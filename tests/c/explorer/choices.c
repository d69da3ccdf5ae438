/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * choices.h explains the functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include "choices.h"

/* xorshift64* of Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ULL >> 32;
}

static void stop(const char *why)
{
	fprintf(stderr, "choices: %s\n", why);
	exit(2);
}

int choose(struct choices *choices, int limit, const char *name)
{
	int place = choices->size++;

	if (place >= MOST_CHOICES)
		stop("more choice points than MOST_CHOICES");
	if (place >= choices->given)
		choices->chosen[place] =
		    choices->random == 0
		        ? 0
		        : (uint16_t)(next_random(&choices->random) % (unsigned)limit);
	else if (choices->limits[place] != 0 && choices->limits[place] != limit)
		stop("the run is not deterministic");
	if (choices->chosen[place] >= limit)
		stop("there is no such choice");
	choices->limits[place] = (uint16_t)limit;
	choices->names[place] = name;
	return choices->chosen[place];
}

int next_choices(struct choices *choices)
{
	int size = choices->size;

	while (size > 0 && choices->chosen[size - 1] + 1 >= choices->limits[size - 1])
		size--;
	choices->size = 0;
	choices->given = size;
	if (size == 0)
		return 0;
	choices->chosen[size - 1]++;
	return 1;
}
