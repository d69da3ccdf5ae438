/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The functions of libc that replace/core/ calls, for the program explore: they make their calls on
 * the model kernel, and at each call something may go wrong. The functions of a program take
 * precedence over those of a shared libc, so the compiled files of core/ need no change.
 *
 * To add a system call, write its rule in kernel.c and its case here. If a function of core/ calls
 * another function of libc that has to do with credentials, define that function here, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../numbers.h"
#include "explore.h"

struct run *the_run;

/* ---- What may happen at a call */

/* The core distinguishes EINVAL from other errors. */
static const int errors[] = {EPERM, EINVAL};
enum { ERRORS = sizeof errors / sizeof *errors };

/* Another thread calls libc, and libc makes the same call in this thread. glibc aborts the process
 * if a call does not succeed in all threads, so a call that fails changes nothing. */
void stray_call(struct run *run)
{
	enum { NOTHING, BECOME_ROOT, BECOME_B, GROUP_OF_ROOT, NO_GROUPS, FS_ROOT, STRAYS };
	struct thread *thread = &run->thread;
	unsigned before = thread->changes;
	int unread = 0;

	if (run->strays_left == 0)
		return;
	switch (choose_rarely(&run->choices, STRAYS, "stray call")) {
	case NOTHING:
		return;
	case BECOME_ROOT:
		kernel_setresuid(thread, NO_ID, ROOT, NO_ID);
		unread = UNREAD_UIDS | UNREAD_FSUID;
		break;
	case BECOME_B:
		kernel_setresuid(thread, B, B, NO_ID);
		unread = UNREAD_UIDS | UNREAD_FSUID;
		break;
	case GROUP_OF_ROOT:
		kernel_setresgid(thread, NO_ID, ROOT, NO_ID);
		unread = UNREAD_GIDS | UNREAD_FSGID;
		break;
	case NO_GROUPS:
		kernel_setgroups(thread, 0, NULL);
		unread = UNREAD_GROUPS;
		break;
	case FS_ROOT:
		kernel_setfsuid(thread, ROOT);
		unread = UNREAD_FSUID;
		break;
	}
	run->strays_left--;
	if (thread->changes == before)
		return;
	run->strays++;
	run->unread |= unread;
	if (run->trace)
		print_credentials("  stray call", &thread->is);
}

/* What outcome() returns: make the call, report success without making it, or an errno. */
enum { MADE = 0, IGNORED = -1 };

/* @changes: whether the call changes credentials, so that it makes a difference to ignore it */
static int outcome(const char *call, int changes)
{
	struct run *run = the_run;
	int lies = changes && run->lies_left > 0, which;

	if (run->forks_left > 0 && choose_rarely(&run->choices, 2, "fork") != 0)
		fork_now(run);
	stray_call(run);
	if (run->failures_left == 0 && !lies)
		return MADE;
	which =
	    choose_rarely(&run->choices, 1 + lies + (run->failures_left > 0 ? ERRORS : 0), call);
	if (which == 0)
		return MADE;
	run->faults++;
	if (lies && which == 1) {
		run->lies_left--;
		return IGNORED;
	}
	run->failures_left--;
	return errors[which - 1 - lies];
}

static void trace(const char *call, int what, long result)
{
	if (!the_run->trace)
		return;
	fprintf(stderr, "  %-70s %s", call, what == IGNORED ? "does nothing, and returns " : "");
	if (result < 0)
		fprintf(stderr, "%s\n", strerror((int)-result));
	else
		fprintf(stderr, "%ld\n", result);
	if (the_run->thread.changes != the_run->shown)
		print_credentials("  now", &the_run->thread.is);
	the_run->shown = the_run->thread.changes;
}

/* The result of the function of libc. A negative number is an errno. */
static int finish(int result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/* Make a call, unless it fails or is ignored, and return from the function. */
#define CALL(changes, call)                                                                        \
	do {                                                                                       \
		int what = outcome(#call, changes);                                                \
		int result = what == MADE ? call : what == IGNORED ? 0 : -what;                    \
                                                                                                   \
		trace(#call, what, result);                                                        \
		return finish(result);                                                             \
	} while (0)

/* ---- System calls that the core makes itself */

/* The arguments of capget(2). Source: linux/capability.h */
struct words {
	uint32_t effective, permitted, inheritable;
};

static int kernel_capget(const struct thread *thread, struct words *words)
{
	const struct credentials *is = &thread->is;

	for (int i = 0; i < 2; i++) {
		words[i].effective = (uint32_t)(is->effective >> 32 * i);
		words[i].permitted = (uint32_t)(is->permitted >> 32 * i);
		words[i].inheritable = (uint32_t)(is->inheritable >> 32 * i);
	}
	return 0;
}

static uint64_t wide(uint32_t low, uint32_t high)
{
	return low | (uint64_t)high << 32;
}

static int capset(struct thread *thread, const struct words *words)
{
	return kernel_capset(thread, wide(words[0].effective, words[1].effective),
	                     wide(words[0].permitted, words[1].permitted),
	                     wide(words[0].inheritable, words[1].inheritable));
}

/* The kernel returns the previous id, which may be any 32-bit number. Only a filter returns errors.
 */
static long set_fs_id(const char *name, uint32_t (*call)(struct thread *, uint32_t), uint32_t id)
{
	int what = outcome(name, id != NO_ID);
	long result = what == MADE ? (long)call(&the_run->thread, id) : what == IGNORED ? 0 : -what;

	if (id == NO_ID)
		the_run->unread &= ~(call == kernel_setfsuid ? UNREAD_FSUID : UNREAD_FSGID);
	trace(name, what, result);
	return what > 0 ? finish(-what) : result;
}

/* @word: the arguments of the call */
static long make_call(struct thread *thread, long number, const long word[3])
{
	uint32_t a = (uint32_t)word[0], b = (uint32_t)word[1], c = (uint32_t)word[2];

	switch (number) {
	case SETRESUID:
		CALL(1, kernel_setresuid(thread, a, b, c));
	case SETRESGID:
		CALL(1, kernel_setresgid(thread, a, b, c));
	case SETGROUPS:
		CALL(1, kernel_setgroups(thread, (int)a, (const uint32_t *)word[1]));
	case SETFSUID:
		return set_fs_id("kernel_setfsuid(thread, uid)", kernel_setfsuid, a);
	case SETFSGID:
		return set_fs_id("kernel_setfsgid(thread, gid)", kernel_setfsgid, a);
	case SYS_capget:
		CALL(0, kernel_capget(thread, (struct words *)word[1]));
	case SYS_capset:
		CALL(1, capset(thread, (const struct words *)word[1]));
	case SYS_gettid:
		return the_run->id;
	case SYS_tgkill:
		return word[1] == the_run->id ? 0 : finish(-ESRCH);
	case SYS_close:
		return 0;
	default:
		fprintf(stderr, "explore: system.c does not have system call %ld\n", number);
		exit(2);
	}
}

long syscall(long number, ...)
{
	long word[3];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 3; i++)
		word[i] = va_arg(list, long);
	va_end(list);
	return make_call(&the_run->thread, number, word);
}

int prctl(int option, ...)
{
	unsigned long second, third;
	va_list list;

	va_start(list, option);
	second = va_arg(list, unsigned long);
	third = va_arg(list, unsigned long);
	va_end(list);
	if (the_run == NULL) /* when the library is loaded, it asks what the kernel knows */
		return 0;
	CALL(option == PR_CAP_AMBIENT && second != PR_CAP_AMBIENT_IS_SET,
	     kernel_prctl(&the_run->thread, option, second, third));
}

/* ---- libc's getters */

static int get_ids(const char *name, int (*call)(const struct thread *, uint32_t *), int unread,
                   uint32_t *real, uint32_t *effective, uint32_t *saved)
{
	uint32_t ids[3];
	int what = outcome(name, 0);

	trace(name, what, -what);
	if (what != MADE)
		return finish(-what);
	call(&the_run->thread, ids);
	the_run->unread &= ~unread;
	*real = ids[0];
	*effective = ids[1];
	*saved = ids[2];
	return 0;
}

int getresuid(uid_t *ruid, uid_t *euid, uid_t *suid)
{
	return get_ids("kernel_getresuid(thread)", kernel_getresuid, UNREAD_UIDS, ruid, euid, suid);
}

int getresgid(gid_t *rgid, gid_t *egid, gid_t *sgid)
{
	return get_ids("kernel_getresgid(thread)", kernel_getresgid, UNREAD_GIDS, rgid, egid, sgid);
}

static int read_groups(struct run *run, int size, gid_t *groups)
{
	run->unread &= ~UNREAD_GROUPS;
	return kernel_getgroups(&run->thread, size, groups);
}

int getgroups(int size, gid_t *groups)
{
	CALL(0, read_groups(the_run, size, groups));
}

uid_t geteuid(void)
{
	uint32_t ids[3];

	kernel_getresuid(&the_run->thread, ids);
	return ids[1];
}

gid_t getegid(void)
{
	uint32_t ids[3];

	kernel_getresgid(&the_run->thread, ids);
	return ids[1];
}

pid_t getpid(void)
{
	return the_run == NULL ? PARENT : the_run->id;
}

/* ---- A new pipe, whose owner has the fs ids of the thread */

enum { PIPE = 1000, UID_MAP, GID_MAP };

static int make_pipe(int ends[2])
{
	ends[0] = ends[1] = PIPE;
	return 0;
}

int pipe2(int ends[2], int flags)
{
	(void)flags;
	CALL(0, make_pipe(ends));
}

int fstat(int file, struct stat *status)
{
	const struct thread *thread = &the_run->thread;
	const struct user_namespace *in = thread->namespace;

	memset(status, 0, sizeof *status);
	status->st_mode = file == PIPE ? S_IFIFO : S_IFREG;
	status->st_uid = shown_id(in->uids, thread->is.fsuid, in->overflow_uid);
	status->st_gid = shown_id(in->gids, thread->is.fsgid, in->overflow_gid);
	return 0;
}

/* ---- Fork handlers, signals and the end */

enum { MOST_HANDLERS = 8 };
static struct handlers {
	void (*child[MOST_HANDLERS])(void);
	int count;
} handlers;

static int add_handler(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	if (prepare != NULL || parent != NULL || handlers.count == MOST_HANDLERS)
		return ENOSYS;
	/* each run of the core installs its handlers again */
	for (int i = 0; i < handlers.count; i++)
		if (handlers.child[i] == child)
			return 0;
	handlers.child[handlers.count++] = child;
	return 0;
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return add_handler(prepare, parent, child);
}

#ifdef __GLIBC__
/* pthread_atfork(3) is in each object, and calls this */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *);

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso)
{
	(void)dso;
	return add_handler(prepare, parent, child);
}
#endif

void (*function_of_core(void))(void)
{
	return handlers.child[0];
}

void fork_now(struct run *run)
{
	struct credentials before = run->thread.is;

	run->forks_left--;
	run->id = CHILD;
	if (run->trace)
		fprintf(stderr, "  fork; this is the child\n");
	for (int i = 0; i < handlers.count; i++)
		handlers.child[i]();
	look_after_fork(run, &before);
}

/* The handlers of signals make no difference to credentials. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	(void)number;
	(void)action;
	if (old != NULL)
		memset(old, 0, sizeof *old);
	return 0;
}

/* The message before an abort */
ssize_t write(int file, const void *text, size_t size)
{
	(void)file;
	if (the_run->trace)
		fprintf(stderr, "  %.*s", (int)size, (const char *)text);
	return (ssize_t)size;
}

void abort(void)
{
	longjmp(the_run->aborted, 1);
}

/* ---- Files of /proc: the maps of the user namespace */

static int open_map(const char *path)
{
	if (strcmp(path, "/proc/self/uid_map") == 0)
		return UID_MAP;
	if (strcmp(path, "/proc/self/gid_map") == 0)
		return GID_MAP;
	return -ENOENT;
}

int open(const char *path, int flags, ...)
{
	(void)flags;
	if (the_run == NULL) /* when the library is loaded, it reads the overflow ids */
		return finish(-ENOENT);
	CALL(0, open_map(path));
}

static int read_map(int file, char *text, size_t size)
{
	const struct user_namespace *in = the_run->thread.namespace;
	size_t length = 0;

	for (const struct range *map = file == UID_MAP ? in->uids : in->gids; map->length; map++)
		length += (size_t)snprintf(text + length, size - length, "%10u %10u %10u\n",
		                           map->inside, map->outside, map->length);
	return (int)length;
}

ssize_t read(int file, void *text, size_t size)
{
	CALL(0, read_map(file, text, size));
}

int close(int file)
{
	(void)file;
	return 0;
}

int access(const char *path, int mode)
{
	(void)path;
	(void)mode;
	return 0;
}
