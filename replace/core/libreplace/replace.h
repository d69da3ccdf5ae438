/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The calls for process credentials. Each call has the same signature, the same checks of its
 * arguments and the same errors on every platform. If LIBREPLACE_THREAD_SCOPE is 1 (the default on
 * Linux with glibc), each setter changes only the calling thread. The functions of POSIX with
 * similar names change the whole process. A call that succeeds keeps errno.
 *
 * The build writes the declarations into calls.h from detect/calls.py, and the version into
 * version.h from meson.build. Every name that these
 * headers define begins with libreplace_ or LIBREPLACE_. If your code needs Samba's names, include
 * libreplace/samba_config.h, too.
 */
#ifndef LIBREPLACE_REPLACE_H
#define LIBREPLACE_REPLACE_H

#include <libreplace/build_info.h>
#include <libreplace/calls.h>
#include <libreplace/drop.h>
#include <libreplace/guard.h>
#include <libreplace/identity.h>
#include <libreplace/open_beneath.h>
#include <libreplace/ring.h>
#include <libreplace/version.h>

#endif
