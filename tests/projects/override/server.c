/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An example of an existing server that does not use libreplace. Its worker thread changes to
 * the user 80001. With libc's calls, the main thread changes, too.
 */
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *work(void *unused)
{
	gid_t group = 80011;

	if (setgroups(1, &group) != 0 || setegid(group) != 0 || seteuid(WORKER) != 0)
		perror("worker");
	printf("the worker is %u\n", (unsigned)geteuid());
	return unused;
}

int main(void)
{
	pthread_t worker;

	if (pthread_create(&worker, NULL, work, NULL) != 0 || pthread_join(worker, NULL) != 0)
		return 1;
	printf("main is %u, its group %u, with %d more\n", (unsigned)geteuid(), (unsigned)getegid(),
	       getgroups(0, NULL));
	return 0;
}
