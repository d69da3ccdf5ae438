/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_setgroups_size_t: is the first argument of setgroups() a size_t?
 * Yes: a second declaration with size_t agrees with the one in the headers (Linux).
 * No: it is an int (BSD, macOS), so the generated call checks the range first.
 */
#include <sys/types.h>
#include <unistd.h>
#include <grp.h>

int setgroups(size_t, const gid_t *);

int main(void)
{
	return setgroups(0, 0);
}
