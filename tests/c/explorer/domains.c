/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What one run of the program explore does: where it starts, what it enters, and what may go wrong
 * meanwhile. To search something else, add a domain here. explore.h explains the functions.
 */
#include <stddef.h>
#include "explore.h"

/* Where faults multiply the runs: a user, root, and the thread's own ids. */
enum { FEW = 3 };

/* Enter one of the first @count identities. Return: whether the thread holds it. */
static int enter(struct run *run, int count)
{
	struct holding *entry = &run->entries[run->count];
	int result;

	choose_identity(run, entry, count);
	entry->before = run->thread.is;
	run->count++;
	if (libreplace_guard_init(entry->guard, GUARD_SIZE) != 0)
		complain(run, "the guard cannot be prepared");
	entry->guard->flags = LIBREPLACE_ALLOW_ROOT;
	result = libreplace_enter(entry->guard, &entry->user, entry->level);
	look_after_enter(run, result);
	if (result != 0)
		run->count--;
	return result == 0;
}

/* Whatever a stray call has changed before, the function must notice it. */
static void check(struct run *run)
{
	int changed = has_changed(run);

	run->unread = 0;
	look_after_check(run, libreplace_check(run->entries[run->count - 1].guard), changed);
}

static void leave(struct run *run)
{
	int changed = has_changed(run);

	run->unread = 0;
	look_after_leave(run, libreplace_leave(run->entries[run->count - 1].guard), changed);
	run->count--;
}

/* A tainted thread enters nothing more, and its children abort. */
static void go_on_if_tainted(struct run *run)
{
	unsigned before = run->thread.changes;
	struct holding *entry = &run->entries[MOST_ENTRIES - 1];

	if (!libreplace_tainted())
		return;
	libreplace_guard_init(entry->guard, GUARD_SIZE);
	if (libreplace_enter(entry->guard, &run->entries[0].user, run->entries[0].level) == 0 ||
	    entry->guard->state != LIBREPLACE_STATE_IDLE || run->thread.changes != before)
		complain(run, "a tainted thread enters");
	run->failures_left = run->lies_left = run->strays_left = 0;
	run->forks_left = 1;
	perhaps_fork(run);
}

/* Enter, check, perhaps enter another identity and leave it, and leave. */
static void enter_and_leave(struct run *run, int count, int nests)
{
	if (!enter(run, count))
		return;
	if (run->faults + run->strays == 0 || choose_rarely(&run->choices, 2, "check") == 0)
		check(run);
	if (nests && choose(&run->choices, 2, "nested") == 1 && enter(run, count)) {
		check(run);
		leave(run);
		if (!libreplace_tainted())
			check(run);
	}
	leave(run);
}

static void without_fault(struct run *run)
{
	choose_any_state(run);
	enter_and_leave(run, IDENTITIES, 1);
}

static void with_hidden_ids(struct run *run)
{
	choose_hidden_state(run);
	enter_and_leave(run, IDENTITIES, 1);
}

/* Before the first entry of a process, the core looks for a layer that imitates ids. Choose whether
 * ordinary root has entered before. */
static void choose_first_entry(struct run *run)
{
	struct thread thread = run->thread;
	struct libreplace_identity user = {USER, STAFF, 0, NULL};
	struct libreplace_guard *guard = run->entries[0].guard;

	if (choose(&run->choices, 2, "entered before") == 0)
		return;
	run->thread = ordinary_root;
	libreplace_guard_init(guard, GUARD_SIZE);
	if (libreplace_enter(guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) != 0 ||
	    libreplace_leave(guard) != 0)
		complain(run, "ordinary root cannot enter");
	run->thread = thread;
}

static void with_faults(struct run *run)
{
	choose_named_state(run);
	choose_first_entry(run);
	run->lies_left = 1;
	run->failures_left = 2 - choose(&run->choices, 2, "only one call fails, nested");
	enter_and_leave(run, FEW, run->failures_left == 1);
	go_on_if_tainted(run);
}

static void with_fork(struct run *run)
{
	choose_named_state(run);
	choose_first_entry(run);
	run->forks_left = 1;
	run->failures_left = choose(&run->choices, 2, "one call fails, not nested");
	perhaps_fork(run);
	enter_and_leave(run, FEW, run->failures_left == 0);
	perhaps_fork(run);
}

static void with_stray_call(struct run *run)
{
	choose_named_state(run);
	choose_first_entry(run);
	if (!enter(run, FEW))
		return;
	run->strays_left = run->failures_left = 1;
	stray_call(run);
	check(run);
	leave(run);
	go_on_if_tainted(run);
}

const struct domain domains[] = {
    {"states", "no fault; every starting state, identity and level, nested once", without_fault},
    {"hidden", "no fault; ids and groups that the user namespace does not map", with_hidden_ids},
    {"faults", "two calls fail and one lies, or one and one, nested; named starting states",
     with_faults},
    {"forks", "a fork at any place, and one call fails; named starting states", with_fork},
    {"strays", "another thread calls libc's functions, and one call fails; named starting states",
     with_stray_call},
    {NULL, NULL, NULL},
};
