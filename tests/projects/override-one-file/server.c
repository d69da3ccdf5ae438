/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An example of a server whose worker acts as a user, and which later drops root for good while
 * the worker still runs. `server CALL` drops with one call: setresuid, setuid, or library, which is
 * libreplace_drop_privileges(). It prints the real, effective, saved and file system uid of both
 * threads, as the kernel shows them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <libreplace/replace.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act.h"

#define NOBODY 65534

static pthread_barrier_t step;

static void *work(void *unused)
{
	int failed = act_as(80001);

	pthread_barrier_wait(&step); /* acting */
	pthread_barrier_wait(&step); /* main has looked */
	if (failed || act_as_server())
		perror("worker");
	pthread_barrier_wait(&step); /* no longer acting */
	pthread_barrier_wait(&step); /* dropped, and main has looked */
	return unused;
}

static void show(const char *when)
{
	struct dirent *entry;
	char path[300], line[300];
	DIR *tasks = opendir("/proc/self/task");
	FILE *status;

	printf("%s:", when);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
		status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (status != NULL && fgets(line, sizeof line, status) != NULL)
			if (strncmp(line, "Uid:", 4) == 0)
				printf(" %s%s", atoi(entry->d_name) == getpid() ? "main" : "worker",
				       strtok(line + 4, "\n"));
		if (status != NULL)
			fclose(status);
	}
	printf("\n");
	if (tasks != NULL)
		closedir(tasks);
}

static int drop(const char *call)
{
	static const struct libreplace_identity nobody = {NOBODY, NOBODY, 0, NULL};

	if (strcmp(call, "library") == 0)
		return libreplace_drop_privileges(&nobody, 0, NULL);
	return strcmp(call, "setuid") == 0 ? setuid(NOBODY) : setresuid(NOBODY, NOBODY, NOBODY);
}

int main(int count, char **words)
{
	pthread_t worker;

	pthread_barrier_init(&step, NULL, 2);
	if (count != 2 || pthread_create(&worker, NULL, work, NULL) != 0)
		return 2;
	pthread_barrier_wait(&step);
	show("acting");
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	if (drop(words[1]) != 0)
		perror(words[1]);
	show("dropped");
	pthread_barrier_wait(&step);
	return pthread_join(worker, NULL);
}
