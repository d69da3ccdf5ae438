/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Skips a test, or one case of it, where the system lacks what it needs: the rights of root, or a
 * file of the system, as in a minimal root. Exit status 77 means for Meson that a test was skipped.
 */
#ifndef ROOT_H
#define ROOT_H

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void skip(const char *reason, const char *what)
{
	printf("# skipped: %s%s\n", reason, what);
	fflush(stdout);
	exit(77);
}

/*
 * Why this process cannot act as any user; NULL if it can. A child tries, because uid 0 proves
 * nothing: in a user namespace or a container, the capability or the mapping of the ids can be
 * missing, and fakeroot only pretends to switch. uid_wrapper pretends, too, but it is asked for.
 */
static inline const char *obstacle(void)
{
	const gid_t group = 80011;
	int status = 1;
	pid_t child;

	if (geteuid() != 0)
		return "real ids are switched";
	child = fork();
	if (child == 0) {
		if (setgroups(1, &group) != 0 || setregid(group, group) != 0 ||
		    setreuid(80001, 80001) != 0)
			_exit(1);
		_exit(kill(getppid(), 0) == 0 && getenv("UID_WRAPPER") == NULL ? 2 : 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return WIFEXITED(status) && WEXITSTATUS(status) == 2
		           ? "here, uid 0 only pretends to switch ids"
			   : "here, uid 0 cannot switch to every id";
	return NULL;
}

static inline void needs_root(void)
{
	const char *why = obstacle();

	if (why != NULL)
		skip("needs root: ", why);
}

static inline void needs_proc(void)
{
	if (access("/proc/self/status", R_OK) != 0)
		skip("needs ", "/proc");
}

static inline void needs_tmp(void)
{
	struct stat tmp;

	if (stat("/tmp", &tmp) != 0 || (tmp.st_mode & 0003) != 0003 || access("/tmp", W_OK) != 0)
		skip("needs ", "a /tmp in which every user can make files");
}

#endif
