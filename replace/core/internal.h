/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the files of core/ share; not installed. guard.c decides whether a thread may enter and
 * comes back, walk.c changes its ids, threads.c counts the threads that are switched, fork.c looks
 * after forked children. Meson picks one of capabilities_*.c and of private_fs_*.c: other kernels
 * than Linux have neither.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <libreplace/replace.h>

#define LIBREPLACE_HIDDEN __attribute__((visibility("hidden")))

/*
 * What the library remembers of one thread. Never its ids, which are read when they matter; but the
 * ids found on its outermost entry, which tell what is privileged here.
 *
 * @top is the innermost entry, or NULL. It is compared and never followed, since its memory may be
 * gone; so @token must agree as well.
 */
struct libreplace_thread {
	const struct libreplace_guard *top;
	uint64_t token; /* of the innermost entry */
	uint64_t last;  /* the last token given: an address of this thread's, and a number */
	unsigned depth; /* entries held */
	int tainted;    /* could not be brought back, or left in the wrong order */
	int counted;    /* is one of libreplace_active() */
	int noted;      /* its end will be noticed */
	int forked;     /* is a forked child that has become the user for good */
	struct libreplace_ids base; /* found on the outermost entry */
};

/* ---- threads.c: which threads are switched */

extern LIBREPLACE_HIDDEN _Thread_local struct libreplace_thread libreplace_mine;

/* Count the calling thread as switched. Return: 0, or EBUSY during a drop. */
LIBREPLACE_HIDDEN int libreplace_count_in(void);
/* Count it no more. */
LIBREPLACE_HIDDEN void libreplace_count_out(void);
/* In a forked child no thread is switched and none drops privileges, whatever the parent was at. */
LIBREPLACE_HIDDEN void libreplace_count_anew(void);

/* Whether the calling thread is the only one of its process; 0 too where nobody can tell. */
LIBREPLACE_HIDDEN int libreplace_alone(void);

/* ---- fork.c */

/* From now on, a child that is forked under an identity becomes that user for good. */
LIBREPLACE_HIDDEN void libreplace_watch_forks(void);

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
