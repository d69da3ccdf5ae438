/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * For returns.c: the states in which a thread may start, made with raw system calls, and a snapshot
 * of what the kernel says about the calling thread. Ids, securebits and capabilities belong to a
 * thread, so each state gets a thread of its own. Source: credentials(7), capabilities(7).
 */
#ifndef STARTING_STATES_H
#define STARTING_STATES_H

#include <stdint.h>
#include "cases.h"
#include "raw_capabilities.h"
#include "securebits.h"

/* Numbers of capabilities; see capabilities(7). */
enum { OF_CHOWN = 0, OF_SETPCAP = 8, LAST_CAPABILITY = 63, MOST_GROUPS = 4 };
#define ALL_CAPABILITIES (~0ULL)

/* The ids, groups, capabilities and securebits of a thread. No padding: compared with memcmp(3). */
struct snapshot {
	uint64_t effective, permitted, inheritable, ambient;
	uid_t ruid, euid, suid, fsuid;
	gid_t rgid, egid, sgid, fsgid;
	gid_t groups[MOST_GROUPS];
	int size, securebits;
};

/* A starting state: the snapshot that the thread has, and the capabilities missing in its bounding
 * set. */
struct start {
	struct snapshot is;
	uint64_t unbounded;
};

/* The capabilities that this process has. Nobody can get others. */
static uint64_t possible;

static uint64_t wide(const unsigned *sets, int which)
{
	return sets[which] | (uint64_t)sets[which + 3] << 32;
}

static struct snapshot look(void)
{
	struct snapshot now;
	unsigned sets[6] = {0};

	memset(&now, 0, sizeof now);
	MUST(libreplace_getresuid(&now.ruid, &now.euid, &now.suid) == 0);
	MUST(libreplace_getresgid(&now.rgid, &now.egid, &now.sgid) == 0);
	MUST(libreplace_getfsuid(&now.fsuid) == 0 && libreplace_getfsgid(&now.fsgid) == 0);
	MUST((now.size = getgroups(MOST_GROUPS, now.groups)) >= 0);
	MUST(capabilities(SYS_capget, sets) == 0);
	now.effective = wide(sets, 0);
	now.permitted = wide(sets, 1);
	now.inheritable = wide(sets, 2);
	for (int bit = 0; bit <= LAST_CAPABILITY; bit++)
		if ((now.inheritable >> bit & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1)
			now.ambient |= 1ULL << bit;
	MUST((now.securebits = prctl(PR_GET_SECUREBITS)) >= 0);
	return now;
}

static int same(const struct snapshot *a, const struct snapshot *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

/* Make the calling thread, which is root with all capabilities, such a thread. Without the fixup,
 * no change of ids changes capabilities. */
static void become(const struct start *start)
{
	const struct snapshot *is = &start->is;

	MUST(prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP) == 0);
	MUST(libreplace_setgroups((size_t)is->size, is->groups) == 0);
	MUST(libreplace_setresgid(is->rgid, is->egid, is->sgid) == 0);
	MUST(libreplace_setfsgid(is->fsgid) == 0);
	MUST(libreplace_setresuid(is->ruid, is->euid, is->suid) == 0);
	MUST(libreplace_setfsuid(is->fsuid) == 0);
	MUST(set_capabilities(possible, possible, is->inheritable) == 0);
	for (int bit = 0; bit <= LAST_CAPABILITY; bit++) {
		if ((is->ambient >> bit & 1) != 0)
			MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) == 0);
		if ((start->unbounded >> bit & 1) != 0 && (possible >> bit & 1) != 0)
			MUST(prctl(PR_CAPBSET_DROP, bit) == 0);
	}
	MUST(prctl(PR_SET_SECUREBITS, is->securebits) == 0);
	MUST(set_capabilities(is->effective, is->permitted, is->inheritable) == 0);
}

static void describe(const struct start *start)
{
	const struct snapshot *is = &start->is;

	printf("uids %u/%u/%u fs %u, gids %u/%u/%u fs %u, %d groups, effective %llx permitted %llx "
	       "inheritable %llx ambient %llx, not bounding %llx, securebits %#x",
	       is->ruid, is->euid, is->suid, is->fsuid, is->rgid, is->egid, is->sgid, is->fsgid,
	       is->size, (unsigned long long)is->effective, (unsigned long long)is->permitted,
	       (unsigned long long)is->inheritable, (unsigned long long)is->ambient,
	       (unsigned long long)start->unbounded, (unsigned)is->securebits);
}

/* How many starting states there are: the product of the numbers of variants below. */
enum { IDS = 27, OTHERS = 4, SETS = 9, KEPT = 5, BOUNDS = 4, BITS = 10 };
enum { STATES = IDS * OTHERS * SETS * KEPT * BOUNDS * BITS };

/* The starting state of this number. Some numbers have the same state. */
static struct start starting_state(int number)
{
	static const uid_t ids[] = {0, 1000, 80100};
	static const struct {
		int fsuid; /* -1: as euid */
		gid_t rgid, egid, sgid, fsgid;
		int size;
		gid_t groups[MOST_GROUPS];
	} others[OTHERS] = {
	    {-1, 0, 0, 0, 0, 0, {0}},
	    {-1, 1000, 1000, 1000, 1000, 2, {1000, STAFF}},
	    {4444, 0, 1000, 1000, 1000, 0, {0}},
	    {0, 1000, 0, 1000, 5555, 1, {0}},
	};
	static const uint64_t uid = 1ULL << OF_SETUID, gid = 1ULL << OF_SETGID,
	                      all = ALL_CAPABILITIES;
	const uint64_t sets[SETS][2] = {
	    {all, all}, {uid | gid, uid | gid}, {0, uid | gid}, {uid, uid},       {gid, gid},
	    {0, 0},     {uid | gid, all},       {0, all},       {uid, uid | gid},
	};
	static const int bits[BITS] = {0,
	                               KEEP_CAPS,
	                               NOROOT,
	                               NO_SETUID_FIXUP,
	                               NO_CAP_AMBIENT_RAISE,
	                               LOCKS,
	                               KEEP_CAPS | LOCKS,
	                               NO_SETUID_FIXUP | LOCKS,
	                               SECUREBITS | LOCKS,
	                               KEEP_CAPS | NO_CAP_AMBIENT_RAISE};
	struct start start = {.unbounded = 0};
	struct snapshot *is = &start.is;
	int which;

	is->ruid = ids[number % 3];
	is->euid = ids[number / 3 % 3];
	is->suid = ids[number / 9 % 3];
	number /= IDS;
	which = number % OTHERS;
	number /= OTHERS;
	is->fsuid = others[which].fsuid < 0 ? is->euid : (uid_t)others[which].fsuid;
	is->rgid = others[which].rgid;
	is->egid = others[which].egid;
	is->sgid = others[which].sgid;
	is->fsgid = others[which].fsgid;
	is->size = others[which].size;
	memcpy(is->groups, others[which].groups, sizeof is->groups);
	is->effective = sets[number % SETS][0] & possible;
	is->permitted = sets[number % SETS][1] & possible;
	number /= SETS;
	switch (number % KEPT) {
	case 1:
		is->inheritable = is->permitted;
		break;
	case 2:
		is->inheritable = is->ambient = is->permitted;
		break;
	case 3: /* one that may not be permitted */
		is->inheritable = 1ULL << OF_CHOWN;
		break;
	case 4:
		is->inheritable = is->permitted & (uid | gid);
		is->ambient = is->permitted & uid;
		break;
	}
	number /= KEPT;
	start.unbounded = (const uint64_t[]){0, 1ULL << OF_SETPCAP, uid, all}[number % BOUNDS];
	number /= BOUNDS;
	is->securebits = bits[number % BITS];
	return start;
}

#endif
