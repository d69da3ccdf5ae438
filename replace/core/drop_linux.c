/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Compares the credentials of all threads, before and after a drop, and looks for io_uring.
 * proc_linux.c reads /proc. drop_none.c is for other systems. internal.h explains the functions.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"

/* A flag of a thread, of linux/sched.h: it is ending and runs no more code of the program. */
enum { PF_EXITING = 0x4 };
/* linux/capability.h */
#define SETGID_AND_SETUID (1ULL << 6 | 1ULL << 7)

/* linux/keyctl.h, which some C libraries come without */
enum { KEYCTL_JOIN_SESSION_KEYRING = 1 };

/* The longest wait for threads that are ending, in milliseconds. */
enum { WAIT_BEFORE = 500, WAIT_AFTER = 2000 };

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
	struct libreplace_proc_list threads;
	struct libreplace_proc_thread with; /* the thread that all others are compared with */
};

static int same_line(const struct libreplace_proc_text *a, const struct libreplace_proc_text *b,
                     const char *name)
{
	const char *x = libreplace_proc_value_of(a, name), *y = libreplace_proc_value_of(b, name);
	size_t size = strcspn(x, "\n");

	return size == strcspn(y, "\n") && memcmp(x, y, size) == 0;
}

static uint64_t capabilities(const struct libreplace_proc_thread *thread, const char *name)
{
	return strtoull(libreplace_proc_value_of(&thread->status, name), NULL, 16);
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
static int keeps_capabilities(const struct libreplace_proc_thread *thread,
                              const struct libreplace_identity *user)
{
	unsigned long real = 1, effective = 1, saved = 1;
	int bits = libreplace_get_securebits();

	if (user->uid == 0)
		return 0;
	sscanf(libreplace_proc_value_of(&thread->status, "\nUid:"), "%lu %lu %lu", &real,
	       &effective, &saved);
	return (real != 0 && effective != 0 && saved != 0) || bits < 0 ||
	       (bits & (LIBREPLACE_NO_SETUID_FIXUP | LIBREPLACE_KEEP_CAPS)) != 0;
}

/* Look for a reason why this thread forbids the drop. */
static int may_drop(struct look *look, int task, const char *number,
                    const struct libreplace_proc_thread *thread, struct libreplace_drop *result)
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
	/* they have an effect when the thread executes a file with inheritable capabilities */
	if (thread->number != look->own && look->identity->uid != 0 &&
	    capabilities(thread, "\nCapInh:") != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_CAPABILITIES, EPERM,
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

static int judge(struct look *look, int task, const char *number,
                 const struct libreplace_proc_thread *thread, struct libreplace_drop *result)
{
	static const char *const lines[] = {"\nUid:", "\nGid:", "\nGroups:"};
	const struct libreplace_proc_thread *with = &look->with;
	pid_t other = thread->number == look->own ? with->number : thread->number;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!same_line(&thread->status, &with->status, lines[i]))
			return libreplace_drop_failed(result, LIBREPLACE_STEP_THREADS, EPERM,
			                              other);
	if (look->kind == LIBREPLACE_MAY_DROP)
		return may_drop(look, task, number, thread, result);
	if (look->kind == LIBREPLACE_HAVE_FOLLOWED && thread->number != look->own &&
	    capabilities(thread, "\nCapEff:") != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_CAPABILITIES, EPERM,
		                              thread->number);
	if (look->kind == LIBREPLACE_HAVE_DROPPED && look->identity->uid != 0 &&
	    (capabilities(thread, "\nCapEff:") | capabilities(thread, "\nCapPrm:") |
	     capabilities(thread, "\nCapInh:")) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_CAPABILITIES, EPERM,
		                              thread->number);
	return 0;
}

/* Look at each thread once. */
static int look_once(struct look *look, struct libreplace_drop *result)
{
	int task = libreplace_proc_open_task(), failed = 0, error = task < 0 ? errno : 0;
	struct libreplace_proc_thread thread = {0, {NULL, 0, 0}}, spare, *one;
	unsigned long flags;
	char name[16];

	look->capable = look->own_found = look->shared_seen = 0;
	look->threads.size = 0;
	if (error == 0)
		error = libreplace_proc_list_threads(task, &look->threads);
	/* the calling thread; kernels before 4.1 do not show that it is this one */
	if (error == 0 &&
	    (libreplace_proc_read_thread(task, "/proc/thread-self", &look->with, &flags) != 0 ||
	     look->with.number != look->own))
		look->with.number = 0;
	for (size_t i = 0; !failed && error == 0 && i < look->threads.size; i++) {
		snprintf(name, sizeof name, "%d", look->threads.numbers[i]);
		error = libreplace_proc_read_thread(task, name, &thread, &flags);
		if (error == ENOENT || error == ESRCH)
			error = 0;
		else if (error != 0 || (flags & PF_EXITING) != 0)
			continue;
		else if ((flags & LIBREPLACE_PF_IO_WORKER) != 0)
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

long long libreplace_milliseconds(void)
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
	long long end =
	    libreplace_milliseconds() + (kind == LIBREPLACE_MAY_DROP ? WAIT_BEFORE : WAIT_AFTER);
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
	       libreplace_milliseconds() < end)
		nanosleep(&pause, NULL);
	free(look.with.status.bytes);
	free(look.threads.numbers);
	if (look.mark >= 0)
		close(look.mark);
	if (!failed)
		result->step = result->error = result->thread = 0;
	else if (kind == LIBREPLACE_HAVE_DROPPED ||
	         (kind == LIBREPLACE_HAVE_FOLLOWED && result->step == LIBREPLACE_STEP_THREADS))
		result->step = LIBREPLACE_STEP_VERIFY;
	return failed;
}

/*
 * When the effective user ID is no longer 0, the kernel clears the effective capabilities of each
 * thread, unless the thread has SECBIT_NO_SETUID_FIXUP. Nobody can read the securebits of another
 * thread, but everybody can see this. If the real or the saved user ID is 0, too, no thread needs a
 * capability for the next step or for the way back.
 */
int libreplace_try_uid(const struct libreplace_identity *identity,
                       const struct libreplace_ids *before, struct libreplace_drop *result)
{
	if (identity->uid == 0 || before->euid != 0 || (before->ruid != 0 && before->suid != 0))
		return 0;
	if (libreplace_process_setresuid((uid_t)-1, identity->uid, (uid_t)-1) != 0)
		return libreplace_drop_failed(result, LIBREPLACE_STEP_UID, errno, 0);
	return libreplace_look_at_threads(LIBREPLACE_HAVE_FOLLOWED, identity,
	                                  LIBREPLACE_ALLOW_IO_URING, result);
}

/* A kernel without keys, and a filter that hides them, leave nothing to protect. */
int libreplace_join_new_keyring(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
		return 0;
	return errno == ENOSYS || errno == EPERM || errno == EACCES ? 0 : -1;
}

int libreplace_set_process_groups(const struct libreplace_identity *identity)
{
	return libreplace_process_setgroups(identity->size, identity->groups);
}
