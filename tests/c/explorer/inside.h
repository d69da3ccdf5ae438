/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What a thread must have while it holds an identity, for the programs explore and kernel_rules.
 * Source: enum libreplace_level.
 */
#ifndef EXPLORER_INSIDE_H
#define EXPLORER_INSIDE_H

#include <libreplace/replace.h>
#include "kernel.h"

int same_credentials(const struct credentials *a, const struct credentials *b);
/* Whether these have the same ids and groups. */
int same_ids(const struct credentials *a, const struct credentials *b);

/* Give @is the groups of the identity. */
void set_groups(struct credentials *is, const struct range *gids,
                const struct libreplace_identity *user);

/* The ids and groups of a thread that holds the identity; the rest is as before. @base: what it was
 * before the outermost entry. @second: the thread may have the second id of level shielded,
 * although it could have the first: a call has failed as if the first one were not mapped. */
struct credentials ids_inside(const struct thread *thread, const struct credentials *base,
                              const struct libreplace_identity *user, int level, int second);

#endif
