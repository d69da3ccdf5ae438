/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * capget(2) and capset(2) for the C tests, without the kernel's headers, which musl-gcc lacks. An
 * array of six words holds the effective, permitted and inheritable set, first the low words.
 */
#ifndef RAW_CAPABILITIES_H
#define RAW_CAPABILITIES_H

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OF_SETGID = 6, OF_SETUID = 7 };
enum { BOTH = 1U << OF_SETGID | 1U << OF_SETUID };

/* Read or set the capabilities of the calling thread; @call is SYS_capget or SYS_capset. */
static inline int capabilities(long call, unsigned *sets)
{
	unsigned header[2] = {0x20080522, 0};

	return (int)syscall(call, header, sets);
}

/* Set the capabilities of the calling thread, each set as one number. */
static inline int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	unsigned sets[6] = {(unsigned)effective,         (unsigned)permitted,
	                    (unsigned)inheritable,       (unsigned)(effective >> 32),
	                    (unsigned)(permitted >> 32), (unsigned)(inheritable >> 32)};

	return capabilities(SYS_capset, sets);
}

/* Make all permitted capabilities inheritable, and store the sets. */
static inline int make_inheritable(unsigned *sets)
{
	if (capabilities(SYS_capget, sets) != 0)
		return -1;
	sets[2] = sets[1];
	sets[5] = sets[4];
	return capabilities(SYS_capset, sets);
}

/* Become user 1000 with only CAP_SETUID and CAP_SETGID; CAP_SETUID is also ambient. */
static inline int become_server_without_root(void)
{
	unsigned sets[6] = {BOTH, BOTH, BOTH, 0, 0, 0};

	return prctl(PR_SET_KEEPCAPS, 1) || setresgid(1000, 1000, 1000) ||
	       setresuid(1000, 1000, 1000) || capabilities(SYS_capset, sets) ||
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, OF_SETUID, 0, 0);
}

#endif
