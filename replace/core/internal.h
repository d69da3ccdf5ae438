/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What the files of core/ share; not installed. guard.c enters and leaves, walk.c reads and changes
 * ids, threads.c counts the threads that are switched, fork.c changes forked children. names.c,
 * private_fs_*.c and open_beneath_*.c define public functions only. Of capabilities_*.c, of
 * private_fs_*.c and of open_beneath_*.c Meson compiles one each: *_linux.c on Linux (the last if
 * the headers have SYS_openat2), else *_none.c.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <libreplace/replace.h>

#define LIBREPLACE_HIDDEN __attribute__((visibility("hidden")))

/**
 * struct libreplace_thread - what the library remembers of one thread
 * @top:	innermost entry, or NULL. Compared and never followed: its memory may be freed
 * @token:	token of the innermost entry. Must agree too, since another guard may lie there now
 * @last:	last token given: an address in this thread's storage, and a counter
 * @depth:	entries held
 * @tainted:	see libreplace_tainted()
 * @counted:	this thread is counted in libreplace_active()
 * @noted:	thread_ended() will run when this thread ends
 * @forked:	this is a forked child that has become the user for good
 * @base:	ids found on the outermost entry; its euid is the privileged id
 *
 * The present ids are not here. They are read from the kernel each time.
 */
struct libreplace_thread {
	const struct libreplace_guard *top;
	uint64_t token;
	uint64_t last;
	unsigned depth;
	int tainted;
	int counted;
	int noted;
	int forked;
	struct libreplace_ids base;
};

/* ---- threads.c: which threads are switched */

extern LIBREPLACE_HIDDEN _Thread_local struct libreplace_thread libreplace_mine;

/* Count the calling thread as switched. Return: 0, or EBUSY during a drop; errno is not set. */
LIBREPLACE_HIDDEN int libreplace_count_in(void);
/* Stop counting it. */
LIBREPLACE_HIDDEN void libreplace_count_out(void);
/* For a forked child: no thread of it is counted, and no drop is under way. */
LIBREPLACE_HIDDEN void libreplace_count_anew(void);

/* Whether the calling thread is the only one of its process; 0 also if that cannot be found out. */
LIBREPLACE_HIDDEN int libreplace_alone(void);

/* ---- fork.c: what a forked child becomes */

/* Install the handler; threads.c calls it when the library is loaded. */
LIBREPLACE_HIDDEN void libreplace_watch_forks(void);

/* ---- walk.c: what a thread is, and how it becomes something else */

/* The three lists of groups in a guard: those found on entry, those to set, and room to read. */
LIBREPLACE_HIDDEN gid_t *libreplace_found(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_wanted(struct libreplace_guard *guard);
LIBREPLACE_HIDDEN gid_t *libreplace_scratch(struct libreplace_guard *guard);

/* Store a failure in the guard, unless one is stored already. Return: -1. */
LIBREPLACE_HIDDEN int libreplace_fail(struct libreplace_guard *guard, int step, int error);

/*
 * Read the real, effective and saved ids and the groups; libreplace_read_all() also reads the fs
 * ids. Return: 0, or -1 with the failure stored in the guard.
 */
LIBREPLACE_HIDDEN int libreplace_read_ids(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);
LIBREPLACE_HIDDEN int libreplace_read_all(struct libreplace_guard *guard,
                                          struct libreplace_ids *ids, gid_t *groups);

/* Whether two threads agree in real, effective and saved ids. The fs ids are not compared. */
LIBREPLACE_HIDDEN int libreplace_same_uids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
LIBREPLACE_HIDDEN int libreplace_same_gids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
/* Whether two lists of groups are the same. May sort @read. */
LIBREPLACE_HIDDEN int libreplace_same_groups(const struct libreplace_ids *a, gid_t *read,
                                             const struct libreplace_ids *b, const gid_t *set);
/* Whether a list ascends without duplicates. */
LIBREPLACE_HIDDEN int libreplace_ascending(const gid_t *list, size_t size);

/* Whether the effective and the fs uid of @to are the privileged id. */
LIBREPLACE_HIDDEN int libreplace_outwards(const struct libreplace_ids *to);

/**
 * libreplace_walk() - change the calling thread's ids and verify them
 * @guard:	storage; its scratch list holds the groups of @now
 * @now:	the thread's ids, as read; updated
 * @to:		the ids that it shall have
 * @groups:	the groups that it shall have, @to->size of them
 *
 * Return: 0, or -1 with the failure stored in the guard; the ids may be changed in part then.
 */
LIBREPLACE_HIDDEN int libreplace_walk(struct libreplace_guard *guard, struct libreplace_ids *now,
                                      const struct libreplace_ids *to, const gid_t *groups);

/* ---- capabilities_*.c: if the kernel has none, these do nothing, succeed and find none */

/* Read effective, permitted and inheritable. Return, here and below: 0, or -1 with errno. */
LIBREPLACE_HIDDEN int libreplace_get_capabilities(struct libreplace_capabilities *set);
/* Make all permitted capabilities effective, so that the thread can change its ids. */
LIBREPLACE_HIDDEN int libreplace_raise_capabilities(const struct libreplace_capabilities *held);
/* Clear the effective set, and of the inheritable set what is permitted, which clears the ambient
 * set. Stores in @held which capabilities were ambient. */
LIBREPLACE_HIDDEN int libreplace_put_down_capabilities(struct libreplace_capabilities *held);
/* Set effective, permitted, inheritable and ambient to @held. */
LIBREPLACE_HIDDEN int libreplace_take_up_capabilities(const struct libreplace_capabilities *held);
/* Which of the effective capabilities a thread must not have at @level (enum libreplace_level). */
LIBREPLACE_HIDDEN uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level);

#endif
