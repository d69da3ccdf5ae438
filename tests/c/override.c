/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Represents existing code that does not know libreplace, compiled with
 * -include libreplace/replace_override.h. It checks the names of the symbols, and that seteuid(-1)
 * fails with EINVAL, as only libreplace_seteuid() does on every back end. setuid() and setgid() are
 * mapped only with LIBREPLACE_OVERRIDE_ALL; test_override.py says why.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <grp.h>

#define NAME_OF(symbol) EXPANDED(symbol)
#define EXPANDED(symbol) #symbol

#ifdef LIBREPLACE_OVERRIDE_ALL
#define SETUID "libreplace_setuid"
#define SETGID "libreplace_setgid"
#else
#define SETUID "setuid"
#define SETGID "setgid"
#endif

int main(void)
{
	if (strcmp(NAME_OF(setreuid), "libreplace_setreuid") != 0 ||
	    strcmp(NAME_OF(setuid), SETUID) != 0 || strcmp(NAME_OF(setgid), SETGID) != 0 ||
	    strcmp(NAME_OF(setfsuid), "setfsuid") != 0 ||
	    strcmp(NAME_OF(setfsgid), "setfsgid") != 0)
		return 1;
	if (setreuid((uid_t)-1, geteuid()) != 0)
		return 2;
	return seteuid((uid_t)-1) == -1 && errno == EINVAL ? 0 : 3;
}
