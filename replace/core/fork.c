/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A child that is forked while its thread holds an identity becomes that user for good: nothing in
 * the child leaves the entry, and the saved id would be a way back to the server's. Children of
 * vfork(2) and posix_spawn(3) run no handlers, so they are not seen here.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

/* Make the child's one thread the user in every id, verify that, and abort if it is not so. */
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
	libreplace_count_anew();
	if (libreplace_mine.depth == 0)
		return;
	become_for_good();
	libreplace_mine.depth = 0;
	libreplace_mine.top = NULL;
	libreplace_mine.forked = 1;
}

void libreplace_watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);
}
