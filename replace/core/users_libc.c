/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Looks a user up with libc. users_none.c is for systems without getgrouplist(3).
 * libreplace/identity.h explains the function.
 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h> /* getgrouplist() of musl, macOS and FreeBSD */
#include "internal.h"

/* POSIX sets no limit to the length of a user's entry. This one only ends the search of a database
 * that reports ERANGE for every length. */
enum { SHORTEST_ENTRY = 1 << 10, LONGEST_ENTRY = 1 << 24 };

/* Store the groups of @entry. Return: 0, or an errno. */
static int list_groups(struct libreplace_identity *identity, const struct passwd *entry,
                       gid_t *groups, size_t room)
{
	int count = room > INT_MAX ? INT_MAX : (int)room;
	size_t size;

	/* some systems take the ids as int; void * fits both declarations */
	if (getgrouplist(entry->pw_name, entry->pw_gid, (void *)groups, &count) < 0) {
		/* macOS does not report the number that is needed */
		identity->size = (size_t)count > room ? (size_t)count : 2 * room + 1;
		return ERANGE;
	}
	size = libreplace_sort_groups(groups, (size_t)count);
	/* -1 means "unchanged" to the kernel; as the largest id, it is the last one */
	if (entry->pw_uid == (uid_t)-1 || entry->pw_gid == (gid_t)-1 ||
	    (size > 0 && groups[size - 1] == (gid_t)-1))
		return EINVAL;
	*identity = (struct libreplace_identity){entry->pw_uid, entry->pw_gid, size, groups};
	return 0;
}

int libreplace_identity_from_user(struct libreplace_identity *identity, const char *name,
                                  gid_t *groups, size_t room)
{
	int before = errno, error = ERANGE;
	struct passwd entry, *found = NULL;
	char *text = NULL;

	for (size_t size = SHORTEST_ENTRY; error == ERANGE && size <= LONGEST_ENTRY; size *= 2) {
		free(text);
		text = malloc(size);
		error = text == NULL ? ENOMEM : getpwnam_r(name, &entry, text, size, &found);
	}
	if (error == ERANGE) /* here it would mean that the groups do not fit */
		error = ENOMEM;
	else if (error == ESRCH || (error == 0 && found == NULL)) /* getpwnam(3): some systems */
		error = ENOENT;
	else if (error == 0)
		error = list_groups(identity, &entry, groups, room);
	free(text);
	errno = error == 0 ? before : error;
	return error == 0 ? 0 : -1;
}
