/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Entries under uid_wrapper, which imitates ids. test_uid_wrapper.py runs it. The kernel's ids are
 * those in /proc. usage: imitated accepted|refused|mixed: without capabilities, entries succeed;
 * with capabilities, each is refused; and so it is if only another thread has none
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include "cases.h"
#include "raw_capabilities.h"

enum { LEVELS = 4 };

static char shown_first[8192];

/* Read the ids that the kernel has. */
static void read_kernel(char *text)
{
	char line[4096];
	FILE *status = fopen("/proc/thread-self/status", "r");

	MUST(status != NULL);
	for (*text = 0; fgets(line, sizeof line, status) != NULL;)
		if (strncmp(line, "Uid:", 4) == 0 || strncmp(line, "Gid:", 4) == 0 ||
		    strncmp(line, "Groups:", 7) == 0)
			strcat(text, line);
	fclose(status);
}

static int kernel_is_unchanged(void)
{
	char shown[sizeof shown_first];

	read_kernel(shown);
	return strcmp(shown, shown_first) == 0;
}

static void expect(uid_t r, uid_t e, uid_t s, const struct libreplace_identity *user)
{
	uid_t uids[3];
	gid_t gids[3], list[ROOM];

	MUST(libreplace_getresuid(&uids[0], &uids[1], &uids[2]) == 0 && geteuid() == e);
	MUST(uids[0] == r && uids[1] == e && uids[2] == s);
	MUST(libreplace_getresgid(&gids[0], &gids[1], &gids[2]) == 0 && gids[1] == user->gid);
	MUST(getgroups(ROOM, list) == (int)user->size);
	MUST(memcmp(list, user->groups, user->size * sizeof *list) == 0);
	MUST(kernel_is_unchanged());
}

/* The owner of a new file is not imitated. */
static void expect_real_owner(void)
{
	char path[] = "/tmp/libreplace-imitated-XXXXXX";
	int file = mkstemp(path);
	struct stat seen;

	MUST(file >= 0 && unlink(path) == 0 && fstat(file, &seen) == 0 && close(file) == 0);
	MUST(seen.st_uid != ALICE && seen.st_gid != STAFF);
}

/* A forked child must be the user for good, as far as the layer tells. */
static void fork_as(const struct libreplace_identity *user)
{
	int status = 1;
	pid_t child = fork();
	entry again;

	MUST(child >= 0);
	if (child == 0) {
		alarm(HANG);
		expect(user->uid, user->uid, user->uid, user);
		MUST(libreplace_depth() == 0 && libreplace_active() == 0);
		MUST(libreplace_enter(fresh(&again), &bob, LIBREPLACE_LEVEL_REAL) == -1);
		MUST(again.guard.step == LIBREPLACE_STEP_FORKED);
		exit(0);
	}
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

static uid_t real_id(int level, uid_t user)
{
	if (level == LIBREPLACE_LEVEL_EFFECTIVE)
		return 0;
	return level == LIBREPLACE_LEVEL_REAL ? user : LIBREPLACE_SHIELD_UID;
}

static void enter_nest_and_fork(int level, int inner_level,
                                const struct libreplace_identity *before)
{
	entry outer, inner;

	MUST(libreplace_enter(fresh(&outer), &alice, level) == 0);
	expect(real_id(level, ALICE), ALICE, 0, &alice);
	MUST(libreplace_check(&outer.guard) == 0);
	expect_real_owner();
	fork_as(&alice);
	MUST(libreplace_enter(fresh(&inner), &bob, inner_level) == 0);
	expect(real_id(inner_level, BOB), BOB, 0, &bob);
	fork_as(&bob);
	MUST(libreplace_leave(&inner.guard) == 0);
	expect(real_id(level, ALICE), ALICE, 0, &alice);
	MUST(libreplace_check(&outer.guard) == 0 && libreplace_leave(&outer.guard) == 0);
	expect(0, 0, 0, before);
	MUST(libreplace_enter(&outer.guard, &alice, level) == 0);
	MUST(libreplace_setresuid(-1, 0, -1) == 0 && libreplace_check(&outer.guard) == -1);
	MUST(outer.guard.step == LIBREPLACE_STEP_FOUND && libreplace_leave(&outer.guard) == -1);
	MUST(outer.guard.state == LIBREPLACE_STATE_LEFT);
	expect(0, 0, 0, before);
}

static void filesystem_is_refused(const struct libreplace_identity *before)
{
	entry held;

	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_FILESYSTEM) == -1);
	MUST(held.guard.state == LIBREPLACE_STATE_IDLE ||
	     held.guard.state == LIBREPLACE_STATE_ROLLED_BACK);
	MUST(held.guard.step == LIBREPLACE_STEP_UID || held.guard.step == LIBREPLACE_STEP_GID);
	expect(0, 0, 0, before);
}

static void *enter_in_thread(void *before)
{
	enter_nest_and_fork(LIBREPLACE_LEVEL_SHIELDED, LIBREPLACE_LEVEL_SHIELDED, before);
	filesystem_is_refused(before);
	return NULL;
}

static void accepted(void)
{
	gid_t list[ROOM];
	struct libreplace_identity before = {0, getegid(), 0, list};
	pthread_t thread;

	MUST((before.size = (size_t)getgroups(ROOM, list)) <= ROOM);
	filesystem_is_refused(&before); /* also as the first entry */
	for (int i = 0; i < 9; i++)
		enter_nest_and_fork(i / 3, i % 3, &before);
	filesystem_is_refused(&before);
	MUST(pthread_create(&thread, NULL, enter_in_thread, &before) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	expect(0, 0, 0, &before);
}

static void each_is_refused(void)
{
	static const struct libreplace_identity admin = {0, STAFF, 2, groups_of_alice};
	static const struct libreplace_identity *const users[] = {&alice, &admin};
	gid_t list[ROOM];
	struct libreplace_identity before = {0, getegid(), 0, list};
	entry held;

	MUST((before.size = (size_t)getgroups(ROOM, list)) <= ROOM);
	for (int i = 0; i < 2 * LEVELS - 1; i++) { /* admin at filesystem has the ids of root */
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, users[i / LEVELS], i % LEVELS) == -1);
		MUST(held.guard.step == LIBREPLACE_STEP_VERIFY && held.guard.error == EPERM);
		MUST(held.guard.state == LIBREPLACE_STATE_IDLE ||
		     held.guard.state == LIBREPLACE_STATE_ROLLED_BACK);
		expect(0, 0, 0, &before);
		MUST(libreplace_depth() == 0 && libreplace_active() == 0 && !libreplace_tainted());
	}
}

static void *enter_without_capabilities(void *unused)
{
	unsigned none[6] = {0};
	entry held;

	MUST(capabilities(SYS_capset, none) == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_SHIELDED) == 0);
	MUST(libreplace_leave(&held.guard) == 0);
	return unused;
}

static void mixed(void)
{
	unsigned sets[6] = {0}; /* valgrind believes that capget(2) writes less */
	pthread_t thread;

	MUST(capabilities(SYS_capget, sets) == 0 && sets[1] != 0);
	each_is_refused();
	MUST(pthread_create(&thread, NULL, enter_without_capabilities, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
	each_is_refused();
}

int main(int argc, char **argv)
{
	alarm(HANG);
	MUST(argc == 2 && geteuid() == 0);
	read_kernel(shown_first);
	if (strcmp(argv[1], "accepted") == 0)
		accepted();
	else if (strcmp(argv[1], "refused") == 0)
		each_is_refused();
	else
		mixed();
	return 0;
}
