/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Searches for a way to enter and leave that ends wrong: the compiled files of replace/core/ run on
 * a model kernel, and every decision is a choice point. explore.h tells which file has what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "explore.h"

static const char usage[] =
    "usage: explore [--seconds N] [--seed N] [DOMAIN...]\n"
    "       explore --all [--seconds N] [--from CHOICES] DOMAIN\n"
    "       explore --replay CHOICES DOMAIN\n"
    "\n"
    "Run libreplace's core on a model of the kernel, and look for a way to enter and leave\n"
    "that ends with a wrong identity, or tainted without need.\n"
    "\n"
    "  --seconds N       stop after N seconds (default: 5 for each domain; with --all: no limit)\n"
    "  --seed N          other random choices (default: 1)\n"
    "  --all             try all combinations of choices, instead of random ones\n"
    "  --from CHOICES    go on with --all where an earlier run has stopped\n"
    "  --replay CHOICES  make one run and show each call\n"
    "\n"
    "Exit status: 0 if nothing is wrong, 1 if something is, 2 for wrong usage, 3 if --all was\n"
    "stopped by --seconds and found nothing.\n"
    "\n"
    "Domains:\n";

/* What the command line asks for. It is not changed by the core's memory being restored. */
struct options {
	double seconds;
	uint64_t seed;
	int all, replay;
	const char *choices;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* One run. Its choices are prepared. Return: what is wrong, or NULL. */
static const char *run_once(const struct domain *domain, struct run *run)
{
	restore_memory();
	run->count = run->for_good = run->faults = run->strays = run->unread = 0;
	run->failures_left = run->lies_left = run->forks_left = run->strays_left = 0;
	run->wrong = NULL;
	run->id = PARENT;
	for (int i = 0; i < MOST_ENTRIES; i++)
		run->entries[i].user.uid = NO_ID;
	if (setjmp(run->aborted) == 0) {
		domain->act(run);
		look_at_end(run);
		run->counts.tainted += libreplace_tainted() != 0;
		run->counts.for_good += run->for_good != 0;
	} else if (run->id != CHILD) {
		complain(run, "the process aborts");
	} else {
		run->counts.aborted++;
		look_after_abort(run);
	}
	run->counts.runs++;
	return run->wrong;
}

/* ---- A run that is wrong */

/* Whether the run with these choices is wrong, too. If so, they become the shortest known ones. */
static int is_wrong(const struct domain *domain, struct run *run, struct choices *shortest,
                    const struct choices *other, int size)
{
	run->choices = *other;
	run->choices.random = 0;
	run->choices.changed = 1;
	repeat_choices(&run->choices, size);
	if (run_once(domain, run) == NULL)
		return 0;
	*shortest = run->choices;
	return 1;
}

/* Make choices 0 as long as the run stays wrong. Later choices first, because others depend on
 * earlier ones. */
static void shorten(const struct domain *domain, struct run *run)
{
	struct choices *shortest = malloc(sizeof *shortest), *other = malloc(sizeof *other);
	int shorter = 1;

	if (shortest == NULL || other == NULL)
		exit(2);
	*shortest = run->choices;
	for (int tries = 0; shorter && tries < 10; tries++) {
		shorter = 0;
		for (int i = shortest->size - 1; i >= 0; i--) {
			if (i >= shortest->size || shortest->chosen[i] == 0)
				continue;
			*other = *shortest;
			other->chosen[i] = 0;
			shorter |= is_wrong(domain, run, shortest, other, other->size);
		}
	}
	is_wrong(domain, run, shortest, shortest, shortest->size);
	free(shortest);
	free(other);
}

static void tell(const struct domain *domain, struct run *run)
{
	char text[CHOICES_TEXT];

	shorten(domain, run);
	print_choices(&run->choices, text);
	printf("not ok %s: %s\n", domain->name, run->wrong);
	for (int i = 0; i < run->choices.size; i++)
		if (run->choices.chosen[i] != 0)
			printf("  %s: %u\n", run->choices.names[i], run->choices.chosen[i]);
	printf("  to see each call: explore --replay %s %s\n", text, domain->name);
}

static int replay(const struct domain *domain, struct run *run, const char *choices)
{
	if (parse_choices(&run->choices, choices) != 0) {
		fprintf(stderr, "explore: no list of choices: %s\n", choices);
		return 2;
	}
	run->trace = 1;
	run_once(domain, run);
	print_credentials("at the start", &run->start);
	print_credentials("in the end", &run->thread.is);
	printf("%s\n", run->wrong == NULL ? "nothing is wrong" : run->wrong);
	return run->wrong != NULL;
}

/* ---- The search */

/* Go through a domain. Return: the exit status. */
static int search(const struct domain *domain, struct run *run, const struct options *options)
{
	double start = now(), shown = start;
	struct counts *counts = &run->counts;
	char text[CHOICES_TEXT];
	int more;

	memset(counts, 0, sizeof *counts);
	run->choices = (struct choices){.random = options->all ? 0 : options->seed};
	if (options->choices != NULL && parse_choices(&run->choices, options->choices) != 0) {
		fprintf(stderr, "explore: no list of choices: %s\n", options->choices);
		return 2;
	}
	do {
		if (counts->runs % 4096 == 0 && now() - shown > 10) {
			shown = now();
			print_choices(&run->choices, text);
			fprintf(stderr, "%s: %lu runs in %.0f s, now at %s\n", domain->name,
			        counts->runs, shown - start, text);
		}
		if (options->seconds > 0 && counts->runs % 256 == 0 &&
		    now() - start > options->seconds)
			break;
		counts->states += run->choices.given <= run->of_state;
		if (run_once(domain, run) != NULL) {
			tell(domain, run);
			return 1;
		}
		more = options->all ? next_choices(&run->choices) : 1;
		if (!options->all)
			random_choices(&run->choices);
	} while (more);
	printf("ok %s: %lu runs%s in %.1f s: from %lu states, %lu entered, %lu refused, %lu rolled "
	       "back, %lu tainted, %lu forked, %lu aborted\n",
	       domain->name, counts->runs, options->all && !more ? " (all)" : "", now() - start,
	       counts->states, counts->entered, counts->refused, counts->rolled_back,
	       counts->tainted, counts->for_good, counts->aborted);
	if (counts->entered == 0 || counts->refused == 0) {
		printf("not ok %s: it tries nothing\n", domain->name);
		return 1;
	}
	if (!options->all || !more)
		return 0;
	print_choices(&run->choices, text);
	printf("  to go on: explore --all --from %s %s\n", text, domain->name);
	return 3;
}

/* ---- The command */

static int wrong_usage(const char *why, const char *word)
{
	fprintf(stderr, "explore: %s: %s; see explore --help\n", why, word);
	return 2;
}

static int help(void)
{
	printf("%s", usage);
	for (const struct domain *one = domains; one->name != NULL; one++)
		printf("  %-8s %s\n", one->name, one->about);
	return 0;
}

static const struct domain *find_domain(const char *name)
{
	for (const struct domain *one = domains; one->name != NULL; one++)
		if (strcmp(one->name, name) == 0)
			return one;
	return NULL;
}

/* Read the option at @arguments[0]. Return: how many words it has, or 0 if it is none. */
static int read_option(char **arguments, struct options *options)
{
	const char *name = arguments[0], *value = arguments[1];

	if (strcmp(name, "--all") == 0) {
		options->all = 1;
		return 1;
	}
	if (value == NULL)
		return 0;
	if (strcmp(name, "--seconds") == 0)
		options->seconds = atof(value);
	else if (strcmp(name, "--seed") == 0)
		options->seed = strtoull(value, NULL, 10) * 2 + 1; /* never 0 */
	else if (strcmp(name, "--from") == 0 || strcmp(name, "--replay") == 0) {
		options->replay = strcmp(name, "--replay") == 0;
		options->choices = value;
	} else
		return 0;
	return 2;
}

int main(int count, char **arguments)
{
	struct options options = {.seconds = 0, .seed = 3};
	struct run *run = calloc(1, sizeof *run);
	int status = 0, first = 1, words;

	for (int i = 0; run != NULL && i < MOST_ENTRIES; i++)
		run->entries[i].guard = calloc(1, GUARD_SIZE);
	if (run == NULL || run->entries[MOST_ENTRIES - 1].guard == NULL)
		return 2;
	for (; first < count && arguments[first][0] == '-'; first += words) {
		if (strcmp(arguments[first], "--help") == 0)
			return help();
		words = read_option(arguments + first, &options);
		if (words == 0)
			return wrong_usage("unknown option, or it needs a value", arguments[first]);
	}
	for (int i = first; i < count; i++)
		if (find_domain(arguments[i]) == NULL)
			return wrong_usage("unknown domain", arguments[i]);
	if ((options.all || options.choices != NULL) && count - first != 1)
		return wrong_usage("one domain is needed", "--all, --from, --replay");
	if (!options.all && options.seconds <= 0)
		options.seconds = 5;
	the_run = run;
	keep_memory();
	for (const struct domain *one = domains; one->name != NULL; one++) {
		int is_named = first == count, result;

		for (int i = first; i < count; i++)
			is_named |= find_domain(arguments[i]) == one;
		if (!is_named)
			continue;
		result =
		    options.replay ? replay(one, run, options.choices) : search(one, run, &options);
		status = result > status ? result : status;
		fflush(stdout);
	}
	return status;
}
