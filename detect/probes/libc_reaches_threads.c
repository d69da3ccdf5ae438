/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_libc_reaches_threads: does libc's own call change every thread?
 * Yes: libc's call in a second thread changed the first, as POSIX says.
 * No: it changed only its own thread. Without root the probe cannot tell.
 */
#include "probe.h"
#include <pthread.h>

static void *other(void *unused)
{
	step(seteuid(A_USER) != 0, "second thread: libc's seteuid(user)");
	check(geteuid() == A_USER, "the second thread's ids did not change");
	return unused;
}

static void body(void)
{
	pthread_t thread;

	if (geteuid() != 0)
		answer(CANNOT_TELL, "needs root");
	step(pthread_create(&thread, NULL, other, NULL) != 0, "pthread_create");
	pthread_join(thread, NULL);
	check(geteuid() == A_USER, "the first thread kept its ids");
	answer(YES, "a call in one thread changed the other");
}

int main(void)
{
	return run_probe(body);
}
