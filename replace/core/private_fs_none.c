/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Where a process has one working directory and one umask. The other half is private_fs_linux.c.
 */
#include <errno.h>
#include "internal.h"

int libreplace_private_fs(void)
{
	errno = ENOSYS;
	return -1;
}
