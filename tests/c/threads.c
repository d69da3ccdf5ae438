/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * 32 threads enter and leave at the same time, each as another user, at every level, nested, with
 * some refused entries. For `meson test`, and for the sanitizers (test_sanitizers.py).
 * usage: threads [ROUNDS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libreplace/replace.h>
#include "root.h"

enum { THREADS = 32, ROOM = 16 };

static int rounds = 200;
static pthread_barrier_t together;

static void must(int condition, const char *name)
{
	if (condition)
		return;
	fprintf(stderr, "failed: %s\n", name);
	abort();
}

static void *work(void *number)
{
	unsigned id = 81000 + (unsigned)(uintptr_t)number;
	gid_t groups[2] = {id, id + 1000};
	struct libreplace_identity own = {id, id, 2, groups}, other = {id + 500, id + 500, 0, NULL};
	LIBREPLACE_GUARD(outer, ROOM);
	LIBREPLACE_GUARD(inner, ROOM);
	uid_t fs;

	libreplace_guard_init(&outer.guard, sizeof outer);
	libreplace_guard_init(&inner.guard, sizeof inner);
	pthread_barrier_wait(&together);
	for (int i = 0; i < rounds; i++) {
		must(libreplace_enter(&outer.guard, &own, i % 4) == 0, "enter");
		must(libreplace_getfsuid(&fs) == 0 && fs == id, "user of the outer entry");
		must(libreplace_enter(&inner.guard, &other, i / 4 % 4) == 0, "enter inside");
		must(libreplace_getfsuid(&fs) == 0 && fs == id + 500, "user of the inner entry");
		must(libreplace_active() >= 1 && libreplace_depth() == 2 && !libreplace_tainted(),
		     "counted");
		must(libreplace_leave(&inner.guard) == 0 && libreplace_leave(&outer.guard) == 0,
		     "leave");
		must(libreplace_enter(&outer.guard, &own, 7) == -1, "no such level");
		must(geteuid() == 0 && !libreplace_main_is_switched(), "root again");
	}
	return NULL;
}

static void *look(void *unused)
{
	(void)unused;
	return (void *)(uintptr_t)libreplace_main_is_switched();
}

/* The main thread is told from other switched threads. */
static void check_main(void)
{
	struct libreplace_identity own = {81000, 81000, 0, NULL};
	LIBREPLACE_GUARD(held, ROOM);

	libreplace_guard_init(&held.guard, sizeof held);
	must(!libreplace_main_is_switched(), "other threads were switched");
	for (int i = 0; i < 2; i++) {
		pthread_t thread;
		void *found;

		must(pthread_create(&thread, NULL, look, NULL) == 0, "pthread_create");
		pthread_join(thread, &found);
		must((uintptr_t)found == (uintptr_t)i, "the main thread is switched");
		if (i == 0)
			must(libreplace_enter(&held.guard, &own, 0) == 0, "enter");
	}
	must(libreplace_leave(&held.guard) == 0 && !libreplace_main_is_switched(), "leave");
}

static void *drop_when_cancelled(void *unused)
{
	pthread_cancel(pthread_self());
	must(libreplace_drop_begin() == -1, "the main thread is switched");
	return unused;
}

/* A cancelled thread must not end while it keeps other threads from entering. */
static void check_cancelling(void)
{
	struct libreplace_identity own = {81000, 81000, 0, NULL};
	LIBREPLACE_GUARD(held, ROOM);
	pthread_t thread;

	libreplace_guard_init(&held.guard, sizeof held);
	must(libreplace_enter(&held.guard, &own, 0) == 0, "enter");
	must(pthread_create(&thread, NULL, drop_when_cancelled, NULL) == 0, "pthread_create");
	must(pthread_join(thread, NULL) == 0 && libreplace_leave(&held.guard) == 0, "leave");
	must(libreplace_enter(&held.guard, &own, 0) == 0, "enter after the other thread's drop");
	must(libreplace_leave(&held.guard) == 0, "leave");
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc > 1)
		rounds = atoi(argv[1]);
	needs_root(); /* guard.c has the tests that need no root */
	must(libreplace_setgroups(0, NULL) == 0, "setgroups");
	pthread_barrier_init(&together, NULL, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "pthread_create");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	must(libreplace_active() == 0, "no thread is switched");
	check_main();
	check_cancelling();
	return 0;
}
