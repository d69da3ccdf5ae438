/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps a table of the switched threads, and keeps threads from entering during a drop of
 * privileges. Threads share only the static variables of this file; fork.c resets them in a forked
 * child. All other state of the core is thread-local or is set once, when the library is loaded.
 *
 * The table holds thread ids, and libreplace_drop_begin() asks the kernel which of these threads
 * have ended. A thread-specific destructor (pthread_key_create(3)) could not tell that: the
 * destructors of the program may run before and after it, several times, and may enter and leave.
 *
 * So nothing of the library runs when a thread ends, and a plugin that contains the library, or
 * needs the shared one, can be unloaded with dlclose(3) at any time when no thread is switched.
 * There is no key to delete, and the libc removes the fork handler of fork.c with the object that
 * installed it. (musl never unloads an object.) Therefore the library is not linked with
 * `-z nodelete`, which each plugin with the static library would have to repeat.
 * Source: __cxa_finalize() in glibc's stdlib/cxa_finalize.c.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>
#include "internal.h"

_Thread_local struct libreplace_thread libreplace_mine;

/* tests/c/explorer/counter.c goes through every state of a small table. */
#ifndef LIBREPLACE_PLACES
#define LIBREPLACE_PLACES 1024
#endif
enum { PLACES = LIBREPLACE_PLACES, OF_MAIN = PLACES, NO_PLACE };

static atomic_int places[NO_PLACE]; /* the ids of switched threads; 0: free */
static atomic_uint without_place;   /* further switched threads, if the table is full */
static atomic_uint open_rings;      /* see libreplace/ring.h */
static atomic_int dropping;
static pid_t process;

/* Write the thread into the first free place. Threads that enter at the same time have different
 * ids, so they begin at different places. Return: the number of the place. */
static unsigned take_place(void)
{
	if (libreplace_mine.id == 0)
		libreplace_mine.id = libreplace_thread_id();
	if (libreplace_mine.id == process) {
		atomic_store(&places[OF_MAIN], libreplace_mine.id);
		return OF_MAIN;
	}
	for (unsigned i = 0; i < PLACES; i++) {
		unsigned place = ((unsigned)libreplace_mine.id + i) % PLACES;
		int nobody = 0;

		if (atomic_compare_exchange_strong(&places[place], &nobody, libreplace_mine.id))
			return place;
	}
	atomic_fetch_add(&without_place, 1);
	return NO_PLACE;
}

/* Free the place of a thread, unless has_lost_place(): another thread may have taken it since. */
static void free_place(unsigned place, int id)
{
	if (place < NO_PLACE)
		atomic_compare_exchange_strong(&places[place], &id, 0);
	else
		atomic_fetch_sub(&without_place, 1);
}

/* Whether a drop has freed the place that this thread has just taken. That happens if the drop
 * looked at an earlier thread with this id, which had the same place and has ended. */
static int has_lost_place(unsigned place)
{
	return place < NO_PLACE && atomic_load(&places[place]) != libreplace_mine.id;
}

int libreplace_count_in(void)
{
	/* First count this thread, then look for a drop. libreplace_drop_begin() does the reverse:
	 * it first announces the drop, then looks at the table. So if one thread enters while
	 * another drops, at least one of them sees the other. If no drop is under way, none will
	 * free the place later: the next drop asks the kernel about this thread. */
	unsigned place = take_place();

	if (atomic_load(&dropping) || has_lost_place(place)) {
		free_place(place, libreplace_mine.id);
		return EBUSY;
	}
	libreplace_mine.counted = place + 1;
	return 0;
}

void libreplace_count_out(void)
{
	unsigned counted = libreplace_mine.counted;

	libreplace_mine.counted = 0;
	if (counted != 0)
		free_place(counted - 1, libreplace_mine.id);
}

void libreplace_count_out_joined(unsigned counted, int id)
{
	if (counted != 0)
		free_place(counted - 1, id);
}

/* As libreplace_count_in(): at least one of a new ring and a drop sees the other. */
int libreplace_count_ring_in(void)
{
	atomic_fetch_add(&open_rings, 1);
	if (!atomic_load(&dropping))
		return 0;
	atomic_fetch_sub(&open_rings, 1);
	return EBUSY;
}

void libreplace_count_ring_out(void)
{
	atomic_fetch_sub(&open_rings, 1);
}

int libreplace_has_rings(void)
{
	return atomic_load(&open_rings) != 0;
}

void libreplace_count_anew(void)
{
	for (unsigned i = 0; i < NO_PLACE; i++)
		if (atomic_load(&places[i]) !=
		    0) /* do not copy a page of the parent's for nothing */
			atomic_store(&places[i], 0);
	atomic_store(&without_place, 0);
	atomic_store(&open_rings, 0);
	atomic_store(&dropping, 0);
	process = getpid();
	libreplace_mine.counted = 0;
	libreplace_mine.id = 0;
}

/*
 * Count the switched threads that have not ended. With @forget, free the places of those that have:
 * another thread may get the same id later. Only one thread at a time may do this.
 *
 * In a child of _Fork(3) or clone(2), no fork handler has run. The table then has the parent's ids,
 * about which the kernel says nothing useful, so all of them count.
 */
static unsigned count_switched(int forget)
{
	unsigned count = atomic_load(&without_place);
	int can_tell = getpid() == process;

	for (unsigned i = 0; i < NO_PLACE; i++) {
		int id = atomic_load(&places[i]);

		if (id == 0)
			continue;
		if (!can_tell || !libreplace_has_ended(id))
			count++;
		else if (forget)
			atomic_compare_exchange_strong(&places[i], &id, 0);
	}
	return count;
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
	process = getpid();
	libreplace_watch_forks(); /* the reference that links fork.c */
}

int libreplace_drop_begin(void)
{
	int idle = 0;

	if (!atomic_compare_exchange_strong(&dropping, &idle, 1)) {
		errno = EBUSY;
		return -1;
	}
	if (count_switched(1) == 0)
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
	return count_switched(0);
}

int libreplace_main_is_switched(void)
{
	return atomic_load(&places[OF_MAIN]) != 0;
}

unsigned libreplace_depth(void)
{
	return libreplace_mine.depth;
}
