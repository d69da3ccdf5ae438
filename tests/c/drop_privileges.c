/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_drop_privileges() changes every thread for good, or no thread, and says which thread
 * is in the way. tests/test_drop_privileges.py has the cases that need other tools: io_uring, user
 * namespaces and /proc.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "filter.h"
#include "raw_capabilities.h"
#include "securebits.h"

static struct libreplace_drop result;
static pthread_barrier_t meeting;
static pid_t other;

/* Whether a drop failed without a change, in this step and with this errno. */
static int refused(const struct libreplace_identity *user, int flags, int step, int error)
{
	uid_t own = geteuid();

	return libreplace_drop_privileges(user, flags, &result) == -1 && errno == error &&
	       result.step == step && result.error == error &&
	       result.state == LIBREPLACE_STATE_IDLE && geteuid() == own;
}

static void *expect_alice(void *unused)
{
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	expect_ids(ALICE, ALICE, ALICE, ALICE, STAFF, 2);
	return unused;
}

static void every_thread_becomes_the_user(void)
{
	pthread_t worker;

	MUST(pthread_barrier_init(&meeting, NULL, 2) == 0 &&
	     pthread_create(&worker, NULL, expect_alice, NULL) == 0);
	pthread_barrier_wait(&meeting);
	memset(&result, 1, sizeof result);
	errno = EDOM;
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0 && errno == EDOM);
	MUST(result.state == LIBREPLACE_STATE_FOR_GOOD && result.step == LIBREPLACE_STEP_NONE &&
	     result.error == 0 && result.thread == 0 && result.reserved[7] == 0);
	expect_ids(ALICE, ALICE, ALICE, ALICE, STAFF, 2);
	pthread_barrier_wait(&meeting);
	MUST(pthread_join(worker, NULL) == 0);
	/* who certainly is the user already needs no privilege */
	MUST(libreplace_drop_privileges(&alice, 0, NULL) == 0);
	MUST(refused(&bob, 0, LIBREPLACE_STEP_GROUPS, EPERM));
}

static void wrong_arguments_are_refused(void)
{
	static const gid_t descending[] = {2, 1}, too_high[] = {1, (gid_t)-1}, root[] = {0, 1};
	static const struct libreplace_identity wrong[] = {{(uid_t)-1, 1, 0, NULL},
	                                                   {1, (gid_t)-1, 0, NULL},
	                                                   {1, 1, 2, descending},
	                                                   {1, 1, 2, too_high}},
	                                        roots[] = {{0, 1, 0, NULL},
						           {1, 0, 0, NULL},
						           {1, 1, 2, root}};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		MUST(refused(&wrong[i], LIBREPLACE_ALLOW_ROOT, LIBREPLACE_STEP_REFUSED, EINVAL));
	MUST(refused(&alice, LIBREPLACE_ALLOW_PROCESS, LIBREPLACE_STEP_REFUSED, EINVAL));
	MUST(refused(&alice, 1 << 30, LIBREPLACE_STEP_REFUSED, EINVAL));
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
		MUST(refused(&roots[i], 0, LIBREPLACE_STEP_REFUSED, EPERM));
	MUST(libreplace_drop_begin() == 0 && refused(&alice, 0, LIBREPLACE_STEP_REFUSED, EBUSY));
	libreplace_drop_end();
	MUST(libreplace_drop_privileges(&roots[2], LIBREPLACE_ALLOW_ROOT, &result) == 0);
	MUST(getuid() == 1 && getgroups(0, NULL) == 2);
}

static void root_itself_may_stay_root(void)
{
	static const struct libreplace_identity root = {0, 0, 0, NULL};

	MUST(libreplace_drop_privileges(&root, LIBREPLACE_ALLOW_ROOT, &result) == 0);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0);
}

/* A process that may set group IDs but no user IDs. All its ids differ, so that no two of them can
 * change places. */
static void failed_drop_restores_each_id(void)
{
	static const gid_t five[] = {5};
	unsigned sets[] = {BOTH, BOTH, 0, 0, 0, 0};
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid, group;

	MUST(libreplace_setgroups(1, five) == 0 && libreplace_setresgid(1, 2, 3) == 0);
	MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && libreplace_setresuid(1, 2, 3) == 0);
	MUST(capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_setfsuid(6) == 0 && libreplace_setfsgid(7) == 0);
	sets[0] = sets[1] = 1U << OF_SETGID;
	MUST(capabilities(SYS_capset, sets) == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == -1 && errno == EPERM);
	MUST(result.step == LIBREPLACE_STEP_UID && result.state == LIBREPLACE_STATE_ROLLED_BACK);
	MUST(libreplace_getresuid(&ruid, &euid, &suid) == 0 && ruid == 1 && euid == 2 && suid == 3);
	MUST(libreplace_getresgid(&rgid, &egid, &sgid) == 0 && rgid == 1 && egid == 2 && sgid == 3);
	MUST(libreplace_getfsuid(&fsuid) == 0 && fsuid == 6);
	MUST(libreplace_getfsgid(&fsgid) == 0 && fsgid == 7);
	MUST(getgroups(1, &group) == 1 && group == 5);
}

/* A filter lets the last step fail: dropping the capabilities. */
static void drop_that_fails_late_restores_each_user_id(void)
{
	unsigned sets[] = {BOTH, BOTH, 0, 0, 0, 0};
	uid_t ruid, euid, suid;

	MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && libreplace_setresuid(1, 2, 3) == 0);
	MUST(capabilities(SYS_capset, sets) == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0);
	refuse_call(SYS_capset, EPERM);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == -1 && errno == EPERM);
	MUST(result.step == LIBREPLACE_STEP_CAPABILITIES);
	MUST(result.state == LIBREPLACE_STATE_ROLLED_BACK);
	MUST(libreplace_getresuid(&ruid, &euid, &suid) == 0 && ruid == 1 && euid == 2 && suid == 3);
}

/* A cancelled thread must not stop half-way, while no thread can enter. */
static void cancelling_waits(void)
{
	int old;

	MUST(pthread_cancel(pthread_self()) == 0);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0);
	MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0 &&
	     old == PTHREAD_CANCEL_ENABLE);
	expect_ids(ALICE, ALICE, ALICE, ALICE, STAFF, 2);
	MUST(libreplace_drop_begin() == 0);
}

static int idle(void *unused)
{
	(void)unused;
	return (int)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 8); /* for ever */
}

/* libc cannot change a thread that it did not start. The kernel's list has it. */
static void thread_that_libc_does_not_know_is_found(void)
{
	static _Alignas(16) char stack[1 << 16];

	other = clone(
	    idle, stack + sizeof stack,
	    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL);
	if (other < 0 && errno == EINVAL)
		return; /* musl's clone() starts no threads */
	MUST(other > 0);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == -1 && errno == EPERM);
	MUST(result.step == LIBREPLACE_STEP_VERIFY &&
	     result.state == LIBREPLACE_STATE_ROLLED_BACK && result.thread == other);
	MUST(getuid() == 0 && geteuid() == 0 && getgid() == 0);
	_exit(0);
}

static int securebits_of_worker, inheritable_of_worker;

static void *keep_capabilities(void *unused)
{
	unsigned sets[6] = {0};

	other = (pid_t)syscall(SYS_gettid);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[2] = (unsigned)inheritable_of_worker;
	MUST(capabilities(SYS_capset, sets) == 0);
	if (prctl(PR_SET_SECUREBITS, securebits_of_worker, 0, 0, 0) != 0)
		securebits_of_worker = 0; /* without CAP_SETPCAP */
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	return unused;
}

/* Whether a drop failed in this step because of the worker, and left the process in this state. */
static int failed_because_of_worker(int step, int state)
{
	return libreplace_drop_privileges(&alice, 0, &result) == -1 && errno == EPERM &&
	       result.step == step && result.state == state && result.thread == other;
}

/* The securebits of another thread cannot be read. NO_SETUID_FIXUP is found in a step that can be
 * undone; KEEP_CAPS is not. */
static void thread_that_keeps_capabilities_is_found(void)
{
	static const int bits[] = {0, NO_SETUID_FIXUP, KEEP_CAPS};
	unsigned before[6] = {0}, sets[6] = {0};
	pthread_t worker;

	MUST(pthread_barrier_init(&meeting, NULL, 2) == 0 && capabilities(SYS_capget, before) == 0);
	for (int i = 0; i < 3; i++) {
		securebits_of_worker = bits[i];
		inheritable_of_worker = i == 0;
		MUST(pthread_create(&worker, NULL, keep_capabilities, NULL) == 0);
		pthread_barrier_wait(&meeting);
		if (i == 0)
			MUST(refused(&alice, 0, LIBREPLACE_STEP_CAPABILITIES, EPERM) &&
			     result.thread == other);
		else if (securebits_of_worker == NO_SETUID_FIXUP)
			MUST(failed_because_of_worker(LIBREPLACE_STEP_CAPABILITIES,
			                              LIBREPLACE_STATE_ROLLED_BACK));
		else if (securebits_of_worker == KEEP_CAPS)
			MUST(failed_because_of_worker(LIBREPLACE_STEP_VERIFY,
			                              LIBREPLACE_STATE_TAINTED));
		pthread_barrier_wait(&meeting);
		MUST(pthread_join(worker, NULL) == 0);
		MUST(capabilities(SYS_capget, sets) == 0);
		MUST(securebits_of_worker == KEEP_CAPS || memcmp(before, sets, sizeof sets) == 0);
	}
}

#if LIBREPLACE_THREAD_SCOPE

static void *wait_twice(void *unused)
{
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	return unused;
}

static void *differ(void *unused)
{
	other = (pid_t)syscall(SYS_gettid);
	MUST(libreplace_setresuid(BOB, BOB, BOB) == 0);
	return wait_twice(unused);
}

static void thread_with_other_ids_is_named(void)
{
	pthread_t worker;

	MUST(pthread_barrier_init(&meeting, NULL, 2) == 0 &&
	     pthread_create(&worker, NULL, differ, NULL) == 0);
	pthread_barrier_wait(&meeting);
	MUST(refused(&alice, 0, LIBREPLACE_STEP_THREADS, EPERM) && result.thread == other);
	pthread_barrier_wait(&meeting);
	MUST(pthread_join(worker, NULL) == 0);
	/* the thread has ended; that the kernel may still list it does not matter */
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0);
}

#if defined(__GLIBC__) && defined(__LP64__)

static int incomplete_lists;

/*
 * If a thread ends while the kernel lists the threads, the list may have the ended one and leave
 * out another. This happens in about one of 200 lists, so this function does it.
 */
struct dirent *readdir(DIR *folder)
{
	void *next = dlsym(RTLD_NEXT, "readdir");
	struct dirent *(*function)(DIR *), *entry;

	memcpy(&function, &next, sizeof function); /* ISO C forbids a cast */
	entry = function(folder);
	if (entry != NULL && atoi(entry->d_name) == other && incomplete_lists > 0) {
		incomplete_lists--;
		strcpy(entry->d_name, "0"); /* no thread has this number */
	}
	return entry;
}

static void thread_that_an_incomplete_list_leaves_out_is_found(void)
{
	pthread_t worker;

	MUST(pthread_barrier_init(&meeting, NULL, 2) == 0 &&
	     pthread_create(&worker, NULL, differ, NULL) == 0);
	pthread_barrier_wait(&meeting);
	incomplete_lists = 3;
	MUST(refused(&alice, 0, LIBREPLACE_STEP_THREADS, EPERM) && result.thread == other);
	MUST(incomplete_lists == 0);
	incomplete_lists = 1 << 20;
	MUST(refused(&alice, 0, LIBREPLACE_STEP_READ, EAGAIN));
	pthread_barrier_wait(&meeting);
	MUST(pthread_join(worker, NULL) == 0);
}

#endif

static void *drop_is_refused_because_of_the_main_thread(void *unused)
{
	pthread_barrier_wait(&meeting);
	MUST(refused(&alice, 0, LIBREPLACE_STEP_THREADS, EPERM) && result.thread == getpid());
	pthread_barrier_wait(&meeting);
	return unused;
}

/* The thread that is named differs from the calling thread, whatever the order of the list is. */
static void main_thread_with_other_ids_is_named(void)
{
	pthread_t equal, dropping;

	MUST(pthread_barrier_init(&meeting, NULL, 3) == 0 &&
	     pthread_create(&equal, NULL, wait_twice, NULL) == 0 &&
	     pthread_create(&dropping, NULL, drop_is_refused_because_of_the_main_thread, NULL) ==
	         0);
	MUST(libreplace_setresuid((uid_t)-1, BOB, (uid_t)-1) == 0);
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	MUST(pthread_join(equal, NULL) == 0 && pthread_join(dropping, NULL) == 0);
}

static void switched_thread_is_refused(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(refused(&alice, 0, LIBREPLACE_STEP_REFUSED, EBUSY));
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0);
}

/*
 * libc's calls wait until each thread has handled libc's own signal (33 or 34). This thread blocks
 * it, which only the bare system call can do. When the signal is pending, the drop has begun.
 */
static void *enter_during_the_drop(void *unused)
{
	uint64_t libcs = 3ULL << 32, pending = 0;
	entry held;

	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &libcs, NULL, sizeof libcs) == 0);
	pthread_barrier_wait(&meeting);
	while ((pending & libcs) == 0)
		MUST(syscall(SYS_rt_sigpending, &pending, sizeof pending) == 0);
	MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EBUSY && held.guard.step == LIBREPLACE_STEP_REFUSED);
	MUST(libreplace_drop_begin() == -1 && errno == EBUSY);
	MUST(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &libcs, NULL, sizeof libcs) == 0);
	return unused;
}

static void nobody_can_enter_during_a_drop(void)
{
	pthread_t worker;

	MUST(pthread_barrier_init(&meeting, NULL, 2) == 0 &&
	     pthread_create(&worker, NULL, enter_during_the_drop, NULL) == 0);
	pthread_barrier_wait(&meeting);
	MUST(libreplace_drop_privileges(&alice, 0, &result) == 0);
	MUST(pthread_join(worker, NULL) == 0 && libreplace_drop_begin() == 0);
}

#endif

int main(void)
{
	int failed = 0;

	if (obstacle() != NULL) {
		MUST(libreplace_drop_privileges(&alice, 0, &result) == -1);
		MUST(result.state == LIBREPLACE_STATE_IDLE);
		return 0;
	}
	needs_proc();
	RUN(every_thread_becomes_the_user);
	RUN(wrong_arguments_are_refused);
	RUN(root_itself_may_stay_root);
	RUN(failed_drop_restores_each_id);
	RUN(drop_that_fails_late_restores_each_user_id);
	RUN(cancelling_waits);
	RUN(thread_that_libc_does_not_know_is_found);
	RUN(thread_that_keeps_capabilities_is_found);
#if LIBREPLACE_THREAD_SCOPE
	RUN(thread_with_other_ids_is_named);
#if defined(__GLIBC__) && defined(__LP64__)
	RUN(thread_that_an_incomplete_list_leaves_out_is_found);
#endif
	RUN(main_thread_with_other_ids_is_named);
	RUN(switched_thread_is_refused);
	RUN(nobody_can_enter_during_a_drop);
#endif
	return failed != 0;
}
