/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Which threads are switched: a counter and the *dropping* flag are the only state that
 * is not thread-local. A thread that dies while switched takes its ids with it, so its
 * share of the counter goes too; a child that is forked while switched becomes the user
 * for good. The other half is guard.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "internal.h"

_Thread_local struct libreplace_thread libreplace_mine;

static atomic_uint active;
static atomic_int dropping;
static pthread_key_t at_end;
static int have_at_end;

int libreplace_count_in(void)
{
	/* Counted first, asked afterwards: of a thread that enters and one that drops, at least one
	 * sees the other. */
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
	libreplace_mine.counted = 0;
	atomic_fetch_sub(&active, 1);
}

static void thread_ended(void *value)
{
	struct libreplace_thread *thread = value;

	if (thread->counted)
		atomic_fetch_sub(&active, 1);
	thread->counted = 0;
}

int libreplace_alone(void)
{
	struct stat folder;

	/* proc_pid_task(5): a folder a thread, each of which is a link to this one, beside . and ..
	 */
	return stat("/proc/self/task", &folder) == 0 && folder.st_nlink == 3;
}

/* The child's one thread has the identity, and a saved id to come back with: neither is left to it.
 */
static void become_for_good(void)
{
	static const char failed[] =
	    "libreplace: a child forked under an identity cannot become it for good\n";
	struct libreplace_capabilities left;
	uid_t r, e, s, user;
	gid_t rg, eg, sg, group;

	if (libreplace_getfsuid(&user) == 0 &&
	    libreplace_getfsgid(&group) == 0 && /* in every level the identity's */
	    libreplace_setresgid(group, group, group) == 0 &&
	    libreplace_setresuid(user, user, user) == 0 &&
	    (user == 0 || libreplace_drop_capabilities() == 0) &&
	    libreplace_get_capabilities(&left) == 0 && (user == 0 || left.permitted == 0) &&
	    libreplace_getresuid(&r, &e, &s) == 0 && r == user && e == user && s == user &&
	    libreplace_getresgid(&rg, &eg, &sg) == 0 && rg == group && eg == group && sg == group)
		return;
	if (write(2, failed, sizeof failed - 1) < 0)
		abort();
	abort();
}

static void forked(void)
{
	atomic_store(&dropping, 0);
	atomic_store(&active, 0);
	libreplace_mine.counted = 0;
	if (libreplace_mine.depth == 0)
		return;
	become_for_good();
	libreplace_mine.depth = 0;
	libreplace_mine.top = NULL;
	libreplace_mine.forked = 1;
}

__attribute__((constructor)) static void start(void)
{
	have_at_end = pthread_key_create(&at_end, thread_ended) == 0;
	pthread_atfork(NULL, NULL, forked);
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

int libreplace_tainted(void)
{
	return libreplace_mine.tainted;
}
