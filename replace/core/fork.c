/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A child that is forked while its thread holds an identity becomes that user for good. Otherwise
 * the child could return to the server's ids with the saved id. Its signal handlers go. Children of
 * vfork(2) and posix_spawn(3) run no fork handlers, so nothing here happens in them. Source:
 * pthread_atfork(3).
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

/* Set every id of the child's one thread to the user's and verify that; abort if it fails. The fs
 * ids are the identity's at every level. */
static void become_for_good(void)
{
	static const char failed[] =
	    "libreplace: a child forked under an identity cannot become it for good\n";
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
	/* not stdio: another thread may have held its lock when the process was forked */
	if (write(2, failed, sizeof failed - 1) < 0)
		abort();
	abort();
}

/* The handlers are the server's, and so are the pipes that they write to. The user can send signals
 * to the child as soon as it is the user's, so no handler may run there any more. Ignored signals
 * stay ignored, as in execve(2). */
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
