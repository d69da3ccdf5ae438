/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What a child of popen_as() must not inherit, and only Linux has. child_none.c is for other
 * kernels. native.h explains the functions. Source: prctl(2), capabilities(7),
 * sched(7), getpriority(2).
 */
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "native.h"

void native_forbid_tracing(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* linux/securebits.h, which some C libraries come without */
enum { NOROOT = 1 << 0, NO_SETUID_FIXUP = 1 << 2 };

int native_keeps_capabilities(void)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	if (bits < 0)
		return errno == EINVAL ? 0 : -1; /* an emulator may have no securebits */
	return (bits & (NOROOT | NO_SETUID_FIXUP)) == NO_SETUID_FIXUP;
}

/* The two functions of musl that begin with sched_ always fail. */
int native_reset_priority(void)
{
	static const struct sched_param usual = {.sched_priority = 0};
	long policy = syscall(SYS_sched_getscheduler, 0);
	int nice;

	if (policy < 0)
		return -1;
	if ((policy == SCHED_FIFO || policy == SCHED_RR) &&
	    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &usual) != 0)
		return -1;
	errno = 0;
	nice = getpriority(PRIO_PROCESS, 0);
	if (errno != 0)
		return -1;
	return nice < 0 ? setpriority(PRIO_PROCESS, 0, 0) : 0;
}
