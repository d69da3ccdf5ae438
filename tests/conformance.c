/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What a C program sees of the library, for `meson test`: the contract on errors, and, as
 * root, whose ids one call changes. Exit status 77 (skip) is never used: without root the
 * part that needs none is still a test.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <libreplace/replace.h>
#include <libreplace/samba_config.h>

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static void *switch_here(void *unused)
{
	MUST(rep_setresuid((uid_t)-1, 80001, (uid_t)-1) == 0);
	MUST(geteuid() == 80001);
	return unused;
}

static void refused(int result)
{
	MUST(result == -1 && errno == EINVAL);
}

int main(void)
{
	uid_t r, e, s;
	gid_t none = (gid_t)-1;
	pthread_t thread;

	refused(rep_setuid((uid_t)-1));
	refused(rep_seteuid((uid_t)-1));
	refused(rep_setgid((gid_t)-1));
	refused(rep_setegid((gid_t)-1));
	refused(rep_initgroups("root", (gid_t)-1));
	refused(rep_setgroups((size_t)INT_MAX + 1, &none));
#if SIZE_MAX > UINT_MAX
	refused(rep_setgroups((size_t)UINT_MAX + 1, &none)); /* as an int: none */
#endif
	MUST(rep_getresuid(&r, &e, &s) == 0 && r == getuid() && e == geteuid());
	MUST(rep_getgroups(0, NULL) == getgroups(0, NULL));
	if (geteuid() != 0)
		return 0;
	if (getenv("UID_WRAPPER") == NULL) /* the kernel refuses, uid_wrapper does not */
		refused(rep_setgroups(1, &none));
	MUST(pthread_create(&thread, NULL, switch_here, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(geteuid() == (LIBREPLACE_THREAD_SCOPE ? 0 : 80001));
	puts(LIBREPLACE_BACKEND);
	return 0;
}
