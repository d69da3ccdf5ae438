/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Random system calls, for kernel_rules.c, with arguments that meet the kernel's rules: the ids and
 * capabilities that the thread has, the ends of the maps of its user namespace, and wrong ones.
 */
#ifndef EXPLORER_RANDOM_CALLS_H
#define EXPLORER_RANDOM_CALLS_H

#include "calls.h"

/* Begin a sequence of random numbers. @thread: the model of the thread that makes the calls */
void start_to_pick(uint64_t seed, const struct thread *thread);

/* A random number below @limit. @name says what it is for. */
int pick(int limit, const char *name);

uint32_t any_uid(void);
uint32_t any_gid(void);
/* Store groups that the namespace maps, in any order. Return: how many, at most MOST_GROUPS */
int any_groups(uint32_t *groups);

/* Make a call that may fail. */
void random_call(void);

/* Make the thread, which has all capabilities, a random one. */
void become_anybody(void);

#endif
