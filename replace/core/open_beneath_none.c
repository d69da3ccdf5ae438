/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For a kernel, or headers, without openat2(2). Nothing weaker takes its place: a name that is
 * looked at part by part can be changed meanwhile. open_beneath_linux.c is for the others.
 */
#include <errno.h>
#include "internal.h"

int libreplace_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve,
                            int regular)
{
	(void)dir_fd;
	(void)path;
	(void)flags;
	(void)mode;
	(void)resolve;
	(void)regular;
	errno = ENOSYS;
	return -1;
}
