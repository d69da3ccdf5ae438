/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests core/can_return.c against the kernel: from every starting state of starting_states.h, an
 * entry is refused and changes nothing, or the thread gets exactly the ids of the identity, and
 * afterwards exactly what it had before. No thread becomes tainted. A child that is forked inside
 * is the user for good, without capabilities. The other direction: if an entry is refused or rolled
 * back, plain sequences of system calls could not make it and undo it, either.
 *
 * usage: returns [N]   try one of N starting states (default 797; 1 takes an hour), up to the first
 * one with a fault
 */
#include <stddef.h>
#include "filter.h"
#include "starting_states.h"

/* A filter lets setting these ids fail, so that an entry fails after it has changed something. */
enum { NO_USER = 79998, NO_GROUP = 79999 };

/* Refuse calls whose first or second argument is one of the two ids. */
static void refuse_ids(void)
{
	struct instruction code[] = {
	    {LOAD, 0, 0, FIRST_ARGUMENT}, /* the first argument */
	    {JUMP_IF_EQUAL, 4, 0, NO_USER},   {JUMP_IF_EQUAL, 3, 0, NO_GROUP},
	    {LOAD, 0, 0, FIRST_ARGUMENT + 8}, /* the second argument */
	    {JUMP_IF_EQUAL, 1, 0, NO_USER},   {JUMP_IF_EQUAL, 0, 1, NO_GROUP},
	    {RETURN, 0, 0, ERRNO | EPERM},    {RETURN, 0, 0, ALLOW},
	};
	struct {
		unsigned short size;
		struct instruction *code;
	} program = {sizeof code / sizeof *code, code};

	/* without filters, these ids are ids like others */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(22, 2, &program, 0, 0) != 0)
		printf("# no filters here\n");
}

/* ---- the entries that are tried */

enum { LEVELS = 4, IDENTITIES = 11, CASES = LEVELS * IDENTITIES };

struct attempt {
	struct libreplace_identity user;
	int level;
	const struct snapshot *base; /* the starting state */
	const char *name;
};

static struct attempt attempt(int number, const struct snapshot *base)
{
	static const gid_t zero[] = {0}, two[] = {1000, STAFF};
	const struct {
		const char *name;
		struct libreplace_identity user;
	} users[IDENTITIES] = {
	    {"alice", {ALICE, STAFF, 2, groups_of_alice}},
	    {"root", {0, 0, 0, NULL}},
	    {"root of staff", {0, STAFF, 2, groups_of_alice}},
	    {"itself", {base->euid, base->egid, (size_t)base->size, base->groups}},
	    {"its real ids", {base->ruid, base->rgid, (size_t)base->size, base->groups}},
	    {"its saved ids", {base->suid, base->sgid, (size_t)base->size, base->groups}},
	    {"itself in other groups", {base->euid, base->egid, 2, groups_of_alice}},
	    {"1000", {1000, 1000, 2, two}},
	    {"80100", {80100, 0, 1, zero}},
	    {"no user", {NO_USER, STAFF, 2, groups_of_alice}},
	    {"no group", {ALICE, NO_GROUP, 2, groups_of_alice}},
	};
	struct attempt one = {users[number / LEVELS].user, number % LEVELS, base,
	                      users[number / LEVELS].name};

	return one;
}

/* The ids of the thread while it holds the identity; see enum libreplace_level. */
static struct snapshot expected(const struct attempt *one)
{
	struct snapshot set = *one->base;
	int fs_only = one->level == LIBREPLACE_LEVEL_FILESYSTEM;

	set.fsuid = one->user.uid;
	set.fsgid = one->user.gid;
	if (!fs_only) {
		set.euid = one->user.uid;
		set.rgid = set.egid = one->user.gid;
	}
	if (one->level == LIBREPLACE_LEVEL_SHIELDED)
		set.ruid = LIBREPLACE_SHIELD_UID;
	if (one->level == LIBREPLACE_LEVEL_REAL)
		set.ruid = one->user.uid;
	set.size = (int)one->user.size;
	memset(set.groups, 0, sizeof set.groups);
	if (set.size > 0)
		memcpy(set.groups, one->user.groups, one->user.size * sizeof(gid_t));
	return set;
}

static int same_ids(const struct snapshot *a, const struct snapshot *b)
{
	size_t start = offsetof(struct snapshot, ruid);

	return memcmp(&a->ruid, &b->ruid, sizeof *a - start) == 0;
}

/* CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID: DESIGN.md's list for level filesystem */
enum { ABOUT_FILES = 0x1f };

/* What is wrong with a thread that holds the identity, or NULL. */
static const char *wrong_inside(const struct attempt *one, const struct snapshot *now)
{
	struct snapshot set = expected(one);
	int fs_only = one->level == LIBREPLACE_LEVEL_FILESYSTEM;

	if (!same_ids(now, &set))
		return "other ids inside";
	if (now->permitted != set.permitted)
		return "other permitted capabilities inside";
	if (one->user.uid == 0)
		return NULL;
	if ((now->effective & (fs_only ? ABOUT_FILES : ALL_CAPABILITIES)) != 0)
		return "a forbidden capability inside";
	return now->ambient != 0 ? "an ambient capability inside" : NULL;
}

/* ---- plain sequences of system calls */

struct sequence {
	const struct start *start;
	const struct attempt *one;
	int variant;
	int returned;
};

static void raise_all(const struct snapshot *start)
{
	struct snapshot now = look();

	if (now.effective != start->permitted)
		set_capabilities(start->permitted, start->permitted, now.inheritable);
}

/* Make the effective user ID @first unless it is -1, and then set all ids of @to. */
static void set_plainly(const struct snapshot *start, const struct snapshot *to, uid_t first)
{
	struct snapshot now = look();

	raise_all(start);
	if (first != (uid_t)-1 && libreplace_setresuid(-1, first, -1) == 0)
		raise_all(start);
	if (now.size != to->size || memcmp(now.groups, to->groups, sizeof now.groups) != 0)
		libreplace_setgroups((size_t)to->size, to->groups);
	libreplace_setresgid(to->rgid, to->egid, to->sgid);
	libreplace_setfsgid(to->fsgid);
	libreplace_setresuid(to->ruid, to->euid, to->suid);
	libreplace_setfsuid(to->fsuid);
}

static void *run_plainly(void *argument)
{
	static const uid_t firsts[] = {-1, 0, 1000, 80100};
	struct sequence *run = argument;
	const struct snapshot *start = &run->start->is;
	struct snapshot set = expected(run->one), now;

	become(run->start);
	set_plainly(start, &set, firsts[run->variant % 4]);
	now = look();
	if (run->one->user.uid != 0) /* put down the capabilities */
		set_capabilities(run->one->level == LIBREPLACE_LEVEL_FILESYSTEM
		                     ? now.effective & ~(uint64_t)ABOUT_FILES
				     : 0,
		                 now.permitted, now.inheritable & ~now.permitted);
	now = look();
	if (wrong_inside(run->one, &now) != NULL)
		return NULL;
	set_plainly(start, start, firsts[run->variant / 4]);
	set_capabilities(start->effective, start->permitted, start->inheritable);
	for (int bit = 0; bit <= LAST_CAPABILITY; bit++)
		if ((start->ambient >> bit & 1) != 0)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0);
	now = look();
	run->returned = same(&now, start);
	return NULL;
}

static void run_in_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, body, argument) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

/* Whether one of the sequences enters and returns. */
static int can_plainly(const struct start *start, const struct attempt *one)
{
	struct sequence run = {start, one, 0, 0};

	for (; run.variant < 16 && !run.returned; run.variant++)
		run_in_thread(run_plainly, &run);
	return run.returned;
}

/* ---- the test */

struct thread {
	int number;
	struct start start;
	int results[CASES]; /* the step that failed, or LIBREPLACE_STEP_NONE; -1 if not tried */
};

static unsigned entered, refused, rolled_back, forked, needless, wrong;

static int complain_of(unsigned *counter, const struct thread *mine, const struct attempt *outer,
                       const struct attempt *inner, const char *what)
{
	static const char *const levels[] = {"effective", "shielded", "real", "filesystem"};

	if (++*counter <= 20) {
		printf("not ok: %s\n  start %d: ", what, mine->number);
		describe(&mine->start);
		printf("\n  %s at level %s", outer->name, levels[outer->level]);
		if (inner != NULL)
			printf(", inside %s at level %s", inner->name, levels[inner->level]);
		printf("\n");
	}
	return -1;
}

static int complain(const struct thread *mine, const struct attempt *outer,
                    const struct attempt *inner, const char *what)
{
	return complain_of(&wrong, mine, outer, inner, what);
}

/* Enter @inner, or @outer if there is none, as a thread that is @before. Return: 1 if it holds the
 * identity, 0 if nothing has changed, -1 if something is wrong. */
static int enter(const struct thread *mine, entry *held, const struct attempt *outer,
                 const struct attempt *inner, const struct snapshot *before)
{
	const struct attempt *one = inner != NULL ? inner : outer;
	struct snapshot now;
	const char *fault;
	int result, state;

	fresh(held)->flags = LIBREPLACE_ALLOW_ROOT;
	result = libreplace_enter(&held->guard, &one->user, one->level);
	state = held->guard.state;
	now = look();
	if (libreplace_tainted())
		return complain(mine, outer, inner, "tainted by entering");
	if (result == 0) {
		fault = state == LIBREPLACE_STATE_ENTERED ? wrong_inside(one, &now) : "the state";
		if (fault == NULL && libreplace_check(&held->guard) != 0)
			fault = "the check fails";
		entered++;
		return fault == NULL ? 1 : complain(mine, outer, inner, fault);
	}
	if (!same(&now, before))
		return complain(mine, outer, inner, "a failed entry changed something");
	if (state == LIBREPLACE_STATE_IDLE)
		refused++;
	else
		rolled_back++;
	if (state == LIBREPLACE_STATE_IDLE ? held->guard.changes != 0
	                                   : state != LIBREPLACE_STATE_ROLLED_BACK)
		return complain(mine, outer, inner, "the state of a failed entry");
	return 0;
}

/* Return: 0, or -1 if something is wrong. */
static int leave(const struct thread *mine, entry *held, const struct attempt *outer,
                 const struct attempt *inner, const struct snapshot *before)
{
	int result = libreplace_leave(&held->guard);
	struct snapshot now = look();

	if (result != 0 || libreplace_tainted() || held->guard.state != LIBREPLACE_STATE_LEFT)
		return complain(mine, outer, inner, "leaving failed");
	if (!same(&now, before))
		return complain(mine, outer, inner, "leaving did not restore everything");
	return 0;
}

/* A child must be the user for good. Return: 0, or -1 if something is wrong. */
static int try_fork(const struct thread *mine, const struct attempt *one,
                    const struct attempt *inner)
{
	const struct libreplace_identity *user = inner != NULL ? &inner->user : &one->user;
	pid_t child = fork();
	int status = 1;

	if (child == 0) {
		struct snapshot now = look(), wanted = {.size = (int)user->size};

		wanted.ruid = wanted.euid = wanted.suid = wanted.fsuid = user->uid;
		wanted.rgid = wanted.egid = wanted.sgid = wanted.fsgid = user->gid;
		if (user->size > 0)
			memcpy(wanted.groups, user->groups, user->size * sizeof(gid_t));
		wanted.securebits = now.securebits;
		if (user->uid == 0) { /* root keeps its capabilities */
			wanted.effective = now.effective;
			wanted.permitted = now.permitted;
			wanted.inheritable = now.inheritable;
			wanted.ambient = now.ambient;
		}
		_exit(!same(&now, &wanted));
	}
	forked++;
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		return 0;
	return complain(mine, one, inner, WIFSIGNALED(status) ? "a child ended" : "a child");
}

/* Enter one identity inside another one. Return: 0, or -1 if something is wrong. */
static int try_nested(struct thread *mine, entry *outer, const struct attempt *one, int number)
{
	struct attempt two = attempt(number, one->base);
	struct snapshot inside = look();
	entry inner;
	int holds = enter(mine, &inner, one, &two, &inside);

	if (holds > 0 && number % 44 == 0 && try_fork(mine, one, &two) != 0)
		return -1;
	if (holds < 0 || (holds > 0 && leave(mine, &inner, one, &two, &inside) != 0))
		return -1;
	if (holds == 0 && mine->results[number] == LIBREPLACE_STEP_NONE)
		complain_of(&needless, mine, one, &two, libreplace_step_name(inner.guard.step));
	if (libreplace_check(&outer->guard) != 0)
		return complain(mine, one, &two, "the outer entry's check fails");
	return 0;
}

/* All entries of one starting state; then a share of all nested ones. */
static void *try_state(void *argument)
{
	struct thread *mine = argument;
	const struct snapshot *start = &mine->start.is;
	struct snapshot now;
	entry held;

	become(&mine->start);
	now = look();
	MUST(same(&now, start));
	for (int i = 0; i < 2 * CASES; i++) {
		struct attempt one = attempt(i % CASES, start);
		int holds = enter(mine, &held, &one, NULL, start);

		mine->results[i % CASES] = held.guard.step;
		if (holds < 0)
			return NULL;
		for (int j = (mine->number + i) % 7; holds && i >= CASES && j < CASES; j += 7)
			if (try_nested(mine, &held, &one, j) != 0)
				return NULL;
		if (holds > 0 && i < CASES && i % 3 == 0 && try_fork(mine, &one, NULL) != 0)
			return NULL;
		if (holds > 0 && leave(mine, &held, &one, NULL, start) != 0)
			return NULL;
	}
	return NULL;
}

/* Compare the entries that failed with what plain system calls can do: one of five, and all if the
 * thread lacks a capability that would make it simple. */
static void compare_with_calls(struct thread *mine)
{
	uint64_t both = 1ULL << OF_SETUID | 1ULL << OF_SETGID;
	int all = (mine->start.is.permitted & both) != both;

	for (int i = all ? 0 : mine->number % 5; i < CASES; i += all ? 1 : 5) {
		struct attempt one = attempt(i, &mine->start.is);

		if (mine->results[i] <= LIBREPLACE_STEP_NONE)
			continue;
		/* documented: root that keeps its capabilities is refused */
		if (mine->results[i] == LIBREPLACE_STEP_CAPABILITIES &&
		    (mine->start.is.securebits & NO_SETUID_FIXUP) != 0)
			continue;
		if (can_plainly(&mine->start, &one))
			complain_of(&needless, mine, &one, NULL,
			            libreplace_step_name(mine->results[i]));
	}
}

int main(int count, char **arguments)
{
	int share = count > 1 ? atoi(arguments[1]) : 797;
	const uint64_t needed =
	    BOTH | 1ULL << OF_CHOWN | 1ULL << OF_SETPCAP; /* become() uses them */
	unsigned sets[6] = {0};

	MUST(capabilities(SYS_capget, sets) == 0);
	possible = wide(sets, 1);
	needs_root();
	if (share < 1 || (possible & needed) != needed)
		skip("needs ", "CAP_CHOWN and CAP_SETPCAP");
	refuse_ids();
	for (int number = 0; number < STATES && wrong == 0 && needless == 0; number += share) {
		struct thread one = {.number = number, .start = starting_state(number)};

		for (int i = 0; i < CASES; i++)
			one.results[i] = -1;
		run_in_thread(try_state, &one);
		compare_with_calls(&one);
	}
	printf("%u entered, %u refused, %u rolled back, %u forked; %u refused without need, %u "
	       "wrong\n",
	       entered, refused, rolled_back, forked, needless, wrong);
	return wrong != 0 || needless != 0;
}
