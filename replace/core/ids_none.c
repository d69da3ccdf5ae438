/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For kernels without file system ids and user namespaces: the kernel checks access to files with
 * the effective ids, and shows every id. ids_linux.c is for Linux. Source: credentials(7).
 */
#include "internal.h"

int libreplace_read_fs_ids(struct libreplace_ids *ids)
{
	ids->fsuid = ids->euid;
	ids->fsgid = ids->egid;
	return 0;
}

int libreplace_can_set_fsuid(const struct libreplace_ids *ids)
{
	(void)ids;
	return 1;
}

int libreplace_can_set_fsgid(const struct libreplace_ids *ids)
{
	(void)ids;
	return 1;
}

int libreplace_imitates_groups(const struct libreplace_ids *ids, const gid_t *groups)
{
	(void)ids;
	(void)groups;
	return 0;
}

int libreplace_unmapped(const struct libreplace_ids *ids, const gid_t *groups)
{
	(void)ids;
	(void)groups;
	return 0;
}
