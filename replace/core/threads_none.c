/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels without credentials of a thread: only a process with one thread can enter, so this
 * thread needs no id, and it has not ended. threads_linux.c is for Linux.
 */
#include "internal.h"

int libreplace_thread_id(void)
{
	return 1;
}

int libreplace_has_ended(int id)
{
	(void)id;
	return 0;
}
