/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A program with two threads: one acts as the user 80001, the main thread does not. Run it as
 * root; it prints the effective uid of each thread. Most C projects of this folder build it.
 */
#include <libreplace/replace.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_barrier_t inside, looked;

static void *work(void *unused)
{
	static const gid_t groups[] = {80011};
	const struct libreplace_identity alice = {80001, 80011, 1, groups};
	LIBREPLACE_GUARD(held, 64); /* room for 64 groups */

	(void)unused;
	libreplace_guard_init(&held.guard, sizeof held);
	if (libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) != 0)
		perror("libreplace_enter");
	printf("the thread is %u", (unsigned)geteuid());
	pthread_barrier_wait(&inside);
	pthread_barrier_wait(&looked);
	if (libreplace_leave(&held.guard) != 0)
		perror("libreplace_leave");
	printf(", then %u\n", (unsigned)geteuid());
	return NULL;
}

int main(void)
{
	pthread_t thread;

	pthread_barrier_init(&inside, NULL, 2);
	pthread_barrier_init(&looked, NULL, 2);
	if (pthread_create(&thread, NULL, work, NULL) != 0)
		return 1;
	pthread_barrier_wait(&inside);
	printf(", main is %u", (unsigned)geteuid());
	pthread_barrier_wait(&looked);
	return pthread_join(thread, NULL);
}
