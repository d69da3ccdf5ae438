/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Runs a function in a user namespace with given maps, for the C tests. Source: user_namespaces(7).
 */
#ifndef IN_NAMESPACE_H
#define IN_NAMESPACE_H

#include <sched.h>
#include "cases.h"

/* What to write into uid_map, gid_map and setgroups. With "deny", nobody in the namespace can set
 * groups. */
struct maps {
	const char *uids, *gids, *setgroups;
};

static inline void write_file(const char *name, pid_t process, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)process, name);
	MUST((file = fopen(path, "w")) != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Run @prepare in a child process, which then makes a user namespace, and @body in the namespace.
 * The child has all capabilities there, and the ids that it had outside. */
static inline void in_namespace(const struct maps *maps, void (*prepare)(void), void (*body)(void))
{
	int ready[2], mapped[2], status = 0;
	char byte = 0;
	pid_t child;

	MUST(pipe(ready) == 0 && pipe(mapped) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		close(mapped[1]);
		prepare();
		if (unshare(CLONE_NEWUSER) != 0) {
			printf("# no user namespaces here\n");
			exit(0);
		}
		MUST(write(ready[1], &byte, 1) == 1 && read(mapped[0], &byte, 1) == 1);
		body();
		exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1) {
		write_file("setgroups", child, maps->setgroups);
		write_file("uid_map", child, maps->uids);
		write_file("gid_map", child, maps->gids);
	}
	MUST(write(mapped[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
	close(ready[0]);
	close(mapped[0]);
	close(mapped[1]);
}

#endif
