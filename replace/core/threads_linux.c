/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Asks the kernel for the calling thread's id, and whether a thread has ended. threads_none.c is
 * for other kernels.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

enum { EXITING = 0x4 }; /* PF_EXITING of linux/sched.h */

int libreplace_thread_id(void)
{
	return (int)syscall(SYS_gettid); /* glibc has gettid() since 2.30 */
}

/* Whether /proc says that this thread can run no code of the program any more. If /proc shows
 * another PID namespace, this can be the folder of another thread, and its status has another id.
 * Return: 1, or 0, also if this cannot be determined (before Linux 4.1). Source: exit_signals() in
 * kernel/signal.c, which sets the flag. */
static int has_exit_flag(int id)
{
	struct libreplace_proc_thread thread = {0};
	unsigned long flags = 0;
	char folder[64];
	int ended;

	snprintf(folder, sizeof folder, "/proc/self/task/%d", id);
	ended = libreplace_proc_read_flags(AT_FDCWD, folder, &thread.status, &flags) == 0 &&
	        (flags & EXITING) != 0 &&
	        libreplace_proc_read_thread(AT_FDCWD, folder, &thread, &flags) == 0 &&
	        thread.number == id;
	free(thread.status.bytes);
	return ended;
}

/* Opening files is a cancellation point. A thread that ended here would leave a file open, and
 * after libreplace_drop_begin() no thread could enter any more. */
int libreplace_has_ended(int id)
{
	int before = errno, ended, cancel;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ended = has_exit_flag(id);
	(void)pthread_setcancelstate(cancel, NULL);
	/* /proc has no folder for a thread that is gone, but this alone proves nothing */
	if (!ended)
		ended = syscall(SYS_tgkill, getpid(), id, 0) != 0 && errno == ESRCH;
	errno = before;
	return ended;
}
