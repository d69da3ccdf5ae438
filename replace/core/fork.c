/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * If a thread forks while it holds an identity, the child becomes that user for good. Otherwise the
 * child could return to the server's ids with the saved user ID. The child gets the ids of the
 * guard, not those that the thread has at that moment: another thread's call of libc may have
 * changed them, or a signal handler may fork while the ids change. The child's signal handlers are
 * removed. Children of vfork(2), _Fork(3), clone(2) and posix_spawn(3) run no fork handlers, so
 * they do not change. Source: pthread_atfork(3).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

static void raise_capabilities(void)
{
	struct libreplace_capabilities held;

	if (libreplace_get_capabilities(&held) == 0)
		(void)libreplace_raise_capabilities(&held);
}

/* Set the groups. They are set even if the kernel shows the same numbers, because it shows a group
 * that the user namespace does not map as the overflow id. A thread without privilege cannot set
 * them, so then they must be the same. Return: whether the groups are right. */
static int become_member(struct libreplace_guard *guard, const struct libreplace_ids *user)
{
	struct libreplace_ids now = *user;
	gid_t *list = libreplace_scratch(guard);
	int is_set = libreplace_setgroups(user->size, libreplace_wanted(guard)) == 0;

	return libreplace_read_ids(guard, &now, list) == 0 &&
	       libreplace_same_groups(&now, list, user, libreplace_wanted(guard)) &&
	       (is_set || !libreplace_unmapped(&now, list));
}

/* Try to become the user. is_only() looks at the capabilities in the end. Return: whether each
 * other step succeeded. */
static int become_user(struct libreplace_guard *guard, const struct libreplace_ids *user)
{
	raise_capabilities();
	if (!become_member(guard, user) ||
	    libreplace_setresgid(user->rgid, user->egid, user->sgid) != 0 ||
	    libreplace_setresuid(user->ruid, user->euid, user->suid) != 0)
		return 0;
	if (user->fsuid != 0)
		(void)libreplace_drop_capabilities();
	return 1;
}

/* Whether the child's only thread is this user and nothing else. */
static int is_only(struct libreplace_guard *guard, const struct libreplace_ids *user)
{
	struct libreplace_capabilities left;
	struct libreplace_ids now;

	if (libreplace_read_all(guard, &now, libreplace_scratch(guard)) != 0 ||
	    libreplace_get_capabilities(&left) != 0)
		return 0;
	return libreplace_same_uids(&now, user) && libreplace_same_gids(&now, user) &&
	       now.fsuid == user->fsuid && now.fsgid == user->fsgid &&
	       (user->fsuid == 0 || (left.permitted | left.inheritable) == 0);
}

static void give_up(void)
{
	static const char failed[] =
	    "libreplace: a child that was forked under an identity cannot become that user for "
	    "good, so it aborts\n";

	/* not stdio: another thread may have held a lock of stdio during the fork */
	if (write(2, failed, sizeof failed - 1) < 0)
		abort();
	abort();
}

int libreplace_stay(struct libreplace_guard *guard, uid_t others)
{
	struct libreplace_ids user = guard->set;

	user.ruid = user.suid = others;
	user.euid = user.fsuid;
	user.rgid = user.egid = user.sgid = user.fsgid;
	/*
	 * Usually, the capabilities suffice. Otherwise, try the privileged user ID. This is not the
	 * first try: if the ID replaces the last 0, the thread loses its capabilities. The real
	 * user ID becomes the final one, because a thread without capabilities could not set
	 * another.
	 */
	if (!become_user(guard, &user)) {
		(void)libreplace_setresuid(user.ruid, libreplace_mine.base.euid, (uid_t)-1);
		if (!become_user(guard, &user))
			return 0;
	}
	return is_only(guard, &user);
}

void libreplace_become_for_good(struct libreplace_guard *guard)
{
	if (!libreplace_stay(guard, guard->set.fsuid))
		give_up();
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

void libreplace_forget(void)
{
	libreplace_count_anew();
	libreplace_mine.depth = 0;
	libreplace_mine.top = NULL;
	libreplace_mine.tainted = 0;
}

/* The thread may have a pending cancellation. Here it would run the server's cleanup handlers, with
 * the privileges that the child has not lost yet. */
static void forked(void)
{
	struct libreplace_guard *guard = libreplace_mine.walking;
	int cancel;

	if (libreplace_mine.forked || (guard == NULL && libreplace_mine.depth == 0))
		return;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	reset_handlers();
	if (libreplace_mine.tainted) /* the innermost guard may be freed already */
		give_up();
	libreplace_become_for_good(guard != NULL ? guard : libreplace_mine.top);
	libreplace_mine.forked = 1;
	libreplace_forget();
	(void)pthread_setcancelstate(cancel, NULL);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int not_installed;

static void install(void)
{
	not_installed = pthread_atfork(NULL, NULL, forked);
}

/*
 * Handlers run in the child in the order in which they were installed. uid_wrapper(1) locks its
 * mutexes before a fork, and unlocks them in its own handler. It installs that one when it is
 * loaded, which is after a shared libreplace is loaded. So forked(), which sets ids, is not
 * installed then, but before the first entry.
 */
int libreplace_become_on_fork(void)
{
	pthread_once(&once, install);
	if (not_installed == 0)
		return 0;
	errno = not_installed;
	return -1;
}

void libreplace_watch_forks(void)
{
	pthread_atfork(NULL, NULL, libreplace_count_anew);
}
