/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by guard.c, edges.c, identity.c and open_beneath.c: two users, an assertion that prints
 * its place, a check of the thread's ids, and a function that runs each case in its own child
 * process.
 */
#ifndef CASES_H
#define CASES_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libreplace/replace.h>
#include "must.h"
#include "root.h"

enum { ALICE = 80001, BOB = 80002, STAFF = 80011, ROOM = 64 };

static const gid_t groups_of_alice[] = {80011, 80021}, groups_of_bob[] = {80012};
static const struct libreplace_identity alice = {ALICE, STAFF, 2, groups_of_alice};
static const struct libreplace_identity bob = {BOB, 80012, 1, groups_of_bob};

typedef LIBREPLACE_GUARD(entry, ROOM);

/* Prepare an entry. Return: its guard. */
static inline struct libreplace_guard *fresh(entry *place)
{
	MUST(libreplace_guard_init(&place->guard, sizeof *place) == 0);
	return &place->guard;
}

/* Check the user IDs, the group ID and the groups of the calling thread. */
static inline void expect_ids(uid_t r, uid_t e, uid_t s, uid_t fs, gid_t g, int size)
{
	uid_t ruid, euid, suid, fsuid;

	MUST(libreplace_getresuid(&ruid, &euid, &suid) == 0 && libreplace_getfsuid(&fsuid) == 0);
	MUST(ruid == r && euid == e && suid == s && fsuid == fs);
	MUST(getegid() == g && getgroups(0, NULL) == size);
	if (size > 0) {
		gid_t list[ROOM];
		const struct libreplace_identity *user = fs == alice.uid ? &alice : &bob;

		MUST(getgroups(ROOM, list) == size && size == (int)user->size);
		MUST(memcmp(list, user->groups, user->size * sizeof *list) == 0);
	}
}

/* Run @body(number) in a child process. */
static inline void in_child(void (*body)(int), int number)
{
	int status = 1;
	pid_t child = fork();

	if (child == 0) {
		body(number);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		exit(77);
	if (status != 0)
		fprintf(stderr, "in number %d:\n", number);
	MUST(status == 0);
}

/* Run a case in a child process that is root without groups. Return: 1 if it failed, 0 also if it
 * was skipped. */
static inline int run(const char *name, void (*body)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		alarm(HANG);
		MUST(libreplace_setgroups(0, NULL) == 0);
		body();
		exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		status = 0;
	if (WIFSIGNALED(status))
		printf("# ended by signal %d\n", WTERMSIG(status));
	printf("%s %s\n", status == 0 ? "ok" : "not ok", name);
	fflush(stdout);
	return status != 0;
}

#define RUN(body) failed += run(#body, body)

#endif
