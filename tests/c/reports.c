/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What errno, a guard and the count of switched threads say: after refused and nested entries, in
 * forked children, and if two threads use the same guard. Most cases exist because a mutant of
 * tests/programs/mutants.py survived without them. Each case runs in a forked child, as root, on
 * builds whose calls change one thread.
 */
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include "filter.h"
#include "raw_capabilities.h"

static void success_keeps_errno(void)
{
	entry held;

	errno = EXDEV;
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST(errno == EXDEV && libreplace_check(&held.guard) == 0 && errno == EXDEV);
	MUST(libreplace_leave(&held.guard) == 0 && errno == EXDEV);
}

static void unknown_levels_are_refused(void)
{
	static const int levels[] = {INT_MIN, LIBREPLACE_LEVEL_EFFECTIVE - 1,
	                             LIBREPLACE_LEVEL_FILESYSTEM + 1, INT_MAX};
	entry held;

	for (int i = 0; i < 4; i++) {
		MUST(libreplace_enter(fresh(&held), &alice, levels[i]) == -1 && errno == EINVAL);
		MUST(held.guard.step == LIBREPLACE_STEP_REFUSED && held.guard.changes == 0);
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE);
	}
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void identities_with_minus_one_are_refused(void)
{
	static const gid_t groups[] = {80011, (gid_t)-1};
	static const struct libreplace_identity users[] = {
	    {(uid_t)-1, STAFF, 0, NULL}, {ALICE, (gid_t)-1, 0, NULL}, {ALICE, STAFF, 2, groups}};
	entry held;

	for (int i = 0; i < 3; i++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, &users[i], LIBREPLACE_LEVEL_EFFECTIVE) == -1);
		MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
		MUST(held.guard.changes == 0);
	}
}

static void root_needs_its_flag(void)
{
	static const gid_t groups[] = {0, 80011};
	static const struct libreplace_identity users[] = {
	    {0, STAFF, 0, NULL}, {ALICE, 0, 0, NULL}, {ALICE, STAFF, 2, groups}};
	entry held;

	for (int i = 0; i < 3; i++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_PROCESS | LIBREPLACE_ABORT_UNLESS_RESTORED;
		MUST(libreplace_enter(&held.guard, &users[i], LIBREPLACE_LEVEL_EFFECTIVE) == -1);
		MUST(errno == EPERM && held.guard.step == LIBREPLACE_STEP_REFUSED);
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, &users[i], LIBREPLACE_LEVEL_EFFECTIVE) == 0);
		MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	}
}

/* An older library does not know the flags of a newer program. To ignore them is not safe. */
static void flags_that_do_not_exist_are_refused(void)
{
	static const int others[] = {LIBREPLACE_ALLOW_IO_URING, 16, 1 << 30,
	                             ~LIBREPLACE_ALLOW_ROOT};
	entry held;

	for (int i = 0; i < 4; i++) {
		fresh(&held)->flags = others[i] | LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
		MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE && held.guard.changes == 0);
	}
	fresh(&held)->flags =
	    LIBREPLACE_ALLOW_ROOT | LIBREPLACE_ALLOW_PROCESS | LIBREPLACE_ABORT_UNLESS_RESTORED;
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
}

/* Later versions give names to them. */
static void reserved_members_are_cleared_and_ignored(void)
{
	static const uint64_t none[8];
	entry held;

	memset(&held, 0xff, sizeof held);
	MUST(memcmp(fresh(&held)->reserved, none, sizeof none) == 0);
	memset(held.guard.reserved, 0xff, sizeof held.guard.reserved);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
}

static void storage_that_was_not_prepared_is_refused(void)
{
	entry held;

	memset(&held, 0, sizeof held);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EINVAL && libreplace_check(&held.guard) == -1 && errno == ESRCH);
	MUST(libreplace_leave(&held.guard) == 0 && libreplace_depth() == 0);
	held.guard.state = LIBREPLACE_STATE_ENTERED; /* as chance may have it */
	MUST(libreplace_check(&held.guard) == -1 && errno == ESRCH);
	MUST(libreplace_leave(&held.guard) == 0 && !libreplace_tainted());
	MUST(libreplace_guard_init(&held.guard, sizeof held.guard - 1) == -1 && errno == EINVAL);
	MUST(libreplace_guard_init(&held.guard, sizeof held.guard) == 0 && held.guard.room == 0);
}

/* Such storage is not there; only its size is calculated. */
static void room_fits_an_int(void)
{
#if SIZE_MAX > UINT_MAX
	entry held;

	MUST(libreplace_guard_init(&held.guard, SIZE_MAX / 2) == 0 && held.guard.room == INT_MAX);
	MUST(libreplace_guard_init(&held.guard, sizeof held.guard + 3 * sizeof(gid_t) * 2000) == 0);
	MUST(held.guard.room == 2000);
#endif
}

/* Another thread counts itself in the table of core/threads.c; the main thread has its own place.
 */
static void *nested_entries_count_once(void *unused)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_active() == 1 && libreplace_depth() == 2);
	MUST(libreplace_leave(&inner.guard) == 0 && libreplace_active() == 1);
	MUST(libreplace_leave(&outer.guard) == 0 && libreplace_active() == 0);
	return unused;
}

static void nested_entries_of_a_thread_count_once(void)
{
	pthread_t thread;

	MUST(nested_entries_count_once(NULL) == NULL);
	MUST(pthread_create(&thread, NULL, nested_entries_count_once, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0 && libreplace_active() == 0);
}

/* The thread stays switched, so nobody may drop the privileges of the process. */
static void still_alice(const entry *outer)
{
	MUST(libreplace_depth() == 1 && libreplace_active() == 1);
	MUST(libreplace_drop_begin() == -1 && errno == EBUSY);
	MUST(outer->guard.state == LIBREPLACE_STATE_ENTERED);
	expect_ids(0, ALICE, 0, ALICE, STAFF, 2);
}

static void refused_inner_entry_keeps_the_outer_one(void)
{
	struct libreplace_guard small; /* without room for the two groups of alice */
	entry outer;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_guard_init(&small, sizeof small) == 0);
	MUST(libreplace_enter(&small, &(struct libreplace_identity){BOB, BOB, 0, NULL},
	                      LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOBUFS && small.step == LIBREPLACE_STEP_READ && small.changes == 0);
	still_alice(&outer);
	MUST(libreplace_leave(&outer.guard) == 0 && libreplace_active() == 0);
	MUST(libreplace_drop_begin() == 0);
	libreplace_drop_end();
}

static void inner_entry_that_is_rolled_back_keeps_the_outer_one(void)
{
	struct libreplace_identity other = bob;
	entry outer, inner;

	other.gid = 79999;
	refuse_value(SETRESGID, other.gid);
	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &other, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EPERM && inner.guard.step == LIBREPLACE_STEP_GID);
	MUST(inner.guard.state == LIBREPLACE_STATE_ROLLED_BACK);
	still_alice(&outer);
	MUST(libreplace_check(&outer.guard) == 0 && libreplace_leave(&outer.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

/* A group database in which root is a member of @size groups besides its own. Return: whether the
 * test can have one. */
static int make_group_database(int size)
{
	char path[] = "/tmp/libreplace-reports-XXXXXX";
	FILE *file;
	int done;

	needs_tmp();
	file = fdopen(mkstemp(path), "w");
	MUST(file != NULL && fprintf(file, "root:x:0:\n") > 0);
	for (int i = 0; i < size; i++)
		MUST(fprintf(file, "group%d:x:%d:root\n", i, 5000 + i) > 0);
	MUST(fclose(file) == 0);
	done = unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount(path, "/etc/group", NULL, MS_BIND, NULL) == 0;
	MUST(unlink(path) == 0 || errno == EBUSY);
	return done;
}

/* More groups than initgroups(3) of the core reads at first. */
static void member_of(int size)
{
	gid_t groups[1024];

	if (!make_group_database(size)) {
		printf("# no mounts here\n");
		return;
	}
	MUST(libreplace_initgroups("root", 0) == 0 && getgroups(1024, groups) == size + 1);
	for (int i = 0; i <= size; i++)
		MUST(groups[i] == (i == 0 ? 0 : 4999 + (gid_t)i));
}

static void all_groups_of_a_user_are_set(void)
{
	static const int sizes[] = {0, 62, 63, 64, 65, 127, 128, 129, 700};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		in_child(member_of, sizes[i]);
}

static void must_be_the_user_for_good(entry *held)
{
	MUST(libreplace_depth() == 0 && libreplace_active() == 0);
	MUST(libreplace_check(&held->guard) == -1 && errno == EPERM && held->guard.error == EPERM);
	MUST(held->guard.step == LIBREPLACE_STEP_FORKED);
	MUST(libreplace_enter(&held->guard, &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EPERM && held->guard.step == LIBREPLACE_STEP_FORKED);
	MUST(held->guard.state == LIBREPLACE_STATE_FOR_GOOD && !libreplace_tainted());
	MUST(libreplace_leave(&held->guard) == 0 && geteuid() == held->guard.set.fsuid);
}

/* The guard was held when the thread forked. The child can use it, and learns the truth. */
static void forked_child_learns_it_from_each_call(void)
{
	entry outer, inner;
	int status = 0;
	pid_t child;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST((child = fork()) >= 0);
	if (child == 0) {
		must_be_the_user_for_good(&inner);
		MUST(libreplace_leave(&outer.guard) == -1 && errno == EPERM);
		MUST(outer.guard.step == LIBREPLACE_STEP_FORKED && geteuid() == BOB);
		MUST(outer.guard.state == LIBREPLACE_STATE_FOR_GOOD && !libreplace_tainted());
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
	MUST(libreplace_leave(&inner.guard) == 0 && libreplace_leave(&outer.guard) == 0);
}

/* A thread frees the storage of an entry that it still holds, and the main thread uses it again. */
static entry shared;
static pthread_barrier_t barrier;

static void *lose_the_storage(void *unused)
{
	uid_t r, e, s;

	MUST(libreplace_enter(fresh(&shared), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier); /* now it is an entry of the main thread */
	MUST(libreplace_check(&shared.guard) == -1 && errno == EPERM);
	MUST(libreplace_leave(&shared.guard) == -1 && errno == EPERM && libreplace_tainted());
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && e == ALICE);
	return unused;
}

static void storage_of_another_thread_is_not_its_own(void)
{
	pthread_t thread;

	MUST(pthread_barrier_init(&barrier, NULL, 2) == 0);
	MUST(pthread_create(&thread, NULL, lose_the_storage, NULL) == 0);
	pthread_barrier_wait(&barrier);
	MUST(libreplace_enter(fresh(&shared), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	pthread_barrier_wait(&barrier);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(shared.guard.state == LIBREPLACE_STATE_ORPHANED && libreplace_tainted());
	expect_ids(0, BOB, 0, BOB, 80012, 1);
	MUST(libreplace_leave(&shared.guard) == 0 && !libreplace_tainted());
	expect_ids(0, 0, 0, 0, 0, 0);
}

/* An entry is left in the wrong order; then the other one, too. */
static void wrong_order_is_reported_for_each_entry(void)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&outer.guard) == -1 && errno == EPERM);
	MUST(outer.guard.step == LIBREPLACE_STEP_ORDER && !libreplace_tainted());
	MUST(libreplace_check(&inner.guard) == 0);
	MUST(libreplace_leave(&outer.guard) == -1 && errno == EPERM && libreplace_tainted());
	MUST(outer.guard.step == LIBREPLACE_STEP_ORDER);
	MUST(outer.guard.state == LIBREPLACE_STATE_TAINTED && libreplace_active() == 1);
	MUST(libreplace_leave(&inner.guard) == 0 && libreplace_tainted());
}

/* The roll-back fails, too. */
static void first_failure_is_reported(void)
{
	struct libreplace_identity other = bob;
	entry held;

	other.gid = 79999;
	refuse_value(SETRESGID, other.gid);
	refuse_value(SETGROUPS, 0);
	MUST(libreplace_enter(fresh(&held), &other, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(libreplace_tainted() && held.guard.state == LIBREPLACE_STATE_TAINTED);
	MUST(errno == EPERM && held.guard.step == LIBREPLACE_STEP_GID);
	MUST(libreplace_active() == 1);
}

/* Only the flag for it makes the program abort. */
static void other_flags_do_not_abort(void)
{
	unsigned none[6] = {0};
	entry held;

	fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT | LIBREPLACE_ALLOW_PROCESS;
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_REAL) == 0);
	MUST(libreplace_setresuid(-1, -1, ALICE) == 0);
	MUST(capabilities(SYS_capset, none) == 0);
	MUST(libreplace_leave(&held.guard) == -1 && libreplace_tainted());
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED);
}

int main(void)
{
	int failed = 0;

	needs_root();
	RUN(success_keeps_errno);
	RUN(unknown_levels_are_refused);
	RUN(identities_with_minus_one_are_refused);
	RUN(root_needs_its_flag);
	RUN(flags_that_do_not_exist_are_refused);
	RUN(reserved_members_are_cleared_and_ignored);
	RUN(storage_that_was_not_prepared_is_refused);
	RUN(room_fits_an_int);
	RUN(nested_entries_of_a_thread_count_once);
	RUN(refused_inner_entry_keeps_the_outer_one);
	RUN(inner_entry_that_is_rolled_back_keeps_the_outer_one);
	RUN(all_groups_of_a_user_are_set);
	RUN(forked_child_learns_it_from_each_call);
	RUN(storage_of_another_thread_is_not_its_own);
	RUN(wrong_order_is_reported_for_each_entry);
	RUN(first_failure_is_reported);
	RUN(other_flags_do_not_abort);
	return failed != 0;
}
