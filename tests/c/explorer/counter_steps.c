/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Runs the functions of replace/core/threads.c one atomic step at a time. The file is compiled here
 * as it is. The macros below stand for the operations of stdatomic.h, which are the only way in
 * which it uses shared memory.
 *
 * A thread has no stack of its own. To continue a call, the program calls the function again from
 * its start. The steps that are done return what they returned before, the next step is done, and
 * longjmp(3) leaves the function at the step after that. Between two steps, a function changes only
 * its own variables and libreplace_mine, so it comes to the same place again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "internal.h"
#include "counter.h"

static int step_load(int *object, const char *name);
static void step_store(int *object, int value, const char *name);
static void step_add(int *object, int value, const char *name);
static int step_exchange(int *object, int *expected, int value, const char *name);
static pid_t this_process = MAIN_THREAD;

#define atomic_int int
#define atomic_uint unsigned
#undef atomic_load
#define atomic_load(object) step_load((int *)(object), #object)
#undef atomic_store
#define atomic_store(object, value) step_store((int *)(object), value, #object)
#undef atomic_fetch_add
#define atomic_fetch_add(object, value) step_add((int *)(object), value, #object)
#undef atomic_fetch_sub
#define atomic_fetch_sub(object, value) step_add((int *)(object), -(value), #object)
#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong(object, expected, value)                                    \
	step_exchange((int *)(object), expected, value, #object)
#define getpid() this_process

#include "threads.c"

/* ---- The steps */

enum { CHILD = 3 * MAIN_THREAD }; /* the process id of a forked child */

/**
 * now - the call that is running
 * @thread:	its thread; NULL: all steps are done at once, and nothing is kept
 * @id:		the id of its thread
 * @repeated:	how many of the kept steps have returned
 * @is_done:	the new step is done
 * @forks:	a signal handler forks before the new step, and the child goes on to the end
 */
static struct {
	struct thread *thread;
	int id, repeated, is_done, forks;
	jmp_buf stop;
} now;

int print_steps;

static const struct cast *cast;      /* of the present process; its main thread is MAIN_THREAD */
static const struct thread *threads; /* of that process */

/* Return: 1 if the step is done now, 0 if it is repeated. */
static int begin_step(void)
{
	if (now.thread == NULL)
		return 1;
	if (now.repeated < now.thread->size)
		return 0;
	if (now.is_done)
		longjmp(now.stop, 1);
	if (now.forks) {
		now.thread = NULL;
		become_child(1);
	}
	now.is_done = 1;
	return 1;
}

/* Keep what a new step returned, or return what it returned before. */
static int end_step(int is_new, int result)
{
	if (now.thread == NULL)
		return result;
	if (is_new)
		now.thread->results[now.thread->size++] = (uint8_t)result;
	return now.thread->results[now.repeated++];
}

static void tell(const char *what, const int *object, const char *name, int value)
{
	if (!print_steps)
		return;
	if (object >= places && object < places + NO_PLACE)
		printf("    %s places[%d]: %d\n", what, (int)(object - places), value);
	else
		printf("    %s %s: %d\n", what, name + (name[0] == '&'), value);
}

static int step_load(int *object, const char *name)
{
	int is_new = begin_step();

	if (is_new)
		tell("load", object, name, *object);
	return end_step(is_new, *object);
}

static void step_store(int *object, int value, const char *name)
{
	int is_new = begin_step();

	if (is_new) {
		tell("store", object, name, value);
		*object = value;
	}
	end_step(is_new, 0);
}

static void step_add(int *object, int value, const char *name)
{
	int is_new = begin_step();

	if (is_new) {
		tell("add to", object, name, value);
		*object += value;
	}
	end_step(is_new, 0);
}

static int step_exchange(int *object, int *expected, int value, const char *name)
{
	int is_new = begin_step(), found, wanted = *expected;

	if (is_new)
		tell(*object == wanted ? "exchange" : "do not exchange", object, name, value);
	found = end_step(is_new, *object);
	*expected = found;
	if (is_new && found == wanted)
		*object = value;
	return found == wanted;
}

int libreplace_thread_id(void)
{
	return now.id;
}

/* This is one step, although threads_linux.c reads two files and calls tgkill(2): a thread that has
 * ended at the first of them has ended, whoever gets its id meanwhile. */
int libreplace_has_ended(int id)
{
	int is_new = begin_step(), has_ended = id != now.id;

	for (int i = 0; i < cast->size && this_process == MAIN_THREAD; i++)
		if (cast->ids[i] == id)
			has_ended = threads[i].has_ended;
	if (is_new)
		tell("ask whether it has ended:", NULL, id == MAIN_THREAD ? "main" : "thread", id);
	return end_step(is_new, has_ended);
}

void libreplace_watch_forks(void)
{
}

/* ---- Wrong versions of the functions, which the program must notice */

static int look_before_counting(void)
{
	if (atomic_load(&dropping))
		return EBUSY;
	libreplace_mine.counted = take_place() + 1;
	return 0;
}

static int keep_refused_place(void)
{
	libreplace_mine.counted = take_place() + 1;
	return atomic_load(&dropping) ? EBUSY : 0;
}

static int rely_on_place(void)
{
	unsigned place = take_place();

	if (atomic_load(&dropping)) {
		free_place(place, libreplace_mine.id);
		return EBUSY;
	}
	libreplace_mine.counted = place + 1;
	return 0;
}

static int free_any_place(void)
{
	unsigned place = take_place();

	if (atomic_load(&dropping) || has_lost_place(place)) {
		if (place < NO_PLACE)
			atomic_store(&places[place], 0);
		else
			atomic_fetch_sub(&without_place, 1);
		return EBUSY;
	}
	libreplace_mine.counted = place + 1;
	return 0;
}

static int look_before_announcing(void)
{
	int idle = 0;

	errno = EBUSY;
	return count_switched(1) == 0 && atomic_compare_exchange_strong(&dropping, &idle, 1) ? 0
	                                                                                     : -1;
}

static int announce_for_ever(void)
{
	int idle = 0;

	errno = EBUSY;
	return atomic_compare_exchange_strong(&dropping, &idle, 1) && count_switched(1) == 0 ? 0
	                                                                                     : -1;
}

static struct version {
	const char *what;
	int (*count_in)(void);
	int (*drop_begin)(void);
} versions[VERSIONS] = {
    {"the present one", libreplace_count_in, libreplace_drop_begin},
    {"enter looks for a drop, then counts", look_before_counting, libreplace_drop_begin},
    {"a refused enter keeps its place", keep_refused_place, libreplace_drop_begin},
    {"a refused enter frees its place, whoever has it now", free_any_place, libreplace_drop_begin},
    {"enter does not notice that a drop freed its place", rely_on_place, libreplace_drop_begin},
    {"a drop looks at the table, then announces itself", libreplace_count_in,
     look_before_announcing},
    {"a refused drop stays announced", libreplace_count_in, announce_for_ever},
};
static const struct version *version = versions;

const char *use_version(int number)
{
	version = &versions[number];
	return version->what;
}

/* ---- Calls, in whole and in part */

void begin_calls(const struct cast *chosen, const struct world *world, int number)
{
	const struct thread *thread = &world->threads[number];

	for (int i = 0; i < NO_PLACE; i++)
		places[i] = world->places[i];
	without_place = world->without_place;
	dropping = world->dropping;
	cast = chosen;
	threads = world->threads;
	now.thread = NULL;
	now.id = cast->ids[number];
	now.repeated = now.is_done = now.forks = 0;
	libreplace_mine.counted = thread->counted;
	libreplace_mine.id = thread->knows_id ? now.id : 0;
}

int make_call(int call)
{
	switch (call) {
	case ENTER:
		return version->count_in();
	case LEAVE:
		libreplace_count_out();
		return 0;
	case DROP:
		errno = 0;
		return version->drop_begin();
	default:
		libreplace_drop_end();
		return 0;
	}
}

/* Return: 1 if the call returned, 0 if it was left at a step. */
static int make_part_of_call(int call, int *result)
{
	if (setjmp(now.stop) != 0)
		return 0;
	*result = make_call(call);
	return 1;
}

int make_step(const struct cast *chosen, struct world *world, int number, int *result)
{
	struct thread *thread = &world->threads[number];
	int has_returned;

	begin_calls(chosen, world, number);
	now.thread = thread;
	has_returned = make_part_of_call(thread->call, result);
	now.thread = NULL;
	for (int i = 0; i < NO_PLACE; i++)
		world->places[i] = (uint8_t)places[i];
	world->without_place = (uint8_t)without_place;
	world->dropping = (uint8_t)dropping;
	if (has_returned) {
		thread->call = thread->size = 0;
		memset(thread->results, 0, sizeof thread->results);
		thread->counted = (uint8_t)libreplace_mine.counted;
		thread->knows_id = libreplace_mine.id != 0;
	}
	return has_returned;
}

/* ---- Forks */

int fork_in_call(const struct world *world, int number)
{
	struct thread thread = world->threads[number];
	int result;

	now.thread = &thread;
	now.forks = 1;
	result = make_call(thread.call);
	now.thread = NULL;
	return result;
}

void become_child(int has_handlers)
{
	this_process = now.id = CHILD;
	if (has_handlers)
		libreplace_count_anew();
}

void become_parent(void)
{
	this_process = process = MAIN_THREAD;
}

int table_is_empty(void)
{
	for (int i = 0; i < NO_PLACE; i++)
		if (places[i] != 0)
			return 0;
	return without_place == 0;
}

int is_like_new_process(void)
{
	return table_is_empty() && dropping == 0 && process == this_process &&
	       libreplace_mine.counted == 0 && libreplace_mine.id == 0;
}
