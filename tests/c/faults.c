/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Enters, leaves and tries to enter again. test_faults.py runs it under strace and makes one system
 * call after the other fail. Prints a line for each step: the result, errno, the guard's step and
 * state, and the thread's ids from /proc. It does not use getters for them, because they may fail,
 * too.
 *
 * usage: faults LEVEL [capabilities | changed]   run as a server without root, or change the fs uid
 * inside
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <libreplace/replace.h>
#include "raw_capabilities.h"

static const gid_t groups[] = {80011, 80021};
static const struct libreplace_identity alice = {80001, 80011, 2, groups};

static void print_step(const char *name, int result, const struct libreplace_guard *guard)
{
	int error = result == 0 ? 0 : errno;
	char line[4096];
	FILE *status = fopen("/proc/thread-self/status", "r");

	printf("%s %d %d %d %d", name, result, error, guard->step, guard->state);
	while (status != NULL && fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, "Uid:", 4) == 0 || strncmp(line, "Gid:", 4) == 0 ||
		    strncmp(line, "Groups:", 7) == 0 || strncmp(line, "Cap", 3) == 0) {
			line[strcspn(line, "\n")] = 0;
			printf("|%s", strchr(line, ':') + 1);
		}
	puts("");
	fflush(stdout);
	if (status != NULL)
		fclose(status);
}

int main(int argc, char **argv)
{
	static LIBREPLACE_GUARD(held, 64);
	int level = argc > 1 ? atoi(argv[1]) : LIBREPLACE_LEVEL_EFFECTIVE;
	const char *mode = argc > 2 ? argv[2] : "";

	libreplace_guard_init(&held.guard, sizeof held);
	if (strcmp(mode, "capabilities") == 0 &&
	    (setgroups(0, NULL) != 0 || become_server_without_root() != 0))
		return 1;
	print_step("before", 0, &held.guard);
	print_step("enter", libreplace_enter(&held.guard, &alice, level), &held.guard);
	if (strcmp(mode, "changed") == 0 && libreplace_setfsuid(0) != 0)
		return 1;
	print_step("leave", libreplace_leave(&held.guard), &held.guard);
	printf("tainted %d active %u depth %u\n", libreplace_tainted(), libreplace_active(),
	       libreplace_depth());
	if (libreplace_tainted())
		print_step("again", libreplace_enter(&held.guard, &alice, level), &held.guard);
	return 0;
}
