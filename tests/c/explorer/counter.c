/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Goes through all interleavings of two and of three threads that enter, leave, drop, fork, end
 * and start again, any number of times. It runs the functions of replace/core/threads.c, and looks
 * for a drop that succeeds while a thread is switched, and for a thread that is counted without
 * being switched.
 *
 * The search goes from state to state (struct world in counter.h). A state that was reached before
 * is not continued again, because it continues in the same ways. So a finite number of states
 * stands for all interleavings of all programs, and the first fault is one with the fewest steps.
 *
 * counter_N has a table of N places. `counter_N --help` lists the options. counter_world.c has the
 * actions of the threads and the rules. To add an action, look for END_DROP in these files.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "counter.h"
#include "options.h"

static const char usage[] =
    "usage: counter_N [--states MOST]\n"
    "       counter_N --replay CHOICES\n"
    "\n"
    "Go through all interleavings of the threads of each cast: they enter, leave, drop, fork,\n"
    "end and start again, with libreplace's own count of the switched threads. Then check that\n"
    "a search notices each wrong version of these functions. All states take counter_1 some\n"
    "seconds, and counter_2 one minute and 1.5 GB of memory.\n"
    "\n"
    "  --states MOST     go on from MOST states of each cast only, those with the fewest steps\n"
    "  --replay CHOICES  show the steps of a fault; the command stands below the fault\n"
    "\n"
    "Exit status: 0 if nothing is wrong, 1 if something is, 2 for wrong usage.\n";

/* Threads with the same remainder modulo N begin at the same place of the table. Here, those of one
 * cast do, as far as they are not the main thread. */
static const struct cast casts[] = {
    {"the main thread and one other", 2, {MAIN_THREAD, 13}, 2},
    {"two threads", 2, {13, 19}, 2},
    {"the main thread and two others", 3, {MAIN_THREAD, 13, 19}, 1},
    {"three threads", 3, {13, 19, 25}, 1},
};
enum { CASTS = sizeof casts / sizeof *casts };

/* The states that were reached, in this order, and how */
static struct reached {
	struct world world;
	unsigned before;
	uint8_t choices[2];
} *states;
static unsigned size, room;

/* Where each state is in that list, plus 1; 0: free */
static unsigned *table, table_size;

static void *allocate(void *old, size_t bytes)
{
	void *memory = realloc(old, bytes);

	if (memory == NULL) {
		fprintf(stderr, "counter: no memory for %zu bytes\n", bytes);
		exit(2);
	}
	return memory;
}

/* FNV-1a, eight bytes at a time; the shift lets the high bits count, too */
static uint64_t add_to_hash(uint64_t sum, uint64_t part)
{
	sum = (sum ^ part) * 1099511628211ULL;
	return sum ^ sum >> 32;
}

static unsigned hash(const struct world *world)
{
	uint64_t sum = 14695981039346656037ULL, part = 0;
	size_t i;

	for (i = 0; i + sizeof part <= sizeof *world; i += sizeof part) {
		memcpy(&part, (const char *)world + i, sizeof part);
		sum = add_to_hash(sum, part);
	}
	part = 0;
	memcpy(&part, (const char *)world + i, sizeof *world - i);
	return (unsigned)add_to_hash(sum, part);
}

static unsigned *find(const struct world *world)
{
	unsigned place = hash(world) % table_size;

	while (table[place] != 0 &&
	       memcmp(&states[table[place] - 1].world, world, sizeof *world) != 0)
		place = (place + 1) % table_size;
	return &table[place];
}

static void grow(void)
{
	room = room == 0 ? 1024 : 2 * room;
	states = allocate(states, room * sizeof *states);
	table_size = 2 * room;
	table = allocate(table, table_size * sizeof *table);
	memset(table, 0, table_size * sizeof *table);
	for (unsigned i = 0; i < size; i++)
		*find(&states[i].world) = i + 1;
}

/* Return: whether the state was not reached before. */
static int reach(const struct world *world, unsigned before, const struct choices *choices)
{
	unsigned *place;

	if (size == room)
		grow();
	place = find(world);
	if (*place != 0)
		return 0;
	states[size] = (struct reached){.world = *world, .before = before};
	for (int i = 0; choices != NULL && i < 2 && i < choices->size; i++)
		states[size].choices[i] = (uint8_t)choices->chosen[i];
	*place = ++size;
	return 1;
}

/* How many steps lead to a state */
static unsigned steps_to(unsigned state)
{
	return state == 0 ? 0 : 1 + steps_to(states[state].before);
}

static void print_choices_to(unsigned state)
{
	if (state == 0)
		return;
	print_choices_to(states[state].before);
	printf("%d.%d.", states[state].choices[0], states[state].choices[1]);
}

/**
 * struct result - the result of a search
 * @fault:	NULL, or the rule that is broken
 * @last:	the last state that was continued
 * @choices:	its last step
 * @steps:	how many steps were taken
 */
struct result {
	const char *fault;
	unsigned last;
	struct choices choices;
	unsigned long steps;
};

static void print_replay(const struct result *result, int cast, int version)
{
	printf("  %s\n  to see each step: counter_%d --replay %d.%d.", result->fault,
	       LIBREPLACE_PLACES, cast, version);
	print_choices_to(result->last);
	for (int i = 0; i < result->choices.size; i++)
		printf(i == 0 ? "%d" : ".%d", result->choices.chosen[i]);
	putchar('\n');
}

/* Go through the states of a cast, those with fewer steps first. */
static struct result search(const struct cast *cast, unsigned most)
{
	struct result result = {.fault = NULL};
	struct world world;

	size = 0;
	if (table != NULL)
		memset(table, 0, table_size * sizeof *table);
	memset(&world, 0, sizeof world);
	reach(&world, 0, NULL);
	for (unsigned i = 0; i < size && i < most; i++) {
		result.last = i;
		result.choices.size = result.choices.given = 0;
		do {
			world = states[i].world;
			result.fault = take_step(cast, &world, &result.choices, 0);
			if (result.fault == NULL && reach(&world, i, &result.choices))
				result.fault = check_quiet(cast, &world);
			if (result.fault != NULL)
				return result;
			result.steps++;
		} while (next_choices(&result.choices));
	}
	return result;
}

/* Return: 1 if the cast has a fault. */
static int search_cast(int number, unsigned most)
{
	struct result result = search(&casts[number], most);

	printf("%s %d %s: %u states, %lu steps, all interleavings",
	       result.fault == NULL ? "ok" : "not ok", number, casts[number].name, result.last + 1,
	       result.steps);
	if (result.last + 1 < size)
		printf(" of up to %u steps", steps_to(result.last));
	putchar('\n');
	if (result.fault != NULL)
		print_replay(&result, number, 0);
	fflush(stdout);
	return result.fault != NULL;
}

/* Return: 1 if the search does not notice this wrong version. */
static int search_wrong_version(int number, const char *what)
{
	struct result result = {.fault = NULL};
	int cast;

	for (cast = 0; cast < CASTS && result.fault == NULL; cast++)
		result = search(&casts[cast], UINT_MAX);
	if (result.fault == NULL) {
		printf("not ok wrong version %d is not noticed: %s\n", number, what);
		return 1;
	}
	printf("ok wrong version %d is noticed: %s\n", number, what);
	print_replay(&result, cast - 1, number);
	return 0;
}

/* The first two choices are the cast and the version. */
static int replay(const char *text)
{
	struct choices choices = {.size = 0};
	struct world world;
	const char *fault = NULL;
	int cast;

	if (parse_choices(&choices, text) != 0)
		refuse("no list of choices", text);
	cast = choose(&choices, CASTS, "cast");
	use_version(choose(&choices, VERSIONS, "version"));
	memset(&world, 0, sizeof world);
	while (fault == NULL && choices.size < choices.given) {
		fault = take_step(&casts[cast], &world, &choices, 1);
		if (fault == NULL)
			fault = check_quiet(&casts[cast], &world);
	}
	printf("%s\n", fault != NULL ? fault : "nothing is wrong");
	return fault != NULL;
}

static void help(void)
{
	printf("%s", usage);
}

int main(int count, char **arguments)
{
	double most = UINT_MAX;
	const char *choices = NULL;
	const struct option known[] = {
	    {"--states", &most, NULL, NULL},
	    {"--replay", NULL, &choices, NULL},
	    {NULL, NULL, NULL, NULL},
	};
	int first = read_options(count, arguments, known, help), failed = 0;

	if (first < count)
		refuse("unknown argument", arguments[first]);
	if (most < 1 || most > UINT_MAX)
		refuse("a number from 1 is needed", "--states");
	if (choices != NULL)
		return replay(choices);
	for (int cast = 0; cast < CASTS; cast++)
		failed += search_cast(cast, (unsigned)most);
	for (int number = 1; number < VERSIONS; number++)
		failed += search_wrong_version(number, use_version(number));
	return failed != 0;
}
