/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the files of core/ share; not installed. identity.c walks from ids to ids,
 * thread.c knows which threads do so, capabilities_*.c is the one part that another
 * kernel has not got: Meson picks the file.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <libreplace/replace.h>

#define REP_HIDDEN __attribute__((visibility("hidden")))

/* What one thread remembers. Never what it is: that is read. */
struct rep_thread {
	const struct rep_guard *top; /* innermost entry; NULL: none. Compared, never followed: */
	uint64_t token;              /* its memory may be gone, so the token must agree as well */
	uint64_t last;               /* thread id and a number, for the next token */
	unsigned depth;              /* entries held */
	int tainted;                 /* could not be brought back, or left out of order */
	int counted;                 /* whether this thread is one of rep_active() */
	int noted;                   /* whether its end is noticed */
	int forked;                  /* a fork made of this thread a child that dropped for good */
	struct rep_ids base;         /* observed on the outermost entry */
};

extern REP_HIDDEN _Thread_local struct rep_thread rep_mine;

/* Count the calling thread as switched, or not any more. Return: 0, or EBUSY while a drop is under
 * way. */
REP_HIDDEN int rep_count_in(void);
REP_HIDDEN void rep_count_out(void);

/* Whether the calling thread is the only one of its process; 0 too where nobody can tell. */
REP_HIDDEN int rep_alone(void);

/* ---- walk.c: what a thread is, and how it becomes something else */

/* The three lists of groups that a guard has room for. */
REP_HIDDEN gid_t *rep_found(struct rep_guard *guard);
REP_HIDDEN gid_t *rep_wanted(struct rep_guard *guard);
REP_HIDDEN gid_t *rep_scratch(struct rep_guard *guard);

/* Note a failure; the first is the one that is told. Return: -1. */
REP_HIDDEN int rep_fail(struct rep_guard *guard, int step, int error);

/* Real, effective and saved ids and the groups; rep_read_all() the fs ids as well. */
REP_HIDDEN int rep_read_ids(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups);
REP_HIDDEN int rep_read_all(struct rep_guard *guard, struct rep_ids *ids, gid_t *groups);

REP_HIDDEN int rep_same_uids(const struct rep_ids *a, const struct rep_ids *b);
REP_HIDDEN int rep_same_gids(const struct rep_ids *a, const struct rep_ids *b);
/* May sort the list that was read. */
REP_HIDDEN int rep_same_groups(const struct rep_ids *a, gid_t *read, const struct rep_ids *b,
                               const gid_t *set);
REP_HIDDEN int rep_ascending(const gid_t *list, size_t size);

/* Whether @to is the privileged id itself: rep_walk() then goes there straight. */
REP_HIDDEN int rep_outwards(const struct rep_ids *to);

/* From @now, as read with the groups in rep_scratch(), to @to, verified. */
REP_HIDDEN int rep_walk(struct rep_guard *guard, struct rep_ids *now, const struct rep_ids *to,
                        const gid_t *groups);

/* ---- capabilities_*.c */

/* capabilities(7); where a kernel has none, these succeed and find none. Return: 0, or -1 with
 * errno. */
REP_HIDDEN int rep_get_capabilities(struct rep_capabilities *set);
/* Raise what the thread permits itself, so that it can change its ids. */
REP_HIDDEN int rep_raise_capabilities(const struct rep_capabilities *held);
/* Effective, inheritable and with them ambient: none. Notes in @held which were ambient. */
REP_HIDDEN int rep_put_down_capabilities(struct rep_capabilities *held);
/* Exactly the sets that were observed on entry. */
REP_HIDDEN int rep_take_up_capabilities(const struct rep_capabilities *held);
/* Of a set, what someone who acts as a user must not hold; @level: enum rep_level. */
REP_HIDDEN uint64_t rep_forbidden_capabilities(uint64_t effective, int level);

#endif
