/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Asks the kernel for the calling thread's id, and whether a thread has ended. threads_none.c is
 * for other kernels.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

enum { EXITING = 0x4 }; /* PF_EXITING of linux/sched.h */

int libreplace_thread_id(void)
{
	return (int)syscall(SYS_gettid); /* glibc has gettid() since 2.30 */
}

/* Open a file of a thread's folder in /proc. */
static FILE *open_file(int id, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/%s", id, name);
	return fopen(path, "re");
}

/* Whether the thread's `stat` says that the thread can run no code of the program any more. The
 * flags are the seventh field after the name, which may contain spaces and parentheses.
 * Source: proc_pid_stat(5); exit_signals() in kernel/signal.c sets the flag. */
static int has_exit_flag(int id)
{
	char text[512];
	const char *field;
	FILE *file = open_file(id, "stat");

	if (file == NULL)
		return 0;
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	field = strrchr(text, ')');
	for (int i = 0; i < 7 && field != NULL; i++)
		field = strchr(field + 1, ' ');
	return field != NULL && (strtoul(field, NULL, 10) & EXITING) != 0;
}

/* Whether the folder in /proc belongs to this thread. If /proc shows another PID namespace, the
 * thread has another id there, and NSpid has both. Return: 1, or 0, also if this cannot be
 * determined (before Linux 4.1). */
static int has_this_id(int id)
{
	char wanted[32], line[64];
	int found = 0;
	FILE *file = open_file(id, "status");

	if (file == NULL)
		return 0;
	snprintf(wanted, sizeof wanted, "NSpid:\t%d\n", id);
	while (!found && fgets(line, sizeof line, file) != NULL)
		found = strcmp(line, wanted) == 0;
	fclose(file);
	return found;
}

/* Opening files is a cancellation point. A thread that ended here would leave a file open, and
 * after libreplace_drop_begin() no thread could enter any more. */
int libreplace_has_ended(int id)
{
	int before = errno, ended, cancel;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ended = has_exit_flag(id) && has_this_id(id);
	(void)pthread_setcancelstate(cancel, NULL);
	/* /proc has no folder for a thread that is gone, but this alone proves nothing */
	if (!ended)
		ended = syscall(SYS_tgkill, getpid(), id, 0) != 0 && errno == ESRCH;
	errno = before;
	return ended;
}
