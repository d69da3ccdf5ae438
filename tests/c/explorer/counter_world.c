/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the threads of counter.c can do (list_actions), what happens then (take_step), and which
 * rules must hold: no drop while a thread is switched (check_drop), nobody counted who is not
 * switched (check_quiet), and a forked child counts anew (fork_here).
 *
 * What a destructor of the program does while its thread ends is, for threads.c, one more call
 * before the end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "internal.h"
#include "counter.h"

static const char *const names[] = {
    [ENTER] = "enter",       [LEAVE] = "leave",
    [DROP] = "begin a drop", [END_DROP] = "end the drop",
    [END] = "end",           [START] = "start a thread with the same id",
    [FORK] = "fork",         [FORK_WITHOUT_HANDLERS] = "fork without fork handlers",
    [GO_ON] = "go on",
};

/* What the thread can do now. Return: how many actions are in the list. */
static int list_actions(const struct cast *cast, const struct world *world, int number,
                        enum action *list)
{
	const struct thread *thread = &world->threads[number];
	int size = 0, may_end = !thread->is_switched || world->ends < cast->ends;

	if (thread->has_ended) {
		if (cast->ids[number] != MAIN_THREAD)
			list[size++] = START;
		return size;
	}
	list[size++] = FORK;
	if (thread->call != 0) {
		list[size++] = GO_ON;
		return size;
	}
	list[size++] = FORK_WITHOUT_HANDLERS;
	list[size++] = thread->is_switched ? LEAVE : ENTER;
	list[size++] = DROP;
	if (thread->holds_drop)
		list[size++] = END_DROP;
	else if (may_end)
		list[size++] = END;
	return size;
}

/* Do one step of the call that the thread is in. */
static const char *go_on(const struct cast *cast, struct world *world, int number)
{
	struct thread *thread = &world->threads[number];
	int call = thread->call, result;

	if (!make_step(cast, world, number, &result))
		return NULL;
	if (call == ENTER && result == 0)
		thread->is_switched = 1;
	else if (call == ENTER && result != EBUSY)
		return "enter returned another error than EBUSY";
	if (call == DROP && result == 0)
		thread->holds_drop = 1;
	else if (call == DROP && errno != EBUSY)
		return "a refused drop did not set errno to EBUSY";
	return NULL;
}

/* A child, with the fork handlers of the library. If the thread is in a call, a signal handler
 * forks, and the child goes on in the call. Then libreplace_forget() counts anew once more, but not
 * after the functions for drops. In the end, the child is as any other process at its start. */
static const char *fork_here(const struct cast *cast, const struct world *world, int number)
{
	const struct thread *thread = &world->threads[number];
	int is_entry = thread->call == ENTER || thread->call == LEAVE, is_like_new, result = -1;

	begin_calls(cast, world, number);
	if (thread->call != 0)
		result = fork_in_call(world, number);
	else
		become_child(1);
	if (thread->holds_drop || (thread->call == DROP && result == 0))
		libreplace_drop_end();
	if (is_entry || thread->is_switched)
		libreplace_count_anew();
	is_like_new = is_like_new_process();
	become_parent();
	return is_like_new ? NULL : "a forked child did not count anew";
}

/* A child of _Fork(3) or clone(2), in which no fork handler runs. The table still has the parent's
 * threads, so the child may be refused, but it must not drop while it is switched. */
static const char *fork_without_handlers(const struct cast *cast, const struct world *world,
                                         int number)
{
	int is_switched = world->threads[number].is_switched, is_wrong = 0;

	begin_calls(cast, world, number);
	become_child(0);
	for (int i = 0; i < 2; i++) {
		is_wrong |= is_switched && make_call(DROP) == 0;
		if (is_switched)
			make_call(LEAVE);
		is_switched = !is_switched && make_call(ENTER) == 0;
	}
	become_parent();
	return is_wrong ? "a child without fork handlers dropped while it was switched" : NULL;
}

static void end_thread(struct world *world, int number)
{
	struct thread *thread = &world->threads[number];

	if (thread->is_switched) {
		world->ends++;
		if (thread->counted == TABLE + 1)
			world->lost++;
		else
			world->unleft[number]++;
	}
	memset(thread, 0, sizeof *thread);
	thread->has_ended = 1;
}

static const char *check_drop(const struct cast *cast, const struct world *world)
{
	int switched = 0, drops = 0;

	for (int i = 0; i < cast->size; i++) {
		switched += world->threads[i].is_switched;
		drops += world->threads[i].holds_drop;
	}
	if (drops > 1)
		return "two drops at the same time";
	return drops == 1 && switched > 0 ? "a drop while a thread is switched" : NULL;
}

const char *take_step(const struct cast *cast, struct world *world, struct choices *choices,
                      int should_print)
{
	enum action list[5], action;
	int number, size;
	const char *fault = NULL;

	number = choose(choices, cast->size, "the thread that goes on");
	size = list_actions(cast, world, number, list);
	if (size == 0) /* the main thread has ended */
		return NULL;
	action = list[choose(choices, size, "what it does")];
	if (should_print)
		printf("  %s %d: %s\n", cast->ids[number] == MAIN_THREAD ? "main" : "thread",
		       cast->ids[number], names[action]);
	print_steps = should_print;
	switch (action) {
	case END:
		end_thread(world, number);
		break;
	case START:
		world->threads[number].has_ended = 0;
		break;
	case FORK:
		fault = fork_here(cast, world, number);
		break;
	case FORK_WITHOUT_HANDLERS:
		fault = fork_without_handlers(cast, world, number);
		break;
	default:
		if (action != GO_ON)
			world->threads[number].call = (uint8_t)action;
		if (action == LEAVE)
			world->threads[number].is_switched = 0;
		if (action == END_DROP)
			world->threads[number].holds_drop = 0;
		fault = go_on(cast, world, number);
	}
	print_steps = 0;
	return fault != NULL ? fault : check_drop(cast, world);
}

/* A thread that ended while it was switched counts until a drop has looked, and longer if a new
 * thread has its id or if it had no place. */
const char *check_quiet(const struct cast *cast, const struct world *world)
{
	unsigned least = 0, most = world->lost, seen;
	int idle = -1, drops = 0, main_is_switched = 0;

	for (int i = 0; i < cast->size; i++) {
		const struct thread *thread = &world->threads[i];

		if (thread->call != 0)
			return NULL;
		least += thread->is_switched;
		most += thread->has_ended ? 0 : world->unleft[i];
		drops += thread->holds_drop;
		main_is_switched |= thread->is_switched && cast->ids[i] == MAIN_THREAD;
		if (!thread->has_ended && !thread->is_switched && !thread->holds_drop)
			idle = i;
	}
	most += least;
	begin_calls(cast, world, idle < 0 ? 0 : idle);
	if (world->ends == 0 && libreplace_main_is_switched() != main_is_switched)
		return "libreplace_main_is_switched() is wrong";
	seen = libreplace_active();
	if (seen < least || seen > most)
		return "libreplace_active() returned a wrong number";
	if (idle < 0)
		return NULL;
	if (drops > 0)
		return make_call(ENTER) != EBUSY || libreplace_active() != seen
		           ? "a thread was not refused during a drop, or is counted"
			   : NULL;
	if (make_call(ENTER) != 0 || libreplace_active() != seen + 1)
		return "a thread cannot enter, or is not counted, although no drop is under way";
	make_call(LEAVE);
	if ((make_call(DROP) == 0) != (seen == 0))
		return "a drop is refused although nobody is switched, or is not refused";
	if (seen == 0 && !table_is_empty())
		return "a thread is left in the table";
	return NULL;
}
