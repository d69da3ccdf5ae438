/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Entries whose capabilities the library clears and restores itself, and securebits. Most cases
 * exist because a mutant of tests/programs/mutants.py survived without them. Each case runs in a
 * forked child, as root, on builds whose calls change one thread. Source: capabilities(7).
 */
#include <stdint.h>
#include "filter.h"
#include "raw_capabilities.h"
#include "securebits.h"

/* Root with inheritable capabilities: the library clears them, not the kernel. At level filesystem,
 * these are the capabilities that the kernel would clear: CAP_FS_SET of linux/capability.h. */
static void clear_for_files(int only_chown)
{
	static const uint64_t of_files = 1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 4 |
	                                 1ULL << 9 | 1ULL << 27 | 1ULL << 32;
	unsigned before[6] = {0}, sets[6] = {0}; /* valgrind: see capabilities_linux.c */
	entry held;

	MUST(make_inheritable(before) == 0);
	if (only_chown != 0) {
		before[2] = 1;
		before[5] = 0;
		MUST(capabilities(SYS_capset, before) == 0);
	}
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		uint64_t left = level == LIBREPLACE_LEVEL_FILESYSTEM ? ~of_files : 0;

		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(capabilities(SYS_capget, sets) == 0);
		MUST(sets[0] == (before[0] & (unsigned)left));
		MUST(sets[3] == (before[3] & (unsigned)(left >> 32)));
		MUST(sets[1] == before[1] && sets[4] == before[4] && (sets[2] | sets[5]) == 0);
		MUST(libreplace_leave(&held.guard) == 0 && capabilities(SYS_capget, sets) == 0);
		MUST(memcmp(before, sets, sizeof sets) == 0);
	}
}

static void capabilities_for_files_are_cleared(void)
{
	in_child(clear_for_files, 0);
	in_child(clear_for_files, 1);
}

/* Enter and leave at each level. Everything must be as before. */
static void must_enter_and_leave(const struct libreplace_identity *user)
{
	unsigned before[6] = {0}, sets[6] = {0};
	entry held;

	MUST(capabilities(SYS_capget, before) == 0);
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
		MUST(libreplace_enter(&held.guard, user, level) == 0);
		MUST(libreplace_check(&held.guard) == 0 && libreplace_leave(&held.guard) == 0);
		MUST(capabilities(SYS_capget, sets) == 0);
		MUST(memcmp(before, sets, sizeof sets) == 0);
	}
}

/* Root with inheritable capabilities, so that the library reads the securebits. */
static void harmless_securebits_forbid_nothing(void)
{
	static const struct libreplace_identity root_of_staff = {0, STAFF, 0, NULL};
	static const int bits[] = {0, NOROOT, KEEP_CAPS, NOROOT | KEEP_CAPS, NO_CAP_AMBIENT_RAISE};
	unsigned sets[6] = {0};

	MUST(make_inheritable(sets) == 0);
	for (int i = 0; i < 5; i++) {
		if (prctl(PR_SET_SECUREBITS, bits[i], 0, 0, 0) != 0)
			return; /* without CAP_SETPCAP */
		must_enter_and_leave(&alice);
		must_enter_and_leave(&root_of_staff);
	}
	/* root stays root, so nothing would have to be cleared */
	MUST(prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) == 0);
	must_enter_and_leave(&root_of_staff);
}

/* The library clears the capabilities of such a server itself. */
static void server_without_root_needs_no_setuid_fixup(void)
{
	if (prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0) != 0)
		return;
	MUST(become_server_without_root() == 0);
	must_enter_and_leave(&alice);
}

/* At level filesystem, root keeps what does not concern files. Another user keeps nothing. */
static void server_without_root_keeps_nothing(void)
{
	unsigned sets[6] = {0};
	entry held;

	MUST(become_server_without_root() == 0);
	for (int level = 0; level <= LIBREPLACE_LEVEL_FILESYSTEM; level++) {
		MUST(libreplace_enter(fresh(&held), &alice, level) == 0);
		MUST(capabilities(SYS_capget, sets) == 0 && (sets[0] | sets[3]) == 0);
		MUST(libreplace_leave(&held.guard) == 0);
	}
}

/* An inheritable capability that is not permitted stays, so the thread need not set it again. */
static void inheritable_capability_that_is_not_permitted_stays(void)
{
	unsigned sets[6] = {0};

	MUST(make_inheritable(sets) == 0);
	sets[0] &= ~1U; /* CAP_CHOWN */
	sets[1] &= ~1U;
	MUST(capabilities(SYS_capset, sets) == 0);
	if (prctl(PR_CAPBSET_DROP, 0, 0, 0, 0) != 0)
		return; /* without CAP_SETPCAP */
	must_enter_and_leave(&alice);
}

/* A filter hides the capabilities. */
static void unknown_capabilities_are_reported(void)
{
	entry held;
	int status = 0;
	pid_t child;

	MUST(become_server_without_root() == 0);
	MUST(libreplace_enter(fresh(&held), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	refuse_call(SYS_capget, EIO);
	MUST((child = fork()) >= 0);
	if (child == 0)
		exit(0); /* not reached: it cannot know that it is the user and nothing else */
	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	MUST(WTERMSIG(status) == SIGABRT);
	MUST(libreplace_check(&held.guard) == -1 && errno == EIO);
	MUST(held.guard.step == LIBREPLACE_STEP_CAPABILITIES);
	MUST(libreplace_leave(&held.guard) == -1 && libreplace_tainted());
	MUST(held.guard.state == LIBREPLACE_STATE_TAINTED);
}

/* Root that has another id among its three, or not all its permitted capabilities effective. */
static void enter_as_unusual_root(int number)
{
	static const uid_t ids[][3] = {{1000, 0, 0}, {0, 1000, 0}, {0, 0, 1000}, {0, 0, 0}};
	const uid_t *own = ids[number];
	unsigned sets[6] = {0};

	if (prctl(PR_SET_SECUREBITS, KEEP_CAPS, 0, 0, 0) != 0)
		return; /* without CAP_SETPCAP */
	MUST(libreplace_setresuid(own[0], own[1], own[2]) == 0);
	MUST(libreplace_setfsuid(0) == 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[0] = own[0] + own[1] + own[2] == 0 ? 0 : sets[1];
	sets[3] = own[0] + own[1] + own[2] == 0 ? 0 : sets[4];
	MUST(capabilities(SYS_capset, sets) == 0);
	must_enter_and_leave(&alice);
}

static void unusual_root_enters(void)
{
	for (int i = 0; i < 4; i++)
		in_child(enter_as_unusual_root, i);
}

/* In a child that was forked inside such an entry: it is root for good, and keeps its rights. */
static void must_be_root(int unused)
{
	unsigned sets[6] = {0};
	uid_t r, e, s;

	(void)unused;
	MUST(libreplace_getresuid(&r, &e, &s) == 0 && r == 0 && e == 0 && s == 0);
	MUST(capabilities(SYS_capget, sets) == 0 && sets[1] != 0);
}

/* Return: whether the thread has these effective capabilities inside an entry as root. */
static int has_as_root(unsigned low, unsigned high)
{
	static const struct libreplace_identity root_of_staff = {0, STAFF, 0, NULL};
	unsigned sets[6] = {0};
	entry held;
	int same;

	fresh(&held)->flags = LIBREPLACE_ALLOW_ROOT;
	MUST(libreplace_enter(&held.guard, &root_of_staff, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&held.guard) == 0 && capabilities(SYS_capget, sets) == 0);
	same = sets[0] == low && sets[3] == high;
	in_child(must_be_root, 0);
	MUST(libreplace_leave(&held.guard) == 0);
	return same;
}

/* Root does not get more than it had. Another user gets what the kernel gives to root. */
static void identity_of_root_has_roots_capabilities(void)
{
	unsigned all[6] = {0}, sets[6];

	MUST(capabilities(SYS_capget, all) == 0 && has_as_root(all[0], all[3]));
	memcpy(sets, all, sizeof sets);
	sets[0] = 1;
	sets[3] = 0;
	MUST(capabilities(SYS_capset, sets) == 0 && has_as_root(1, 0));
	MUST(capabilities(SYS_capset, all) == 0);
	MUST(become_server_without_root() == 0 && has_as_root(BOTH, 0));
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[0] = 0;
	MUST(capabilities(SYS_capset, sets) == 0 && has_as_root(BOTH, 0));
}

/* Securebits that somebody sets inside an entry of ordinary root. The inheritable capabilities make
 * the library read them. */
static void securebits_are_set_inside(int bits)
{
	unsigned before[6] = {0}, sets[6] = {0};
	entry outer, inner;

	MUST(capabilities(SYS_capget, before) == 0);
	MUST(libreplace_enter(fresh(&outer), &alice, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	sets[0] = sets[1];
	sets[3] = sets[4];
	sets[2] = bits == 0 ? 1 : sets[1]; /* one capability, or all */
	MUST(capabilities(SYS_capset, sets) == 0);
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0)
		return; /* without CAP_SETPCAP */
	sets[0] = sets[3] = 0;
	MUST(capabilities(SYS_capset, sets) == 0);
	MUST(libreplace_enter(fresh(&inner), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == 0);
	MUST(libreplace_check(&inner.guard) == 0 && libreplace_leave(&inner.guard) == 0);
	expect_ids(0, ALICE, 0, ALICE, STAFF, 2);
	MUST(libreplace_check(&outer.guard) == -1 && libreplace_leave(&outer.guard) == -1);
	MUST(outer.guard.step == LIBREPLACE_STEP_CAPABILITIES && !libreplace_tainted());
	MUST(capabilities(SYS_capget, sets) == 0);
	MUST(memcmp(before, sets, sizeof sets) == 0);
	expect_ids(0, 0, 0, 0, 0, 0);
}

static void securebits_set_inside_do_not_hinder_others(void)
{
	in_child(securebits_are_set_inside, 0);
	in_child(securebits_are_set_inside, KEEP_CAPS);
	in_child(securebits_are_set_inside, NO_SETUID_FIXUP);
}

int main(void)
{
	int failed = 0;

	needs_root();
	RUN(capabilities_for_files_are_cleared);
	RUN(harmless_securebits_forbid_nothing);
	RUN(server_without_root_needs_no_setuid_fixup);
	RUN(server_without_root_keeps_nothing);
	RUN(inheritable_capability_that_is_not_permitted_stays);
	RUN(unknown_capabilities_are_reported);
	RUN(unusual_root_enters);
	RUN(identity_of_root_has_roots_capabilities);
	RUN(securebits_set_inside_do_not_hinder_others);
	return failed != 0;
}
