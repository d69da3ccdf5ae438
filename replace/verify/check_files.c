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

static void must_refuse(int place, const char *path, int wanted)
{
	int file = open_safely(place, path), error = errno;

	MUST(file == -1, "%s was opened; it must be refused with %s", path, strerror(wanted));
	MUST(error == wanted, "opening %s failed with %s, not with %s", path, strerror(error),
	     strerror(wanted));
}

void check_open_beneath(const void *unused)
{
	char magic[64];
	int file, proc, follows;

	(void)unused;
	if (symlinkat("..", folder(), "out") != 0 || mkfifoat(folder(), "fifo", 0600) != 0)
		not_here("the temporary folder cannot hold links and FIFOs: %s", strerror(errno));
	file = make_file("file");
	snprintf(magic, sizeof magic, "self/fd/%d", file);

	file = open_safely(folder(), "file");
	if (file == -1 && errno == ENOSYS)
		return; /* the kernel, a seccomp filter or the build's headers lack openat2 */
	MUST(file != -1, "opening a file failed: %s", strerror(errno));
	/* a mount with the option nosymfollow follows no link at all */
	follows = openat(folder(), "out", O_RDONLY | O_CLOEXEC) != -1 || errno != ELOOP;
	must_refuse(folder(), "out", follows ? EXDEV : ELOOP);
	must_refuse(folder(), "fifo", ENXIO);
	proc = open("/proc", O_RDONLY | O_CLOEXEC);
	if (proc != -1 && faccessat(proc, magic, F_OK, 0) == 0)
		must_refuse(proc, magic, ELOOP);
}
