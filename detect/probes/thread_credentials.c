/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_have_linux_thread_credentials: do raw system calls change one thread?
 * Yes, if root asked: the round trip worked, and a switch in a second thread did not
 * change the first. Yes, if another user asked: the kernel has the calls, because they did
 * not fail with ENOSYS. No: the calls in the headers do not work on the running kernel.
 */
#include "probe.h"
#include <pthread.h>
#include <sys/syscall.h>

#ifdef SYS_setresuid32
#define NUMBER(call) SYS_##call##32
#else
#define NUMBER(call) SYS_##call
#endif

static void check_ids(uid_t r, uid_t e, uid_t s, const char *failure)
{
	uid_t ruid, euid, suid;

	check(getresuid(&ruid, &euid, &suid) == 0 && ruid == r && euid == e && suid == s, failure);
}

static void *other(void *unused)
{
	step(syscall(NUMBER(setresuid), -1, A_USER, -1) != 0,
	     "second thread: setresuid(-1, user, -1)");
	check_ids(0, A_USER, 0, "the second thread's ids did not change");
	return unused;
}

static void round_trip(void)
{
	pthread_t thread;

	step(syscall(NUMBER(setresuid), 0, 0, 0) != 0, "gain root");
	step(syscall(NUMBER(setgroups), 0, NULL) != 0, "setgroups(0)");
	step(syscall(NUMBER(setresgid), -1, A_USER, -1) != 0, "set the effective gid");
	check(getegid() == A_USER, "the effective gid is not the one that was set");
	step(syscall(NUMBER(setresgid), -1, 0, -1) != 0, "restore the effective gid");

	step(pthread_create(&thread, NULL, other, NULL) != 0, "pthread_create");
	pthread_join(thread, NULL);
	check_ids(0, 0, 0, "the second thread's switch changed the first");

	step(syscall(NUMBER(setresuid), -1, A_USER, -1) != 0, "set effective");
	check_ids(0, A_USER, 0, "the real or saved id changed");
	step(syscall(NUMBER(setresuid), -1, 0, -1) != 0, "restore from the saved id");
	check_ids(0, 0, 0, "the saved id did not restore root");
	step(syscall(NUMBER(setreuid), 0, A_USER) != 0, "setreuid");
	step(syscall(NUMBER(setresuid), -1, 0, -1) != 0, "gain root again");
	step(syscall(NUMBER(setresuid), A_USER, A_USER, A_USER) != 0, "become a user for good");
	check_ids(A_USER, A_USER, A_USER, "did not become the user");
	check(syscall(NUMBER(setresuid), -1, 0, -1) == -1 && errno == EPERM,
	      "a user for good regained root");
	answer(YES, "the round trip worked, and a switch in one thread did not change the other");
}

static void no_root(void)
{
	check(syscall(NUMBER(setresuid), -1, -1, -1) == 0 || errno != ENOSYS, "setresuid: ENOSYS");
	check(syscall(NUMBER(setresgid), -1, -1, -1) == 0 || errno != ENOSYS, "setresgid: ENOSYS");
	check(syscall(NUMBER(setreuid), -1, -1) == 0 || errno != ENOSYS, "setreuid: ENOSYS");
	check(syscall(NUMBER(setregid), -1, -1) == 0 || errno != ENOSYS, "setregid: ENOSYS");
	check(syscall(NUMBER(setgroups), 0, NULL) == 0 || errno != ENOSYS, "setgroups: ENOSYS");
	answer(YES, "not root: this kernel has every call");
}

int main(void)
{
	return run_probe(geteuid() == 0 ? round_trip : no_root);
}
