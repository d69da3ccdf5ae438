/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels on which all threads share one working directory and one umask. private_fs_linux.c is
 * for Linux.
 */
#include <errno.h>
#include "internal.h"

int libreplace_private_fs(void)
{
	errno = ENOSYS;
	return -1;
}
