/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_private_fs() with the raw system call, because <sched.h> declares unshare(2) only if
 * _GNU_SOURCE is defined. private_fs_none.c is for other kernels. Source: unshare(2),
 * ksys_unshare() in kernel/fork.c.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

enum { SHARED_FS = 0x00000200 }; /* CLONE_FS of linux/sched.h */

int libreplace_private_fs(void)
{
	if (syscall(SYS_gettid) == getpid()) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_unshare, SHARED_FS);
}
