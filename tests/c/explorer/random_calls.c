/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * random_calls.h explains the functions. To add a system call, add its case to random_call().
 */
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "../raw_capabilities.h"
#include "choices.h"
#include "random_calls.h"

static struct choices choices;
static const struct thread *now;

int pick(int limit, const char *name)
{
	choices.size = 0; /* nobody reads the list */
	return choose(&choices, limit, name);
}

void start_to_pick(uint64_t seed, const struct thread *thread)
{
	now = thread;
	memset(&choices, 0, sizeof choices);
	choices.random = seed * 0x9E3779B97F4A7C15ULL + 1;
	for (int i = 0; i < 8; i++) /* similar seeds give similar first numbers */
		pick(2, "nothing");
}

/* ---- Random arguments */

/* An id that is 0, -1, at the end of a range of the map, one of the thread's ids, or another. */
static uint32_t any_id(const struct range *map, const uint32_t present[4], uint32_t overflow)
{
	/* also the first ones behind the ranges that kernel_rules.c maps */
	static const uint32_t others[] = {
	    1,     2,     1000,   1900,        80001,       65534,
	    65535, 65536, 165536, 0x80000000U, 0x80000002U, NO_ID - 1,
	};
	int ranges = 0;

	while (map[ranges].length != 0)
		ranges++;
	switch (pick(6, "kind of id")) {
	case 0:
		return 0;
	case 1:
		return NO_ID;
	case 2:
		return others[pick(sizeof others / sizeof *others, "other id")];
	case 3:
		map += pick(ranges, "range");
		return map->inside + (pick(2, "end") ? map->length : 0) - (uint32_t)pick(2, "side");
	default:
		return shown_id(map, present[pick(4, "present id")], overflow);
	}
}

uint32_t any_uid(void)
{
	const struct credentials *is = &now->is;
	const uint32_t present[] = {is->ruid, is->euid, is->suid, is->fsuid};

	return any_id(now->namespace->uids, present, now->namespace->overflow_uid);
}

uint32_t any_gid(void)
{
	const struct credentials *is = &now->is;
	const uint32_t present[] = {is->rgid, is->egid, is->sgid, is->fsgid};

	return any_id(now->namespace->gids, present, now->namespace->overflow_gid);
}

int any_groups(uint32_t *groups)
{
	static const int sizes[] = {0, 1, 2, 3, 9, MOST_GROUPS};
	int size = sizes[pick(sizeof sizes / sizeof *sizes, "number of groups")];

	for (int i = 0; i < size; i++)
		do
			groups[i] = any_gid();
		while (kernel_id(now->namespace->gids, groups[i]) == NO_ID);
	return size;
}

static uint64_t any_bits(void)
{
	uint64_t bits = 0;

	for (int i = 0; i < 8; i++)
		bits = bits << 8 | (uint64_t)pick(256, "bits");
	return bits;
}

static uint64_t any_set(void)
{
	const struct credentials *is = &now->is;

	switch (pick(9, "set")) {
	case 0:
		return 0;
	case 1:
		return any_bits();
	case 2:
		return BIT(SETUID) | BIT(SETGID);
	case 3:
		return is->permitted | BIT(pick(64, "capability"));
	case 4:
		return is->permitted & any_bits();
	case 5:
		return is->inheritable;
	case 6:
		return is->bounding;
	default:
		return is->permitted;
	}
}

/* One of a set, if it has any; else any capability. */
static unsigned long one_of(uint64_t set)
{
	int bit = pick(LAST_CAPABILITY + 1, "capability");

	while ((set & ALL_CAPABILITIES) != 0 && (set >> bit & 1) == 0)
		bit = (bit + 1) % (LAST_CAPABILITY + 1);
	return (unsigned long)bit;
}

static unsigned long any_capability(void)
{
	static const unsigned long wrong[] = {LAST_CAPABILITY + 1, 63, 64, -1UL};
	const struct credentials *is = &now->is;

	switch (pick(8, "kind of capability")) {
	case 0:
		return wrong[pick(sizeof wrong / sizeof *wrong, "wrong capability")];
	case 1:
		return one_of(0);
	case 2:
		return one_of(is->ambient);
	case 3:
		return one_of(is->inheritable);
	case 4:
		return one_of(is->permitted);
	default:
		return one_of(is->permitted & is->inheritable);
	}
}

/* Bits that are known, or one more. Linux 6.14 has added 1 << 8 to 1 << 11; core/ has nothing to do
 * with them. */
static unsigned long any_securebits(void)
{
	unsigned long bits = (unsigned long)pick(256, "securebits");

	if (pick(2, "near") == 0)
		bits = (unsigned long)now->is.securebits ^ 1UL << pick(8, "a securebit");
	return pick(16, "unknown securebit") == 0 ? bits | 1UL << 12 : bits;
}

/* ---- Random calls */

/* The order in which a compiler evaluates arguments differs, so they are variables. */
static void call_setresuid(void)
{
	uint32_t ruid = any_uid(), euid = any_uid(), suid = any_uid();

	syscall(SETRESUID, ruid, euid, suid);
}

static void call_setresgid(void)
{
	uint32_t rgid = any_gid(), egid = any_gid(), sgid = any_gid();

	syscall(SETRESGID, rgid, egid, sgid);
}

/* It succeeds more often with the permitted set of the thread. */
static void call_capset(void)
{
	uint64_t effective = any_set(), permitted = any_set(), inheritable = any_set();

	if (pick(2, "permitted") == 0)
		effective = permitted = now->is.permitted;
	set_capabilities(effective, permitted, inheritable);
}

static void get_capabilities(void)
{
	unsigned sets[6];

	capabilities(SYS_capget, sets);
}

static void call_setgroups(void)
{
	static const int wrong[] = {-1, -2147483647 - 1, 65537};
	uint32_t groups[MOST_GROUPS] = {0};
	int size = any_groups(groups);

	if (size > 0 && pick(4, "wrong group") == 0)
		groups[pick(size, "place")] = any_gid();
	if (pick(16, "wrong number of groups") == 0)
		size = wrong[pick(3, "number")];
	syscall(SETGROUPS, (long)size, groups);
}

static void call_getgroups(void)
{
	uint32_t groups[MOST_GROUPS] = {0};
	int size = now->is.size;
	const int sizes[] = {0, size, size - 1, MOST_GROUPS, -1};

	syscall(GETGROUPS, (long)sizes[pick(5, "room for groups")], groups);
}

static void call_ambient(void)
{
	static const unsigned long actions[] = {PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_RAISE,
	                                        PR_CAP_AMBIENT_RAISE,  PR_CAP_AMBIENT_CLEAR_ALL,
	                                        PR_CAP_AMBIENT_LOWER,  9};
	unsigned long action = actions[pick(6, "action")], capability = any_capability();

	if (action == PR_CAP_AMBIENT_CLEAR_ALL && pick(4, "argument") != 0)
		capability = 0;
	prctl(PR_CAP_AMBIENT, action, capability, 0UL, 0UL);
}

static void call_prctl(void)
{
	switch (pick(6, "option of prctl")) {
	case 0:
		prctl(PR_CAPBSET_READ, any_capability(), 0UL, 0UL, 0UL);
		break;
	case 1:
		prctl(PR_CAPBSET_DROP, any_capability(), 0UL, 0UL, 0UL);
		break;
	case 2:
		prctl(PR_GET_SECUREBITS, 0UL, 0UL, 0UL, 0UL);
		break;
	case 3:
		prctl(PR_SET_SECUREBITS, any_securebits(), 0UL, 0UL, 0UL);
		break;
	default:
		call_ambient();
	}
}

void random_call(void)
{
	uint32_t ids[3];

	switch (pick(12, "call")) {
	case 0:
	case 1:
		call_setresuid();
		break;
	case 2:
		call_setresgid();
		break;
	case 3:
		syscall(SETFSUID, any_uid());
		break;
	case 4:
		syscall(SETFSGID, any_gid());
		break;
	case 5:
		call_setgroups();
		break;
	case 6:
	case 7:
		call_capset();
		break;
	case 8:
		get_capabilities();
		call_getgroups();
		break;
	case 9:
		getresuid(&ids[0], &ids[1], &ids[2]);
		getresgid(&ids[0], &ids[1], &ids[2]);
		break;
	default:
		call_prctl();
	}
}

/* Without the fixup of the securebits, ids do not change capabilities. */
void become_anybody(void)
{
	uint32_t groups[MOST_GROUPS];
	int size = any_groups(groups);

	if (pick(4, "fixup") != 0)
		prctl(PR_SET_SECUREBITS, (unsigned long)NO_SETUID_FIXUP, 0UL, 0UL, 0UL);
	syscall(SETGROUPS, (long)size, groups);
	call_setresgid();
	syscall(SETFSGID, any_gid());
	call_setresuid();
	syscall(SETFSUID, any_uid());
	set_capabilities(ALL_CAPABILITIES, ALL_CAPABILITIES, any_set());
	for (int i = pick(6, "ambient capabilities"); i > 0; i--)
		prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_RAISE, any_capability(), 0UL,
		      0UL);
	for (int i = pick(3, "bounding set") * pick(20, "bounding set"); i > 0; i--)
		prctl(PR_CAPBSET_DROP, any_capability(), 0UL, 0UL, 0UL);
	if (pick(3, "securebits") != 0)
		prctl(PR_SET_SECUREBITS, pick(2, "usual") ? 0UL : any_securebits(), 0UL, 0UL, 0UL);
	if (pick(2, "keep") == 0) {
		uint64_t permitted = any_set() & now->is.permitted;

		set_capabilities(pick(2, "effective") ? permitted : permitted & any_set(),
		                 permitted, now->is.inheritable);
	}
}
