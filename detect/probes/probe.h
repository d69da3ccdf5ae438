/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by the run probes. A probe answers yes, no or "cannot tell". It runs in a
 * forked child with an alarm, so it never hangs and never changes its parent's ids.
 * A run probe gives evidence; verdict.py decides without it.
 */
#ifndef LIBREPLACE_PROBE_H
#define LIBREPLACE_PROBE_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { YES = 0, NO = 1, CANNOT_TELL = 77 };

/* An id above 16 bits that no account has, so that a truncated id is noticed. */
#define A_USER 80001

static void answer(int value, const char *why)
{
	printf("%s; ", why);
	fflush(stdout);
	_exit(value);
}

/* Answer and end if a step failed. EPERM and EINVAL say nothing about the kernel, because a
 * sandbox may be the reason. */
static void step(int failed, const char *name)
{
	char line[200];

	if (!failed)
		return;
	snprintf(line, sizeof line, "%s: %s", name, strerror(errno));
	answer(errno == EPERM || errno == EINVAL ? CANNOT_TELL : NO, line);
}

static void check(int holds, const char *failure)
{
	if (!holds)
		answer(NO, failure);
}

static int run_probe(void (*body)(void))
{
	struct utsname kernel;
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(20);
		body();
		_exit(CANNOT_TELL);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return CANNOT_TELL;
	uname(&kernel);
	printf("asked by euid %ld on %s %s %s\n", (long)geteuid(), kernel.sysname, kernel.release,
	       kernel.machine);
	if (WIFSIGNALED(status)) {
		printf("killed by signal %d\n", WTERMSIG(status));
		return WTERMSIG(status) == SIGSYS ? CANNOT_TELL : NO; /* SIGSYS: a seccomp filter */
	}
	return WEXITSTATUS(status);
}

#endif
