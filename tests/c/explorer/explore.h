/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by the files of the program explore, which runs the compiled core on a model kernel and
 * looks for a way to enter and leave that ends wrong. explore.c has the command, search.c the
 * search, domains.c what one run does, states.c the states in which a thread starts, holds.c what
 * must hold afterwards, promises.c and inside.c what the documentation promises, system.c and
 * process.c the functions of libc that the core calls, calls.c the list of system calls, kernel.c
 * the rules of the kernel, memory.c the core's memory, choices.c the choice points.
 *
 * Each run begins in the same way, as in a new process, and must not depend on earlier runs.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <setjmp.h>
#include <libreplace/replace.h>
#include "calls.h"
#include "choices.h"

/* The ids of the model's only thread, and of its forked child. No thread of Linux has such an id.
 */
enum { PARENT = 0x7ffffff0, CHILD = 0x7ffffff1 };
/* Names for ids. A, B and USER are not root. NOBODY is the overflow id. */
enum {
	ROOT = 0,
	A = 1000,
	B = 80100,
	USER = 80001,
	STAFF = 80011,
	FRIENDS = 80021,
	NOBODY = 65534
};
enum { ROOM = 8, MOST_ENTRIES = 2 };
enum { GUARD_SIZE = sizeof(struct libreplace_guard) + 3 * ROOM * sizeof(gid_t) };

/* A stray call has changed these, and the core has not read them since. */
enum {
	UNREAD_UIDS = 1,
	UNREAD_GIDS = 2,
	UNREAD_FSUID = 4,
	UNREAD_FSGID = 8,
	UNREAD_GROUPS = 16,
	UNREAD_CAPABILITIES = 32
};

/**
 * struct holding - an entry that the run makes
 * @guard:	its storage has GUARD_SIZE bytes
 * @user:	the identity
 * @level:	enum libreplace_level
 * @before:	what the thread was before
 * @inside:	what it was after entering
 * @found:	libreplace_check() has found something
 * @groups:	storage of the identity's groups
 */
struct holding {
	struct libreplace_guard *guard;
	struct libreplace_identity user;
	int level;
	struct credentials before, inside;
	int found;
	gid_t groups[MOST_GROUPS];
};

/**
 * struct counts - how the runs have ended
 * @runs:	how many runs there were
 * @states:	from how many starting states, if all choices are tried
 * @entered:	how many entries were made
 * @refused:	how many were refused, and changed nothing
 * @rolled_back: how many were rolled back
 * @tainted:	how many runs left the thread tainted
 * @for_good:	in how many runs a forked child has become the user for good
 * @aborted:	in how many runs a forked child has aborted
 */
struct counts {
	unsigned long runs, states, entered, refused, rolled_back, tainted, for_good, aborted;
};

/**
 * struct run - one execution of the core
 * @choices:	the choices that the run makes
 * @thread:	the thread whose credentials the core changes
 * @start:	its credentials at the start
 * @of_state:	how many choices have chosen the start
 * @entries:	the entries that are held or being made, the outermost first
 * @count:	how many entries that are
 * @id:		PARENT, or CHILD after a fork
 * @child_of:	the entry that was held, made or left when the child was forked. The child must be
 *	its user for good. NULL if there was no such entry, or no fork
 * @failures_left:	how many calls may still fail
 * @lies_left:	how many calls may still report success and do nothing
 * @forks_left:	how often a signal handler may still fork at a call
 * @strays_left:	how often another thread's call of libc may still change the ids at a call
 * @faults:	how many calls have failed or have lied
 * @strays:	how many stray calls have been made
 * @unread:	what stray calls have changed, and the core has not read since
 * @wrong:	the first thing that is wrong, or NULL
 * @counts:	the sum of all runs
 * @trace:	write each call to standard error
 * @shown:	the number of changes of the thread when the credentials were shown
 * @aborted:	where abort(3) returns to
 *
 * Only memory of the core is restored between runs, so these are set by search.c.
 */
struct run {
	struct choices choices;
	struct thread thread;
	struct credentials start;
	int of_state;
	struct holding entries[MOST_ENTRIES];
	int count;
	int id;
	struct holding *child_of;
	int failures_left, lies_left, forks_left, strays_left;
	int faults, strays, unread;
	const char *wrong;
	struct counts counts;
	int trace;
	unsigned shown;
	jmp_buf aborted;
};

extern struct run *the_run;

/* ---- system.c */

/* Let another thread call libc's functions, if one more stray call may be made. */
void stray_call(struct run *run);
/* A call that changes no credentials fails, or not. Return: @result, or -1 with errno set; a
 * negative result is an errno. */
int other_call(const char *name, long result);

/* ---- process.c */

/* Fork, as a signal handler does, if one more fork may be made. What follows may be in the child.
 */
void perhaps_fork(struct run *run);
/* A function of the core; its address tells where the core is. */
void (*function_of_core(void))(void);

/* ---- memory.c */

/* Remember the core's static variables, before it runs for the first time. */
void keep_memory(void);
/* Restore them, as if the library had just been loaded. */
void restore_memory(void);

/* ---- states.c */

/* Root with all capabilities, in the first user namespace. */
extern const struct thread ordinary_root;

/* Choose a state of the whole domain, one with ids that a user namespace hides, or one of the named
 * ones; store it in the run. */
void choose_any_state(struct run *run);
void choose_hidden_state(struct run *run);
void choose_named_state(struct run *run);
/* Choose one of the first @count identities, and a level, and store them in the entry. */
enum { IDENTITIES = 7 };
void choose_identity(struct run *run, struct holding *entry, int count);

/* ---- promises.c */

/* The start of the run, with the ids and groups that the entry sets; see enum libreplace_level. */
struct credentials promised_ids(const struct run *run, const struct holding *entry);
/* Whether the thread has the privilege to set all ids and groups of the entry. */
int is_privileged(const struct run *run, const struct holding *entry);
/* Whether libreplace_enter() has a reason to refuse the entry if no call fails. */
int may_be_refused(const struct run *run, const struct holding *entry);

/* ---- holds.c */

/* Store that something is wrong, unless something is stored already. */
void complain(struct run *run, const char *what);
/* Whether the ids or groups have changed since the thread entered. */
int has_changed(struct run *run);
/* Look for what is wrong after the calls of the guard. @result: what the call has returned;
 * @changed: has_changed() before it */
void look_after_enter(struct run *run, int result);
void look_after_check(struct run *run, int result, int changed);
void look_after_leave(struct run *run, int result, int changed);
/* @tainted: whether the parent is tainted */
void look_after_fork(struct run *run, const struct credentials *before, int tainted);
void look_after_abort(struct run *run);
void look_at_end(struct run *run);

/* ---- domains.c */

/**
 * struct domain - runs of one kind
 * @name:	for the command line
 * @about:	what is searched
 * @act:	one run
 */
struct domain {
	const char *name, *about;
	void (*act)(struct run *run);
};

/* Ends with a domain without a name. */
extern const struct domain domains[];

/* ---- search.c */

/**
 * struct options - what the command line asks for
 * @seconds:	how long each domain is searched; 0: without limit
 * @runs:	how many runs are made in each domain; 0: without limit
 * @seed:	another number gives other random choices
 * @all:	try all combinations of choices
 * @trace:	show each call
 * @from:	the choices to begin with, or NULL
 * @replay:	the choices of the only run, or NULL
 */
struct options {
	double seconds, runs, seed;
	int all, trace;
	const char *from, *replay;
};

/* Search a domain, or make one run. Return: the exit status. */
int look_at_domain(const struct domain *domain, struct run *run, const struct options *options);

#endif
