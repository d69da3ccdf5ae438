/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads the credentials of the calling thread in three ways: with the library's getters, from /proc
 * and from the owner of a new file. Where a platform lacks a way, the others remain.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "verify.h"

enum { LINE = 1 << 20 }; /* 65536 groups of up to 10 digits fit */

static int ascending(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

void sort_groups(gid_t *list, size_t size)
{
	qsort(list, size, sizeof *list, ascending);
}

static void *allocate(size_t size)
{
	void *place = malloc(size);

	if (place == NULL)
		not_here("there is no memory");
	return place;
}

static void set_ids(struct view *view, enum unit unit, const uint32_t *ids)
{
	for (int which = REAL; which <= SAVED; which++) {
		view->known[unit][which] = 1;
		view->ids[unit][which] = ids[which];
	}
}

/* Whether a getter can be used. A filter may refuse it, and a platform may not have it. */
static int is_usable(const char *name)
{
	return obstacle("real ids") == NULL && obstacle(name) == NULL;
}

static int works(int result, const char *name)
{
	MUST(result >= 0 || (errno == ENOSYS && !has_call(name)), "%s failed: %s", name,
	     strerror(errno));
	return result >= 0;
}

static void read_calls(struct view *view)
{
	uid_t u[4];
	gid_t g[4];
	int size;

	if (is_usable("getresuid") && works(libreplace_getresuid(&u[0], &u[1], &u[2]), "getresuid"))
		set_ids(view, UID, (uint32_t[]){u[0], u[1], u[2]});
	if (is_usable("getresgid") && works(libreplace_getresgid(&g[0], &g[1], &g[2]), "getresgid"))
		set_ids(view, GID, (uint32_t[]){g[0], g[1], g[2]});
	if (is_usable("getfsuid") && is_usable("setfsuid") &&
	    works(libreplace_getfsuid(&u[3]), "getfsuid")) {
		view->known[UID][FS] = 1;
		view->ids[UID][FS] = u[3];
	}
	if (is_usable("getfsgid") && is_usable("setfsgid") &&
	    works(libreplace_getfsgid(&g[3]), "getfsgid")) {
		view->known[GID][FS] = 1;
		view->ids[GID][FS] = g[3];
	}
	if (!is_usable("getgroups"))
		return;
	size = libreplace_getgroups(0, NULL);
	MUST(size >= 0, "getgroups failed: %s", strerror(errno));
	view->groups = allocate(((size_t)size + 1) * sizeof(gid_t));
	size = libreplace_getgroups(size, view->groups);
	MUST(size >= 0, "getgroups failed: %s", strerror(errno));
	view->has_groups = 1;
	view->size = (size_t)size;
	sort_groups(view->groups, view->size);
}

int read_status(const char *name, char *text, size_t room)
{
	FILE *file = fopen("/proc/thread-self/status", "r");
	static char line[LINE]; /* while one thread observes, the others wait */
	size_t length = strlen(name);
	int found = 0;

	if (file == NULL)
		return 0;
	while (!found && fgets(line, LINE, file) != NULL) {
		if (strncmp(line, name, length) != 0 || line[length] != ':')
			continue;
		found = 1;
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, room, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
	}
	fclose(file);
	return found;
}

static void read_proc(struct seen *seen)
{
	static const char *const names[] = {"Uid", "Gid"};
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	struct view *view = &seen->proc;
	static char text[LINE];
	char *end;

	for (int unit = UID; unit <= GID; unit++) {
		if (!read_status(names[unit], text, LINE))
			continue;
		end = text;
		for (int which = REAL; which <= FS; which++) {
			view->known[unit][which] = 1;
			view->ids[unit][which] = (uint32_t)strtoul(end, &end, 10);
		}
	}
	view->has_groups = read_status("Groups", text, LINE);
	if (!view->has_groups)
		text[0] = '\0';
	view->groups = allocate((strlen(text) / 2 + 1) * sizeof(gid_t));
	for (char *next = text; next[strspn(next, " ")] != '\0'; next = end)
		view->groups[view->size++] = (gid_t)strtoul(next, &end, 10);
	sort_groups(view->groups, view->size);
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		size_t used = strlen(seen->capabilities);

		if (read_status(sets[i], text, LINE))
			snprintf(seen->capabilities + used, sizeof seen->capabilities - used, "%s ",
			         text);
	}
}

int make_file(const char *name)
{
	int file = openat(folder(), name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (file == -1 && (errno == ENOSPC || errno == EDQUOT))
		not_here("no file can be made in the temporary folder: %s", strerror(errno));
	MUST(file != -1, "no file can be made in the temporary folder: %s", strerror(errno));
	return file;
}

/* The kernel gives a new file the file system ids. BSD gives it the folder's group instead. */
static void read_owner(struct view *owner)
{
	struct stat made;
	int file;

	file = make_file(NEW_FILE);
	DO(fstat(file, &made));
	close(file);
	unlinkat(folder(), NEW_FILE, 0);
	owner->known[UID][FS] = 1;
	owner->ids[UID][FS] = made.st_uid;
#ifdef __linux__
	owner->known[GID][FS] = 1;
	owner->ids[GID][FS] = made.st_gid;
#endif
}

struct seen observe(void)
{
	struct seen seen;

	memset(&seen, 0, sizeof seen);
	read_calls(&seen.calls);
	read_proc(&seen);
	read_owner(&seen.owner);
	return seen;
}

/* What differs in one way of reading. */
static int differs(const char *way, const struct view *seen, const struct view *wanted, char *text,
                   size_t room)
{
	static const char *const ids[] = {"real", "effective", "saved", "file system"};
	static const char *const units[] = {"user", "group"};

	for (int unit = UID; unit <= GID; unit++)
		for (int which = REAL; which <= FS; which++)
			if (seen->known[unit][which] && wanted->known[unit][which] &&
			    seen->ids[unit][which] != wanted->ids[unit][which]) {
				snprintf(text, room, "according to %s, the %s %s ID is %u, not %u",
				         way, ids[which], units[unit],
				         (unsigned)seen->ids[unit][which],
				         (unsigned)wanted->ids[unit][which]);
				return 1;
			}
	if (!seen->has_groups || !wanted->has_groups)
		return 0;
	if (seen->size != wanted->size)
		snprintf(text, room, "according to %s, there are %zu groups, not %zu", way,
		         seen->size, wanted->size);
	else if (seen->size > 0 &&
	         memcmp(seen->groups, wanted->groups, seen->size * sizeof(gid_t)) != 0)
		snprintf(text, room, "according to %s, the groups are others", way);
	else
		return 0;
	return 1;
}

const char *difference(const struct seen *seen, const struct seen *wanted)
{
	static char text[200];

	return differs("the getters", &seen->calls, &wanted->calls, text, sizeof text) ||
	               differs("/proc", &seen->proc, &wanted->proc, text, sizeof text) ||
	               differs("a new file", &seen->owner, &wanted->owner, text, sizeof text)
	           ? text
		   : NULL;
}

void expect_line(struct seen *seen, enum unit line, const enum test_id *ids, size_t size)
{
	struct view *views[] = {&seen->calls, &seen->proc, &seen->owner};
	gid_t *groups = allocate((size + 1) * sizeof *groups);

	if (line != GROUPS) {
		for (size_t v = 0; v < 3; v++)
			for (size_t i = 0; i < size; i++)
				views[v]->ids[line][i] = line == UID ? uid(ids[i]) : gid(ids[i]);
		return;
	}
	for (size_t i = 0; i < size; i++)
		groups[i] = gid(ids[i]);
	qsort(groups, size, sizeof *groups, ascending);
	for (size_t v = 0; v < 3; v++) {
		views[v]->groups = groups;
		views[v]->size = size;
	}
}
