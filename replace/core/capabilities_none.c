/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A kernel without capabilities(7): privilege lies in user id 0 alone, so there is
 * nothing to raise, put down or find. The other half is capabilities_linux.c.
 */
#include <string.h>
#include "internal.h"

int libreplace_get_capabilities(struct libreplace_capabilities *set)
{
	memset(set, 0, sizeof *set);
	return 0;
}

int libreplace_raise_capabilities(const struct libreplace_capabilities *held)
{
	(void)held;
	return 0;
}

int libreplace_put_down_capabilities(struct libreplace_capabilities *held)
{
	(void)held;
	return 0;
}

int libreplace_take_up_capabilities(const struct libreplace_capabilities *held)
{
	(void)held;
	return 0;
}

int libreplace_drop_capabilities(void)
{
	return 0;
}

uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level)
{
	(void)effective;
	(void)level;
	return 0;
}
