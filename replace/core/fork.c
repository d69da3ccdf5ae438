/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * If a thread forks while it holds an identity, the child becomes that user for good. Otherwise the
 * child could return to the server's ids with the saved user ID. The child's signal handlers are
 * removed. Children of vfork(2) and posix_spawn(3) run no fork handlers, so they do not change.
 * Source: pthread_atfork(3).
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

/* Set every id of the child's only thread to the user's, and verify them; abort if this fails. The
 * fs ids are the user's at every level. */
static void become_for_good(void)
{
	static const char failed[] =
	    "libreplace: a child that was forked under an identity cannot become that user for "
	    "good, so it aborts\n";
	struct libreplace_capabilities left;
	uid_t r, e, s, user;
	gid_t rg, eg, sg, group;

	if (libreplace_getfsuid(&user) == 0 && libreplace_getfsgid(&group) == 0 &&
	    libreplace_setresgid(group, group, group) == 0 &&
	    libreplace_setresuid(user, user, user) == 0 &&
	    (user == 0 || libreplace_drop_capabilities() == 0) &&
	    libreplace_get_capabilities(&left) == 0 && (user == 0 || left.permitted == 0) &&
	    libreplace_getresuid(&r, &e, &s) == 0 && r == user && e == user && s == user &&
	    libreplace_getresgid(&rg, &eg, &sg) == 0 && rg == group && eg == group && sg == group)
		return;
	/* not stdio: another thread may have held a lock of stdio during the fork */
	if (write(2, failed, sizeof failed - 1) < 0)
		abort();
	abort();
}

/* Set handled signals to their default action. The handlers belong to the server, and write to its
 * pipes. The user can send signals to the child, so no handler may run in it. Ignored signals stay
 * ignored, as in execve(2). */
static void reset_handlers(void)
{
	struct sigaction found, usual = {.sa_handler = SIG_DFL};

	for (int number = 1; number < NSIG; number++)
		if (sigaction(number, NULL, &found) == 0 && found.sa_handler != SIG_IGN)
			sigaction(number, &usual, NULL);
}

static void forked(void)
{
	libreplace_count_anew();
	if (libreplace_mine.depth == 0)
		return;
	reset_handlers();
	become_for_good();
	libreplace_mine.depth = 0;
	libreplace_mine.top = NULL;
	libreplace_mine.forked = 1;
}

void libreplace_watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);
}
