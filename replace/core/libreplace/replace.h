/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace: process credentials with one signature, one validation and one error
 * contract on every platform. On Linux with glibc the setters change the calling
 * thread alone; LIBREPLACE_THREAD_SCOPE says what was built. This is not the
 * setuid() that POSIX describes: that one changes the whole process.
 *
 * The calls are declared in calls.h, which the build writes from detect/calls.py.
 * No name without the prefix libreplace_ or LIBREPLACE_ is defined here; code that wants
 * Samba's names includes libreplace/samba_config.h as well.
 */
#ifndef LIBREPLACE_REPLACE_H
#define LIBREPLACE_REPLACE_H

#include <libreplace/build_info.h>
#include <libreplace/calls.h>
#include <libreplace/guard.h>

#endif
