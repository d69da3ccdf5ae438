/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Where our calls mean something else than Samba's functions. Each line has our result, then the
 * result of the raw system call that Samba's function makes on Linux. 0 is success, otherwise it
 * is errno. Run it as root on a 64-bit system.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <libreplace/replace.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHOW(what, ours, samba)                                                                    \
	do {                                                                                       \
		int first = (ours) == 0 ? 0 : errno, second = (samba) == 0 ? 0 : errno;            \
		printf("%s: %d %d\n", what, first, second);                                        \
	} while (0)

static void *in_another_thread(void *unused)
{
	if (libreplace_initgroups("nobody", 80011) != 0)
		perror("libreplace_initgroups");
	return unused;
}

int main(void)
{
	static const gid_t groups[] = {80011, 80012};
	const size_t wide = ((size_t)1 << 31 << 1) + 1;
	pthread_t other;

	SHOW("seteuid(-1)", libreplace_seteuid((uid_t)-1), syscall(SYS_setresuid, -1, -1, -1));
	SHOW("setegid(-1)", libreplace_setegid((gid_t)-1), syscall(SYS_setresgid, -1, -1, -1));
	SHOW("setuid(-1)", libreplace_setuid((uid_t)-1), syscall(SYS_setuid, -1));
	SHOW("setgid(-1)", libreplace_setgid((gid_t)-1), syscall(SYS_setgid, -1));
	SHOW("setgroups(2**31)", libreplace_setgroups((size_t)1 << 31, groups),
	     syscall(SYS_setgroups, (size_t)1 << 31, groups));
	SHOW("setgroups(2**32 + 1)", libreplace_setgroups(wide, groups),
	     syscall(SYS_setgroups, wide, groups));
	printf("after setgroups(2**32 + 1): %d group\n", getgroups(0, NULL));
	if (setgroups(0, NULL) != 0 || pthread_create(&other, NULL, in_another_thread, NULL) != 0 ||
	    pthread_join(other, NULL) != 0)
		return 1;
	printf("after initgroups in a thread: main has %d\n", getgroups(0, NULL));
	return 0;
}
