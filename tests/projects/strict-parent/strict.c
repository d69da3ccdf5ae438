/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Compiled as strict C11 with -include config.h. The parent's config.h also defines HAVE_SETRESUID.
 */
#include <libreplace/replace.h>
#include <libreplace/samba_config.h>
#include <stdio.h>

#if HAVE_SETRESUID != 1 || HAVE_SETGROUPS != 2 || CREDENTIALS != 7
#error "the headers of libreplace changed macros of the parent's config.h"
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
