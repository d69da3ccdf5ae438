/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A plugin that acts as a user. unload.c loads and unloads it.
 */
#include <libreplace/replace.h>

int act(void);

/* Enter and leave. Return: 0, or -1 if something is wrong. */
int act(void)
{
	static const struct libreplace_identity user = {80001, 80011, 0, NULL};
	LIBREPLACE_GUARD(held, 64);
	uid_t uid;

	if (libreplace_guard_init(&held.guard, sizeof held) != 0 ||
	    libreplace_enter(&held.guard, &user, LIBREPLACE_LEVEL_SHIELDED) != 0 ||
	    libreplace_getfsuid(&uid) != 0 || uid != user.uid || libreplace_active() != 1)
		return -1;
	return libreplace_leave(&held.guard);
}
