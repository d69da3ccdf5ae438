/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Compares the model of kernel.h with the real kernel: random threads make random system calls, and
 * libreplace_enter() and libreplace_leave(). compare.c compares after each call. One thread of
 * four is in a user namespace with a random map, and one of four has a seccomp filter.
 *
 * Run it as root: `kernel_rules`. For a million threads: `kernel_rules --states 1000000`. After a
 * difference, it prints the command that shows all calls of that thread.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include "../filter.h"
#include "../in_namespace.h"
#include "compare.h"
#include "random_calls.h"
#include "random_entries.h"

enum { STATES = 600, NAMESPACES = 4, FILTERS = 4, MOST_CALLS = 24, PROGRESS = 100000 };

/* What this run has done. The child processes count, too. */
static struct totals {
	unsigned long states, namespaces, filters, failed;
	struct entries entries;
	struct outcomes outcomes[MODEL_CALLS];
} *totals;

static unsigned long seed = 1, number;
static int verbose;
static struct comparison now;

/* ---- Filters */

static int has_filters;

/* core/ reads the file system ids with the calls that set them. While the effective ID is 0, a lie
 * of 0 is believed. So there is none unless the ids are equal; filter.c tries the rest. */
static int believes_lies(long call)
{
	const struct credentials *is = &now.thread.is;

	return (call == SETFSUID && is->fsuid != is->euid) ||
	       (call == SETFSGID && is->fsgid != is->egid);
}

static const struct lie *choose_filter(void)
{
	static const long setters[] = {SETRESUID, SETRESGID, SETFSUID,
	                               SETFSGID,  SETGROUPS, SYS_capset};
	static const long others[] = {GETRESUID, GETRESGID, GETGROUPS, SYS_capget, SYS_prctl};
	static const int errors[] = {0, EPERM, EAGAIN, ENOMEM};
	static struct lie lie;

	if (!has_filters || pick(FILTERS, "filter") != 0)
		return NULL;
	if (pick(3, "filtered call") == 0) {
		lie.number = others[pick(5, "filtered getter")];
		lie.error = EPERM;
	} else {
		lie.number = setters[pick(6, "filtered setter")];
		lie.error = errors[pick(4, "error of the filter")];
		if (lie.error == 0 && believes_lies(lie.number))
			lie.error = EPERM;
	}
	return &lie;
}

static void install(const struct lie *lie)
{
	totals->filters++;
	if (lie->number == SYS_prctl)
		refuse_value(SYS_prctl, PR_CAP_AMBIENT);
	else
		refuse_call((unsigned)lie->number, lie->error);
}

/* ---- One thread */

static struct user_namespace outside;

static void try_thread(void)
{
	const struct lie *lie;
	const char *what = NULL;

	totals->states++;
	start_to_compare(&now);
	if (verbose)
		print_credentials("the first thread", &now.thread.is);
	become_anybody();
	start_to_compare(NULL);
	lie = choose_filter();
	if (lie != NULL)
		install(lie);
	now.lie = lie;
	start_to_compare(&now);
	for (int calls = pick(MOST_CALLS, "number of calls"); calls > 0 && !now.failed; calls--)
		random_call();
	for (int i = 0; i < 2 && what == NULL && !now.failed && !libreplace_tainted(); i++)
		what = enter_and_leave(&now, &totals->entries);
	if (what != NULL && !now.failed)
		complain(&now, what);
	start_to_compare(NULL);
	totals->failed += (unsigned long)now.failed;
}

static void open_status(const char *path)
{
	memset(&now, 0, sizeof now);
	now.thread.namespace = &outside;
	now.verbose = verbose;
	now.outcomes = totals->outcomes;
	MUST((now.status = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
}

static void *body_of_thread(void *unused)
{
	open_status("/proc/thread-self/status");
	try_thread();
	close(now.status);
	return unused;
}

static void in_thread(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, body_of_thread, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

/* ---- User namespaces */

static int has_namespaces;
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
	totals->namespaces++;
	now.thread.namespace = &namespace;
	try_thread();
}

static void in_process(void)
{
	char uids[200], gids[200];
	const struct maps maps = {uids, gids, pick(4, "setgroups") == 0 ? "deny" : "allow"};

	namespace = outside;
	namespace.denies_setgroups = maps.setgroups[0] == 'd';
	choose_map(namespace.uids, uids, sizeof uids);
	choose_map(namespace.gids, gids, sizeof gids);
	if (verbose)
		printf("  user namespace: uids %s  gids %s  setgroups %s\n", uids, gids,
		       maps.setgroups);
	fflush(stdout);
	in_namespace(&maps, prepare_process, body_of_process);
}

/* ---- The kernel and the program */

static uint32_t read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned value = 65534;

	if (file != NULL) {
		MUST(fscanf(file, "%u", &value) == 1);
		fclose(file);
	}
	return value;
}

static void *look_for_no_op(void *unused)
{
	syscall(SETFSUID, 1000L);
	syscall(SETRESUID, -1L, -1L, -1L);
	kernel_sees_no_op = syscall(SETFSUID, -1L) == 1000;
	return unused;
}

/* What this program needs, or NULL if it is there. */
static const char *missing(void)
{
	unsigned inside = 0, first = 0, length = NO_ID;
	FILE *map = fopen("/proc/self/uid_map", "r");

	if (map != NULL) {
		MUST(fscanf(map, "%u %u %u", &inside, &first, &length) == 3);
		fclose(map);
	}
	if (geteuid() != 0)
		return "root";
	if (inside != 0 || first != 0 || length != NO_ID)
		return "a user namespace that maps every id to itself";
	if (access("/proc/thread-self/status", R_OK) != 0)
		return "/proc";
	if (prctl(PR_CAPBSET_READ, LAST_CAPABILITY) < 0 ||
	    prctl(PR_CAPBSET_READ, LAST_CAPABILITY + 1) >= 0)
		return "a kernel whose last capability is LAST_CAPABILITY of kernel.h";
	return NULL;
}

/* Whether this process may write any map. user_namespaces(7): root that has not made the namespace
 * needs CAP_SYS_ADMIN. */
static int may_write_maps(void)
{
	enum { SYS_ADMIN = 21 };
	const uint32_t needed = BIT(SETUID) | BIT(SETGID) | BIT(SYS_ADMIN);
	uint32_t header[2] = {0x20080522, 0}, words[6];

	return syscall(SYS_capget, header, words) == 0 && (words[0] & needed) == needed;
}

/* Adapt the model to the kernel. */
static void adapt(void)
{
	pthread_t thread;

	outside = initial_namespace;
	outside.overflow_uid = read_number("/proc/sys/kernel/overflowuid");
	outside.overflow_gid = read_number("/proc/sys/kernel/overflowgid");
	has_filters = prctl(21, 0, 0, 0, 0) >= 0; /* PR_GET_SECCOMP */
	has_namespaces = may_write_maps();
	MUST(pthread_create(&thread, NULL, look_for_no_op, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

static void print_totals(void)
{
	unsigned long calls = 0;

	for (int i = 0; i < MODEL_CALLS; i++) {
		const struct outcomes *one = &totals->outcomes[i];

		printf("%s: %lu succeeded, %lu EPERM, %lu EINVAL, %lu other errors\n",
		       model_calls[i].name, one->succeeded, one->eperm, one->einval, one->other);
		calls += one->succeeded + one->eperm + one->einval + one->other;
	}
	printf(
	    "enter: %lu entered, %lu refused, %lu rolled back; %lu tainted because of a filter\n",
	    totals->entries.entered, totals->entries.refused, totals->entries.rolled_back,
	    totals->entries.tainted);
	printf("%lu threads (%lu in user namespaces, %lu with filters), %lu calls compared, "
	       "%lu wrong\n",
	       totals->states, totals->namespaces, totals->filters, calls, totals->failed);
}

static const char usage[] =
    "usage: kernel_rules [--states N] [--seed N] [--state N]\n"
    "Compare the model of the kernel with the kernel. Needs root.\n"
    "  --states N  how many random threads (600)\n"
    "  --seed N    another seed gives other threads (1)\n"
    "  --state N   only this thread; print all of its calls\n"
    "Status: 0 no difference, 1 a difference, 2 wrong usage, 77 not possible here\n";

static int stop(const char *text, int status)
{
	fputs(text, status == 0 ? stdout : stderr);
	return status;
}

/* If a thread ends this program, say which. */
static pid_t main_process;
static int finished;

static void print_replay(void)
{
	if (getpid() == main_process && !finished)
		printf("replay: kernel_rules --seed %lu --state %lu\n", seed, number);
}

static void run_states(unsigned long first, unsigned long count)
{
	main_process = getpid();
	atexit(print_replay);
	for (number = first; number < first + count; number++) {
		start_to_pick(seed * 1000003 + number, &now.thread);
		if (pick(NAMESPACES, "user namespace") != 0 || !has_namespaces) {
			in_thread();
		} else {
			in_process();
			has_namespaces = totals->namespaces != 0;
		}
		if ((number + 1 - first) % PROGRESS == 0)
			fprintf(stderr, "%lu threads\n", number + 1 - first);
		if (totals->failed != 0)
			return;
	}
	finished = 1;
}

int main(int count, char **arguments)
{
	unsigned long states = STATES, first = 0;

	for (int i = 1; i < count; i++) {
		const char *name = arguments[i];
		char *end = NULL;
		unsigned long value;

		if (strcmp(name, "--help") == 0)
			return stop(usage, 0);
		if (i + 1 == count)
			return stop(usage, 2);
		value = strtoul(arguments[++i], &end, 10);
		if (end == arguments[i] || *end != '\0')
			return stop(usage, 2);
		if (strcmp(name, "--states") == 0) {
			states = value;
		} else if (strcmp(name, "--seed") == 0) {
			seed = value;
		} else if (strcmp(name, "--state") == 0) {
			first = value;
			states = 1;
			verbose = 1;
		} else {
			return stop(usage, 2);
		}
	}
	totals =
	    mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(totals != MAP_FAILED);
	if (missing() != NULL) {
		printf("skip: needs %s\n", missing());
		return 77;
	}
	adapt();
	run_states(first, states);
	print_totals();
	return totals->failed != 0;
}
