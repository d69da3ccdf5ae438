/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads the credentials of every thread from /proc/self/task, before and after a drop. If /proc
 * belongs to another PID namespace than the process, the numbers in its names are those of that
 * namespace. So they are compared with nothing. The line NSpid of a status ends with the number in
 * the thread's own namespace, which gettid(2) returns. drop_none.c is for other systems. internal.h
 * explains the functions. Source: proc_pid_status(5), proc_pid_stat(5), fs/proc/self.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* linux/magic.h; some C libraries come without the kernel's headers */
enum { PROC_MAGIC = 0x9fa0 };
/* Flags of a thread, of linux/sched.h: it is ending and runs no more code of the program; the
 * kernel runs it for an io_uring. */
enum { PF_EXITING = 0x4, PF_IO_WORKER = 0x10 };
/* linux/capability.h */
#define SETGID_AND_SETUID (1ULL << 6 | 1ULL << 7)

/* The longest wait for threads that are ending, in milliseconds. */
enum { WAIT_BEFORE = 500, WAIT_AFTER = 2000 };

/* A file of /proc, and a 0 behind it. */
struct text {
	char *bytes; /* malloc(3) */
	size_t size, room;
};

struct thread {
	pid_t number; /* as gettid(2) returns it in the thread */
	struct text status;
};

/* The threads, by their numbers in /proc. */
struct list {
	int *numbers; /* malloc(3) */
	size_t size, room;
};

/* One look at all threads. */
struct look {
	enum libreplace_look kind;
	const struct libreplace_identity *identity;
	int flags;
	pid_t own;         /* the calling thread's number */
	int own_found;     /* the list has the calling thread */
	uint64_t own_caps; /* the calling thread's permitted capabilities */
	int capable;       /* number of threads that keep capabilities */
	int has_ring;      /* a thread has the descriptor of a ring */
	int shared_seen;   /* the descriptors of the calling thread have been looked at */
	int mark;          /* a descriptor that only threads with the same table have */
	struct stat marked;
	struct list threads;
	struct thread with; /* the thread that all others are compared with */
};

/* Read a file of /proc whole. Return: 0, or errno. */
static int read_whole(int folder, const char *name, struct text *text)
{
	int file = openat(folder, name, O_RDONLY | O_CLOEXEC), error = 0;
	ssize_t got = 0;
	char *larger;

	if (file < 0)
		return errno;
	text->size = 0;
	do {
		text->size += got > 0 ? (size_t)got : 0;
		if (text->room - text->size < 1024) {
			larger = realloc(text->bytes, text->room * 2 + 4096);
			if (larger == NULL) {
				error = ENOMEM;
				break;
			}
			text->bytes = larger;
			text->room = text->room * 2 + 4096;
		}
		got = read(file, text->bytes + text->size, text->room - text->size - 1);
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		error = errno;
	close(file);
	if (error == 0)
		text->bytes[text->size] = '\0';
	return error;
}

/* The value of a line of a status file: "\nUid:" and the like. Return: NULL if there is none. The
 * kernel escapes line breaks in the name of a thread. */
static const char *value_of(const struct text *status, const char *name)
{
	const char *found = strstr(status->bytes, name);

	return found == NULL ? NULL : found + strlen(name);
}

static int same_line(const struct text *a, const struct text *b, const char *name)
{
	const char *x = value_of(a, name), *y = value_of(b, name);
	size_t size = strcspn(x, "\n");

	return size == strcspn(y, "\n") && memcmp(x, y, size) == 0;
}

static uint64_t capabilities(const struct thread *thread, const char *name)
{
	return strtoull(value_of(&thread->status, name), NULL, 16);
}

/* The number of a thread in its own PID namespace. Kernels before 4.1 do not show it; then it is
 * the number in the namespace of /proc. */
static pid_t number_of(const struct text *status, const char *name)
{
	const char *last = value_of(status, "\nNSpid:");
	char *end;
	long number = atol(name);

	for (; last != NULL; last = end) {
		long next = strtol(last, &end, 10);

		if (end == last || memchr(last, '\n', (size_t)(end - last)) != NULL)
			break;
		number = next;
	}
	return (pid_t)number;
}

/* Whether the value of a line has this many numbers and nothing else; -1 is any number of them. */
static int has_numbers(const char *value, int base, int count)
{
	char *end;

	if (value == NULL)
		return 0;
	for (int found = 0;; found++) {
		value += strspn(value, " \t");
		if (*value == '\n')
			return count < 0 || found == count;
		(void)strtoull(value, &end, base);
		if (end == value)
			return 0;
		value = end;
	}
}

/* Read the flags and the status of a thread. Return: 0, or errno: ENOENT or ESRCH if it has ended.
 */
static int read_thread(int task, const char *number, struct thread *thread, unsigned long *flags)
{
	static const struct {
		const char *name;
		int base, count;
	} lines[] = {{"\nUid:", 10, 4},
	             {"\nGid:", 10, 4},
	             {"\nGroups:", 10, -1},
	             {"\nCapPrm:", 16, 1},
	             {"\nCapEff:", 16, 1}};
	struct text *text = &thread->status;
	char name[NAME_MAX + 16];
	const char *end;
	int error;

	snprintf(name, sizeof name, "%s/stat", number);
	error = read_whole(task, name, text);
	if (error != 0)
		return error;
	end = strrchr(text->bytes, ')'); /* the name before may contain anything */
	if (end == NULL || sscanf(end, ") %*c %*d %*d %*d %*d %*d %lu", flags) != 1)
		return ENODATA;
	snprintf(name, sizeof name, "%s/status", number);
	error = read_whole(task, name, text);
	for (size_t i = 0; error == 0 && i < sizeof lines / sizeof *lines; i++)
		if (!has_numbers(value_of(text, lines[i].name), lines[i].base, lines[i].count))
			error = ENODATA;
	if (error == 0)
		thread->number = number_of(text, number);
	return error;
}

/* Look for an io_uring among the descriptors of a thread; threads need not share them. Return: 0,
 * or errno: EBUSY if there is one. */
static int look_for_rings(int task, const char *number)
{
	char name[NAME_MAX + 16], target[64];
	struct dirent *entry;
	ssize_t size;
	DIR *list;
	int folder, error;

	snprintf(name, sizeof name, "%s/fd", number);
	folder = openat(task, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return errno;
	list = fdopendir(folder);
	if (list == NULL) {
		error = errno;
		close(folder);
		return error;
	}
	while (errno = 0, (entry = readdir(list)) != NULL) {
		size = readlinkat(folder, entry->d_name, target, sizeof target - 1);
		target[size > 0 ? size : 0] = '\0';
		if (strcmp(target, "anon_inode:[io_uring]") == 0) {
			errno = EBUSY;
			break;
		}
	}
	error = errno;
	closedir(list);
	return error;
}

/* Make a descriptor of a new pipe, whose inode nobody else has. Return: 0, or errno. */
static int make_mark(struct look *look)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	close(ends[1]);
	look->mark = ends[0];
	return fstat(look->mark, &look->marked) == 0 ? 0 : errno;
}

/* Whether a thread has the same table of descriptors as the calling thread. Almost all threads do,
 * and reading one table for each of them takes long. */
static int shares_descriptors(const struct look *look, int task, const char *number)
{
	char name[NAME_MAX + 32];
	struct stat there;

	snprintf(name, sizeof name, "%s/fd/%d", number, look->mark);
	return fstatat(task, name, &there, 0) == 0 && there.st_dev == look->marked.st_dev &&
	       there.st_ino == look->marked.st_ino;
}

/*
 * Whether other threads keep their permitted capabilities in a change to the identity. The kernel
 * clears them if the thread was root, unless these bits are set. The bits of other threads cannot
 * be read, but threads inherit them. Source: cap_emulate_setxuid() in security/commoncap.c.
 */
static int keeps_capabilities(const struct thread *thread, const struct libreplace_identity *user)
{
	unsigned long real = 1, effective = 1, saved = 1;
	int bits = libreplace_get_securebits();

	if (user->uid == 0)
		return 0;
	sscanf(value_of(&thread->status, "\nUid:"), "%lu %lu %lu", &real, &effective, &saved);
	return (real != 0 && effective != 0 && saved != 0) || bits < 0 ||
	       (bits & (LIBREPLACE_NO_SETUID_FIXUP | LIBREPLACE_KEEP_CAPS)) != 0;
}

/* Look for a reason why this thread forbids the drop. */
static int may_drop(struct look *look, int task, const char *number, const struct thread *thread,
                    struct libreplace_drop *result)
{
	int error, shared;

	if (!(look->flags & LIBREPLACE_ALLOW_IO_URING)) {
		shared = shares_descriptors(look, task, number);
		error = shared && look->shared_seen ? 0 : look_for_rings(task, number);
		look->shared_seen |= shared;
		look->has_ring = error == EBUSY;
		if (error != 0 && error != ENOENT && error != ESRCH)
			return libreplace_drop_failed(result,
			                              error == EBUSY ? LIBREPLACE_STEP_IO_URING
			                                             : LIBREPLACE_STEP_READ,
			                              error, error == EBUSY ? thread->number : 0);
	}
	/* if libc's call fails in some threads only, libc aborts the process */
	if (((capabilities(thread, "\nCapEff:") ^ capabilities(&look->with, "\nCapEff:")) &
	     SETGID_AND_SETUID) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_THREADS, EPERM,
		                              thread->number);
	if (!keeps_capabilities(thread, look->identity) || capabilities(thread, "\nCapPrm:") == 0)
		return 0;
	/* the calling thread can drop its own */
	if (thread->number != look->own)
		result->thread = thread->number;
	return ++look->capable > (look->own_caps != 0)
	           ? libreplace_drop_failed(result, LIBREPLACE_STEP_CAPABILITIES, EPERM,
		                            result->thread)
		   : 0;
}

static int judge(struct look *look, int task, const char *number, const struct thread *thread,
                 struct libreplace_drop *result)
{
	static const char *const lines[] = {"\nUid:", "\nGid:", "\nGroups:"};
	const struct thread *with = &look->with;
	pid_t other = thread->number == look->own ? with->number : thread->number;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!same_line(&thread->status, &with->status, lines[i]))
			return libreplace_drop_failed(result, LIBREPLACE_STEP_THREADS, EPERM,
			                              other);
	if (look->kind == LIBREPLACE_MAY_DROP)
		return may_drop(look, task, number, thread, result);
	if (look->kind == LIBREPLACE_HAVE_DROPPED && look->identity->uid != 0 &&
	    (capabilities(thread, "\nCapEff:") | capabilities(thread, "\nCapPrm:")) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_VERIFY, EPERM,
		                              thread->number);
	return 0;
}

/* The file system must be the kernel's, or somebody else chose what it says. Return: the descriptor
 * of the folder, or -1 with errno set. */
static int open_task(void)
{
	int task = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs system;

	if (task >= 0 && (fstatfs(task, &system) != 0 || system.f_type != PROC_MAGIC)) {
		close(task);
		errno = ENODEV;
		return -1;
	}
	return task;
}

/* Return: 0, or ENOMEM. */
static int append(struct list *list, int number)
{
	size_t room = list->room * 2 + 64;
	int *larger = list->numbers;

	if (list->size == list->room) {
		larger = realloc(larger, room * sizeof *larger);
		if (larger == NULL)
			return ENOMEM;
		list->numbers = larger;
		list->room = room;
	}
	larger[list->size++] = number;
	return 0;
}

/* The names of the folder. Return: 0, or errno. */
static int read_list(int task, struct list *list)
{
	int copy = openat(task, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	list->size = 0;
	if (folder == NULL) {
		error = errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	while (error == 0 && (errno = 0, entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			error = append(list, atoi(entry->d_name));
	if (error == 0)
		error = errno;
	closedir(folder);
	return error;
}

/*
 * List all threads. If a thread ends meanwhile, the kernel may leave out others. So count: the link
 * count of the folder is the number of threads plus 2. A thread that was listed before, and exists
 * after the count, is one of them. A thread that starts later has the credentials of its creator.
 * Source: proc_task_readdir(), proc_task_getattr() in fs/proc/base.c. Return: 0, or errno: EAGAIN
 * if a thread may be missing.
 */
static int list_threads(int task, struct list *list)
{
	int error = read_list(task, list);
	struct stat folder, one;
	nlink_t found = 2;
	char name[16];

	if (error != 0)
		return error;
	if (fstat(task, &folder) != 0)
		return errno;
	for (size_t i = 0; i < list->size; i++) {
		snprintf(name, sizeof name, "%d", list->numbers[i]);
		found += fstatat(task, name, &one, 0) == 0;
	}
	return found < folder.st_nlink ? EAGAIN : 0;
}

/* Look at each thread once. */
static int look_once(struct look *look, struct libreplace_drop *result)
{
	int task = open_task(), failed = 0, error = task < 0 ? errno : 0;
	struct thread thread = {0, {NULL, 0, 0}}, spare, *one;
	unsigned long flags;
	char name[16];

	look->capable = look->own_found = look->shared_seen = 0;
	look->threads.size = 0;
	if (error == 0)
		error = list_threads(task, &look->threads);
	/* the calling thread; kernels before 4.1 do not show that it is this one */
	if (error == 0 && (read_thread(task, "/proc/thread-self", &look->with, &flags) != 0 ||
	                   look->with.number != look->own))
		look->with.number = 0;
	for (size_t i = 0; !failed && error == 0 && i < look->threads.size; i++) {
		snprintf(name, sizeof name, "%d", look->threads.numbers[i]);
		error = read_thread(task, name, &thread, &flags);
		if (error == ENOENT || error == ESRCH)
			error = 0;
		else if (error != 0 || (flags & PF_EXITING) != 0)
			continue;
		else if ((flags & PF_IO_WORKER) != 0)
			failed = (look->flags & LIBREPLACE_ALLOW_IO_URING) == 0 &&
			         libreplace_drop_failed(result, LIBREPLACE_STEP_IO_URING, EBUSY,
			                                thread.number) != 0;
		else {
			look->own_found |= thread.number == look->own;
			one = &thread;
			if (look->with.number == 0) {
				spare = look->with;
				look->with = thread;
				thread = spare;
				one = &look->with;
			}
			failed = judge(look, task, name, one, result);
		}
	}
	/* a mount or a link may have put the folder of another process in this place */
	if (!failed && error == 0 && !look->own_found)
		error = ESRCH;
	if (task >= 0)
		close(task);
	free(thread.status.bytes);
	if (!failed && error != 0)
		failed = libreplace_drop_failed(result, LIBREPLACE_STEP_READ, error, 0);
	return failed;
}

static long long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/*
 * Wait for threads that seem to be in the way: they may be ending. A thread that has ended for the
 * program, even for somebody who joins it in Python, still runs code of libc. libc's calls do not
 * change it any more. The same is true for the threads of a ring that was closed just now. The time
 * limits are reached only if a thread stays in the way.
 */
int libreplace_look_at_threads(enum libreplace_look kind,
                               const struct libreplace_identity *identity, int flags,
                               struct libreplace_drop *result)
{
	static const struct timespec pause = {0, 1000000};
	struct look look = {.kind = kind, .identity = identity, .flags = flags, .mark = -1};
	long long end = milliseconds() + (kind == LIBREPLACE_MAY_DROP ? WAIT_BEFORE : WAIT_AFTER);
	struct libreplace_capabilities held;
	int failed, error;

	if (libreplace_get_capabilities(&held) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_READ, errno, 0);
	look.own = libreplace_thread_id();
	look.own_caps = held.permitted;
	if (kind == LIBREPLACE_MAY_DROP && (error = make_mark(&look)) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_READ, error, 0);
	while ((failed = look_once(&look, result)) != 0 &&
	       (result->error == EAGAIN || (result->thread != 0 && !look.has_ring)) &&
	       milliseconds() < end)
		nanosleep(&pause, NULL);
	free(look.with.status.bytes);
	free(look.threads.numbers);
	if (look.mark >= 0)
		close(look.mark);
	if (!failed)
		result->step = result->error = result->thread = 0;
	else if (kind == LIBREPLACE_HAVE_DROPPED)
		result->step = LIBREPLACE_STEP_VERIFY;
	return failed;
}

int libreplace_set_process_groups(const struct libreplace_identity *identity)
{
	return libreplace_process_setgroups(identity->size, identity->groups);
}
