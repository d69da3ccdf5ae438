/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Entries that are refused because the thread could not return or the groups are wrong; ids and
 * groups that change inside an entry; forked children. Most cases exist because a mutant of
 * tests/programs/mutants.py survived without them. Each case runs in a forked child, as root, on
 * builds whose calls change one thread.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "cases.h"
#include "raw_capabilities.h"
#include "securebits.h"

/* Enter and leave as alice. Return: the step that refuses the entry, or LIBREPLACE_STEP_NONE. */
static int enter_and_leave(int level)
{
	entry held;

	if (libreplace_enter(fresh(&held), &alice, level) != 0) {
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
		return held.guard.step;
	}
	MUST(geteuid() == ALICE && getegid() == STAFF);
	MUST(libreplace_leave(&held.guard) == 0 && !libreplace_tainted());
	return LIBREPLACE_STEP_NONE;
}

/* Enter and leave as a thread that starts with these user IDs, and check that it has them again. */
static int step_that_refuses(uid_t r, uid_t e, uid_t s, int level)
{
	int step;
	uid_t now[3];

	MUST(libreplace_setresuid(r, e, s) == 0);
	step = enter_and_leave(level);
	MUST(libreplace_getresuid(&now[0], &now[1], &now[2]) == 0);
	MUST(now[0] == r && now[1] == e && now[2] == s);
	return step;
}

static void root_only_by_effective_id_is_refused(void)
{
	MUST(step_that_refuses(80100, 0, 80100, LIBREPLACE_LEVEL_EFFECTIVE) ==
	     LIBREPLACE_STEP_RETURN);
}

static void root_with_another_real_id_enters(void)
{
	MUST(step_that_refuses(80100, 0, 0, LIBREPLACE_LEVEL_SHIELDED) == LIBREPLACE_STEP_NONE);
}

static void root_whose_real_id_stays_enters(void)
{
	MUST(step_that_refuses(80100, 0, 0, LIBREPLACE_LEVEL_EFFECTIVE) == LIBREPLACE_STEP_NONE);
}

static void another_saved_id_is_refused_only_at_level_real(void)
{
	MUST(step_that_refuses(0, 0, 80100, LIBREPLACE_LEVEL_EFFECTIVE) == LIBREPLACE_STEP_NONE);
	MUST(step_that_refuses(0, 0, 80100, LIBREPLACE_LEVEL_REAL) == LIBREPLACE_STEP_RETURN);
}

/* Enter and leave as a thread of alice without privilege, which starts with these group IDs. */
static int step_that_refuses_gids(gid_t r, gid_t e, gid_t s, gid_t fs)
{
	int step;
	gid_t now[3], now_fs;

	MUST(libreplace_setgroups(alice.size, alice.groups) == 0);
	MUST(libreplace_setresgid(r, e, s) == 0 && libreplace_setfsgid(fs) == 0);
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	step = enter_and_leave(LIBREPLACE_LEVEL_EFFECTIVE);
	MUST(libreplace_getresgid(&now[0], &now[1], &now[2]) == 0);
	MUST(now[0] == r && now[1] == e && now[2] == s);
	MUST(libreplace_getfsgid(&now_fs) == 0 && now_fs == fs);
	return step;
}

/* An entry sets the real and the effective group ID. */
static void group_that_cannot_be_set_again(int number)
{
	static const gid_t cases[][4] = {
	    {80012, STAFF, STAFF, STAFF}, {STAFF, 80012, STAFF, 80012},
	    {STAFF, 80012, 80012, 80012}, {80012, STAFF, 80012, STAFF},
	    {STAFF, 80012, 80012, STAFF},
	};
	const gid_t *gids = cases[number];

	MUST(step_that_refuses_gids(gids[0], gids[1], gids[2], gids[3]) ==
	     (number < 2 ? LIBREPLACE_STEP_RETURN : LIBREPLACE_STEP_NONE));
}

static void thread_that_cannot_set_its_group_again_is_refused(void)
{
	for (int i = 0; i < 5; i++)
		in_child(group_that_cannot_be_set_again, i);
}

static void unsorted_groups_are_refused(void)
{
	static const gid_t unsorted[] = {80021, 80011}, twice[] = {80011, 80011};
	struct libreplace_identity user = {ALICE, STAFF, 2, unsorted};
	entry held;

	MUST(libreplace_enter(fresh(&held), &user, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
	user.groups = twice;
	MUST(libreplace_enter(fresh(&held), &user, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void equal_groups_are_not_set_again(void)
{
	entry held;

	MUST(libreplace_setgroups(2, groups_of_alice) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(held.guard.changes == 2);
	expect_ids(0, ALICE, 0, ALICE, STAFF, 2);
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.changes == 4);
}

/* Leave after a change inside. The change must be reported, and all ids must be restored. */
static void leave_must_notice(entry *held)
{
	gid_t fs;

	MUST(libreplace_leave(&held->guard) == -1 && errno == EPERM);
	MUST(held->guard.step == LIBREPLACE_STEP_FOUND && !libreplace_tainted());
	MUST(held->guard.state == LIBREPLACE_STATE_LEFT && libreplace_getfsgid(&fs) == 0 &&
	     fs == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

/* Each of these changes an id or the groups of a thread that acts as alice. The saved ids permit
 * it.
 */
static void effective_uid(void)
{
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
}

static void real_uid(void)
{
	MUST(libreplace_setresuid(ALICE, -1, -1) == 0);
}

static void saved_uid(void)
{
	MUST(libreplace_setresuid(-1, -1, ALICE) == 0);
}

static void real_gid(void)
{
	MUST(libreplace_setresgid(0, -1, -1) == 0);
}

static void effective_gid(void)
{
	MUST(libreplace_setresgid(-1, 0, -1) == 0);
}

static void saved_gid(void)
{
	MUST(libreplace_setresgid(-1, -1, STAFF) == 0);
}

static void return_to_alice(int result)
{
	MUST(result == 0 && libreplace_setresuid(-1, ALICE, -1) == 0);
}

static void groups(void)
{
	static const gid_t others[] = {80012, 80021};

	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	return_to_alice(libreplace_setgroups(2, others));
}

static void fs_uid(void)
{
	MUST(libreplace_setfsuid(0) == 0);
}

static void fs_gid(void)
{
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	return_to_alice(libreplace_setfsgid(80012));
}

static void fs_uid_of_root(void)
{
	MUST(libreplace_setfsuid(ALICE) == 0);
}

static void each_change_inside_is_noticed(void)
{
	static const struct libreplace_identity of_roots_group = {ALICE, 0, 2, groups_of_alice};
	static const struct libreplace_identity root_of_staff = {0, STAFF, 2, groups_of_alice};
	static const struct {
		void (*change)(void);
		const struct libreplace_identity *user;
		int level;
	} cases[] = {
	    {effective_uid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {real_uid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {saved_uid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {real_gid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {effective_gid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {saved_gid, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {groups, &alice, LIBREPLACE_LEVEL_EFFECTIVE},
	    {fs_uid, &alice, LIBREPLACE_LEVEL_FILESYSTEM},
	    {fs_gid, &of_roots_group, LIBREPLACE_LEVEL_EFFECTIVE},
	    {fs_uid_of_root, &root_of_staff, LIBREPLACE_LEVEL_EFFECTIVE},
	};
	entry held;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, cases[i].user, cases[i].level) == 0);
		MUST(libreplace_check(&held.guard) == 0);
		cases[i].change();
		leave_must_notice(&held);
	}
}

static void run_in_child(void (*body)(entry *), entry *held)
{
	int status = 1;
	pid_t child = fork();

	if (child == 0) {
		body(held);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void must_be_for_good(entry *held)
{
	unsigned sets[6] = {0};
	entry inner;

	MUST(capabilities(SYS_capget, sets) == 0 && sets[1] == 0 && sets[4] == 0);
	MUST(libreplace_check(&held->guard) == -1 && held->guard.step == LIBREPLACE_STEP_FORKED);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(inner.guard.state == LIBREPLACE_STATE_FOR_GOOD &&
	     inner.guard.step == LIBREPLACE_STEP_FORKED);
	MUST(geteuid() == ALICE);
}

static void handler(int number)
{
	(void)number;
}

static void must_have_default_actions(entry *held)
{
	struct sigaction found;

	(void)held;
	MUST(sigaction(SIGTERM, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGRTMIN + 2, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGHUP, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
	MUST(sigaction(SIGUSR1, NULL, &found) == 0 && found.sa_handler == SIG_IGN);
}

static void must_have_handler(entry *held)
{
	struct sigaction found;

	(void)held;
	MUST(sigaction(SIGTERM, NULL, &found) == 0 && found.sa_handler == handler);
}

static void forked_child_has_default_actions(void)
{
	entry held;

	MUST(signal(SIGTERM, handler) != SIG_ERR && signal(SIGRTMIN + 2, handler) != SIG_ERR);
	MUST(signal(SIGHUP, handler) != SIG_ERR && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	run_in_child(must_have_handler, &held);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == 0);
	run_in_child(must_have_default_actions, &held);
	MUST(libreplace_leave(&held.guard) == 0);
	must_have_handler(&held);
}

static void forked_child_is_the_user_for_good(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	run_in_child(must_be_for_good, &held);
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	run_in_child(must_be_for_good, &held);
	MUST(libreplace_leave(&held.guard) == 0);
}

static void must_enter(entry *held)
{
	MUST(libreplace_enter(fresh(held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_active() == 1 && libreplace_leave(&held->guard) == 0);
}

static void child_forked_during_a_drop_can_enter(void)
{
	entry held;

	MUST(libreplace_drop_begin() == 0);
	run_in_child(must_enter, &held);
	libreplace_drop_end();
}

static void *leave_elsewhere(void *guard)
{
	MUST(libreplace_leave(guard) == -1 && libreplace_tainted());
	return NULL;
}

static void *leave_again_elsewhere(void *guard)
{
	MUST(libreplace_leave(guard) == 0 && !libreplace_tainted()); /* it was reported before */
	return NULL;
}

static void owner_can_leave_after_others_tried(void)
{
	void *(*others[])(void *) = {leave_elsewhere, leave_again_elsewhere};
	pthread_t thread;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	for (int i = 0; i < 2; i++) {
		MUST(pthread_create(&thread, NULL, others[i], &held.guard) == 0);
		MUST(pthread_join(thread, NULL) == 0);
		MUST(held.guard.state == LIBREPLACE_STATE_ORPHANED && libreplace_tainted());
	}
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.step == LIBREPLACE_STEP_NONE);
	MUST(held.guard.state == LIBREPLACE_STATE_LEFT && libreplace_depth() == 0);
	MUST(!libreplace_tainted());
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void orphaned_entry_that_check_found_is_reported_on_leaving(void)
{
	pthread_t thread;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(pthread_create(&thread, NULL, leave_elsewhere, &held.guard) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(libreplace_check(&held.guard) == -1 && errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_ORDER);
	MUST(libreplace_leave(&held.guard) == -1 && errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_ORDER);
	MUST(held.guard.state == LIBREPLACE_STATE_LEFT && !libreplace_tainted());
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void results_belong_to_the_last_use_of_a_guard(void)
{
	static const struct libreplace_identity root = {0, 0, 0, NULL};
	entry held;

	MUST(libreplace_enter(fresh(&held), &root, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(held.guard.error == EPERM);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(held.guard.step == LIBREPLACE_STEP_NONE && held.guard.error == 0);
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.changes > 0);
	MUST(libreplace_enter(&held.guard, &root, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
}

static void held_guard_cannot_enter_again(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(&held.guard, &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EBUSY && held.guard.state == LIBREPLACE_STATE_ENTERED);
	expect_ids(0, ALICE, 0, ALICE, STAFF, 2);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_depth() == 1);
	MUST(libreplace_leave(&held.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void identity_with_more_groups_than_room_is_not_copied(void)
{
	size_t size = sizeof(struct libreplace_guard) + 3 * sizeof(gid_t);
	union {
		struct libreplace_guard guard;
		unsigned char space[sizeof(entry)];
	} held;

	memset(&held, 0xaa, sizeof held);
	MUST(libreplace_guard_init(&held.guard, size) == 0 && held.guard.room == 1);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOBUFS && held.guard.step == LIBREPLACE_STEP_READ);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
	for (; size < sizeof held; size++)
		MUST(held.space[size] == 0xaa);
}

/* Storage on the stack holds the values of earlier functions. */
static void storage_may_hold_anything_before(void)
{
	entry held;

	memset(&held, 0xff, sizeof held);
	fresh(&held);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.flags == 0);
	MUST(held.guard.step == LIBREPLACE_STEP_NONE && held.guard.error == 0);
	MUST(held.guard.changes == 0 && held.guard.room == ROOM);
	MUST(libreplace_check(&held.guard) == -1 && errno == ESRCH);
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

/* This securebit keeps the kernel from clearing capabilities. */
static void root_that_would_keep_its_capabilities_is_refused(void)
{
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */
	entry held;

	MUST(capabilities(SYS_capget, sets) == 0);
	sets[2] = sets[1]; /* so that the library reads the securebits */
	MUST(capabilities(SYS_capset, sets) == 0);
	if (prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) != 0)
		return; /* without CAP_SETPCAP */
	for (int level = 0; level < 4; level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == -1 && errno == EPERM);
		MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES);
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
	}
	sets[0] = BOTH; /* no capability that matters for files */
	sets[3] = 0;
	MUST(capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
}

/* Without the kernel's help, root that becomes the effective user ID gets no capabilities back, so
 * that setgroups fails. Leaving then raises them. */
static void securebit_set_inside_does_not_hinder_leaving(void)
{
	unsigned inside[6], sets[6];
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(capabilities(SYS_capget, inside) == 0 && capabilities(SYS_capget, sets) == 0);
	sets[0] = sets[1]; /* effective = permitted */
	MUST(capabilities(SYS_capset, sets) == 0);
	if (prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) != 0)
		return; /* without CAP_SETPCAP */
	MUST(capabilities(SYS_capset, inside) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	MUST(held.guard.state == LIBREPLACE_STATE_LEFT && !libreplace_tainted());
	expect_ids(0, 0, 0, 0, 0, 0);
	MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == sets[1] && sets[0] != 0);
}

/* Enter, and make it impossible to restore the ids. */
static void enter_without_return(entry *held, int flags)
{
	unsigned none[6] = {0};

	fresh(held)->flags = flags;
	MUST(libreplace_enter(&held->guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_setresuid(-1, 0, -1) == 0);
	MUST(libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	MUST(capabilities(SYS_capset, none) == 0);
}

static void abort_flag_aborts_if_restoring_fails(void)
{
	entry held;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		enter_without_return(&held, LIBREPLACE_ABORT_UNLESS_RESTORED);
		libreplace_leave(&held.guard);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	MUST(WTERMSIG(status) == SIGABRT);
}

static void thread_is_tainted_if_restoring_fails(void)
{
	entry held, inner;

	enter_without_return(&held, 0);
	MUST(libreplace_leave(&held.guard) == -1 && libreplace_tainted());
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED);
	MUST(libreplace_leave(&held.guard) == 0); /* it was reported before */
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOTRECOVERABLE && inner.guard.step == LIBREPLACE_STEP_REFUSED);
}

/* The first entry of a process sets the fs uid, even to the same id; see imitation.c. */
static void first_entry_that_changes_no_id_raises_capabilities(void)
{
	unsigned sets[6] = {BOTH, BOTH, 0, 0, 0, 0};
	entry held;

	MUST(become_server_without_root() == 0 && capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_setgroups(alice.size, alice.groups) == 0);
	MUST(libreplace_setfsgid(STAFF) == 0 && libreplace_setfsuid(ALICE) == 0);
	sets[0] = 0;
	MUST(capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	expect_ids(1000, 1000, 1000, ALICE, 1000, 2);
	MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == 0 && sets[1] == BOTH);
}

static void all_capabilities_are_dropped(void)
{
	unsigned sets[6] = {0};

	MUST(become_server_without_root() == 0 && libreplace_drop_capabilities() == 0);
	MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == 0 && sets[1] == 0 && sets[2] == 0);
}

int main(void)
{
	int failed = 0;

	needs_root();
	RUN(root_only_by_effective_id_is_refused);
	RUN(root_with_another_real_id_enters);
	RUN(root_whose_real_id_stays_enters);
	RUN(another_saved_id_is_refused_only_at_level_real);
	RUN(thread_that_cannot_set_its_group_again_is_refused);
	RUN(unsorted_groups_are_refused);
	RUN(equal_groups_are_not_set_again);
	RUN(each_change_inside_is_noticed);
	RUN(forked_child_is_the_user_for_good);
	RUN(forked_child_has_default_actions);
	RUN(child_forked_during_a_drop_can_enter);
	RUN(owner_can_leave_after_others_tried);
	RUN(orphaned_entry_that_check_found_is_reported_on_leaving);
	RUN(results_belong_to_the_last_use_of_a_guard);
	RUN(held_guard_cannot_enter_again);
	RUN(identity_with_more_groups_than_room_is_not_copied);
	RUN(storage_may_hold_anything_before);
	RUN(root_that_would_keep_its_capabilities_is_refused);
	RUN(securebit_set_inside_does_not_hinder_leaving);
	RUN(abort_flag_aborts_if_restoring_fails);
	RUN(thread_is_tainted_if_restoring_fails);
	RUN(first_entry_that_changes_no_id_raises_capabilities);
	RUN(all_capabilities_are_dropped);
	return failed != 0;
}
