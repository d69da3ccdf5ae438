/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The list of the checks for this build, in the order of `libreplace verify`, and what each needs.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "verify.h"
#define VERIFY_CALLS
#include "verify_table.h"

struct check plan[MOST_CHECKS];
int planned;

/* What the checks need: the names of obstacles and of calls. */
#define SWITCH "real ids", "privilege", "ids", "root", "folder"
#define ROUND_TRIP(kind)                                                                           \
	SWITCH, "setres" kind, "sete" kind, "setre" kind, "getres" kind, "setresuid", "loss"
#define ENTRY                                                                                      \
	"real ids", "privilege", "ids", "folder", "capabilities", "setfsuid", "setfsgid",          \
	    "setgroups", "getresuid", "getresgid", "getgroups", "getfsuid", "getfsgid", "owners"
typedef const char *const list[];
static list nothing = {NULL};
static list observing = {"folder", NULL};
static list opening = {"folder", "openat2", NULL};
static list getters = {"real ids", "folder",   "getresuid", "getresgid", "getgroups",
                       "getfsuid", "getfsgid", "setfsuid",  "setfsgid",  NULL};
static list denials = {"real ids", "folder", "unprivileged", NULL};
static list uid_trip = {ROUND_TRIP("uid"), NULL};
static list gid_trip = {ROUND_TRIP("gid"), NULL};
static list groups_trip = {SWITCH, "setgroups", "getgroups", "setresuid", "loss", NULL};
static list wide = {SWITCH, "setresuid", "setresgid", "owners", "wide ids", NULL};
static list change = {SWITCH, "owners", NULL};
static list entry = {ENTRY, "setresuid", "setresgid", NULL};
static list entry_of_root = {ENTRY, "setresuid", "setresgid", "loss", NULL};
static list fs_entry = {ENTRY, NULL}; /* level filesystem */
static list fs_entry_of_root = {ENTRY, "loss", NULL};
static list by_ring = {ENTRY, "root", "setresuid", "setresgid", "loss", "io_uring", NULL};
static list by_threads = {ENTRY, "root", "setresuid", "setresgid", "loss", "openat2", NULL};
static list of_libc = {SWITCH, "seteuid", NULL};

static struct check *add(const char *prefix, const char *name, const char *claim,
                         void (*run)(const void *), const void *argument, const char *const *needs)
{
	struct check *check = &plan[planned++];

	snprintf(check->name, sizeof check->name, "%s%s", prefix, name);
	check->claim = claim;
	check->run = run;
	check->argument = argument;
	check->needs = needs;
	return check;
}

int has_call(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].exists;
	return 1; /* a getter */
}

/* A platform without a real call for all three ids cannot make the round trip. */
static int has_real(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].exists && !calls[i].emulated;
	return 0;
}

static const char *const ways_back[] = {"way back from shielded", "way back from effective",
                                        "way back from real", NULL};

static void add_levels(void)
{
	for (int i = 0; i < 4; i++) {
		int is_fs = levels[i] == LIBREPLACE_LEVEL_FILESYSTEM, is_root = geteuid() == 0;
		const char *const *needs = is_root ? (is_fs ? fs_entry_of_root : entry_of_root)
		                                   : (is_fs ? fs_entry : entry);

		add("level ", libreplace_level_name(levels[i]),
		    "a thread enters and leaves; other threads keep their ids", check_level,
		    &levels[i], needs)
		    ->call = ways_back[i];
	}
}

void make_plan(void)
{
	static const enum unit units[] = {UID, GID};
	static const int reaches = 1, reaches_not = 0, ring = 1, threads = 0;
	static const char round_trip[] =
	    "set, save, restore, become a user for good, fail to regain root";

	add("", "verdict", "report, C library and this machine agree", check_verdict, NULL,
	    nothing);
	add("", "getters", "getters and /proc agree", check_getters, NULL, getters);
	add("", "refusals", "bad input is refused and changes nothing", check_refusals, NULL,
	    observing);
	add("", "no privilege",
	    "without privilege other users' ids are refused and nothing changes",
	    check_unprivileged, NULL, denials);
	add("", "open_beneath",
	    "stays below the folder, refuses magic links and FIFOs; or fails with ENOSYS",
	    check_open_beneath, NULL, opening);
	if (has_real("setresuid"))
		add("", "round trip uid", round_trip, check_round_trip, &units[0], uid_trip);
	if (has_real("setresgid"))
		add("", "round trip gid", round_trip, check_round_trip, &units[1], gid_trip);
	add("", "round trip groups", "set and read back; a user cannot set them",
	    check_groups_round_trip, NULL, groups_trip);
	add("", "wide ids", "ids above 16 and 31 bits are not truncated", check_wide_ids, NULL,
	    wide);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (!calls[i].exists)
			add("", calls[i].name, "fails with ENOSYS on this platform", check_missing,
			    &calls[i], observing);
		else
			add("", calls[i].name,
			    calls[i].thread ? "changes only the calling thread"
			                    : "changes every thread of the process",
			    check_setter, &calls[i], change)
			    ->call = calls[i].name;
	}
	if (LIBREPLACE_THREAD_SCOPE) {
		add_levels();
		add("files by ", "io_uring",
		    "new files belong to their users, and files of others are refused; or there is "
		    "no ring",
		    check_users, &ring, by_ring)
		    ->call = ways_back[0];
		add("files by ", "threads",
		    "new files belong to their users, and files of others are refused", check_users,
		    &threads, by_threads)
		    ->call = ways_back[0];
	}
	if (strcmp(VERIFY_LIBC, "bionic") == 0)
		add("", "libc", "libc's own call changes only one thread", check_libc, &reaches_not,
		    of_libc);
	else
		add("", "libc",
		    LIBREPLACE_THREAD_SCOPE
		        ? "libc's own call changes every thread, which is the reason for this "
		          "library"
			: "libc's own call changes every thread",
		    check_libc, &reaches, of_libc);
}
