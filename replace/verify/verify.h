/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by the files of libreplace-verify. The program compares the build's decision with what the
 * running kernel does, for a machine without Python. `libreplace verify` runs the same checks under
 * the same names: replace/_cli/checks.py.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>
#include <libreplace/replace.h>

#ifdef __GNUC__
#define VERIFY_FORMAT __attribute__((format(printf, 2, 3)))
#else
#define VERIFY_FORMAT
#endif

/* ---- child.c: a check runs in a child process, so it may change ids freely */

enum outcome { PROVED, CONTRADICTED, NOT_RUN };

struct check {
	char name[32];
	const char *claim;
	void (*run)(const void *argument); /* it returns if the claim is proved */
	const void *argument;
	const char *const *needs; /* names for obstacle(), up to NULL */
	const char *call;         /* one more, or NULL */
};

/**
 * run_check() - run a check in a forked child
 * @check:	the check
 * @detail:	result: why the claim is not proved; or in which form it is
 * @room:	size of @detail
 *
 * Return: the outcome. A child that a seccomp filter kills with SIGSYS is not run.
 */
enum outcome run_check(const struct check *check, char *detail, size_t room);

/* End the check that is running. A signal handler may call this and remove_folder(). */
void stop_check(void);

/* End the check in the child process, with the reason for the outcome. */
_Noreturn void end_check(enum outcome outcome, const char *format, ...) VERIFY_FORMAT;

/* End the check: the claim is wrong, or it cannot be tried here. */
#define contradict(...) end_check(CONTRADICTED, __VA_ARGS__)
#define not_here(...) end_check(NOT_RUN, __VA_ARGS__)

/* The claim holds only if the condition does. The rest is the message for contradict(). */
#define MUST(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			contradict(__VA_ARGS__);                                                   \
	} while (0)

/* A call that must succeed. */
#define DO(call) MUST((call) == 0, "%s failed: %s", #call, strerror(errno))

/* ---- plan.c: the checks for this build */

enum { MOST_CHECKS = 64 };
extern struct check plan[MOST_CHECKS];
extern int planned;
void make_plan(void);

/* Whether the platform has a call. If not, it fails with ENOSYS. */
int has_call(const char *name);

/* ---- ids.c: ids to switch to, which this user namespace maps */

enum unit { UID, GID, GROUPS }; /* the lines of /proc/PID/status, too */
enum test_id { ZERO, USER, GROUP, OTHER, HIGH };

/* Choose the ids. */
void choose_ids(void);

/* The chosen id as a user ID or as a group ID. USER and GROUP are each of one kind. */
uid_t uid(enum test_id name);
gid_t gid(enum test_id name);

/* Whether enough ids were found. */
int have_ids(void);

/* Whether this user namespace maps an id. */
int is_mapped(enum unit unit, uint32_t id);

/* Ids of more than 16 bits and more than 31 bits. */
enum { WIDE_IDS = 4 };
extern const uint32_t wide_ids[WIDE_IDS];

/* Put up to @room mapped group IDs into @list, ascending. Return: their number. */
size_t many_groups(gid_t *list, size_t room);

/* ---- observe.c: the credentials of the calling thread, read in three ways */

enum { REAL, EFFECTIVE, SAVED, FS };

struct view {
	int known[2][4]; /* which ids could be read; none if there is no /proc */
	uint32_t ids[2][4];
	int has_groups;
	size_t size;
	gid_t *groups; /* ascending */
};

struct seen {
	struct view calls; /* from the library's getters */
	struct view proc;  /* from /proc/thread-self/status */
	struct view owner; /* of a new file: only the file system ids */
	char capabilities[128];
};

/* Observe the calling thread. The results are never freed, because the child soon ends. */
struct seen observe(void);

void sort_groups(gid_t *list, size_t size);

/* Compare. Return: a text that names the first difference, or NULL. */
const char *difference(const struct seen *seen, const struct seen *wanted);

/* Change what was seen into what must be seen after one line of /proc/PID/status changes. */
void expect_line(struct seen *seen, enum unit line, const enum test_id *ids, size_t size);

/* A line of the calling thread's status in /proc. Return: 0 if there is none. */
int read_status(const char *name, char *text, size_t room);

#define NEW_FILE "new" /* each file is removed at once, so one name is enough */

/* Make a file in the folder. Return: its descriptor. Ends the check if there is no space. */
int make_file(const char *name);

/* ---- folder.c: the folder for new files, which only this program can reach */

/* folder() is its descriptor, or -1 if it can be made nowhere. */
void open_folder(void);
int folder(void);

/* Remove the files of a check that was killed. A signal handler may call this and remove_folder().
 */
void empty_folder(void);
void remove_folder(void);

/* ---- obstacles.c, obstacles_linux.c, obstacles_none.c: what this machine does not permit */

/* A look at the machine, without the library. It ends with not_here() if there is an obstacle. */
struct control {
	const char *name;
	void (*run)(const void *argument);
	const void *argument;
};

/* Of one kernel: for everybody, with the capabilities, as root, and again for everybody. */
extern const struct control controls_of_users[], controls_of_servers[], controls_of_root[],
    controls_of_all[];

/* Run every control. Call it once, before the first check. */
void find_obstacles(void);

/* What prevents something, or NULL. The name is that of a control or of a call. */
const char *obstacle(const char *name);

/* Whether a switch can be tried, and whether a process can become a user for good. */
int has_privilege(void);
int may_become_user(void);

/* Become root with libc's calls. Ends the check if this is impossible. */
void become_root(void);

/* ---- check_files.c: paths that must be refused */

struct bad_path {
	int place; /* descriptor of the folder where it begins */
	const char *path;
	int error;
};
enum { MOST_BAD_PATHS = 3 };
#define NO_OPENAT2 "ENOSYS: the kernel, a seccomp filter or the build's headers lack openat2"

/* Make a link out of the folder and a FIFO, and find a magic link to the open file. Return: the
 * number of paths. */
size_t make_bad_paths(int file, struct bad_path bad[MOST_BAD_PATHS]);

/* @file: the result of the attempt to open it; @error: its errno */
void must_refuse(const struct bad_path *bad, int file, int error);

/* ---- check_users.c */

/* A control: the calls of io_uring do not end the process. */
void control_ring(const void *unused);

/* ---- worker.c: a second thread */

struct worker *start_worker(void);

/* Call a function in the worker, and wait until it has returned. */
void in_worker(struct worker *worker, void (*function)(void *), void *argument);

/* Observe the worker. */
struct seen observe_worker(struct worker *worker);

/* ---- The checks. verify_table.h, which the build generates, has one row for each setter. */

struct call {
	const char *name;
	int (*attempt)(void);
	int exists;   /* 0: it fails with ENOSYS on this platform */
	int thread;   /* 1: it changes only the calling thread */
	int emulated; /* 1: libc lacks it */
	enum unit line;
	size_t size;
	enum test_id ids[4];
};

extern const int levels[4];

void check_verdict(const void *unused);
void check_getters(const void *unused);
void check_refusals(const void *unused);
void check_unprivileged(const void *unused);
void check_open_beneath(const void *unused);
void check_round_trip(const void *unit);
void check_groups_round_trip(const void *unused);
void check_wide_ids(const void *unused);
void check_setter(const void *call);
void check_missing(const void *call);
void check_level(const void *level);
void check_users(const void *by_ring);
void check_libc(const void *reaches);

#endif
