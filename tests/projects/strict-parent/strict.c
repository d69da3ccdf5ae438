/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Compiled with -include config.h, which has its own HAVE_SETRESUID, as strict C11.
 */
#include <libreplace/replace.h>
#include <libreplace/samba_config.h>
#include <stdio.h>

#if HAVE_SETRESUID != 1 || HAVE_SETGROUPS != 2 || CREDENTIALS != 7
#error "the parent's own answers are gone"
#endif

int main(void)
{
	uid_t r, e, s;

	if (libreplace_getresuid(&r, &e, &s) != 0 ||
	    libreplace_setresuid((uid_t)-1, e, (uid_t)-1) != 0)
		return 1;
	printf("%s, HAVE_SETGROUPS %d\n", LIBREPLACE_BACKEND, HAVE_SETGROUPS);
	return 0;
}
