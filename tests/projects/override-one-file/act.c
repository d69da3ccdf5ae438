/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The only file of this example that acts as a user. It is compiled with the override header.
 */
#include <unistd.h>

#include "act.h"

int act_as(uid_t user)
{
	return setegid(user) != 0 || seteuid(user) != 0;
}

int act_as_server(void)
{
	return seteuid(0) != 0 || setegid(0) != 0;
}
