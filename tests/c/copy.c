/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A shared object of another project. It links a copy of libreplace, and its functions call that
 * copy. test_two_copies.py builds it in several ways, and copies.c loads it.
 */
#include <libreplace/replace.h>

const char *copy_build_info(const char *name);
int copy_setresuid(uid_t ruid, uid_t euid, uid_t suid);
int copy_guard_init(struct libreplace_guard *guard, size_t size);
int copy_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
               int level);
int copy_leave(struct libreplace_guard *guard);

const char *copy_build_info(const char *name)
{
	return libreplace_build_info(name);
}

int copy_setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	return libreplace_setresuid(ruid, euid, suid);
}

int copy_guard_init(struct libreplace_guard *guard, size_t size)
{
	return libreplace_guard_init(guard, size);
}

int copy_enter(struct libreplace_guard *guard, const struct libreplace_identity *identity,
               int level)
{
	return libreplace_enter(guard, identity, level);
}

int copy_leave(struct libreplace_guard *guard)
{
	return libreplace_leave(guard);
}
