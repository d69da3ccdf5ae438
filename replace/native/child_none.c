/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels other than Linux. child_linux.c is for Linux.
 */
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
