/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Represents existing code that drops root for good while a worker thread runs. test_override.py
 * compiles it with -include libreplace/replace_override.h and runs `drop CALL`. The program drops
 * root and prints the real user ID of each thread. CALL is setuid, setresuid, or undef, which is
 * libc's setresuid in a file with the header.
 */
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_barrier_t dropped;
static uid_t of_worker;

static void *work(void *unused)
{
	pthread_barrier_wait(&dropped);
	of_worker = getuid();
	return unused;
}

static int by_setuid(void)
{
	return setgid(80001) != 0 || setuid(80001) != 0;
}

static int by_setresuid(void)
{
	return setresuid(80001, 80001, 80001);
}

#undef setresuid
#ifdef __cplusplus
extern "C" int setresuid(uid_t, uid_t, uid_t);
#else
int setresuid(uid_t, uid_t, uid_t);
#endif

static int by_libc(void)
{
	return setresuid(80001, 80001, 80001);
}

int main(int count, char **words)
{
	const char *call = count == 2 ? words[1] : "";
	pthread_t worker;
	int failed;

	if (pthread_barrier_init(&dropped, NULL, 2) != 0 ||
	    pthread_create(&worker, NULL, work, NULL) != 0)
		return 1;
	if (strcmp(call, "setuid") == 0)
		failed = by_setuid();
	else
		failed = strcmp(call, "undef") == 0 ? by_libc() : by_setresuid();
	if (failed)
		perror(call);
	pthread_barrier_wait(&dropped);
	if (pthread_join(worker, NULL) != 0)
		return 1;
	printf("main %u, worker %u\n", (unsigned)getuid(), (unsigned)of_worker);
	return failed;
}
