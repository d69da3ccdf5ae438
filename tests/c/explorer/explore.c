/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The command explore: searches for a way to enter and leave that ends wrong. The compiled files of
 * replace/core/ run on a model kernel, and every decision is a choice point. explore.h tells which
 * file has what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "explore.h"
#include "options.h"

static const char usage[] =
    "usage: explore [--seconds N] [--runs N] [--seed N] [--trace] [DOMAIN...]\n"
    "       explore --all [--seconds N] [--runs N] [--trace] [DOMAIN...]\n"
    "       explore --all --from CHOICES [--seconds N] [--runs N] [--trace] DOMAIN\n"
    "       explore --replay CHOICES DOMAIN\n"
    "\n"
    "Run libreplace's core on a model of the kernel, and look for a way to enter and leave\n"
    "that ends with a wrong identity, or tainted without need.\n"
    "\n"
    "  --seconds N       search each domain for N seconds (default: 5; with --all or --runs: "
    "none)\n"
    "  --runs N          make at most N runs in each domain\n"
    "  --seed N          other random choices (default: 1)\n"
    "  --all             try all combinations of choices, instead of random ones\n"
    "  --from CHOICES    go on with --all where an earlier run has stopped\n"
    "  --trace           show each call of each run\n"
    "  --replay CHOICES  make one run and show each call\n"
    "\n"
    "Exit status: 0 if nothing is wrong, 1 if something is, 2 for wrong usage, 3 if --all was\n"
    "stopped by --seconds or --runs and found nothing.\n"
    "\n"
    "Domains:\n";

static void help(void)
{
	printf("%s", usage);
	for (const struct domain *one = domains; one->name != NULL; one++)
		printf("  %-8s %s\n", one->name, one->about);
}

/* Read the options. Return: how many arguments come before the domains. */
static int read_command(int count, char **arguments, struct options *options)
{
	const struct option known[] = {
	    {"--all", NULL, NULL, &options->all},         {"--from", NULL, &options->from, NULL},
	    {"--replay", NULL, &options->replay, NULL},   {"--runs", &options->runs, NULL, NULL},
	    {"--seconds", &options->seconds, NULL, NULL}, {"--seed", &options->seed, NULL, NULL},
	    {"--trace", NULL, NULL, &options->trace},     {NULL, NULL, NULL, NULL},
	};
	int first = read_options(count, arguments, known, help);

	if ((options->from != NULL || options->replay != NULL) && count - first != 1)
		refuse("one domain is needed", options->from != NULL ? "--from" : "--replay");
	if (options->from != NULL && !options->all)
		refuse("--all is needed", "--from");
	if (!options->all && options->seconds <= 0 && options->runs <= 0)
		options->seconds = 5;
	return first;
}

/* Whether the command line names the domain, or none. */
static int is_named(const struct domain *domain, char **names)
{
	if (*names == NULL)
		return 1;
	while (*names != NULL && strcmp(*names, domain->name) != 0)
		names++;
	return *names != NULL;
}

static int is_domain(const char *name)
{
	for (const struct domain *one = domains; one->name != NULL; one++)
		if (strcmp(one->name, name) == 0)
			return 1;
	return 0;
}

int main(int count, char **arguments)
{
	struct options options = {.seed = 1};
	struct run *run = calloc(1, sizeof *run);
	int status = 0, first = read_command(count, arguments, &options);

	for (int i = first; i < count; i++)
		if (!is_domain(arguments[i]))
			refuse("unknown domain", arguments[i]);
	for (int i = 0; run != NULL && i < MOST_ENTRIES; i++)
		run->entries[i].guard = calloc(1, GUARD_SIZE);
	if (run == NULL || run->entries[MOST_ENTRIES - 1].guard == NULL)
		refuse("not enough memory", "calloc");
	the_run = run;
	keep_memory();
	for (const struct domain *one = domains; one->name != NULL; one++)
		if (is_named(one, arguments + first)) {
			int result = look_at_domain(one, run, &options);

			status = result > status ? result : status;
			fflush(stdout);
		}
	return status;
}
