/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The numbers of the system calls with ids of 32 bits, for the C tests. On 32-bit systems, the
 * plain calls take 16-bit ids, and the library does not use them.
 */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <sys/syscall.h>

#ifdef SYS_setresuid32
enum {
	SETRESUID = SYS_setresuid32,
	SETRESGID = SYS_setresgid32,
	SETFSUID = SYS_setfsuid32,
	SETFSGID = SYS_setfsgid32,
	SETGROUPS = SYS_setgroups32,
	GETRESUID = SYS_getresuid32,
	GETRESGID = SYS_getresgid32,
	GETGROUPS = SYS_getgroups32
};
#else
enum {
	SETRESUID = SYS_setresuid,
	SETRESGID = SYS_setresgid,
	SETFSUID = SYS_setfsuid,
	SETFSGID = SYS_setfsgid,
	SETGROUPS = SYS_setgroups,
	GETRESUID = SYS_getresuid,
	GETRESGID = SYS_getresgid,
	GETGROUPS = SYS_getgroups
};
#endif

#endif
