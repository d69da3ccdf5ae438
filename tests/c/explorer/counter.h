/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The world in which counter.c runs the functions of replace/core/threads.c: a process with two or
 * three threads. counter.c searches, counter_world.c has what the threads do and the rules, and
 * counter_steps.c does one step of one thread.
 */
#ifndef EXPLORER_COUNTER_H
#define EXPLORER_COUNTER_H

#include <stdint.h>
#include "choices.h"

enum { MOST_THREADS = 3, TABLE = LIBREPLACE_PLACES + 1, MOST_STEPS = 4 + 3 * TABLE };

/**
 * struct thread - a thread between two of its steps
 * @has_ended:	it has ended; a new thread may get its id
 * @is_switched: it holds an identity: entering has succeeded, and leaving has not begun
 * @holds_drop:	libreplace_drop_begin() has succeeded, and libreplace_drop_end() has not begun
 * @counted:	libreplace_mine.counted at the start of the call
 * @knows_id:	libreplace_mine.id at the start of the call is the thread's id, not 0
 * @call:	the call that the thread is in (enum action), or 0
 * @size:	how many steps of this call are done
 * @results:	what these steps returned. A call that is repeated with the same results comes to
 *	the same next step
 */
struct thread {
	uint8_t has_ended, is_switched, holds_drop, counted, knows_id, call, size;
	uint8_t results[MOST_STEPS];
};

/**
 * struct world - all that decides how a process continues; compared with memcmp()
 * @places:	the variables that the threads share, as in threads.c
 * @ends:	how many threads have ended while they were switched
 * @lost:	how many of them had no place in the table
 * @unleft:	how many of them had the id of this thread
 */
struct world {
	uint8_t places[TABLE], without_place, dropping;
	uint8_t ends, lost, unleft[MOST_THREADS];
	struct thread threads[MOST_THREADS];
};

/**
 * struct cast - the threads of a world
 * @name:	for people
 * @size:	how many threads there are
 * @ids:	their ids; MAIN_THREAD is that of the main thread
 * @ends:	how many of them may end while they are switched
 */
struct cast {
	const char *name;
	int size;
	uint8_t ids[MOST_THREADS];
	int ends;
};
enum { MAIN_THREAD = 12 }; /* divisible by each small LIBREPLACE_PLACES */

/* ---- counter_world.c: the threads and the rules */

/* Choose a thread and what it does next, and do it: one step of threads.c, or a fork with all that
 * the child does. With @should_print, print it. Return: NULL, or which rule is broken. */
const char *take_step(const struct cast *cast, struct world *world, struct choices *choices,
                      int should_print);

/* Check a world in which no thread is in a call; others are not checked. Return: NULL, or which
 * rule is broken. */
const char *check_quiet(const struct cast *cast, const struct world *world);

/* ---- counter_steps.c: the functions of threads.c, step by step */

/* What a thread does. The first ones are calls. */
enum action {
	ENTER = 1, /* libreplace_count_in() */
	LEAVE,     /* libreplace_count_out() */
	DROP,      /* libreplace_drop_begin() */
	END_DROP,  /* libreplace_drop_end() */
	END,
	START,
	FORK,
	FORK_WITHOUT_HANDLERS,
	GO_ON
};

/* Let the next calls be those of this thread of the world, which stays as it is. */
void begin_calls(const struct cast *cast, const struct world *world, int number);

/* Make a whole call. Return: its result, or 0 if it has none. */
int make_call(int call);

/* Do the next step of the call that the thread is in. Return: 1 if the call returned after it, else
 * 0. */
int make_step(const struct cast *cast, struct world *world, int number, int *result);

/* After begin_calls(): a signal handler forks before the next step of the call that the thread is
 * in, and the child makes the rest of the call. Return: its result. */
int fork_in_call(const struct world *world, int number);

/* The next calls are those of a forked child, in which the fork handler has run or not; or again
 * those of its parent. */
void become_child(int has_handlers);
void become_parent(void);

/* Whether no thread is counted. */
int table_is_empty(void);
/* Whether the memory is that of a process at its start. */
int is_like_new_process(void);

/* Print the next steps. */
extern int print_steps;

/* Use a version of the functions: 0 is the present one, the others are wrong. Return: what it does.
 */
enum { VERSIONS = 7 };
const char *use_version(int number);

#endif
