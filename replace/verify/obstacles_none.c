/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Obstacles on systems without capabilities, seccomp and the status files of Linux. See verify.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "verify.h"

static void control_privilege(const void *unused)
{
	(void)unused;
	if (geteuid() != 0)
		not_here("needs root");
}

void become_root(void)
{
	/* setuid(0) by root also sets the saved ID */
	if (setgid(0) != 0 || setuid(0) != 0)
		not_here("this process cannot become root: %s", strerror(errno));
}

const struct control controls_of_users[] = {{"privilege", control_privilege, NULL},
                                            {NULL, NULL, NULL}};
const struct control controls_of_servers[] = {{NULL, NULL, NULL}};
const struct control controls_of_root[] = {{NULL, NULL, NULL}};
const struct control controls_of_all[] = {{NULL, NULL, NULL}};
