/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the files of core/ share; not installed. guard.c walks from ids to ids,
 * threads.c knows which threads do so, capabilities_*.c is the one part that another
 * kernel has not got: Meson picks the file.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <libreplace/replace.h>

#define LIBREPLACE_HIDDEN __attribute__((visibility("hidden")))

/* What one thread remembers. Never what it is: that is read. */
struct libreplace_thread {
	const struct libreplace_guard
	    *top;                   /* innermost entry; NULL: none. Compared, never followed: */
	uint64_t token;             /* its memory may be gone, so the token must agree as well */
	uint64_t last;              /* thread id and a number, for the next token */
	unsigned depth;             /* entries held */
	int tainted;                /* could not be brought back, or left out of order */
	int counted;                /* whether this thread is one of libreplace_active() */
	int noted;                  /* whether its end is noticed */
	int forked;                 /* a fork made of this thread a child that dropped for good */
	struct libreplace_ids base; /* observed on the outermost entry */
};

extern LIBREPLACE_HIDDEN _Thread_local struct libreplace_thread libreplace_mine;

/* Count the calling thread as switched, or not any more. Return: 0, or EBUSY while a drop is under
 * way. */
LIBREPLACE_HIDDEN int libreplace_count_in(void);
LIBREPLACE_HIDDEN void libreplace_count_out(void);

/* Whether the calling thread is the only one of its process; 0 too where nobody can tell. */
LIBREPLACE_HIDDEN int libreplace_alone(void);

/* ---- walk.c: what a thread is, and how it becomes something else */

/* The three lists of groups that a guard has room for. */
LIBREPLACE_HIDDEN gid_t *libreplace_found(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_wanted(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_scratch(struct libreplace_guard *guard);

/* Note a failure; the first is the one that is told. Return: -1. */
LIBREPLACE_HIDDEN int libreplace_fail(struct libreplace_guard *guard, int step, int error);

/* Real, effective and saved ids and the groups; libreplace_read_all() the fs ids as well. */
LIBREPLACE_HIDDEN int libreplace_read_ids(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);
LIBREPLACE_HIDDEN int libreplace_read_all(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);

LIBREPLACE_HIDDEN int libreplace_same_uids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
LIBREPLACE_HIDDEN int libreplace_same_gids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
/* May sort the list that was read. */
LIBREPLACE_HIDDEN int libreplace_same_groups(const struct libreplace_ids *a, gid_t *read,
                                             const struct libreplace_ids *b, const gid_t *set);
LIBREPLACE_HIDDEN int libreplace_ascending(const gid_t *list, size_t size);

/* Whether @to is the privileged id itself: libreplace_walk() then goes there straight. */
LIBREPLACE_HIDDEN int libreplace_outwards(const struct libreplace_ids *to);

/* From @now, as read with the groups in libreplace_scratch(), to @to, verified. */
LIBREPLACE_HIDDEN int libreplace_walk(struct libreplace_guard *guard, struct libreplace_ids *now,
                                      const struct libreplace_ids *to, const gid_t *groups);

/* ---- capabilities_*.c */

/* capabilities(7); where a kernel has none, these succeed and find none. Return: 0, or -1 with
 * errno. */
LIBREPLACE_HIDDEN int libreplace_get_capabilities(struct libreplace_capabilities *set);
/* Raise what the thread permits itself, so that it can change its ids. */
LIBREPLACE_HIDDEN int libreplace_raise_capabilities(const struct libreplace_capabilities *held);
/* Effective, inheritable and with them ambient: none. Notes in @held which were ambient. */
LIBREPLACE_HIDDEN int libreplace_put_down_capabilities(struct libreplace_capabilities *held);
/* Exactly the sets that were observed on entry. */
LIBREPLACE_HIDDEN int libreplace_take_up_capabilities(const struct libreplace_capabilities *held);
/* Of a set, what someone who acts as a user must not hold; @level: enum libreplace_level. */
LIBREPLACE_HIDDEN uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level);

#endif
