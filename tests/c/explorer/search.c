/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Makes the runs of a domain, shows the progress, and makes a run that is wrong shorter. explore.h
 * explains the functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "explore.h"

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
	run->count = run->faults = run->strays = run->unread = 0;
	run->failures_left = run->lies_left = run->forks_left = run->strays_left = 0;
	run->wrong = NULL;
	run->child_of = NULL;
	run->id = PARENT;
	for (int i = 0; i < MOST_ENTRIES; i++)
		run->entries[i].user = (struct libreplace_identity){NO_ID, NO_ID, 0, NULL};
	if (setjmp(run->aborted) == 0) {
		domain->act(run);
		look_at_end(run);
		run->counts.tainted += libreplace_tainted() != 0;
		run->counts.for_good += run->child_of != NULL;
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
	unsigned long runs = run->counts.runs;
	const char *wrong;
	char text[CHOICES_TEXT];

	shorten(domain, run);
	wrong = run->wrong;
	print_choices(&run->choices, text);
	printf("not ok %s: %s, after %lu runs\n", domain->name, wrong, runs);
	for (int i = 0; i < run->choices.size; i++)
		if (run->choices.chosen[i] != 0)
			printf("  %s: %u\n", run->choices.names[i], run->choices.chosen[i]);
	printf("  to see each call: explore --replay %s %s\n", text, domain->name);
}

/* ---- The search */

static void show_progress(const struct domain *domain, const struct run *run, double seconds)
{
	char text[CHOICES_TEXT] = "";

	if (run->choices.random == 0)
		print_choices(&run->choices, text);
	fprintf(stderr, "%s: %lu runs in %.0f s%s%s\n", domain->name, run->counts.runs, seconds,
	        *text != 0 ? ", now at " : "", text);
}

static void show_counts(const struct domain *domain, const struct counts *counts, int every,
                        double seconds)
{
	printf("ok %s: %lu runs%s in %.1f s\n", domain->name, counts->runs, every ? " (all)" : "",
	       seconds);
	printf("  from %lu states: %lu entered, %lu refused, %lu rolled back, %lu tainted, "
	       "%lu forked, %lu aborted\n",
	       counts->states, counts->entered, counts->refused, counts->rolled_back,
	       counts->tainted, counts->for_good, counts->aborted);
}

/* Whether the limits allow one more run. The clock is not read before each run. */
static int is_within(const struct options *options, unsigned long runs, double start)
{
	if (options->runs > 0 && (double)runs >= options->runs)
		return 0;
	return options->seconds <= 0 || runs % 256 != 0 || now() - start < options->seconds;
}

/* Go through a domain. The first run is prepared. Return: the exit status. */
static int search(const struct domain *domain, struct run *run, const struct options *options)
{
	double start = now(), shown = start;
	struct counts *counts = &run->counts;
	char text[CHOICES_TEXT];
	int more = 1;

	memset(counts, 0, sizeof *counts);
	while (more && is_within(options, counts->runs, start)) {
		if (counts->runs % 4096 == 0 && now() - shown > 10) {
			shown = now();
			show_progress(domain, run, shown - start);
		}
		counts->states += run->choices.given <= run->of_state;
		if (run_once(domain, run) != NULL) {
			tell(domain, run);
			return 1;
		}
		if (options->all)
			more = next_choices(&run->choices);
		else
			random_choices(&run->choices);
	}
	show_counts(domain, counts, !more, now() - start);
	if (options->all && more) {
		print_choices(&run->choices, text);
		printf("  to go on: explore --all --from %s %s\n", text, domain->name);
		return 3;
	}
	if (options->from == NULL && (counts->entered == 0 || counts->refused == 0)) {
		printf("not ok %s: it tries nothing\n", domain->name);
		return 1;
	}
	return 0;
}

static int replay(const struct domain *domain, struct run *run)
{
	run_once(domain, run);
	print_credentials(stderr, "at the start", &run->start);
	print_credentials(stderr, "in the end", &run->thread.is);
	printf("%s\n", run->wrong == NULL ? "nothing is wrong" : run->wrong);
	return run->wrong != NULL;
}

int look_at_domain(const struct domain *domain, struct run *run, const struct options *options)
{
	const char *choices = options->replay != NULL ? options->replay : options->from;
	int is_random = !options->all && options->replay == NULL;

	/* a state of 0 would give no random numbers */
	run->choices = (struct choices){.random = is_random ? 2 * (uint64_t)options->seed + 1 : 0};
	run->trace = options->trace || options->replay != NULL;
	if (choices != NULL && parse_choices(&run->choices, choices) != 0) {
		fprintf(stderr, "explore: no list of choices: %s\n", choices);
		return 2;
	}
	return options->replay != NULL ? replay(domain, run) : search(domain, run, options);
}
