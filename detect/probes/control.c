/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_control_program: does a program that calls setuid() compile and link?
 * Yes: the other questions can be asked. Every system that libreplace supports has setuid().
 * No: a compiler option or a missing file breaks every program, so configure stops.
 */
#include <sys/types.h>
#include <unistd.h>

int main(void)
{
	return setuid(getuid());
}
