/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * How the server of this example acts as a user in one thread, see act.c.
 */
#ifndef ACT_H
#define ACT_H

#include <sys/types.h>

int act_as(uid_t user);
int act_as_server(void);

#endif
