/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A working directory and umask of the calling thread's own. By the raw system call, since
 * <sched.h> has unshare(2) for _GNU_SOURCE alone; whether it is permitted, whoever calls it
 * sees. The other half is private_fs_none.c. Source: unshare(2), ksys_unshare() in kernel/fork.c.
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
