/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace: process credentials with one signature, one validation and one error
 * contract on every platform. If LIBREPLACE_THREAD_SCOPE is 1 (the default on Linux with
 * glibc), the setters change the calling thread alone. These are then not the calls that
 * POSIX describes, which change the whole process.
 *
 * The calls are declared in calls.h, which the build writes from detect/calls.py. Every
 * name that these headers define begins with libreplace_ or LIBREPLACE_. Code that wants
 * Samba's names includes libreplace/samba_config.h as well.
 */
#ifndef LIBREPLACE_REPLACE_H
#define LIBREPLACE_REPLACE_H

#include <libreplace/build_info.h>
#include <libreplace/calls.h>
#include <libreplace/guard.h>
#include <libreplace/open_beneath.h>

#endif
