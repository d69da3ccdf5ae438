/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Sorts lists of groups, and looks up the users of this machine. Needs no root.
 * tests/test_identity_in_c.py looks up the users of other databases.
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include "cases.h"

enum { MANY = 65536 };

static int is_in(const gid_t *list, size_t size, gid_t group)
{
	for (size_t i = 0; i < size; i++)
		if (list[i] == group)
			return 1;
	return 0;
}

/* Every list of up to 6 groups out of 4: the result is ascending, has no duplicates, and has the
 * same groups. */
static void every_short_list_is_sorted(void)
{
	static const gid_t values[] = {0, 7, 8, (gid_t)-1};

	for (size_t size = 0; size <= 6; size++)
		for (unsigned code = 0; code < 1U << (2 * size); code++) {
			gid_t given[6], list[6] = {0};
			size_t left, different = 0;

			for (size_t i = 0; i < size; i++) {
				given[i] = list[i] = values[code >> (2 * i) & 3];
				different += !is_in(given, i, given[i]);
			}
			left = libreplace_sort_groups(list, size);
			MUST(left == different);
			for (size_t i = 0; i < left; i++)
				MUST(is_in(given, size, list[i]) &&
				     (i == 0 || list[i - 1] < list[i]));
		}
}

/* The largest list, in the order that takes Shell's own gaps longest: they never compare a small
 * with a large group before the last one. A quadratic sort would need 500 million steps here. */
static void longest_list_is_sorted(void)
{
	static gid_t list[MANY];

	for (gid_t i = 0; i < MANY; i++)
		list[i] = i % 2 == 0 ? MANY + i : i;
	MUST(libreplace_sort_groups(list, MANY) == MANY);
	for (gid_t i = 0; i < MANY; i++)
		MUST(list[i] == (i < MANY / 2 ? 2 * i + 1 : 2 * i));
	MUST(libreplace_sort_groups(NULL, 0) == 0);
}

/* Every user in the database: libc's groups, with as much room as needed, and with less. */
static void users_of_this_machine_are_found(void)
{
	struct libreplace_identity user;
	struct passwd *entry;
	int seen = 0;

	for (setpwent(); (entry = getpwent()) != NULL; seen++) {
		static gid_t groups[MANY], expected[MANY];
		const char *name = strdup(entry->pw_name);
		uid_t uid = entry->pw_uid;
		gid_t gid = entry->pw_gid;
		int count = MANY;

		MUST(name != NULL && getgrouplist(name, gid, (void *)expected, &count) >= 0);
		errno = EDOM;
		MUST(libreplace_identity_from_user(&user, name, groups, MANY) == 0 &&
		     errno == EDOM);
		MUST(user.uid == uid && user.gid == gid && user.groups == groups);
		MUST(user.size > 0 && is_in(groups, user.size, gid));
		MUST(user.size == libreplace_sort_groups(expected, (size_t)count));
		MUST(memcmp(groups, expected, user.size * sizeof *groups) == 0);
		MUST(libreplace_identity_from_user(&user, name, groups, (size_t)count) == 0);
		for (size_t room = 0; room < (size_t)count; room++) {
			errno = 0;
			MUST(libreplace_identity_from_user(&user, name, groups, room) == -1);
			MUST(errno == ERANGE && user.size > room);
		}
		MUST(libreplace_identity_from_user(&user, name, groups, user.size) == 0);
		free((void *)name);
	}
	MUST(seen > 0 || access("/etc/passwd", R_OK) != 0); /* a minimal root may have no users */
}

static void missing_user_is_enoent(void)
{
	struct libreplace_identity user = {1, 2, 3, NULL};
	gid_t groups[1] = {4};

	errno = 0;
	MUST(libreplace_identity_from_user(&user, "no-such-user", groups, 1) == -1);
	MUST(errno == ENOENT && groups[0] == 4);
	MUST(libreplace_identity_from_user(&user, "", groups, 1) == -1);
	MUST(user.uid == 1 && user.gid == 2 && user.size == 3 && user.groups == NULL);
}

static void root_is_recognised(void)
{
	static const gid_t with_root[] = {0, 5}, without[] = {5, 6};
	const struct libreplace_identity identities[] = {{0, 5, 0, NULL},      {5, 0, 0, NULL},
	                                                 {5, 5, 2, with_root}, {5, 5, 2, without},
	                                                 {5, 5, 0, NULL},      {5, 5, 1, without}};

	for (int i = 0; i < 6; i++)
		MUST(libreplace_identity_has_root(&identities[i]) == (i < 3));
}

int main(void)
{
	every_short_list_is_sorted();
	longest_list_is_sorted();
	users_of_this_machine_are_found();
	missing_user_is_enoent();
	root_is_recognised();
	return 0;
}
