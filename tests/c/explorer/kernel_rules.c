/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Compares the model of kernel.h with the real kernel, call by call (compare.c), in random threads
 * (random_threads.c).
 *
 * Run it as root: `kernel_rules`. For a million threads: `kernel_rules --states 1000000`. After a
 * difference, it prints the command that shows all calls of that thread.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include "../cases.h"
#include "../raw_capabilities.h"
#include "options.h"
#include "random_threads.h"

enum { PROGRESS = 100000 };

static struct setting setting;

/* ---- The kernel and the program */

static uint32_t read_overflow_id(const char *path)
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
	unsigned sets[6];

	return capabilities(SYS_capget, sets) == 0 && (sets[0] & needed) == needed;
}

/* Adapt the model to the kernel. */
static void adapt(void)
{
	setting.outside = initial_namespace;
	setting.outside.overflow_uid = read_overflow_id("/proc/sys/kernel/overflowuid");
	setting.outside.overflow_gid = read_overflow_id("/proc/sys/kernel/overflowgid");
	setting.has_filters = prctl(21, 0, 0, 0, 0) >= 0; /* PR_GET_SECCOMP */
	setting.has_namespaces = may_write_maps();
	in_thread(look_for_no_op);
}

static void print_totals(const struct totals *totals)
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
	       totals->threads, totals->namespaces, totals->filters, calls, totals->failed);
}

static void help(void)
{
	printf(
	    "usage: kernel_rules [--states N] [--seed N]\n"
	    "       kernel_rules [--seed N] --replay NUMBER\n"
	    "\n"
	    "Compare the model of the kernel with the kernel. Needs root.\n"
	    "\n"
	    "  --states N       how many random threads (default: 600)\n"
	    "  --seed N         other random threads (default: 1)\n"
	    "  --replay NUMBER  make one thread and show each call\n"
	    "\n"
	    "Exit status: 0 if nothing is wrong, 1 if something is, 2 for wrong usage, 77 if the\n"
	    "program cannot run here.\n");
}

/* If a thread ends this program, say which. */
static pid_t main_process;
static int finished;
static uint64_t seed, number;

static void print_replay(void)
{
	if (getpid() == main_process && !finished)
		printf("  to see each call: kernel_rules --seed %llu --replay %llu\n",
		       (unsigned long long)seed, (unsigned long long)number);
}

static void try_threads(uint64_t first, uint64_t count)
{
	main_process = getpid();
	atexit(print_replay);
	for (number = first; number < first + count; number++) {
		try_random_thread(&setting, seed * 1000003 + number);
		if ((number + 1 - first) % PROGRESS == 0)
			fprintf(stderr, "%llu threads\n", (unsigned long long)(number + 1 - first));
		if (setting.totals->failed != 0)
			return;
	}
	finished = 1;
}

int main(int count, char **arguments)
{
	double states = 600, chosen_seed = 1, replay = -1;
	const struct option known[] = {
	    {"--states", &states, NULL, NULL},
	    {"--seed", &chosen_seed, NULL, NULL},
	    {"--replay", &replay, NULL, NULL},
	    {NULL, NULL, NULL, NULL},
	};
	int first = read_options(count, arguments, known, help);

	if (first < count)
		refuse("unknown argument", arguments[first]);
	if (states < 1)
		refuse("a number from 1 is needed", "--states");
	if (missing() != NULL) {
		printf("skip: needs %s\n", missing());
		return 77;
	}
	setting.totals = mmap(NULL, sizeof *setting.totals, PROT_READ | PROT_WRITE,
	                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(setting.totals != MAP_FAILED);
	setting.verbose = replay >= 0;
	seed = (uint64_t)chosen_seed;
	adapt();
	try_threads(replay < 0 ? 0 : (uint64_t)replay, replay < 0 ? (uint64_t)states : 1);
	print_totals(setting.totals);
	if (states >= 100 && replay < 0 &&
	    (setting.totals->entries.entered == 0 || setting.totals->entries.refused == 0)) {
		printf("not ok: it tries nothing\n");
		return 1;
	}
	return setting.totals->failed != 0;
}
