/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What this machine does not permit. A check names what it needs; if there is an obstacle to one of
 * these, the check is not run. Obstacles are found before the checks and without the library, so
 * they say nothing about it. Every other failure of a check contradicts the claim.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "verify.h"

enum { MOST_OBSTACLES = 40, MOST_FILES = 16 }; /* obstacles; files that a check opens */

static struct {
	const char *name;
	char reason[300];
} found[MOST_OBSTACLES];
static size_t count;

static void note(const char *name, const char *reason)
{
	if (count == MOST_OBSTACLES)
		return;
	found[count].name = name;
	snprintf(found[count++].reason, sizeof found->reason, "%s", reason);
}

const char *obstacle(const char *name)
{
	/* libc and the library make these calls with another system call */
	static const char *const same[][2] = {
	    {"seteuid", "setresuid"}, {"setegid", "setresgid"}, {"initgroups", "setgroups"}};

	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (strcmp(name, same[i][0]) == 0)
			name = same[i][1];
	for (size_t i = 0; i < count; i++)
		if (strcmp(found[i].name, name) == 0)
			return found[i].reason;
	return NULL;
}

/* Run a control as a check is run: in a child process. */
static void ask(const struct control *control)
{
	struct check check = {.run = control->run, .argument = control->argument};
	char reason[300];

	snprintf(check.name, sizeof check.name, "%s", control->name);
	if (run_check(&check, reason, sizeof reason) != PROVED)
		note(control->name, reason);
}

static void control_root(const void *unused)
{
	(void)unused;
	if (!is_mapped(UID, 0) || !is_mapped(GID, 0))
		not_here("this user namespace does not map user ID 0 and group ID 0");
	become_root();
}

static void control_folder(const void *unused)
{
	(void)unused;
	if (folder() == -1)
		not_here("no folder can be made in TMPDIR, /tmp or /var/tmp");
	for (int i = 0; i < MOST_FILES; i++)
		if (dup(folder()) == -1)
			not_here("needs %d more open files: raise the limit (ulimit -n)",
			         MOST_FILES);
}

/* On an idmapped mount or a network file system, a new file may have another owner. */
static void control_owners(const void *unused)
{
	const uid_t users[] = {0, uid(USER)};
	const gid_t groups[] = {0, gid(GROUP)};

	(void)unused;
	become_root();
	for (int i = 0; i < 2; i++) {
		struct stat made;
		int file;

		if (i == 1 && (obstacle("seteuid") != NULL || obstacle("setegid") != NULL ||
		               setegid(groups[i]) != 0 || seteuid(users[i]) != 0))
			return;
		file = openat(folder(), NEW_FILE, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (file == -1 || fstat(file, &made) != 0)
			not_here("user %u cannot make a file in the temporary folder: %s",
			         (unsigned)users[i], strerror(errno));
		unlinkat(folder(), NEW_FILE, 0);
		if (made.st_uid != users[i])
			not_here("in the temporary folder, a new file of user %u belongs to %u",
			         (unsigned)users[i], (unsigned)made.st_uid);
	}
}

static void control_ids(const void *unused)
{
	(void)unused;
	if (!have_ids())
		not_here("this user namespace maps too few ids to switch to; map a range of ids "
		         "(subuid(5), newuidmap(1))");
}

static void control_wide_ids(const void *unused)
{
	(void)unused;
	for (size_t i = 0; i < WIDE_IDS; i++)
		if (is_mapped(UID, wide_ids[i]) && is_mapped(GID, wide_ids[i]))
			return;
	not_here("no id above 65535 is mapped in this user namespace");
}

static const struct control portable[] =
    {
        {"folder", control_folder, NULL},
        {"ids", control_ids, NULL},
        {"wide ids", control_wide_ids, NULL},
    },
                            root = {"root", control_root, NULL},
                            owners = {"owners", control_owners, NULL};

void find_obstacles(void)
{
	for (size_t i = 0; i < sizeof portable / sizeof *portable; i++)
		ask(&portable[i]);
	for (const struct control *c = controls_of_users; c->name != NULL; c++)
		ask(c);
	if (has_privilege()) {
		ask(&root);
		for (const struct control *c = controls_of_servers; c->name != NULL; c++)
			ask(c);
	}
	if (has_privilege() && obstacle("root") == NULL) {
		for (const struct control *c = controls_of_root; c->name != NULL; c++)
			ask(c);
		if (folder() != -1)
			ask(&owners);
	}
	for (const struct control *c = controls_of_all; c->name != NULL; c++)
		ask(c);
}

int has_privilege(void)
{
	return obstacle("real ids") == NULL && obstacle("privilege") == NULL &&
	       obstacle("ids") == NULL;
}

int may_become_user(void)
{
	return has_privilege() && obstacle("root") == NULL && obstacle("owners") == NULL &&
	       obstacle("setresuid") == NULL && obstacle("setresgid") == NULL;
}
