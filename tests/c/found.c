/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Ids and groups that change inside an entry: libreplace_check() and libreplace_leave() find the
 * same, and leaving restores even more groups than the guard has room for. libreplace_leave() tells
 * "restored, but was changed" from "not restored". Each case runs in a forked child, as root, on
 * builds whose calls change one thread.
 */
#include <grp.h>
#include "filter.h"
#include "raw_capabilities.h"

enum { LEVELS = 4, SMALL = 32, MANY = 1000 };

typedef LIBREPLACE_GUARD(small_entry, SMALL);

static void expect_finding(struct libreplace_guard *guard, int result, int state)
{
	MUST(result == -1 && errno == EPERM && guard->step == LIBREPLACE_STEP_FOUND);
	MUST(guard->error == EPERM && guard->state == state);
}

static void expect_root(void)
{
	expect_ids(0, 0, 0, 0, 0, 0);
	MUST(!libreplace_tainted() && libreplace_depth() == 0 && libreplace_active() == 0);
}

/* ---- File system ids */

static void fs_uid_of_root(void)
{
	MUST(libreplace_setfsuid(0) == 0);
}

static void fs_gid_of_root(void)
{
	MUST(libreplace_setfsgid(0) == 0);
}

/* The saved ids are 0, so setting an fs id to 0 needs no privilege. */
static void change_fs_id(int number)
{
	void (*const changes[])(void) = {fs_uid_of_root, fs_gid_of_root};
	int level = number % LEVELS, only_leave = number / LEVELS % 2;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
	MUST(libreplace_check(&held.guard) == 0);
	changes[number / LEVELS / 2]();
	if (!only_leave)
		expect_finding(&held.guard, libreplace_check(&held.guard),
		               LIBREPLACE_STATE_ENTERED);
	expect_finding(&held.guard, libreplace_leave(&held.guard), LIBREPLACE_STATE_LEFT);
	expect_root();
}

static void check_and_leave_find_fs_ids(void)
{
	for (int i = 0; i < 4 * LEVELS; i++)
		in_child(change_fs_id, i);
}

/* An entry with another identity sets the fs ids that the outer one found. */
static void inner_entry_restores_fs_ids(void)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	fs_uid_of_root();
	expect_finding(&inner.guard, libreplace_leave(&inner.guard), LIBREPLACE_STATE_LEFT);
	MUST(libreplace_check(&outer.guard) == 0 && libreplace_leave(&outer.guard) == 0);
	expect_root();
}

/* ---- Restored or not */

static void finding_of_check_is_reported_after_restoring(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	fs_uid_of_root();
	MUST(libreplace_check(&held.guard) == -1);
	MUST(libreplace_setfsuid(ALICE) == 0); /* the finding is gone, but was reported */
	expect_finding(&held.guard, libreplace_leave(&held.guard), LIBREPLACE_STATE_LEFT);
	expect_root();
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	expect_root();
}

static void fail_to_restore(int number)
{
	static const int calls[] = {SETRESUID, SETRESGID, SETGROUPS};
	static const int steps[] = {LIBREPLACE_STEP_UID, LIBREPLACE_STEP_GID,
	                            LIBREPLACE_STEP_GROUPS};
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	fs_uid_of_root();
	expect_finding(&held.guard, libreplace_check(&held.guard), LIBREPLACE_STATE_ENTERED);
	refuse_call((unsigned)calls[number], EAGAIN);
	MUST(libreplace_leave(&held.guard) == -1 && errno == EAGAIN);
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED);
	MUST(held.guard.step == steps[number] && held.guard.error == EAGAIN);
	MUST(libreplace_tainted());
}

static void failed_restore_is_reported_after_a_finding(void)
{
	for (int i = 0; i < 3; i++)
		in_child(fail_to_restore, i);
}

/* Change the capabilities inside. If libreplace_check() finds it, libreplace_leave() restores them
 * or says that it cannot. */
static void change_capabilities(int number)
{
	int level = number % LEVELS, loses = number / LEVELS;
	unsigned sets[6] = {0}, before[6] = {0}; /* valgrind believes that capget(2) writes less */
	entry held;

	MUST(capabilities(SYS_capget, before) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	if (loses) {
		sets[0] &= ~1U; /* CAP_CHOWN */
		sets[1] &= ~1U;
	} else {
		sets[2] = sets[1];
	}
	MUST(capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_check(&held.guard) == -1 && errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES);
	MUST(libreplace_leave(&held.guard) == -1 && errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES);
	MUST(held.guard.state == (loses ? LIBREPLACE_STATE_TAINTED : LIBREPLACE_STATE_LEFT));
	expect_ids(0, 0, 0, 0, 0, 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	MUST(loses || memcmp(sets, before, sizeof sets) == 0);
}

static void capabilities_that_check_found_are_restored(void)
{
	for (int i = 0; i < 2 * LEVELS; i++)
		in_child(change_capabilities, i);
}

/* ---- Calls that report success and do nothing, as under some filters */

static void lying_setter_is_found(int number)
{
	static const int calls[] = {SETRESUID, SETRESGID, SETGROUPS};
	entry held;

	/* the first entry finds out that no layer imitates the ids */
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	refuse_call((unsigned)calls[number], 0);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EPERM && held.guard.step == LIBREPLACE_STEP_VERIFY);
	MUST(geteuid() == 0 || held.guard.state == LIBREPLACE_STATE_TAINTED);
}

static void lying_setters_are_found_on_entry(void)
{
	for (int i = 0; i < 3; i++)
		in_child(lying_setter_is_found, i);
}

static void child_of_lying_setter_aborts(int number)
{
	int status = 0;
	pid_t child;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	refuse_call(number == 0 ? SETRESUID : SETRESGID, 0);
	child = fork();
	if (child == 0)
		_exit(0);
	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	MUST(WTERMSIG(status) == SIGABRT);
}

static void lying_setters_are_found_in_a_forked_child(void)
{
	for (int i = 0; i < 2; i++)
		in_child(child_of_lying_setter_aborts, i);
}

/* Inheritable capabilities are cleared inside. */
static void lying_capset_is_found_on_leaving(void)
{
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */
	entry held;

	MUST(make_inheritable(sets) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	refuse_call(SYS_capset, 0);
	MUST(libreplace_leave(&held.guard) == -1 && errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES);
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED && libreplace_tainted());
}

/* ---- More groups than the guard has room for */

static int number_of_groups;

static void *set_groups_by_libc(void *unused)
{
	gid_t list[MANY];

	for (int i = 0; i < number_of_groups; i++)
		list[i] = 90000 + (gid_t)i;
	MUST(setgroups((size_t)number_of_groups, list) == 0);
	return unused;
}

/* The thread keeps CAP_SETGID at level filesystem, so libc can set the groups of all threads. */
static void grow_groups(int number)
{
	static const int sizes[] = {1, SMALL, SMALL + 1, 2 * SMALL, MANY};
	int checks = number % 2;
	pthread_t thread;
	small_entry held;

	number_of_groups = sizes[number / 2];
	MUST(libreplace_guard_init(&held.guard, sizeof held) == 0 && held.guard.room == SMALL);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	MUST(pthread_create(&thread, NULL, set_groups_by_libc, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0 && getgroups(0, NULL) == number_of_groups);
	if (checks)
		expect_finding(&held.guard, libreplace_check(&held.guard),
		               LIBREPLACE_STATE_ENTERED);
	expect_finding(&held.guard, libreplace_leave(&held.guard), LIBREPLACE_STATE_LEFT);
	expect_root();
}

static void more_groups_than_room_are_restored(void)
{
	for (int i = 0; i < 10; i++)
		in_child(grow_groups, i);
}

/* The same at each level, and the groups that the thread had are restored. */
static void grow_own_groups(int number)
{
	gid_t list[MANY], before[SMALL];
	int level = number % LEVELS, size = number / LEVELS == 0 ? SMALL + 1 : MANY;
	small_entry held;

	for (int i = 0; i < MANY; i++)
		list[i] = 90000 + (gid_t)i;
	MUST(libreplace_setgroups(SMALL, list) == 0);
	MUST(libreplace_guard_init(&held.guard, sizeof held) == 0);
	MUST(libreplace_enter(&held.guard, &alice, level) == 0);
	if (level != LIBREPLACE_LEVEL_FILESYSTEM)
		MUST(libreplace_setresuid(-1, 0, -1) == 0);
	MUST(libreplace_setgroups((size_t)size, list) == 0);
	if (level != LIBREPLACE_LEVEL_FILESYSTEM)
		MUST(libreplace_setresuid(-1, ALICE, -1) == 0);
	expect_finding(&held.guard, libreplace_check(&held.guard), LIBREPLACE_STATE_ENTERED);
	expect_finding(&held.guard, libreplace_leave(&held.guard), LIBREPLACE_STATE_LEFT);
	MUST(getgroups(SMALL, before) == SMALL && memcmp(before, list, sizeof before) == 0);
	MUST(!libreplace_tainted() && geteuid() == 0);
}

static void more_groups_than_room_are_restored_at_each_level(void)
{
	for (int i = 0; i < 2 * LEVELS; i++)
		in_child(grow_own_groups, i);
}

static void more_groups_than_room_are_refused_on_entry(void)
{
	gid_t list[SMALL + 1];
	small_entry held;

	for (int i = 0; i <= SMALL; i++)
		list[i] = 90000 + (gid_t)i;
	MUST(libreplace_setgroups(SMALL + 1, list) == 0);
	MUST(libreplace_guard_init(&held.guard, sizeof held) == 0);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_SHIELDED) == -1);
	MUST(errno == ENOBUFS && held.guard.step == LIBREPLACE_STEP_READ);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
	MUST(libreplace_setgroups(0, NULL) == 0);
	expect_root();
}

int main(void)
{
	int failed = 0;

	needs_root();
	RUN(check_and_leave_find_fs_ids);
	RUN(inner_entry_restores_fs_ids);
	RUN(finding_of_check_is_reported_after_restoring);
	RUN(failed_restore_is_reported_after_a_finding);
	RUN(capabilities_that_check_found_are_restored);
	RUN(lying_setters_are_found_on_entry);
	RUN(lying_setters_are_found_in_a_forked_child);
	RUN(lying_capset_is_found_on_leaving);
	RUN(more_groups_than_room_are_restored);
	RUN(more_groups_than_room_are_restored_at_each_level);
	RUN(more_groups_than_room_are_refused_on_entry);
	return failed != 0;
}
