/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The file system ids under a seccomp filter that refuses setfsuid(2) and setfsgid(2), and the ids
 * that look like errors. Each case compares with /proc. Then a filter that only pretends to set
 * groups. An emulator (qemu-user) has no filters; the cases with a filter then end early.
 */
#include <sys/syscall.h>
#include "filter.h"

#ifdef SYS_setfsuid32
static const unsigned setters[] = {SYS_setfsuid, SYS_setfsgid, SYS_setfsuid32, SYS_setfsgid32};
#else
static const unsigned setters[] = {SYS_setfsuid, SYS_setfsgid};
#endif

enum { ANY_USER = 80005, ANY_GROUP = 80006 };

/* The errno that the filter gives. With 0, a call returns 0 without being made. */
static int refusal;

static void refuse_setters(void)
{
	for (size_t i = 0; i < sizeof setters / sizeof *setters; i++)
		refuse_call(setters[i], refusal);
}

static void refuse_pipes(void)
{
	refuse_call(SYS_pipe2, refusal);
#ifdef SYS_pipe /* musl's pipe2() falls back to it */
	refuse_call(SYS_pipe, refusal);
#endif
}

static void refuse_stat(void)
{
#ifdef SYS_fstat
	refuse_call(SYS_fstat, refusal);
#endif
#ifdef SYS_fstat64
	refuse_call(SYS_fstat64, refusal);
#endif
#ifdef SYS_newfstatat
	refuse_call(SYS_newfstatat, refusal);
#endif
#ifdef SYS_fstatat64
	refuse_call(SYS_fstatat64, refusal);
#endif
#ifdef SYS_statx
	refuse_call(SYS_statx, refusal);
#endif
}

/* An id of the calling thread: the fourth one in a line of /proc/thread-self/status */
static unsigned shown(const char *name)
{
	char line[256];
	unsigned id = 0;
	FILE *status = fopen("/proc/thread-self/status", "r");

	MUST(status != NULL);
	while (fgets(line, sizeof line, status) != NULL)
		if (strncmp(line, name, 4) == 0)
			MUST(sscanf(line + 4, "%*u %*u %*u %u", &id) == 1);
	fclose(status);
	return id;
}

/* Return: the lowest free descriptor. */
static int free_descriptor(void)
{
	int descriptor = dup(0);

	MUST(descriptor > 0 && close(descriptor) == 0);
	return descriptor;
}

/* The getters tell the truth, keep errno and leave no descriptor open. */
static void expect_fs_ids(uid_t uid, gid_t gid)
{
	uid_t user = 77;
	gid_t group = 77;
	int descriptor = free_descriptor();

	MUST(shown("Uid:") == uid && shown("Gid:") == gid);
	errno = EDOM;
	MUST(libreplace_getfsuid(&user) == 0 && user == uid && errno == EDOM);
	MUST(libreplace_getfsgid(&group) == 0 && group == gid && errno == EDOM);
	MUST(free_descriptor() == descriptor);
}

static void set_fs_ids(uid_t uid, gid_t gid)
{
	errno = EDOM;
	MUST(libreplace_setfsgid(gid) == 0 && libreplace_setfsuid(uid) == 0 && errno == EDOM);
	expect_fs_ids(uid, gid);
}

static void highest_ids_are_not_errors(void)
{
	for (unsigned i = 0; i < 4200; i += i < 4 ? 1 : 163)
		set_fs_ids((uid_t)-2 - i, (gid_t)-3 - i);
	set_fs_ids((uid_t)-4095, (gid_t)-4096);
	set_fs_ids((uid_t)-4096, (gid_t)-4095);
}

static void highest_ids_are_read_under_a_filter(void)
{
	set_fs_ids((uid_t)-38, (gid_t)-1 - EPERM);
	refuse_setters();
	if (refusal != 0) /* a faked 0 is doubtful only if the effective id is another */
		expect_fs_ids((uid_t)-38, (gid_t)-1 - EPERM);
}

static void effective_ids_are_read_under_a_filter(void)
{
	refuse_setters();
	expect_fs_ids(0, 0);
	MUST(libreplace_setresgid((gid_t)-1, STAFF, (gid_t)-1) == 0);
	expect_fs_ids(0, STAFF);
	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	expect_fs_ids(ALICE, STAFF);
	MUST(libreplace_setresgid((gid_t)-1, 0, (gid_t)-1) == 0);
	expect_fs_ids(ALICE, 0);
}

/* A clear answer costs no pipe. */
static void getters_need_no_pipe(void)
{
	refuse_pipes();
	expect_fs_ids(0, 0);
	MUST(libreplace_setresgid((gid_t)-1, STAFF, (gid_t)-1) == 0);
	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	expect_fs_ids(ALICE, STAFF);
}

static void other_ids_are_read_under_a_filter(void)
{
	set_fs_ids(ANY_USER, ANY_GROUP);
	refuse_setters();
	if (refusal != 0)
		expect_fs_ids(ANY_USER, ANY_GROUP);
}

static void id_0_is_read_under_a_filter(void)
{
	MUST(libreplace_setresgid((gid_t)-1, STAFF, (gid_t)-1) == 0);
	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	set_fs_ids(0, 0);
	refuse_setters();
	expect_fs_ids(0, 0);
}

static void refused_setters_fail(void)
{
	refuse_setters();
	MUST(libreplace_setfsuid(ANY_USER) == -1 && errno == EPERM);
	MUST(libreplace_setfsgid(ANY_GROUP) == -1 && errno == EPERM);
	set_fs_ids(0, 0);
}

/* Nothing shows the ids: an error, no id. ENOSYS would say that the system has no fs ids. */
static void getters_fail_without_an_answer(void)
{
	uid_t user = 77;
	gid_t group = 77;

	MUST(libreplace_setresgid((gid_t)-1, STAFF, (gid_t)-1) == 0);
	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	MUST(libreplace_setresuid((uid_t)-1, 0, (uid_t)-1) == 0);
	MUST(libreplace_setfsuid(ALICE) == 0);
	refuse_setters();
	refuse_pipes();
	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	MUST(libreplace_getfsuid(&user) == -1 && user == 77 && errno != 0 && errno != ENOSYS);
	MUST(libreplace_getfsgid(&group) == -1 && group == 77 && errno != 0 && errno != ENOSYS);
	MUST(libreplace_setfsuid(ANY_USER) == -1 && libreplace_setfsgid(ANY_GROUP) == -1);
	if (LIBREPLACE_THREAD_SCOPE) {
		entry held;

		MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_SHIELDED) == -1);
		MUST(held.guard.step == LIBREPLACE_STEP_READ && held.guard.changes == 0);
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE && !libreplace_tainted());
	}
}

/* A filter that makes no call and returns 0 tells the fs uid of root, but not this fs gid. */
static void group_alone_fails_without_an_answer(void)
{
	gid_t group = 77;
	entry held;

	MUST(libreplace_setresgid((gid_t)-1, STAFF, (gid_t)-1) == 0 && libreplace_setfsgid(0) == 0);
	refuse_setters();
	refuse_pipes();
	MUST(libreplace_getfsgid(&group) == -1 && group == 77 && errno != 0 && errno != ENOSYS);
	if (LIBREPLACE_THREAD_SCOPE) {
		MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_SHIELDED) == -1);
		MUST(held.guard.step == LIBREPLACE_STEP_READ && held.guard.changes == 0);
	}
}

/* Leave the mode of a pipe (S_IFIFO) all over the stack, where the next call has its variables.
 * With musl, leave 0: its fstat() gives the values of its own variables if a filter makes no call.
 */
static void fill_stack(void)
{
	volatile unsigned words[2048];
#ifdef __GLIBC__
	static const unsigned mode = 0010000;
#else
	static const unsigned mode = 0;
#endif

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		words[i] = mode;
}

static void (*volatile not_inlined)(void) = fill_stack;

/* The pipe exists, but the filter hides its owner. */
static void hidden_owner_is_no_answer(void)
{
	uid_t user = 77;
	int descriptor;

	MUST(libreplace_setresuid((uid_t)-1, ALICE, (uid_t)-1) == 0);
	refuse_setters();
	expect_fs_ids(ALICE, 0); /* this also binds the symbols */
	refuse_stat();
	descriptor = free_descriptor();
	not_inlined();
	MUST(libreplace_getfsuid(&user) == -1 && user == 77 && errno != 0 && errno != ENOSYS);
	MUST(free_descriptor() == descriptor);
}

static void enter(entry *place, const struct libreplace_identity *user, int level)
{
	MUST(libreplace_enter(fresh(place), user, level) == 0);
	MUST(libreplace_check(&place->guard) == 0);
	expect_fs_ids(user->uid, user->gid);
}

static void leave(entry *place)
{
	MUST(libreplace_leave(&place->guard) == 0 && !libreplace_tainted());
	MUST(place->guard.state == LIBREPLACE_STATE_LEFT);
}

static void other_levels_work_under_a_filter(void)
{
	entry outer, inner;

	refuse_setters();
	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level < LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		enter(&outer, &alice, level);
		enter(&inner, &bob, level);
		leave(&inner);
		MUST(libreplace_check(&outer.guard) == 0);
		expect_fs_ids(ALICE, STAFF);
		leave(&outer);
		expect_ids(0, 0, 0, 0, 0, 0);
		expect_fs_ids(0, 0);
	}
}

static void level_filesystem_is_rolled_back_under_a_filter(void)
{
	entry held;

	refuse_setters();
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_FILESYSTEM) == -1);
	MUST(held.guard.state == LIBREPLACE_STATE_ROLLED_BACK && !libreplace_tainted());
	MUST(held.guard.step == LIBREPLACE_STEP_GID && held.guard.error == EPERM);
	expect_ids(0, 0, 0, 0, 0, 0);
	expect_fs_ids(0, 0);
}

/* The thread could not restore file system ids that are not the effective ids. */
static void other_fs_ids_are_refused_under_a_filter(void)
{
	entry held;

	for (int unit = 0; unit < 2; unit++) {
		pid_t child = fork();
		int status = 1;

		if (child == 0) {
			MUST(unit == 0 ? libreplace_setfsuid(ANY_USER) == 0
			               : libreplace_setfsgid(ANY_GROUP) == 0);
			refuse_setters();
			for (int level = 0; level < LIBREPLACE_LEVEL_FILESYSTEM; level++) {
				MUST(libreplace_enter(fresh(&held), &alice, level) == -1);
				MUST(held.guard.step == LIBREPLACE_STEP_RETURN);
				MUST(held.guard.error == EPERM && held.guard.changes == 0);
				MUST(held.guard.state == LIBREPLACE_STATE_IDLE);
			}
			exit(libreplace_tainted());
		}
		MUST(waitpid(child, &status, 0) == child && status == 0);
	}
}

static void filter_that_comes_later_does_not_matter(void)
{
	entry held;

	enter(&held, &alice, LIBREPLACE_LEVEL_SHIELDED);
	MUST(libreplace_leave(&held.guard) == 0);
	enter(&held, &alice, LIBREPLACE_LEVEL_EFFECTIVE);
	refuse_setters();
	MUST(libreplace_check(&held.guard) == 0);
	leave(&held);
	expect_fs_ids(0, 0);
}

static void forked_child_is_the_user_under_a_filter(void)
{
	entry held;
	int status = 1;
	pid_t child;

	refuse_setters();
	enter(&held, &alice, LIBREPLACE_LEVEL_SHIELDED);
	child = fork();
	if (child == 0) {
		expect_ids(ALICE, ALICE, ALICE, ALICE, STAFF, 2);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
	leave(&held);
}

/* Such a filter is no layer that imitates ids, and it belongs to one thread. */
static void *enter_while_groups_are_not_set(void *with_groups)
{
	static const struct libreplace_identity user = {ALICE, STAFF, 0, NULL};
	entry held;

	if (with_groups != NULL)
		MUST(libreplace_setgroups(alice.size, alice.groups) == 0);
	MUST(libreplace_setresgid(1000, 1000, STAFF) == 0);
	MUST(libreplace_setresuid(1000, 1000, ALICE) == 0);
	refuse_call(SETGROUPS, 0);
	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_REAL; level++) {
		MUST(libreplace_enter(fresh(&held), &user, level) == -1 && !libreplace_tainted());
		MUST(held.guard.step == LIBREPLACE_STEP_RETURN && held.guard.changes == 0);
	}
	return NULL;
}

static void filter_that_does_not_set_groups_is_no_imitation(void)
{
	pthread_t thread;
	entry held;

	MUST(pthread_create(&thread, NULL, enter_while_groups_are_not_set, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(pthread_create(&thread, NULL, enter_while_groups_are_not_set, &held) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	enter(&held, &alice, LIBREPLACE_LEVEL_SHIELDED);
	leave(&held);
}

int main(void)
{
	static const int errors[] = {EPERM, EACCES, ENOSYS, 4095, 0};
	int failed = 0;

	needs_root();
	needs_proc();
	RUN(highest_ids_are_not_errors);
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		refusal = errors[i];
		printf("# the filter gives errno %d\n", refusal);
		fflush(stdout);
		RUN(highest_ids_are_read_under_a_filter);
		RUN(effective_ids_are_read_under_a_filter);
		RUN(getters_need_no_pipe);
		RUN(other_ids_are_read_under_a_filter);
		RUN(id_0_is_read_under_a_filter);
		RUN(refused_setters_fail);
		RUN(getters_fail_without_an_answer);
		RUN(group_alone_fails_without_an_answer);
		RUN(hidden_owner_is_no_answer);
		if (!LIBREPLACE_THREAD_SCOPE)
			continue;
		RUN(other_levels_work_under_a_filter);
		RUN(level_filesystem_is_rolled_back_under_a_filter);
		if (refusal != 0)
			RUN(other_fs_ids_are_refused_under_a_filter);
		RUN(filter_that_comes_later_does_not_matter);
		RUN(forked_child_is_the_user_under_a_filter);
	}
	if (LIBREPLACE_THREAD_SCOPE)
		RUN(filter_that_does_not_set_groups_is_no_imitation);
	return failed != 0;
}
