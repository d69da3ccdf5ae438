/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What a child of popen_as() must not inherit, and only Linux has. child_none.c is for other
 * kernels. native.h explains the functions. Source: prctl(2), capabilities(7),
 * capget(2), sched(7), getpriority(2).
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
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

/* ---- Capabilities: the arguments of capget(2), for C libraries without <linux/capability.h> */

enum { VERSION_3 = 0x20080522, SETPCAP = 8, WORDS = 2 };

struct header {
	uint32_t version;
	int pid;
};

struct words {
	uint32_t effective, permitted, inheritable;
};

/* Whether the bounding set has this capability. Return: -1 if there is no capability of this
 * number, or on a kernel without bounding sets; the first one is always there. */
static int is_bounding(int capability)
{
	return prctl(PR_CAPBSET_READ, capability, 0L, 0L, 0L);
}

/* Return: 1 if the bounding set is empty, 0 if not, or -1 with errno set. */
static int has_empty_bounding_set(void)
{
	int found = is_bounding(0);

	if (found < 0)
		return errno == EINVAL ? 1 : -1; /* an emulator may have none */
	for (int capability = 1; found == 0; capability++)
		found = is_bounding(capability);
	if (found == 1)
		return 0;
	return errno == EINVAL ? 1 : -1; /* there is no further capability */
}

int native_can_empty_bounding_set(void)
{
	struct header header = {VERSION_3, 0};
	struct words held[WORDS] = {{0, 0, 0}, {0, 0, 0}};

	if (syscall(SYS_capget, &header, held) != 0)
		return -1;
	return (held[0].permitted >> SETPCAP & 1) != 0 ? 1 : has_empty_bounding_set();
}

int native_empty_bounding_set(void)
{
	struct header header = {VERSION_3, 0};
	struct words held[WORDS] = {{0, 0, 0}, {0, 0, 0}};
	uint32_t effective;
	int empty = has_empty_bounding_set();

	if (empty != 0)
		return empty < 0 ? -1 : 0;
	if (syscall(SYS_capget, &header, held) != 0)
		return -1;
	effective = held[0].effective;
	held[0].effective |= held[0].permitted & 1U << SETPCAP;
	if (syscall(SYS_capset, &header, held) != 0)
		return -1;
	for (int capability = 0; is_bounding(capability) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0L, 0L, 0L) != 0)
			return -1;
	held[0].effective = effective;
	return (int)syscall(SYS_capset, &header, held);
}

/* No ambient capability is left if none is inheritable. */
int native_has_no_capability(void)
{
	struct header header = {VERSION_3, 0};
	struct words held[WORDS] = {{0, 0, 0}, {0, 0, 0}};
	uint32_t left = 0;
	int empty;

	if (syscall(SYS_capget, &header, held) != 0 || (empty = has_empty_bounding_set()) < 0)
		return -1;
	for (int i = 0; i < WORDS; i++)
		left |= held[i].effective | held[i].permitted | held[i].inheritable;
	if (left == 0 && empty)
		return 0;
	errno = EPERM;
	return -1;
}

/* ---- no_new_privs: the numbers of linux/prctl.h, since Linux 3.5 */

enum { SET_NO_NEW_PRIVS = 38, GET_NO_NEW_PRIVS = 39 };

int native_has_no_new_privs(void)
{
	return prctl(GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) >= 0;
}

int native_set_no_new_privs(void)
{
	if (prctl(SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0)
		return -1;
	if (prctl(GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	errno = EPERM;
	return -1;
}
