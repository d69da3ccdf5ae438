/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Stands for an existing server: it knows nothing of libreplace, and wants its one worker to be
 * the user 80001. With libc's calls, the main thread becomes that user as well.
 */
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *work(void *unused)
{
	gid_t group = 80011;

	if (setgroups(1, &group) != 0 || setegid(group) != 0 || seteuid(80001) != 0)
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
