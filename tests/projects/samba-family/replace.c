/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The library `replace` of a project of Samba's family. It has nothing in common with libreplace.
 */
int rep_of_the_family(void);

int rep_of_the_family(void)
{
	return 1;
}
