/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Signal handlers that interrupt the functions of guard.c. libreplace_mine.busy tells the functions
 * that the handler calls. While an entry is made or left, libreplace_mine.walking points to it: if
 * the handler forks, fork.c makes the child the user of that entry. The child continues in the
 * function that was interrupted, and libreplace_end() notices it. internal.h explains the
 * functions.
 */
#include <errno.h>
#include <stdatomic.h>
#include "internal.h"

static void set_state(struct libreplace_guard *guard, int state)
{
	__atomic_store_n(&guard->state, state, __ATOMIC_RELEASE);
}

int libreplace_begin(struct libreplace_guard *guard)
{
	atomic_signal_fence(memory_order_seq_cst);
	libreplace_mine.walking = guard;
	atomic_signal_fence(memory_order_seq_cst);
	if (libreplace_mine.forked)
		libreplace_mine.walking = NULL;
	return !libreplace_mine.forked;
}

/* If a signal handler forked since libreplace_begin(), this is the child. It could not change its
 * ids, unless it is root. */
int libreplace_end(struct libreplace_guard *guard, int state)
{
	int walked = libreplace_mine.walking == guard, forked;

	set_state(guard, state);
	atomic_signal_fence(memory_order_seq_cst);
	forked = libreplace_mine.forked;
	atomic_signal_fence(memory_order_seq_cst);
	if (walked)
		libreplace_mine.walking = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	if (libreplace_mine.forked) {
		if (walked && forked && guard->set.fsuid == 0)
			libreplace_become_for_good(guard);
		libreplace_forget();
		guard->step = LIBREPLACE_STEP_FORKED;
		guard->error = EPERM;
		set_state(guard, LIBREPLACE_STATE_FOR_GOOD);
	}
	if (guard->step == LIBREPLACE_STEP_NONE)
		return 0;
	errno = guard->error;
	return -1;
}
