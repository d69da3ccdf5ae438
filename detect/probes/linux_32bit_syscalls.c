/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_use_linux_32bit_syscalls: do the plain numbers take 16-bit ids here?
 * Yes: the headers have the seven *32 numbers (i386, arm, m68k, sparc32 ...); the
 * plain ones would turn uid 80000 into 14464. No: the plain numbers take 32 bits.
 */
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	long sum = SYS_setresuid32 + SYS_setresgid32 + SYS_setreuid32 + SYS_setregid32 +
	           SYS_setuid32 + SYS_setgid32 + SYS_setgroups32;
	return sum == 0;
}
