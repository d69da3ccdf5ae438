/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Loads and unloads a plugin that enters and leaves in a thread. The thread ends after the plugin
 * was unloaded. The library must leave nothing behind that would then run, and no key.
 * usage: unload PLUGIN LOADS
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "must.h"
#include "root.h"

static pthread_barrier_t acted, unloaded;

static void *act(void *function)
{
	MUST((*(int (**)(void))function)() == 0);
	pthread_barrier_wait(&acted);
	pthread_barrier_wait(&unloaded);
	return NULL;
}

/* Return the number of keys that the process can still make. */
static int count_keys(void)
{
	static pthread_key_t keys[100000];
	int size = 0;

	while (size < (int)(sizeof keys / sizeof *keys) &&
	       pthread_key_create(&keys[size], NULL) == 0)
		size++;
	for (int i = 0; i < size; i++)
		MUST(pthread_key_delete(keys[i]) == 0);
	return size;
}

int main(int argc, char **argv)
{
	int keys = count_keys(), status = 0;
	pid_t child;

	needs_root();
	MUST(argc == 3);
	MUST(pthread_barrier_init(&acted, NULL, 2) == 0);
	MUST(pthread_barrier_init(&unloaded, NULL, 2) == 0);
	for (int i = atoi(argv[2]); i > 0; i--) {
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		pthread_t thread;
		void *function;

		MUST(plugin != NULL && (function = dlsym(plugin, "act")) != NULL);
		MUST(pthread_create(&thread, NULL, act, &function) == 0);
		pthread_barrier_wait(&acted);
		MUST(dlclose(plugin) == 0);
		MUST(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL);
		pthread_barrier_wait(&unloaded);
		MUST(pthread_join(thread, NULL) == 0);
	}
	MUST(count_keys() == keys);
	MUST((child = fork()) >= 0);
	if (child == 0)
		_exit(0); /* if a fork handler were left, the child would crash before */
	MUST(waitpid(child, &status, 0) == child && status == 0);
	return 0;
}
