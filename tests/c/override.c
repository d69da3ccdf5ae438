/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Stands for existing code: it knows nothing of libreplace, and is compiled with
 * -include libreplace/replace_override.h. The contract that only libreplace_ functions have
 * (seteuid(-1) is EINVAL on every back end, and the symbol's own name) shows that it works.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <grp.h>

#define NAME_OF(symbol) EXPANDED(symbol)
#define EXPANDED(symbol) #symbol

int main(void)
{
	if (strcmp(NAME_OF(setreuid), "libreplace_setreuid") != 0 ||
	    strcmp(NAME_OF(setfsuid), "setfsuid") != 0)
		return 1;
	if (setreuid((uid_t)-1, geteuid()) != 0)
		return 2;
	return seteuid((uid_t)-1) == -1 && errno == EINVAL ? 0 : 3;
}
