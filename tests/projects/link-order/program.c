/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A program with one call, which changes nothing.
 */
#include <libreplace/replace.h>

int main(void)
{
	return libreplace_setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1);
}
