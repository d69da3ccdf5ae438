/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The rest of a process, for the program explore: its files, fork handlers, signals and end. Like
 * those of system.c, these functions take the place of libc's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "explore.h"

pid_t getpid(void)
{
	return the_run == NULL ? PARENT : the_run->id;
}

/* ---- A new pipe, whose owner has the fs ids of the thread */

enum { PIPE = 1000, UID_MAP, GID_MAP };

int pipe2(int ends[2], int flags)
{
	(void)flags;
	ends[0] = ends[1] = PIPE;
	return other_call("pipe2", 0);
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
	if (the_run == NULL) { /* when the library is loaded, it reads the overflow ids */
		errno = ENOENT;
		return -1;
	}
	return other_call("open", open_map(path));
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
	return other_call("read", read_map(file, text, size));
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

void perhaps_fork(struct run *run)
{
	struct credentials before = run->thread.is;
	int tainted = libreplace_tainted();

	if (run->forks_left == 0 || choose_rarely(&run->choices, 2, "fork") == 0)
		return;
	run->forks_left--;
	run->id = CHILD;
	if (run->trace)
		fprintf(stderr, "  fork; this is the child\n");
	for (int i = 0; i < handlers.count; i++)
		handlers.child[i]();
	look_after_fork(run, &before, tainted);
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
