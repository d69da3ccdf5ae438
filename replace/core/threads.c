/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Counts the switched threads, and keeps threads from entering during a drop of privileges. Threads
 * share only the variables active and dropping; fork.c resets both in a forked child. All other
 * state of the core is thread-local or is set once, when the library is loaded.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include "internal.h"

_Thread_local struct libreplace_thread libreplace_mine;

static atomic_uint active;
static atomic_int dropping;
static pthread_key_t at_end; /* its destructor is thread_ended() */
static int have_at_end;

int libreplace_count_in(void)
{
	/* First count this thread, then look for a drop. libreplace_drop_begin() does the reverse:
	 * it first announces the drop, then looks at the count. So if one thread enters while
	 * another drops, at least one of them sees the other. */
	atomic_fetch_add(&active, 1);
	if (atomic_load(&dropping)) {
		atomic_fetch_sub(&active, 1);
		return EBUSY;
	}
	libreplace_mine.counted = 1;
	if (have_at_end && !libreplace_mine.noted)
		libreplace_mine.noted = pthread_setspecific(at_end, &libreplace_mine) == 0;
	return 0;
}

void libreplace_count_out(void)
{
	if (libreplace_mine.counted)
		atomic_fetch_sub(&active, 1);
	libreplace_mine.counted = 0;
}

/* Stop counting a thread that ends while it is switched. */
static void thread_ended(void *value)
{
	struct libreplace_thread *thread = value;

	if (thread->counted)
		atomic_fetch_sub(&active, 1);
	thread->counted = 0;
}

void libreplace_count_anew(void)
{
	atomic_store(&dropping, 0);
	atomic_store(&active, 0);
	libreplace_mine.counted = 0;
}

int libreplace_alone(void)
{
	struct stat folder;

	/* This folder has a subfolder for each thread. Its link count is their number plus 2.
	 * Source: proc_task_getattr() in fs/proc/base.c. */
	return stat("/proc/self/task", &folder) == 0 && folder.st_nlink == 3;
}

/* A linker takes only referenced files from a static library. Every program that enters references
 * this file, so this function is in it. */
__attribute__((constructor)) static void start(void)
{
	have_at_end = pthread_key_create(&at_end, thread_ended) == 0;
	libreplace_watch_forks(); /* the reference that links fork.c */
}

int libreplace_drop_begin(void)
{
	int idle = 0;

	if (!atomic_compare_exchange_strong(&dropping, &idle, 1)) {
		errno = EBUSY;
		return -1;
	}
	if (atomic_load(&active) == 0)
		return 0;
	atomic_store(&dropping, 0);
	errno = EBUSY;
	return -1;
}

void libreplace_drop_end(void)
{
	atomic_store(&dropping, 0);
}

unsigned libreplace_active(void)
{
	return atomic_load(&active);
}

unsigned libreplace_depth(void)
{
	return libreplace_mine.depth;
}
