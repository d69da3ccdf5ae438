/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For systems without getgrouplist(3). users_libc.c is for the others.
 */
#include <errno.h>
#include "internal.h"

int libreplace_identity_from_user(struct libreplace_identity *identity, const char *name,
                                  gid_t *groups, size_t room)
{
	(void)identity;
	(void)name;
	(void)groups;
	(void)room;
	errno = ENOSYS;
	return -1;
}
