/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Opens paths that a client could send. Each one must be refused, because it leads out of the
 * folder, to a FIFO or to a file that the process has open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "verify.h"

static int open_safely(int place, const char *path)
{
	return libreplace_open_beneath(
	    place, path, O_RDONLY, 0, LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS,
	    1);
}

size_t make_bad_paths(int file, struct bad_path bad[MOST_BAD_PATHS])
{
	static char magic[64];
	int proc = open("/proc", O_RDONLY | O_CLOEXEC), follows;
	size_t size = 0;

	if (symlinkat("..", folder(), "out") != 0 || mkfifoat(folder(), "fifo", 0666) != 0)
		not_here("the temporary folder cannot hold links and FIFOs: %s", strerror(errno));
	/* a mount with the option nosymfollow follows no link at all */
	follows = openat(folder(), "out", O_RDONLY | O_CLOEXEC) != -1 || errno != ELOOP;
	bad[size++] = (struct bad_path){folder(), "out", follows ? EXDEV : ELOOP};
	bad[size++] = (struct bad_path){folder(), "fifo", ENXIO};
	snprintf(magic, sizeof magic, "self/fd/%d", file);
	if (proc != -1 && faccessat(proc, magic, F_OK, 0) == 0)
		bad[size++] = (struct bad_path){proc, magic, ELOOP};
	return size;
}

void must_refuse(const struct bad_path *bad, int file, int error)
{
	MUST(file == -1, "%s was opened; it must be refused with %s", bad->path,
	     strerror(bad->error));
	MUST(error == bad->error, "opening %s failed with %s, not with %s", bad->path,
	     strerror(error), strerror(bad->error));
}

void check_open_beneath(const void *unused)
{
	struct bad_path bad[MOST_BAD_PATHS];
	size_t size = make_bad_paths(make_file("file"), bad);
	int file = open_safely(folder(), "file");

	(void)unused;
	if (file == -1 && errno == ENOSYS)
		end_check(PROVED, NO_OPENAT2);
	MUST(file != -1, "opening a file failed: %s", strerror(errno));
	for (size_t i = 0; i < size; i++) {
		file = open_safely(bad[i].place, bad[i].path);
		must_refuse(&bad[i], file, errno);
	}
}
