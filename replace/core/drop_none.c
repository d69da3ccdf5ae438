/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For systems where a process has one set of ids, so that all threads have the same ones.
 * drop_linux.c is for Linux. internal.h explains the functions.
 */
#include <stdlib.h>
#include <string.h>
#include "internal.h"

int libreplace_look_at_threads(enum libreplace_look look,
                               const struct libreplace_identity *identity, int flags,
                               struct libreplace_drop *result)
{
	(void)look;
	(void)identity;
	(void)flags;
	(void)result;
	return 0;
}

int libreplace_try_uid(const struct libreplace_identity *identity,
                       const struct libreplace_ids *before, struct libreplace_drop *result)
{
	(void)identity;
	(void)before;
	(void)result;
	return 0;
}

int libreplace_join_new_keyring(void)
{
	return 0;
}

/* On FreeBSD and macOS, the first group is the effective group ID. So setgid(2) would take the
 * place of the first group of the list. Source: setgroups(2). */
int libreplace_set_process_groups(const struct libreplace_identity *identity)
{
	gid_t *list = malloc((identity->size + 1) * sizeof *list);
	size_t size = 1;
	int status;

	if (list == NULL)
		return -1;
	list[0] = identity->gid;
	for (size_t i = 0; i < identity->size; i++)
		if (identity->groups[i] != identity->gid)
			list[size++] = identity->groups[i];
	status = libreplace_process_setgroups(size, list);
	free(list);
	return status;
}
