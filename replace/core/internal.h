/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Declarations that the files of core/ share; not installed. guard.c enters and leaves, walk.c
 * reads and changes ids, threads.c counts the switched threads, fork.c changes forked children.
 * names.c, private_fs_*.c and open_beneath_*.c define public functions only. Meson compiles one
 * file each of capabilities_*.c, private_fs_*.c and open_beneath_*.c: on Linux *_linux.c, elsewhere
 * *_none.c. open_beneath_linux.c also needs headers with SYS_openat2.
 */
#ifndef LIBREPLACE_INTERNAL_H
#define LIBREPLACE_INTERNAL_H

#include <libreplace/replace.h>

#define LIBREPLACE_HIDDEN __attribute__((visibility("hidden")))

/**
 * struct libreplace_thread - the state that the library keeps for one thread
 * @top:	innermost entry, or NULL. Only compare the pointer: its memory may be freed
 * @token:	token of the innermost entry; another guard may have the same address as @top
 * @last:	last token that was used: an address in this thread's storage, plus a counter
 * @depth:	number of entries that the thread holds
 * @tainted:	see libreplace_tainted()
 * @counted:	this thread is counted in libreplace_active()
 * @noted:	thread_ended() will run when this thread ends
 * @forked:	this is a forked child that has become the user for good
 * @base:	ids found on the outermost entry; its euid is the privileged user ID
 *
 * The present ids are not stored. They are read from the kernel each time.
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

/* ---- threads.c: counts the switched threads */

extern LIBREPLACE_HIDDEN _Thread_local struct libreplace_thread libreplace_mine;

/* Count the calling thread as switched. Return: 0, or EBUSY during a drop; errno is not set. */
LIBREPLACE_HIDDEN int libreplace_count_in(void);
/* Stop counting the calling thread. */
LIBREPLACE_HIDDEN void libreplace_count_out(void);
/* Reset the count and the drop, in a forked child. */
LIBREPLACE_HIDDEN void libreplace_count_anew(void);

/* Whether the calling thread is the only thread of its process; 0 if this cannot be determined. */
LIBREPLACE_HIDDEN int libreplace_alone(void);

/* ---- fork.c: makes a forked child the user for good */

/* Install the fork handler. threads.c calls this when the library is loaded. */
LIBREPLACE_HIDDEN void libreplace_watch_forks(void);

/* ---- walk.c: reads, compares and changes ids */

/* The three lists of groups in a guard: the list found on entry, the list to set, and a scratch
 * list to read into. */
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

/* Whether the real, effective and saved ids are equal. The fs ids are not compared. */
LIBREPLACE_HIDDEN int libreplace_same_uids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
LIBREPLACE_HIDDEN int libreplace_same_gids(const struct libreplace_ids *a,
                                           const struct libreplace_ids *b);
/* Whether two lists of groups are equal. May sort @read. */
LIBREPLACE_HIDDEN int libreplace_same_groups(const struct libreplace_ids *a, gid_t *read,
                                             const struct libreplace_ids *b, const gid_t *set);
/* Whether a list is in ascending order, without duplicates. */
LIBREPLACE_HIDDEN int libreplace_ascending(const gid_t *list, size_t size);

/* Whether the effective and the fs uid of @to are the privileged user ID. */
LIBREPLACE_HIDDEN int libreplace_outwards(const struct libreplace_ids *to);

/**
 * libreplace_walk() - change the calling thread's ids and verify them
 * @guard:	storage; its scratch list holds the groups of @now
 * @now:	the thread's ids, as read; updated
 * @to:		the ids to set
 * @groups:	the groups to set, @to->size of them
 *
 * Return: 0, or -1 with the failure stored in the guard. On failure, some of the ids may be
 * changed.
 */
LIBREPLACE_HIDDEN int libreplace_walk(struct libreplace_guard *guard, struct libreplace_ids *now,
                                      const struct libreplace_ids *to, const gid_t *groups);

/* ---- capabilities_*.c: on a kernel without capabilities, these succeed and do nothing */

/* Read the effective, permitted and inheritable set. Return: 0, or -1 with errno set; the same is
 * true for the next three functions. */
LIBREPLACE_HIDDEN int libreplace_get_capabilities(struct libreplace_capabilities *set);
/* Make all permitted capabilities effective, so that the thread can change its ids. */
LIBREPLACE_HIDDEN int libreplace_raise_capabilities(const struct libreplace_capabilities *held);
/* Store the ambient set in @held. Then make @effective the effective set, and clear the permitted
 * capabilities in the inheritable set, which clears the ambient set, too. */
LIBREPLACE_HIDDEN int libreplace_clear_capabilities(struct libreplace_capabilities *held,
                                                    uint64_t effective);
/* Set the effective, permitted, inheritable and ambient set to those in @held. */
LIBREPLACE_HIDDEN int libreplace_set_capabilities(const struct libreplace_capabilities *held);
/* The effective capabilities that a thread must not have at @level (enum libreplace_level). */
LIBREPLACE_HIDDEN uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level);

#endif
