/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Random threads, for kernel_rules.c: they make random calls, and libreplace_enter() and
 * libreplace_leave(). One of four is in a user namespace with a random map, and one of four has a
 * seccomp filter.
 */
#ifndef EXPLORER_RANDOM_THREADS_H
#define EXPLORER_RANDOM_THREADS_H

#include "compare.h"
#include "random_entries.h"

/* What the threads have done. The child processes count, too. */
struct totals {
	unsigned long threads, namespaces, filters, failed;
	struct entries entries;
	struct outcomes outcomes[MODEL_CALLS];
};

/**
 * struct setting - in which the threads are made
 * @outside:	the user namespace of this program
 * @has_namespaces: whether it may be able to make user namespaces
 * @has_filters: whether it can install filters
 * @verbose:	print each call
 * @totals:	where to count
 */
struct setting {
	struct user_namespace outside;
	int has_namespaces, has_filters, verbose;
	struct totals *totals;
};

/* Make the thread that belongs to this seed. */
void try_random_thread(struct setting *setting, uint64_t seed);

/* Call the function in a new thread, so that this thread keeps its credentials. */
void in_thread(void *(*body)(void *));

#endif
