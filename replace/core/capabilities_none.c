/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels without capabilities(7): only user ID 0 is privileged, so there is nothing to read or
 * change. capabilities_linux.c is for Linux.
 */
#include <string.h>
#include "internal.h"

int libreplace_get_securebits(void)
{
	return 0;
}

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

int libreplace_clear_capabilities(const struct libreplace_capabilities *held, uint64_t effective)
{
	(void)held;
	(void)effective;
	return 0;
}

int libreplace_set_capabilities(const struct libreplace_capabilities *held)
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

int libreplace_may_set_uids(uid_t euid, uint64_t effective)
{
	(void)effective;
	return euid == 0;
}

int libreplace_may_set_gids(uid_t euid, uint64_t effective)
{
	(void)effective;
	return euid == 0;
}

int libreplace_bounded(uint64_t capabilities)
{
	(void)capabilities;
	return 1;
}
