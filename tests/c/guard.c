/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests libreplace_enter() and libreplace_leave(), for `meson test`: every level, nesting, order, a
 * foreign thread, ids that change inside, root that keeps its capabilities, a server without root.
 * Each case runs in a forked child. Without root, it only tests that entering fails. Built only if
 * a call changes one thread.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sched.h>
#include "cases.h"
#include "raw_capabilities.h"

static int can_open(const char *path)
{
	int handle = open(path, O_RDONLY);

	if (handle >= 0)
		close(handle);
	return handle >= 0;
}

/* A file that only root may open */
static char secret[] = "/tmp/libreplace-guard-XXXXXX";

static void make_secret(void)
{
	int file = mkstemp(secret);

	MUST(file >= 0 && close(file) == 0);
}

static void every_level(void)
{
	static const uid_t real[] = {0, LIBREPLACE_SHIELD_UID, ALICE};
	entry held;

	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_FILESYSTEM;
	     level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(held.guard.state == LIBREPLACE_STATE_ENTERED && held.guard.changes == 3);
		MUST(libreplace_depth() == 1 && libreplace_active() == 1 && !can_open(secret));
		if (level == LIBREPLACE_LEVEL_FILESYSTEM)
			expect_ids(0, 0, 0, ALICE, 0, 2);
		else
			expect_ids(real[level], ALICE, 0, ALICE, STAFF, 2);
		MUST(libreplace_leave(&held.guard) == 0 &&
		     held.guard.state == LIBREPLACE_STATE_LEFT);
		MUST(held.guard.changes == 6 && libreplace_depth() == 0 &&
		     libreplace_active() == 0);
		expect_ids(0, 0, 0, 0, 0, 0);
		MUST(libreplace_leave(&held.guard) == 0 && can_open(secret));
	}
}

static void group_ids_of_every_level(void)
{
	entry held;
	gid_t r, e, s, fs;

	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_FILESYSTEM;
	     level++) {
		gid_t want = level == LIBREPLACE_LEVEL_FILESYSTEM ? 0 : STAFF;

		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(libreplace_getresgid(&r, &e, &s) == 0 && libreplace_getfsgid(&fs) == 0);
		MUST(r == want && e == want && s == 0 && fs == STAFF);
		MUST(libreplace_leave(&held.guard) == 0);
	}
}

static void forked_child_cannot_return(void)
{
	entry held;
	int status = 1;
	pid_t child;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	child = fork();
	if (child == 0) {
		expect_ids(ALICE, ALICE, ALICE, ALICE, STAFF, 2);
		MUST(setresuid(0, 0, 0) == -1 && errno == EPERM && libreplace_active() == 0);
		MUST(libreplace_leave(&held.guard) == -1 &&
		     held.guard.step == LIBREPLACE_STEP_FORKED);
		MUST(held.guard.state == LIBREPLACE_STATE_FOR_GOOD && geteuid() == ALICE);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void drop_and_entry_exclude_each_other(void)
{
	entry held;

	MUST(libreplace_drop_begin() == 0 && libreplace_drop_begin() == -1 && errno == EBUSY);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1 &&
	     errno == EBUSY);
	MUST(held.guard.step == LIBREPLACE_STEP_REFUSED && libreplace_active() == 0);
	libreplace_drop_end();
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_drop_begin() == -1 && errno == EBUSY);
	MUST(libreplace_leave(&held.guard) == 0 && libreplace_drop_begin() == 0);
}

static void *end_while_switched(void *place)
{
	MUST(libreplace_enter(fresh(place), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0 &&
	     libreplace_active() == 1);
	return NULL;
}

static void ended_thread_is_not_counted(void)
{
	static entry held;
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, end_while_switched, &held) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	while (libreplace_active() != 0) /* only in an emulator, see thread_ends.c */
		sched_yield();
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void only_the_uid_differs(void)
{
	static const struct libreplace_identity user = {ALICE, 0, 0, NULL};
	entry held;

	MUST(libreplace_enter(fresh(&held), &user, LIBREPLACE_LEVEL_EFFECTIVE) == -1 &&
	     errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_REFUSED && held.guard.changes == 0);
	fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
	MUST(libreplace_enter(&held.guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(&held.guard) == 0 && held.guard.changes == 2);
}

static void nested_and_in_every_pair_of_levels(void)
{
	entry outer, inner;

	for (int pair = 0; pair < 16; pair++) {
		struct libreplace_guard *guard = fresh(&outer);

		MUST(libreplace_enter(guard, &alice, pair / 4) == 0);
		MUST(libreplace_enter(fresh(&inner), &bob, pair % 4) == 0 &&
		     libreplace_depth() == 2);
		MUST(!can_open(secret));
		MUST(libreplace_leave(&inner.guard) == 0);
		if (pair / 4 != LIBREPLACE_LEVEL_FILESYSTEM)
			MUST(geteuid() == ALICE && getegid() == STAFF);
		MUST(libreplace_leave(guard) == 0);
		expect_ids(0, 0, 0, 0, 0, 0);
	}
}

static void leaving_out_of_order_taints(void)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(&outer.guard) == -1 && outer.guard.step == LIBREPLACE_STEP_ORDER);
	expect_ids(0, BOB, 0, BOB, 80012, 1);
	MUST(libreplace_tainted() &&
	     libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_REAL) == -1);
	MUST(outer.guard.step == LIBREPLACE_STEP_REFUSED && errno == ENOTRECOVERABLE);
}

static void *leave_elsewhere(void *guard)
{
	entry own;

	MUST(libreplace_enter(fresh(&own), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_leave(guard) == -1 && errno == EPERM);
	MUST(geteuid() == BOB && libreplace_tainted());
	return NULL;
}

static void leaving_in_another_thread_taints_both(void)
{
	entry held, other;
	pthread_t thread;

	/* a new thread inherits the ids of this one, so set the effective ids to root's first */
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_FILESYSTEM) == 0);
	MUST(libreplace_leave(&held.guard) == 0 &&
	     libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(syscall(SYS_setresuid, -1, 0, -1) == 0 && syscall(SYS_setresgid, -1, 0, -1) == 0);
	MUST(pthread_create(&thread, NULL, leave_elsewhere, &held.guard) == 0);
	MUST(pthread_join(thread, NULL) == 0 && held.guard.state == LIBREPLACE_STATE_ORPHANED);
	MUST(libreplace_check(&held.guard) == -1 && held.guard.step == LIBREPLACE_STEP_ORDER);
	MUST(libreplace_tainted() && libreplace_depth() == 1);
	MUST(libreplace_enter(fresh(&other), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOTRECOVERABLE && other.guard.step == LIBREPLACE_STEP_REFUSED);
}

/* Storage that was not prepared holds no entry, whatever its bytes are. */
static void unprepared_guard_is_refused(void)
{
	static const int bytes[] = {0, 0x01, 0x55, 0xff};
	entry held;

	for (int i = 0; i < 12; i++) {
		memset(&held, bytes[i % 4], sizeof held);
		held.guard.state = (int[]){LIBREPLACE_STATE_IDLE, LIBREPLACE_STATE_ENTERED,
		                           LIBREPLACE_STATE_ORPHANED}[i / 4];
		MUST(libreplace_leave(&held.guard) == 0);
		MUST(libreplace_check(&held.guard) == -1 && errno == ESRCH);
		MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
		MUST(errno == EINVAL && held.guard.step == LIBREPLACE_STEP_REFUSED);
		MUST(!libreplace_tainted() && libreplace_active() == 0);
	}
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void room_follows_from_the_size(void)
{
	const size_t least = sizeof(struct libreplace_guard);
	entry held;

	for (size_t size = 0; size < least; size++)
		MUST(libreplace_guard_init(&held.guard, size) == -1 && errno == EINVAL);
	for (size_t size = least; size <= sizeof held; size++) {
		MUST(libreplace_guard_init(&held.guard, size) == 0);
		MUST(held.guard.room == (size - least) / sizeof(gid_t) / 3);
	}
	MUST(held.guard.room == ROOM);
	MUST(libreplace_guard_init(&held.guard, least + 3 * sizeof(gid_t)) == 0);
	MUST(libreplace_enter(&held.guard, &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOBUFS && held.guard.step == LIBREPLACE_STEP_READ);
	MUST(libreplace_enter(&held.guard, &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
	MUST(libreplace_setgroups(2, groups_of_alice) == 0);
	MUST(libreplace_enter(&held.guard, &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == ENOBUFS && held.guard.step == LIBREPLACE_STEP_READ);
	MUST(held.guard.changes == 0);
}

static void *check_elsewhere(void *guard)
{
	MUST(libreplace_check(guard) == -1 && errno == EPERM && !libreplace_tainted());
	return NULL;
}

static void checking_in_another_thread_changes_nothing(void)
{
	struct libreplace_guard before;
	pthread_t thread;
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	before = held.guard;
	MUST(pthread_create(&thread, NULL, check_elsewhere, &held.guard) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	MUST(memcmp(&before, &held.guard, sizeof before) == 0);
	MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
}

static void ids_changed_inside_are_reported(void)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(syscall(SYS_setresuid, -1, 0, -1) == 0);
	MUST(libreplace_leave(&held.guard) == -1 && held.guard.step == LIBREPLACE_STEP_FOUND);
	MUST(held.guard.state == LIBREPLACE_STATE_LEFT);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void check_finds_changes(void)
{
	entry held, inner;
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */

	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_FILESYSTEM;
	     level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0 &&
		     libreplace_check(&held.guard) == 0);
		MUST(libreplace_enter(fresh(&inner), &bob, level) == 0 &&
		     libreplace_check(&inner.guard) == 0);
		MUST(libreplace_leave(&inner.guard) == 0 && libreplace_check(&held.guard) == 0);
		MUST(libreplace_leave(&held.guard) == 0 && libreplace_check(&held.guard) == -1 &&
		     errno == ESRCH);
	}
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(syscall(SYS_setresuid, -1, 0, -1) == 0);
	MUST(libreplace_check(&held.guard) == -1 && held.guard.step == LIBREPLACE_STEP_FOUND &&
	     geteuid() == 0);
	MUST(libreplace_leave(&held.guard) == -1 && held.guard.step == LIBREPLACE_STEP_FOUND);

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[0] = sets[1]; /* effective = permitted */
	MUST(capabilities(SYS_capset, sets) == 0 && libreplace_check(&held.guard) == -1);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES &&
	     libreplace_leave(&held.guard) == -1);
	expect_ids(0, 0, 0, 0, 0, 0);

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == -1 && held.guard.step == LIBREPLACE_STEP_ORDER);
	MUST(libreplace_leave(&inner.guard) == 0 && libreplace_check(&held.guard) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == -1 && libreplace_leave(&inner.guard) == 0);
	MUST(libreplace_leave(&held.guard) == 0);

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[1] &= ~1U; /* CAP_CHOWN is no longer permitted */
	MUST(capabilities(SYS_capset, sets) == 0 && libreplace_check(&held.guard) == -1);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES &&
	     libreplace_leave(&held.guard) == -1);
}

static void kept_capabilities_are_rolled_back(void)
{
	entry held;

	MUST(prctl(PR_SET_SECUREBITS, 1 << 2) == 0); /* SECBIT_NO_SETUID_FIXUP */
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES &&
	     held.guard.state == LIBREPLACE_STATE_ROLLED_BACK);
	expect_ids(0, 0, 0, 0, 0, 0);
	MUST(!libreplace_tainted() && libreplace_active() == 0);
}

static void server_without_root(void)
{
	unsigned sets[6] = {0};
	entry held, inner;

	MUST(become_server_without_root() == 0);
	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_REAL; level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == 0);
		MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, OF_SETUID, 0, 0) == 0);
		MUST(libreplace_setresuid(-1, 0, -1) == -1 && errno == EPERM);
		MUST(libreplace_enter(fresh(&inner), &bob, level) == 0 && geteuid() == BOB);
		MUST(libreplace_leave(&inner.guard) == 0 && geteuid() == ALICE);
		MUST(capabilities(SYS_capget, sets) == 0 && sets[0] == 0);
		MUST(libreplace_leave(&held.guard) == 0);
		expect_ids(1000, 1000, 1000, 1000, 1000, 0);
		MUST(capabilities(SYS_capget, sets) == 0);
		MUST(sets[0] == BOTH && sets[1] == BOTH && sets[2] == BOTH);
		MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, OF_SETUID, 0, 0) == 1);
	}
}

/* Old versions of Docker started containers with inheritable capabilities (CVE-2022-24769). */
static void root_with_inheritable_capabilities(void)
{
	unsigned sets[6] = {0}, found[6] = {0}; /* for Valgrind, which knows only half of each */
	entry held, inner;

	MUST(capabilities(SYS_capget, sets) == 0);
	sets[2] |= BOTH;
	MUST(capabilities(SYS_capset, sets) == 0);
	for (int level = LIBREPLACE_LEVEL_EFFECTIVE; level <= LIBREPLACE_LEVEL_FILESYSTEM;
	     level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(libreplace_check(&held.guard) == 0);
		MUST(capabilities(SYS_capget, found) == 0 && found[2] == 0);
		MUST((found[0] == 0) == (level != LIBREPLACE_LEVEL_FILESYSTEM));
		MUST(libreplace_enter(fresh(&inner), &bob, level) == 0);
		MUST(libreplace_leave(&inner.guard) == 0 && libreplace_leave(&held.guard) == 0);
		expect_ids(0, 0, 0, 0, 0, 0);
		MUST(capabilities(SYS_capget, found) == 0 && memcmp(found, sets, sizeof sets) == 0);
	}
}

static void entry_without_privilege_is_refused(void)
{
	entry held;

	MUST(libreplace_setresgid(ALICE, ALICE, ALICE) == 0 &&
	     libreplace_setresuid(ALICE, ALICE, ALICE) == 0);
	MUST(libreplace_enter(fresh(&held), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1 &&
	     errno == EPERM);
	MUST(held.guard.step == LIBREPLACE_STEP_RETURN && held.guard.changes == 0);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE);
	expect_ids(ALICE, ALICE, ALICE, ALICE, ALICE, 0);
}

static void too_little_room_is_refused(void)
{
	gid_t many[ROOM + 1];
	entry held;

	for (int i = 0; i <= ROOM; i++)
		many[i] = (gid_t)i + 1;
	MUST(libreplace_setgroups(ROOM + 1, many) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1 &&
	     errno == ENOBUFS);
	MUST(held.guard.step == LIBREPLACE_STEP_READ && held.guard.state == LIBREPLACE_STATE_IDLE);
	MUST(libreplace_active() == 0);
}

static void every_number_has_a_name(void)
{
	MUST(strcmp(libreplace_level_name(LIBREPLACE_LEVEL_SHIELDED), "shielded") == 0);
	MUST(strcmp(libreplace_step_name(LIBREPLACE_STEP_UID), "setting the uid") == 0);
	MUST(strcmp(libreplace_state_name(LIBREPLACE_STATE_ROLLED_BACK), "rolled back") == 0);
	for (int i = 0; i <= LIBREPLACE_STEP_FORKED; i++)
		MUST(strcmp(libreplace_step_name(i), "unknown") != 0);
	for (int i = 0; i <= LIBREPLACE_STATE_FOR_GOOD; i++)
		MUST(strcmp(libreplace_state_name(i), "unknown") != 0);
	for (int i = 0; i <= LIBREPLACE_LEVEL_FILESYSTEM; i++)
		MUST(strcmp(libreplace_level_name(i), "unknown") != 0);
	MUST(strcmp(libreplace_step_name(-1), "unknown") == 0);
	MUST(strcmp(libreplace_state_name(99), "unknown") == 0);
	MUST(strcmp(libreplace_level_name(99), "unknown") == 0);
}

int main(void)
{
	entry held;
	int failed = 0;

	every_number_has_a_name();
	if (obstacle() != NULL) {
		MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
		MUST(held.guard.state != LIBREPLACE_STATE_TAINTED && libreplace_active() == 0);
		return 0;
	}
	needs_tmp();
	make_secret();
	RUN(every_level);
	RUN(group_ids_of_every_level);
	RUN(forked_child_cannot_return);
	RUN(drop_and_entry_exclude_each_other);
	RUN(ended_thread_is_not_counted);
	RUN(only_the_uid_differs);
	RUN(nested_and_in_every_pair_of_levels);
	RUN(leaving_out_of_order_taints);
	RUN(leaving_in_another_thread_taints_both);
	RUN(unprepared_guard_is_refused);
	RUN(room_follows_from_the_size);
	RUN(checking_in_another_thread_changes_nothing);
	RUN(ids_changed_inside_are_reported);
	RUN(check_finds_changes);
	RUN(kept_capabilities_are_rolled_back);
	RUN(root_with_inheritable_capabilities);
	RUN(server_without_root);
	RUN(entry_without_privilege_is_refused);
	RUN(too_little_room_is_refused);
	MUST(unlink(secret) == 0);
	return failed != 0;
}
