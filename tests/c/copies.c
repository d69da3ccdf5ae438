/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Loads several copies of libreplace into one process, and prints which functions each of them
 * calls. test_two_copies.py builds and runs it, as root.
 * usage: copies local|global|deepbind OBJECT...
 *
 * An object is copy.c with a library, or a shared library itself. All objects are loaded, in order.
 * Then each object is used, except those with a + before the name. A line says which back end and
 * version the object has, and how many of the two threads change their effective uid when one
 * thread calls setresuid() and when it enters. If the entry is refused, no thread does.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libreplace/replace.h>
#include "must.h"

static struct copy {
	const char *(*build_info)(const char *name);
	int (*setresuid)(uid_t ruid, uid_t euid, uid_t suid);
	int (*guard_init)(struct libreplace_guard *guard, size_t size);
	int (*enter)(struct libreplace_guard *guard, const struct libreplace_identity *identity,
	             int level);
	int (*leave)(struct libreplace_guard *guard);
} copies[8];

static const struct libreplace_identity user = {80001, 80011, 0, NULL};

/* Find a function of copy.c or of a shared library. */
static void *find(void *object, const char *name)
{
	char full[64];
	void *function;

	snprintf(full, sizeof full, "copy_%s", name);
	function = dlsym(object, full);
	if (function == NULL) {
		snprintf(full, sizeof full, "libreplace_%s", name);
		function = dlsym(object, full);
	}
	MUST(function != NULL);
	return function;
}

/* The number of threads whose effective uid is that of the user */
static int count_switched(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int switched = 0, threads = 0;

	MUST(tasks != NULL);
	for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
		char name[300], line[300];
		unsigned real, effective = 0;
		FILE *status;

		if (task->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "/proc/self/task/%s/status", task->d_name);
		MUST((status = fopen(name, "r")) != NULL);
		while (fgets(line, sizeof line, status) != NULL &&
		       sscanf(line, "Uid: %u %u", &real, &effective) != 2)
			;
		fclose(status);
		threads++;
		switched += effective == user.uid;
	}
	closedir(tasks);
	MUST(threads == 2);
	return switched;
}

static void *use(void *argument)
{
	const struct copy *copy = argument;
	int by_call, by_entry = 0;
	LIBREPLACE_GUARD(held, 64);

	MUST(copy->setresuid((uid_t)-1, user.uid, (uid_t)-1) == 0);
	by_call = count_switched();
	MUST(copy->setresuid((uid_t)-1, 0, (uid_t)-1) == 0 && count_switched() == 0);
	MUST(copy->guard_init(&held.guard, sizeof held) == 0);
	if (copy->enter(&held.guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) == 0) {
		by_entry = count_switched();
		MUST(copy->leave(&held.guard) == 0);
	}
	MUST(count_switched() == 0);
	printf("%s %s %d %d\n", copy->build_info("backend"), copy->build_info("version"), by_call,
	       by_entry);
	return NULL;
}

int main(int argc, char **argv)
{
	int size = 0, flags = RTLD_NOW;

	MUST(argc > 2 && argc - 2 <= (int)(sizeof copies / sizeof *copies));
	flags |= strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL;
	flags |= strcmp(argv[1], "deepbind") == 0 ? RTLD_DEEPBIND : 0;
	for (int i = 2; i < argc; i++) {
		int only_loaded = argv[i][0] == '+';
		void *object = dlopen(argv[i] + only_loaded, flags);
		struct copy *copy = &copies[size];

		if (object == NULL)
			fprintf(stderr, "%s\n", dlerror());
		MUST(object != NULL);
		if (only_loaded)
			continue;
		*(void **)&copy->build_info = find(object, "build_info");
		*(void **)&copy->setresuid = find(object, "setresuid");
		*(void **)&copy->guard_init = find(object, "guard_init");
		*(void **)&copy->enter = find(object, "enter");
		*(void **)&copy->leave = find(object, "leave");
		size++;
	}
	for (int i = 0; i < size; i++) {
		pthread_t thread;

		MUST(pthread_create(&thread, NULL, use, &copies[i]) == 0);
		MUST(pthread_join(thread, NULL) == 0);
	}
	return 0;
}
