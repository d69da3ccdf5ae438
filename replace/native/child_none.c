/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels other than Linux. child_linux.c is for Linux.
 */
#include <errno.h>
#include "native.h"

void native_forbid_tracing(void)
{
}

int native_keeps_capabilities(void)
{
	return 0;
}

int native_reset_priority(void)
{
	return 0;
}

int native_can_empty_bounding_set(void)
{
	return 1;
}

int native_has_no_new_privs(void)
{
	return 0;
}

int native_empty_bounding_set(void)
{
	return 0;
}

int native_has_no_capability(void)
{
	return 0;
}

int native_set_no_new_privs(void)
{
	errno = ENOSYS;
	return -1;
}
