/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels or headers without openat2(2). There is no weaker substitute: if a program checked
 * the parts of a path one by one, another process could change the path meanwhile.
 * open_beneath_linux.c is for Linux.
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
