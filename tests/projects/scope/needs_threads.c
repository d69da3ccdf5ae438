/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An example of code that is wrong if a call changes the whole process.
 */
#include <libreplace/replace.h>
#if !LIBREPLACE_THREAD_SCOPE
#error "needs calls that change one thread: build libreplace with -Dcredentials=syscall"
#endif
int act_as_user(uid_t user);

int act_as_user(uid_t user)
{
	return libreplace_seteuid(user);
}
