/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Random entries with libreplace_enter() and libreplace_leave(), for kernel_rules.c. The thread
 * must be the user inside, and exactly what it was afterwards, or if the entry fails. It must never
 * be tainted, unless a filter makes its return impossible; then it must not have more rights.
 */
#ifndef EXPLORER_RANDOM_ENTRIES_H
#define EXPLORER_RANDOM_ENTRIES_H

#include "compare.h"

/* How often entries ended in which way. */
struct entries {
	unsigned long entered, refused, rolled_back, tainted;
};

/* Enter a random identity, enter another one inside it, and leave. Return: what is wrong, or NULL.
 * @now: the thread, whose calls are compared */
const char *enter_and_leave(const struct comparison *now, struct entries *entries);

#endif
