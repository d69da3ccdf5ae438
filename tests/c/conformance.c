/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Checks the errors of the calls, for `meson test`. As root it also checks whether a call changes
 * one thread or the process. Without root it runs the other checks, so it never exits with 77
 * (skip).
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
	MUST(libreplace_setresuid((uid_t)-1, 80001, (uid_t)-1) == 0);
	MUST(geteuid() == 80001);
	return unused;
}

/* Ids of more than 15, 16 and 31 bits reach files and lists unchanged. A 16-bit call would turn
 * 80001 into 14464. */
static void wide_ids(void)
{
	static const gid_t groups[] = {80001, 2147483653U, 4294967293U};
	char path[] = "/tmp/libreplace-XXXXXX";
	struct stat made;
	gid_t list[3];
	int file, status = 1;
	pid_t child = fork();

	if (child == 0) {
		file = mkstemp(path);
		MUST(file >= 0 && unlink(path) == 0);
		for (int i = 0; i < 3; i++) {
			MUST(fchown(file, groups[i], groups[i]) == 0 && fstat(file, &made) == 0);
			MUST(made.st_uid == groups[i] && made.st_gid == groups[i]);
			MUST(libreplace_setresgid((gid_t)-1, groups[i], (gid_t)-1) == 0);
			MUST(libreplace_setresuid((uid_t)-1, groups[i], (uid_t)-1) == 0);
			strcpy(path, "/tmp/libreplace-XXXXXX");
			close(file);
			file = mkstemp(path);
			MUST(file >= 0 && unlink(path) == 0 && fstat(file, &made) == 0);
			MUST(made.st_uid == groups[i] && made.st_gid == groups[i]);
			MUST(libreplace_setresuid((uid_t)-1, 0, (uid_t)-1) == 0);
			MUST(libreplace_setresgid((gid_t)-1, 0, (gid_t)-1) == 0);
		}
		MUST(libreplace_setgroups(3, groups) == 0 && libreplace_getgroups(3, list) == 3);
		MUST(memcmp(list, groups, sizeof groups) == 0);
		MUST(libreplace_initgroups("libreplace-nobody", 80005) == 0);
		MUST(libreplace_getgroups(3, list) == 1 && list[0] == 80005);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
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

	refused(libreplace_setuid((uid_t)-1));
	refused(libreplace_seteuid((uid_t)-1));
	refused(libreplace_setgid((gid_t)-1));
	refused(libreplace_setegid((gid_t)-1));
	refused(libreplace_initgroups("root", (gid_t)-1));
	refused(libreplace_setgroups((size_t)INT_MAX + 1, &none));
#if SIZE_MAX > UINT_MAX
	refused(libreplace_setgroups((size_t)UINT_MAX + 1, &none)); /* 0 as an unsigned int */
#endif
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && r == getuid() && e == geteuid());
	MUST(libreplace_getgroups(0, NULL) == getgroups(0, NULL));
	if (geteuid() != 0)
		return 0;
	/* uid_wrapper changes no owners of files, and accepts -1 in a list */
	if (getenv("UID_WRAPPER") == NULL) {
		refused(libreplace_setgroups(1, &none));
		wide_ids();
	}
	MUST(pthread_create(&thread, NULL, switch_here, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(geteuid() == (LIBREPLACE_THREAD_SCOPE ? 0 : 80001));
	puts(LIBREPLACE_BACKEND);
	return 0;
}
