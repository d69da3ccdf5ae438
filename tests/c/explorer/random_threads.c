/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * random_threads.h explains the functions.
 */
#include <fcntl.h>
#include "../filter.h"
#include "../in_namespace.h"
#include "random_calls.h"
#include "random_threads.h"

enum { NAMESPACES = 4, FILTERS = 4, MOST_CALLS = 24 };

static const struct setting *setting;
static struct comparison now;

/* ---- Filters */

/* core/ reads the file system ids with the calls that set them. While the effective ID is 0, a lie
 * of 0 is believed. So there is none unless the ids are equal; filter.c tries the rest. */
static int believes_lies(long call)
{
	const struct credentials *is = &now.thread.is;

	return (call == SETFSUID && is->fsuid != is->euid) ||
	       (call == SETFSGID && is->fsgid != is->egid);
}

static const struct filter *choose_filter(void)
{
	static const long setters[] = {SETRESUID, SETRESGID, SETFSUID,
	                               SETFSGID,  SETGROUPS, SYS_capset};
	static const long others[] = {GETRESUID, GETRESGID, GETGROUPS, SYS_capget, SYS_prctl};
	static const int errors[] = {0, EPERM, EAGAIN, ENOMEM};
	static struct filter filter;

	if (!setting->has_filters || pick(FILTERS, "filter") != 0)
		return NULL;
	if (pick(3, "filtered call") == 0) {
		filter.number = others[pick(5, "filtered getter")];
		filter.error = EPERM;
	} else {
		filter.number = setters[pick(6, "filtered setter")];
		filter.error = errors[pick(4, "error of the filter")];
		if (filter.error == 0 && believes_lies(filter.number))
			filter.error = EPERM;
	}
	return &filter;
}

static void install(const struct filter *filter)
{
	setting->totals->filters++;
	if (filter->number == SYS_prctl)
		refuse_value(SYS_prctl, PR_CAP_AMBIENT);
	else
		refuse_call((unsigned)filter->number, filter->error);
}

/* ---- One thread */

static void try_thread(void)
{
	const struct filter *filter;
	const char *what = NULL;

	setting->totals->threads++;
	start_to_compare(&now);
	if (setting->verbose)
		print_credentials(stdout, "  at the start", &now.thread.is);
	become_anybody();
	start_to_compare(NULL);
	filter = choose_filter();
	if (filter != NULL)
		install(filter);
	now.filter = filter;
	start_to_compare(&now);
	for (int calls = pick(MOST_CALLS, "number of calls"); calls > 0 && !now.failed; calls--)
		random_call();
	for (int i = 0; i < 2 && what == NULL && !now.failed && !libreplace_tainted(); i++)
		what = enter_and_leave(&now, &setting->totals->entries);
	if (what != NULL && !now.failed)
		complain(&now, what);
	start_to_compare(NULL);
	setting->totals->failed += (unsigned long)now.failed;
}

static void open_status(const char *path)
{
	memset(&now, 0, sizeof now);
	now.thread.namespace = &setting->outside;
	now.verbose = setting->verbose;
	now.outcomes = setting->totals->outcomes;
	MUST((now.status = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
}

static void *body_of_thread(void *unused)
{
	open_status("/proc/thread-self/status");
	try_thread();
	close(now.status);
	return unused;
}

void in_thread(void *(*body)(void *))
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, body, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

/* ---- User namespaces */

static struct user_namespace namespace;

/* Choose a random map. The ranges of a map must not overlap. */
static void choose_map(struct range *map, char *text, size_t size)
{
	static const uint32_t starts[] = {0, 1, 500}, outsides[] = {0, 1000, 100000, 0x80000000U},
	                      lengths[] = {1, 2, 900, 65536}, gaps[] = {0, 1, 40000};
	int ranges = 1 + pick(MOST_RANGES, "ranges"), first = pick(4, "first range"), used = 0;
	uint32_t next = starts[pick(3, "start")];

	memset(map, 0, (MOST_RANGES + 1) * sizeof *map);
	for (int i = 0; i < ranges; i++) {
		map[i].inside = next + gaps[pick(3, "gap")];
		map[i].outside = outsides[(first + i) % 4];
		map[i].length = lengths[pick(map[i].outside < 100000 ? 3 : 4, "length")];
		next = map[i].inside + map[i].length;
	}
	if (pick(6, "complete map") == 0) {
		ranges = 1;
		map[0] = initial_namespace.uids[0];
	}
	memset(map + ranges, 0, sizeof *map);
	for (int i = 0; i < ranges; i++)
		used += snprintf(text + used, size - (size_t)used, "%u %u %u\n", map[i].inside,
		                 map[i].outside, map[i].length);
}

/* In the child process, before it makes the namespace */
static void prepare_process(void)
{
	open_status("/proc/self/status");
	start_to_compare(&now);
	become_anybody();
	start_to_compare(NULL);
}

static void body_of_process(void)
{
	setting->totals->namespaces++;
	now.thread.namespace = &namespace;
	try_thread();
}

static void in_process(void)
{
	char uids[200], gids[200];
	const struct maps maps = {uids, gids, pick(4, "setgroups") == 0 ? "deny" : "allow"};

	namespace = setting->outside;
	namespace.denies_setgroups = maps.setgroups[0] == 'd';
	choose_map(namespace.uids, uids, sizeof uids);
	choose_map(namespace.gids, gids, sizeof gids);
	if (setting->verbose)
		printf("  user namespace: uids %s  gids %s  setgroups %s\n", uids, gids,
		       maps.setgroups);
	fflush(stdout);
	in_namespace(&maps, prepare_process, body_of_process);
}

void try_random_thread(struct setting *chosen, uint64_t seed)
{
	setting = chosen;
	start_to_pick(seed, &now.thread);
	if (pick(NAMESPACES, "user namespace") != 0 || !setting->has_namespaces) {
		in_thread(body_of_thread);
	} else {
		in_process();
		chosen->has_namespaces = setting->totals->namespaces != 0;
	}
}
