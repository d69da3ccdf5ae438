/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Enters, leaves and tries to enter again, for test_faults.py, which makes one system call
 * after the other fail under strace. Prints a line a step: what was returned, errno, the
 * step, the state, and what the thread is by the kernel's own account (never a getter: those
 * fail, too). usage: faults LEVEL
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

static void say(const char *what, int result, const struct libreplace_guard *guard)
{
	int error = result == 0 ? 0 : errno;
	char line[4096];
	FILE *status = fopen("/proc/thread-self/status", "r");

	printf("%s %d %d %d %d", what, result, error, guard->step, guard->state);
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

	held.guard.room = 64;
	if (argc > 2 && (setgroups(0, NULL) != 0 || become_server_without_root() != 0))
		return 1;
	say("before", 0, &held.guard);
	say("enter", libreplace_enter(&held.guard, &alice, level), &held.guard);
	say("leave", libreplace_leave(&held.guard), &held.guard);
	printf("tainted %d active %u depth %u\n", libreplace_tainted(), libreplace_active(),
	       libreplace_depth());
	if (libreplace_tainted())
		say("again", libreplace_enter(&held.guard, &alice, level), &held.guard);
	return 0;
}
