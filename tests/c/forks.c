/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A child that is forked inside an entry is the user of the entry for good: user ID, group ID and
 * groups, without capabilities, whatever the thread is at that moment. If this is impossible, the
 * child aborts. Each case runs in a forked child, as root, on builds whose calls change one thread.
 */
#include "filter.h"
#include "looks.h"

enum { LEVELS = 4 };
enum outcome { USER, ABORT };

static const gid_t groups_of_root[] = {0, 80031}, group_of_nobody[] = {65534};
static const struct libreplace_identity root = {0, 80031, 1, groups_of_root + 1};
static const struct libreplace_identity group_root = {ALICE, 0, 2, groups_of_root};
static const struct libreplace_identity nobody = {1001, 65534, 1, group_of_nobody};
static const struct libreplace_identity without_groups = {BOB, BOB, 0, NULL};

/* Fork. The child must be the user for good, or abort with a message that says why. */
static void fork_and_expect(enum outcome outcome, const struct libreplace_identity *user)
{
	int status = 0, output[2], errors = dup(2);
	char text[256] = "";
	pid_t child;

	MUST(pipe(output) == 0 && dup2(output[1], 2) == 2);
	child = fork();
	if (child == 0) {
		alarm(HANG);
		dup2(errors, 2);
		must_be_for_good(user);
		_exit(0);
	}
	MUST(dup2(errors, 2) == 2 && close(errors) == 0 && close(output[1]) == 0);
	MUST(child > 0 && waitpid(child, &status, 0) == child);
	MUST(read(output[0], text, sizeof text - 1) >= 0 && close(output[0]) == 0);
	if (outcome == USER) {
		MUST(status == 0);
	} else {
		MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		MUST(strstr(text, "so it aborts\n") != NULL);
	}
}

static int fs_only(const entry *held)
{
	return held->guard.level == LIBREPLACE_LEVEL_FILESYSTEM;
}

/* ---- What a thread may do to itself inside. It gets privilege back where it needs it. */

static void get_privilege(void)
{
	unsigned sets[6] = {0};

	MUST(libreplace_setresuid(-1, 0, -1) == 0 || geteuid() != 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[0] = sets[1];
	sets[3] = sets[4];
	MUST(capabilities(SYS_capset, sets) == 0);
}

static void nothing(void)
{
}

static void fs_uid_0(void)
{
	get_privilege();
	MUST(libreplace_setfsuid(0) == 0);
}

static void fs_gid_0(void)
{
	get_privilege();
	MUST(libreplace_setfsgid(0) == 0);
}

static void all_uids_0(void)
{
	get_privilege();
	MUST(libreplace_setresuid(0, 0, 0) == 0);
}

static void all_gids_0(void)
{
	get_privilege();
	MUST(libreplace_setresgid(0, 0, 0) == 0);
}

static void all_gids_of_bob(void)
{
	get_privilege();
	MUST(libreplace_setresgid(80012, 80012, 80012) == 0);
}

static void no_groups(void)
{
	get_privilege();
	MUST(libreplace_setgroups(0, NULL) == 0);
}

static void many_groups(void)
{
	gid_t list[1000];

	for (int i = 0; i < 1000; i++)
		list[i] = 90000 + (gid_t)i;
	get_privilege();
	MUST(libreplace_setgroups(1000, list) == 0);
}

static void no_capabilities(void)
{
	unsigned none[6] = {0};

	MUST(capabilities(SYS_capset, none) == 0);
}

/* The thread needs no privilege to become alice, and has none. */
static void already_alice(void)
{
	get_privilege();
	MUST(libreplace_setgroups(2, groups_of_alice) == 0);
	MUST(libreplace_setresgid(STAFF, STAFF, STAFF) == 0);
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	no_capabilities();
}

static void bob_for_good(void)
{
	get_privilege();
	MUST(libreplace_setresuid(BOB, BOB, BOB) == 0);
	no_capabilities();
}

static void groups_cannot_be_set(void)
{
	no_groups();
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	no_capabilities();
}

static const struct {
	void (*change)(void);
	enum outcome outcome, fs_only; /* at level filesystem */
} changes[] = {
    {nothing, USER, USER},
    {fs_uid_0, USER, USER},
    {fs_gid_0, USER, USER},
    {all_uids_0, USER, USER},
    {all_gids_0, USER, USER},
    {all_gids_of_bob, USER, USER},
    {no_groups, USER, USER},
    {many_groups, USER, USER},
    {no_capabilities, USER, ABORT}, /* the thread has only the fs ids of alice */
    {already_alice, USER, USER},
    {bob_for_good, ABORT, ABORT},
    {groups_cannot_be_set, ABORT, ABORT},
};

static void change_and_fork(int number)
{
	entry held;
	int one = number / LEVELS;

	MUST(libreplace_enter(fresh(&held), &alice, number % LEVELS) == 0);
	changes[one].change();
	fork_and_expect(fs_only(&held) ? changes[one].fs_only : changes[one].outcome, &alice);
}

static void child_is_the_user_after_each_change(void)
{
	for (int i = 0; i < (int)(sizeof changes / sizeof *changes) * LEVELS; i++)
		in_child(change_and_fork, i);
}

static void change_and_fork_without_root(int number)
{
	MUST(become_server_without_root() == 0);
	change_and_fork(number);
}

static void child_of_a_server_without_root_is_the_user_after_each_change(void)
{
	for (int i = 0; i < (int)(sizeof changes / sizeof *changes) * LEVELS; i++)
		in_child(change_and_fork_without_root, i);
}

/* ---- What another thread may do: libc changes all threads */

static int (*change_by_libc)(void);

static void *change_in_thread(void *unused)
{
	MUST(change_by_libc() == 0);
	return unused;
}

static int uid_by_libc(void)
{
	return seteuid(0);
}

static int gid_by_libc(void)
{
	return setegid(0);
}

static void fork_after_libc(int number)
{
	static int (*const calls[])(void) = {uid_by_libc, gid_by_libc};
	pthread_t thread;
	entry held;

	change_by_libc = calls[number / LEVELS];
	MUST(libreplace_enter(fresh(&held), &alice, number % LEVELS) == 0);
	MUST(pthread_create(&thread, NULL, change_in_thread, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	fork_and_expect(USER, &alice);
}

static void child_is_the_user_after_libcs_calls(void)
{
	for (int i = 0; i < 2 * LEVELS; i++)
		in_child(fork_after_libc, i);
}

/* ---- Other identities, entries and servers */

static void fork_in_nested_entries(int number)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &bob, number / LEVELS) == 0);
	MUST(libreplace_enter(fresh(&inner), &alice, number % LEVELS) == 0);
	fork_and_expect(USER, &alice);
	MUST(libreplace_leave(&inner.guard) == 0);
	fork_and_expect(USER, &bob);
	MUST(libreplace_leave(&outer.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void child_is_the_user_of_the_innermost_entry(void)
{
	for (int i = 0; i < LEVELS * LEVELS; i++)
		in_child(fork_in_nested_entries, i);
}

static void fork_in_nested_entries_without_root(int number)
{
	entry outer, inner;

	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&outer), &bob, number / LEVELS) == 0);
	MUST(libreplace_enter(fresh(&inner), &alice, number % LEVELS) == 0);
	fork_and_expect(USER, &alice);
	MUST(libreplace_leave(&inner.guard) == 0);
	fork_and_expect(USER, &bob);
	MUST(libreplace_leave(&outer.guard) == 0 && geteuid() == 1000);
}

static void child_of_a_server_without_root_is_the_user_of_the_innermost_entry(void)
{
	for (int i = 0; i < LEVELS * LEVELS; i++)
		in_child(fork_in_nested_entries_without_root, i);
}

static void child_of_other_identities_is_the_user(void)
{
	static const struct libreplace_identity *const users[] = {&root, &group_root, &nobody,
	                                                          &without_groups};
	entry held;

	for (int i = 0; i < 4 * LEVELS; i++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, users[i / LEVELS], i % LEVELS) == 0);
		fork_and_expect(USER, users[i / LEVELS]);
		MUST(libreplace_leave(&held.guard) == 0);
	}
	expect_ids(0, 0, 0, 0, 0, 0);
}

/* Inside, the thread makes its capabilities inheritable again. */
static void fork_with_inheritable_capabilities(int level)
{
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */
	entry held;

	MUST(make_inheritable(sets) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
	fork_and_expect(USER, &alice);
	sets[0] = sets[3] = 0;
	MUST(capabilities(SYS_capset, sets) == 0);
	fork_and_expect(USER, &alice);
}

static void child_of_root_with_inheritable_capabilities_has_none(void)
{
	for (int level = 0; level < LEVELS; level++)
		in_child(fork_with_inheritable_capabilities, level);
}

/* ---- Cancellation: a child with a pending one runs no cleanup handler before it is the user */

static const struct libreplace_identity *only_user;

static void must_be_only(void *unused)
{
	(void)unused;
	_exit(is_only(only_user) ? 0 : 1);
}

static void *fork_when_cancelled(void *aborts)
{
	int status, cancel;
	entry held;
	pid_t child;

	only_user = &alice;
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	if (aborts != NULL) {
		all_gids_of_bob();
		refuse_call(SETRESGID, EPERM);
	}
	pthread_cleanup_push(must_be_only, NULL);
	MUST(pthread_cancel(pthread_self()) == 0);
	child = fork();
	if (child == 0) {
		pthread_testcancel();
		_exit(2);
	}
	MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel) == 0);
	MUST(child > 0 && waitpid(child, &status, 0) == child);
	if (aborts != NULL)
		MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		MUST(status == 0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void fork_in_cancelled_thread(int aborts)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, fork_when_cancelled, aborts ? &thread : NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

static void child_with_a_pending_cancellation_is_the_user_or_aborts(void)
{
	in_child(fork_in_cancelled_thread, 0);
	in_child(fork_in_cancelled_thread, 1);
}

/* ---- Threads and entries that are not as they should be */

static void *leave_elsewhere(void *guard)
{
	MUST(libreplace_leave(guard) == -1 && libreplace_tainted());
	return NULL;
}

static void child_of_an_orphaned_entry_is_the_user(void)
{
	pthread_t thread;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST(pthread_create(&thread, NULL, leave_elsewhere, &held.guard) == 0);
	MUST(pthread_join(thread, NULL) == 0 && libreplace_tainted());
	fork_and_expect(USER, &alice);
	MUST(libreplace_leave(&held.guard) == 0);
}

static void child_of_a_tainted_thread_aborts(void)
{
	entry *held = malloc(sizeof *held);

	MUST(libreplace_enter(fresh(held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	bob_for_good();
	MUST(libreplace_leave(&held->guard) == -1 && libreplace_tainted());
	memset(held, 0x55, sizeof *held); /* a tainted thread has left its entry */
	free(held);
	fork_and_expect(ABORT, &alice);
}

static void child_after_a_failed_rollback_aborts(void)
{
	entry held;

	refuse_value(SETRESUID, LIBREPLACE_SHIELD_UID); /* entering */
	refuse_value(SETRESGID, 0);                     /* the rollback */
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == -1);
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED && libreplace_depth() == 1);
	fork_and_expect(ABORT, &alice);
}

static void child_after_leaving_is_a_usual_child(void)
{
	int status = 1;
	pid_t child;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(&held.guard) == 0 && (child = fork()) >= 0);
	if (child == 0) {
		expect_ids(0, 0, 0, 0, 0, 0);
		MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
		MUST(libreplace_leave(&held.guard) == 0);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void child_that_cannot_drop_capabilities_aborts(void)
{
	entry held;

	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	refuse_call(SYS_capset, EPERM);
	fork_and_expect(ABORT, &alice);
}

/* The kernel raises them when the effective user ID becomes 0, and clears them afterwards. */
static void fork_without_capset(int level)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
	no_groups();
	MUST(fs_only(&held) || libreplace_setresuid(-1, ALICE, -1) == 0);
	refuse_call(SYS_capset, EPERM);
	fork_and_expect(USER, &alice);
}

static void child_of_root_is_the_user_where_capabilities_cannot_be_set(void)
{
	for (int level = 0; level < LEVELS; level++)
		in_child(fork_without_capset, level);
}

static void fork_under_false_success(int number)
{
	static const unsigned calls[] = {SETGROUPS, SETRESGID, SETRESUID};
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	no_groups();
	MUST(libreplace_setresgid(0, 0, 0) == 0);
	refuse_call(calls[number], 0);
	fork_and_expect(ABORT, &alice);
}

static void child_aborts_if_a_call_only_reports_success(void)
{
	for (int i = 0; i < 3; i++)
		in_child(fork_under_false_success, i);
}

int main(void)
{
	int failed = 0;

	needs_root();
	RUN(child_is_the_user_after_each_change);
	RUN(child_of_a_server_without_root_is_the_user_after_each_change);
	RUN(child_is_the_user_after_libcs_calls);
	RUN(child_is_the_user_of_the_innermost_entry);
	RUN(child_of_a_server_without_root_is_the_user_of_the_innermost_entry);
	RUN(child_of_other_identities_is_the_user);
	RUN(child_of_root_with_inheritable_capabilities_has_none);
	RUN(child_with_a_pending_cancellation_is_the_user_or_aborts);
	RUN(child_of_an_orphaned_entry_is_the_user);
	RUN(child_of_a_tainted_thread_aborts);
	RUN(child_after_a_failed_rollback_aborts);
	RUN(child_after_leaving_is_a_usual_child);
	RUN(child_that_cannot_drop_capabilities_aborts);
	RUN(child_of_root_is_the_user_where_capabilities_cannot_be_set);
	RUN(child_aborts_if_a_call_only_reports_success);
	return failed != 0;
}
