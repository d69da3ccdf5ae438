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
static unsigned next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (unsigned)(*state * 2685821657736338717ULL >> 32);
}

static void stop(const char *why, const char *name)
{
	fprintf(stderr, "choices: %s at \"%s\"\n", why, name);
	exit(2);
}

/* @rarely: one random number of this many may be another number than 0 */
static int choose_one(struct choices *choices, int limit, const char *name, unsigned rarely)
{
	int place = choices->size++;

	if (place >= MOST_CHOICES)
		stop("more choice points than MOST_CHOICES", name);
	if (place >= choices->given) {
		choices->chosen[place] = 0;
		if (choices->random != 0 && next_random(&choices->random) % rarely == 0)
			choices->chosen[place] =
			    (uint16_t)(next_random(&choices->random) % (unsigned)limit);
	} else if (choices->chosen[place] >= limit) {
		if (!choices->changed)
			stop("there is no such choice", name);
		choices->chosen[place] = 0;
	}
	choices->limits[place] = (uint16_t)limit;
	choices->names[place] = name;
	return choices->chosen[place];
}

int choose(struct choices *choices, int limit, const char *name)
{
	return choose_one(choices, limit, name, 1);
}

int choose_rarely(struct choices *choices, int limit, const char *name)
{
	return choose_one(choices, limit, name, 16);
}

void repeat_choices(struct choices *choices, int size)
{
	choices->size = 0;
	choices->given = size;
}

void random_choices(struct choices *choices)
{
	repeat_choices(choices, 0);
}

int next_choices(struct choices *choices)
{
	int size = choices->size;

	while (size > 0 && choices->chosen[size - 1] + 1 >= choices->limits[size - 1])
		size--;
	repeat_choices(choices, size);
	if (size == 0)
		return 0;
	choices->chosen[size - 1]++;
	return 1;
}

void print_choices(const struct choices *choices, char *text)
{
	int size = choices->size > 0 ? choices->size : choices->given;

	while (size > 1 && choices->chosen[size - 1] == 0)
		size--;
	*text = '\0';
	for (int i = 0; i < size; i++)
		text += sprintf(text, i == 0 ? "%u" : ".%u", choices->chosen[i]);
}

int parse_choices(struct choices *choices, const char *text)
{
	int size = 0;

	do {
		char *end;
		unsigned long number = strtoul(text, &end, 10);

		if (end == text || size == MOST_CHOICES || number > UINT16_MAX)
			return -1;
		choices->chosen[size++] = (uint16_t)number;
		text = end;
	} while (*text++ == '.');
	repeat_choices(choices, size);
	return text[-1] == '\0' ? 0 : -1;
}
