/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Checks the errors of the calls, and that success keeps errno, for `meson test`. As root it also
 * checks whether a call changes one thread or the process. Without root it runs the other checks,
 * so it never exits with 77 (skip).
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
#include "must.h"
#include "root.h"

#if LIBREPLACE_VERSION_NUMBER >= 1000000 /* 100.0.0 */
#error "the number of the version is for #if"
#endif

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
		needs_tmp();
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
	MUST(waitpid(child, &status, 0) == child);
	MUST(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
}

/* The call succeeds and keeps errno, or this system has no such call. */
static void keeps_errno(int place, int result)
{
	if (result == -1 && errno == ENOSYS) {
		errno = EDOM;
		return;
	}
	if (result >= 0 && errno == EDOM)
		return;
	fprintf(stderr, "%s:%d: result %d, errno %d\n", __FILE__, place, result, errno);
	exit(1);
}
#define KEEPS_ERRNO(call) keeps_errno(__LINE__, call)

static pthread_mutex_t end = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_the_end(void *unused)
{
	pthread_mutex_lock(&end);
	pthread_mutex_unlock(&end);
	return unused;
}

/* All calls, in a process with two threads: a libc that changes both waits for the other one. */
static void successful_calls_keep_errno(void)
{
	static LIBREPLACE_GUARD(held, 64);
	static const gid_t groups[] = {80011};
	const struct libreplace_identity user = {80001, 80011, 1, groups};
	uid_t u, r, e, s, own = geteuid();
	gid_t g, rg, eg, sg, group = getegid(), list[64];
	int status = 1, root = obstacle() == NULL, faked = getenv("UID_WRAPPER") != NULL;
	pthread_t other;
	pid_t child = fork();

	if (child != 0) {
		MUST(waitpid(child, &status, 0) == child && status == 0);
		return;
	}
	MUST(pthread_mutex_lock(&end) == 0);
	MUST(pthread_create(&other, NULL, wait_for_the_end, NULL) == 0);
	errno = EDOM;
	KEEPS_ERRNO(libreplace_getresuid(&r, &e, &s));
	KEEPS_ERRNO(libreplace_getresgid(&rg, &eg, &sg));
	KEEPS_ERRNO(libreplace_getgroups(0, NULL));
	KEEPS_ERRNO(libreplace_getfsuid(&u));
	KEEPS_ERRNO(libreplace_getfsgid(&g));
	if (!faked) {
		KEEPS_ERRNO(libreplace_setfsgid(group));
		KEEPS_ERRNO(libreplace_setfsuid(own));
	}
	KEEPS_ERRNO(libreplace_setegid(group));
	KEEPS_ERRNO(libreplace_seteuid(own));
	KEEPS_ERRNO(libreplace_setregid((gid_t)-1, group));
	KEEPS_ERRNO(libreplace_setreuid((uid_t)-1, own));
	KEEPS_ERRNO(libreplace_setresgid((gid_t)-1, group, (gid_t)-1));
	KEEPS_ERRNO(libreplace_setresuid((uid_t)-1, own, (uid_t)-1));
	if (root) {
		KEEPS_ERRNO(libreplace_initgroups("libreplace-nobody", 80005));
		KEEPS_ERRNO(libreplace_initgroups("root", 80005));
		KEEPS_ERRNO(libreplace_setgroups(1, groups));
		KEEPS_ERRNO(libreplace_getgroups(64, list));
	}
	if (root && LIBREPLACE_THREAD_SCOPE && !faked) {
		libreplace_guard_init(&held.guard, sizeof held);
		KEEPS_ERRNO(libreplace_enter(&held.guard, &user, LIBREPLACE_LEVEL_SHIELDED));
		KEEPS_ERRNO(libreplace_check(&held.guard));
		KEEPS_ERRNO(libreplace_leave(&held.guard));
		KEEPS_ERRNO(libreplace_drop_begin());
		libreplace_drop_end();
		KEEPS_ERRNO(libreplace_drop_capabilities());
	}
	KEEPS_ERRNO(libreplace_setgid(group));
	KEEPS_ERRNO(libreplace_setuid(own));
	MUST(pthread_mutex_unlock(&end) == 0 && pthread_join(other, NULL) == 0);
	exit(0);
}

/* The headers and the library are of one build. */
static void versions_agree(void)
{
	int major = 0, minor = 0, patch = 0;

	MUST(strcmp(libreplace_build_info("version"), LIBREPLACE_VERSION) == 0);
	MUST(sscanf(LIBREPLACE_VERSION, "%d.%d.%d", &major, &minor, &patch) > 0);
	MUST(libreplace_version() == major * 10000 + minor * 100 + patch);
	MUST(libreplace_version() == LIBREPLACE_VERSION_NUMBER);
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
	successful_calls_keep_errno();
	versions_agree();
	if (obstacle() != NULL)
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
