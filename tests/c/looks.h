/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Shared by forks.c and steps.c: all ids, groups and capabilities of a thread, and what a child
 * that was forked under an identity must be.
 */
#ifndef LOOKS_H
#define LOOKS_H

#include "cases.h"
#include "raw_capabilities.h"

enum { MANY = 1024 };

struct look {
	uid_t uids[4];
	gid_t gids[4];
	gid_t list[MANY];
	int size;
	unsigned sets[6];
};

static inline struct look look(void)
{
	struct look now;

	memset(&now, 0, sizeof now);
	MUST(libreplace_getresuid(&now.uids[0], &now.uids[1], &now.uids[2]) == 0);
	MUST(libreplace_getresgid(&now.gids[0], &now.gids[1], &now.gids[2]) == 0);
	MUST(libreplace_getfsuid(&now.uids[3]) == 0 && libreplace_getfsgid(&now.gids[3]) == 0);
	MUST((now.size = getgroups(MANY, now.list)) >= 0);
	MUST(capabilities(SYS_capget, now.sets) == 0);
	return now;
}

static inline int looks_like(const struct look *before)
{
	struct look now = look();

	return memcmp(&now, before, sizeof now) == 0;
}

/* Whether the thread is this user and nothing else. */
static inline int is_only(const struct libreplace_identity *user)
{
	struct look now = look();

	for (int i = 0; i < 4; i++)
		if (now.uids[i] != user->uid || now.gids[i] != user->gid)
			return 0;
	for (int i = 0; i < 6; i++)
		if (now.sets[i] != 0 && user->uid != 0)
			return 0;
	return now.size == (int)user->size &&
	       (now.size == 0 || memcmp(now.list, user->groups, user->size * sizeof(gid_t)) == 0);
}

/* The thread must be this user for good, and must stay so. */
static inline void must_be_for_good(const struct libreplace_identity *user)
{
	entry again;

	MUST(is_only(user) && libreplace_depth() == 0 && libreplace_active() == 0);
	MUST(!libreplace_tainted());
	MUST(libreplace_enter(fresh(&again), &bob, LIBREPLACE_LEVEL_EFFECTIVE) == -1);
	MUST(errno == EPERM && again.guard.step == LIBREPLACE_STEP_FORKED);
	MUST(again.guard.state == LIBREPLACE_STATE_FOR_GOOD && is_only(user));
	MUST(libreplace_depth() == 0 && libreplace_active() == 0);
}

#endif
