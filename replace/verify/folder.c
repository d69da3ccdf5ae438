/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The folder in which the checks make files, as users that have no account. Its mode is 0777, but
 * it is inside a folder with mode 0700, so that nobody else can reach it. The checks need no path:
 * the descriptor is enough for openat(2). Everything goes through descriptors, because TMPDIR may
 * belong to a user, for example after `sudo -E`. The user may rename what is in there and put a
 * symbolic link in its place at any moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "verify.h"

#define OPEN_FOLDER (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

enum { PLACE, OUTER, INNER, FOLDERS };

/* A place that cannot be listed is usable, too: only its owner needs to list it. */
#ifdef O_PATH
static const int place_flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
static const int place_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif
static const char inner_name[] = "files";
static char outer_name[48];
static int folders[FOLDERS] = {-1, -1, -1};

int folder(void)
{
	return folders[INNER];
}

/* A name that nobody can guess. Without /dev, somebody can guess it, but not use it. */
static void choose_name(void)
{
	int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	uint64_t word;

	if (file == -1 || read(file, &word, sizeof word) != sizeof word) {
		struct timespec now = {0, 0};

		clock_gettime(CLOCK_REALTIME, &now);
		word = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid();
	}
	if (file != -1)
		close(file);
	snprintf(outer_name, sizeof outer_name, "libreplace-verify-%016llx",
	         (unsigned long long)word);
}

/* Whether the folder is what mkdirat(2) made. The owner of the place may have put another one
 * there. */
static int is_ours(int opened)
{
	struct stat found;

	return fstat(opened, &found) == 0 && found.st_uid == geteuid() &&
	       (found.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static int make_folder(const char *place)
{
	int opened;

	choose_name();
	folders[PLACE] = open(place, place_flags);
	if (folders[PLACE] == -1 || mkdirat(folders[PLACE], outer_name, 0700) != 0)
		return -1;
	opened = openat(folders[PLACE], outer_name, O_RDONLY | OPEN_FOLDER);
	if (opened == -1)
		return -1;
	if (!is_ours(opened) || mkdirat(opened, inner_name, 0700) != 0) {
		close(opened); /* remove_folder() removes nothing in what we have not made */
		return -1;
	}
	folders[OUTER] = opened;
	folders[INNER] = openat(folders[OUTER], inner_name, O_RDONLY | OPEN_FOLDER);
	/* fchmod also clears the set-group-ID bit, with which new files get the folder's group */
	return folders[INNER] == -1 ? -1 : fchmod(folders[INNER], 0777);
}

void open_folder(void)
{
	const char *const places[] = {getenv("TMPDIR"), "/tmp", "/var/tmp"};

	for (int i = 0; i < 3; i++) {
		if (places[i] == NULL)
			continue;
		if (make_folder(places[i]) == 0)
			return;
		remove_folder();
		for (int j = 0; j < FOLDERS; j++) {
			if (folders[j] != -1)
				close(folders[j]);
			folders[j] = -1;
		}
	}
}

void empty_folder(void)
{
	static const char *const names[] = {NEW_FILE, "file",  "fifo", "out",
	                                    "own",    "group", "team"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(folders[INNER], names[i], 0);
}

void remove_folder(void)
{
	empty_folder();
	unlinkat(folders[OUTER], inner_name, AT_REMOVEDIR);
	/* this follows no link, and removes only an empty folder */
	unlinkat(folders[PLACE], outer_name, AT_REMOVEDIR);
}
