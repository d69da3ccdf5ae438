/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The states in which a thread may start, and the identities that it enters. explore.h explains the
 * functions. To search more states, add a row to a list. Source of what a kernel lets a thread be:
 * credentials(7), capabilities(7).
 */
#include <stdio.h>
#include <string.h>
#include "explore.h"

#define LENGTH(list) ((int)(sizeof(list) / sizeof *(list)))

static const uint64_t both = BIT(SETUID) | BIT(SETGID);
/* Some of all capabilities: the core makes a call for each inheritable one. */
static const uint64_t some = BIT(SETUID) | BIT(SETGID) | BIT(CHOWN) | BIT(MAC_OVERRIDE);

/* ---- User namespaces */

/* A hidden id: an id of the kernel that no map below has. */
enum { HIDDEN = 3000000 };

static const struct user_namespace namespaces[] = {
    /* all ids up to 81000; 65534 stands for itself and for all hidden ids */
    {{{0, 0, 81000}}, {{0, 0, 81000}}, NOBODY, NOBODY, 0},
    /* without 65534 and 65535, so that level shielded finds no id */
    {{{0, 0, NOBODY}, {80000, 80000, 1000}},
     {{0, 0, NOBODY}, {80000, 80000, 1000}},
     NOBODY,
     NOBODY,
     0},
    /* without 65534 only */
    {{{0, 100000, NOBODY}, {65535, 165535, 20000}},
     {{0, 100000, NOBODY}, {65535, 165535, 20000}},
     NOBODY,
     NOBODY,
     0},
    /* small ids are great ones of the kernel, which sorts groups by its own ids */
    {{{0, 200000, 500}, {500, 100000, 90000}},
     {{0, 200000, 500}, {500, 100000, 90000}},
     NOBODY,
     NOBODY,
     0},
    /* setgroups(2) is denied; see user_namespaces(7) */
    {{{0, 0, 81000}}, {{0, 0, 81000}}, NOBODY, NOBODY, 1},
};

/* The kernel's id for an id below, which may be hidden. */
static uint32_t uid_of(const struct run *run, uint32_t id)
{
	return id == HIDDEN ? HIDDEN : kernel_id(run->thread.namespace->uids, id);
}

static uint32_t gid_of(const struct run *run, uint32_t id)
{
	return id == HIDDEN ? HIDDEN : kernel_id(run->thread.namespace->gids, id);
}

/* ---- Parts of a state */

struct uids {
	uint32_t real, effective, saved, fs;
};

struct gids {
	uint32_t real, effective, saved, fs;
	int size;
	uint32_t groups[2];
};

static void set_uids(struct run *run, struct uids from)
{
	struct credentials *is = &run->thread.is;

	is->ruid = uid_of(run, from.real);
	is->euid = uid_of(run, from.effective);
	is->suid = uid_of(run, from.saved);
	is->fsuid = uid_of(run, from.fs);
}

static void set_gids(struct run *run, const struct gids *from)
{
	struct credentials *is = &run->thread.is;

	is->rgid = gid_of(run, from->real);
	is->egid = gid_of(run, from->effective);
	is->sgid = gid_of(run, from->saved);
	is->fsgid = gid_of(run, from->fs);
	is->size = from->size;
	for (int i = 0; i < from->size; i++)
		is->groups[i] = gid_of(run, from->groups[i]);
	sort_groups(is->groups, is->size);
}

/* Choose the four user IDs from the first @count of these. */
static void choose_uids(struct run *run, int count)
{
	static const uint32_t ids[] = {ROOT, A, B, HIDDEN};
	struct choices *choices = &run->choices;
	uint32_t real = ids[choose(choices, count, "real uid")];
	uint32_t effective = ids[choose(choices, count, "effective uid")];
	uint32_t saved = ids[choose(choices, count, "saved uid")];

	set_uids(run, (struct uids){real, effective, saved, ids[choose(choices, count, "fs uid")]});
}

struct sets {
	uint64_t effective, permitted, inheritable, ambient, bounding;
};

static void set_sets(struct run *run, struct sets from)
{
	struct credentials *is = &run->thread.is;

	is->effective = from.effective;
	is->permitted = from.permitted;
	is->inheritable = from.inheritable;
	is->ambient = from.ambient;
	is->bounding = from.bounding;
}

static void choose_sets(struct run *run)
{
	const uint64_t permitted[] = {ALL_CAPABILITIES, both, BIT(SETUID), BIT(SETGID), 0};
	const uint64_t bounding[] = {ALL_CAPABILITIES, ALL_CAPABILITIES & ~BIT(SETPCAP), 0};
	struct choices *choices = &run->choices;
	struct credentials *is = &run->thread.is;
	uint64_t may_be_ambient;

	is->permitted = permitted[choose(choices, LENGTH(permitted), "permitted")];
	if (is->permitted != 0 && choose(choices, 2, "effective") == 0)
		is->effective = is->permitted;
	is->inheritable = (const uint64_t[]){0, is->permitted & some,
	                                     BIT(CHOWN)}[choose(choices, 3, "inheritable")];
	may_be_ambient = is->inheritable & is->permitted;
	if (may_be_ambient != 0)
		is->ambient = choose(choices, 2, "ambient") == 0 ? 0 : may_be_ambient;
	is->bounding = bounding[choose(choices, LENGTH(bounding), "bounding")];
}

/* Locks make no difference, because the core sets no securebits. */
static void choose_securebits(struct run *run)
{
	for (int bit = NOROOT; bit <= NO_CAP_AMBIENT_RAISE; bit <<= 2)
		if (choose(&run->choices, 2, "a securebit") == 1)
			run->thread.is.securebits |= bit;
}

static void begin(struct run *run, const struct user_namespace *namespace)
{
	memset(&run->thread, 0, sizeof run->thread);
	run->thread.namespace = namespace;
	kernel_sees_no_op = 1;
}

static void end(struct run *run)
{
	run->start = run->thread.is;
	run->of_state = run->choices.size;
}

/* ---- States */

const struct thread ordinary_root = {
    .is = {.effective = ALL_CAPABILITIES,
           .permitted = ALL_CAPABILITIES,
           .bounding = ALL_CAPABILITIES},
    .namespace = &initial_namespace,
};

void choose_any_state(struct run *run)
{
	static const struct gids shapes[] = {
	    {0, 0, 0, 0, 0, {0}},
	    {A, A, A, A, 2, {A, STAFF}},
	    {A, ROOT, A, B, 1, {ROOT}},
	};

	begin(run, &initial_namespace);
	choose_uids(run, 3);
	set_gids(run, &shapes[choose(&run->choices, LENGTH(shapes), "group IDs")]);
	choose_sets(run);
	choose_securebits(run);
	end(run);
}

void choose_hidden_state(struct run *run)
{
	static const struct gids shapes[] = {
	    {0, 0, 0, 0, 0, {0}},
	    {A, A, A, A, 2, {0, A}}, /* one namespace shows these in another order */
	    {0, 0, 0, 0, 1, {HIDDEN}},
	    {A, A, A, A, 2, {STAFF, HIDDEN}},
	    {HIDDEN, A, A, A, 2, {A, STAFF}},
	    {A, HIDDEN, A, A, 0, {0}},
	    {A, A, HIDDEN, A, 2, {0, A}},
	    {0, A, 0, HIDDEN, 1, {0}},
	};
	static const struct sets sets[] = {
	    {ALL_CAPABILITIES, ALL_CAPABILITIES, 0, 0, ALL_CAPABILITIES},
	    {0, ALL_CAPABILITIES, 0, 0, ALL_CAPABILITIES},
	    {BIT(SETUID), BIT(SETUID), 0, 0, ALL_CAPABILITIES},
	    {0, 0, 0, 0, ALL_CAPABILITIES},
	};

	begin(run, &namespaces[choose(&run->choices, LENGTH(namespaces), "user namespace")]);
	kernel_sees_no_op = !choose(&run->choices, 2, "kernel before Linux 6.3");
	choose_uids(run, 4);
	set_gids(run, &shapes[choose(&run->choices, LENGTH(shapes), "group IDs")]);
	set_sets(run, sets[choose(&run->choices, LENGTH(sets), "capabilities")]);
	end(run);
}

/* A row has everything but capabilities and securebits. @before_6_3: see kernel_sees_no_op */
static const struct {
	struct uids uids;
	struct gids gids;
	const struct user_namespace *in;
	int before_6_3;
} people[] = {
    {{ROOT, ROOT, ROOT, ROOT}, {0, 0, 0, 0, 0, {0}}, &initial_namespace, 0},
    {{ROOT, ROOT, ROOT, A}, {A, ROOT, A, B, 2, {ROOT, STAFF}}, &initial_namespace, 1},
    {{ROOT, A, ROOT, A}, {0, A, 0, A, 1, {A}}, &initial_namespace, 0},
    {{A, ROOT, ROOT, ROOT}, {0, 0, 0, 0, 2, {STAFF, FRIENDS}}, &namespaces[0], 1},
    {{A, A, ROOT, A}, {A, A, 0, A, 1, {A}}, &namespaces[3], 0},
    {{ROOT, ROOT, A, ROOT}, {A, A, A, A, 0, {0}}, &namespaces[1], 0},
    {{A, A, A, A}, {A, A, A, A, 1, {A}}, &initial_namespace, 0},
    {{A, B, A, ROOT}, {A, ROOT, A, B, 2, {ROOT, STAFF}}, &namespaces[0], 1},
    {{A, A, A, A}, {A, A, A, A, 1, {HIDDEN}}, &namespaces[0], 0},
};

void choose_named_state(struct run *run)
{
	const struct sets sets[] = {
	    {ALL_CAPABILITIES, ALL_CAPABILITIES, 0, 0, ALL_CAPABILITIES},
	    {ALL_CAPABILITIES, ALL_CAPABILITIES, both, both, ALL_CAPABILITIES},
	    {0, ALL_CAPABILITIES, 0, 0, ALL_CAPABILITIES},
	    {both, both, 0, 0, ALL_CAPABILITIES},
	    {both, both, BIT(SETUID) | BIT(CHOWN), BIT(SETUID), BIT(SETUID)},
	    {BIT(SETUID), both, BIT(SETGID), 0, 0},
	    {BIT(SETUID), BIT(SETUID), 0, 0, ALL_CAPABILITIES},
	    {0, 0, 0, 0, ALL_CAPABILITIES},
	};
	static const int securebits[] = {0, KEEP_CAPS, NO_SETUID_FIXUP,
	                                 NOROOT | NO_CAP_AMBIENT_RAISE};
	int who = choose(&run->choices, LENGTH(people), "user IDs");

	begin(run, people[who].in);
	kernel_sees_no_op = !people[who].before_6_3;
	set_uids(run, people[who].uids);
	set_gids(run, &people[who].gids);
	set_sets(run, sets[choose(&run->choices, LENGTH(sets), "capabilities")]);
	run->thread.is.securebits =
	    securebits[choose(&run->choices, LENGTH(securebits), "securebits")];
	end(run);
}

/* ---- Identities */

/* The thread's own ids, as the user namespace shows them. */
static void set_own(struct run *run, struct holding *entry, uint32_t uid, uint32_t gid)
{
	const struct user_namespace *in = run->thread.namespace;

	entry->user.uid = shown_id(in->uids, uid, in->overflow_uid);
	entry->user.gid = shown_id(in->gids, gid, in->overflow_gid);
	kernel_getgroups(&run->thread, MOST_GROUPS, entry->groups);
	entry->user.size = libreplace_sort_groups(entry->groups, (size_t)run->thread.is.size);
}

static void set_other(struct holding *entry, uint32_t uid, uint32_t gid, int groups)
{
	entry->user.uid = uid;
	entry->user.gid = gid;
	entry->user.size = groups ? 2 : 0;
	entry->groups[0] = STAFF;
	entry->groups[1] = FRIENDS;
}

void choose_identity(struct run *run, struct holding *entry, int count)
{
	const struct credentials *is = &run->thread.is;

	entry->user.groups = entry->groups;
	switch (choose(&run->choices, count, "identity")) {
	case 0:
		set_other(entry, USER, STAFF, 1);
		break;
	case 1:
		set_other(entry, ROOT, ROOT, 0);
		break;
	case 2:
		set_own(run, entry, is->euid, is->egid);
		break;
	case 3:
		set_own(run, entry, is->ruid, is->rgid);
		break;
	case 4:
		set_own(run, entry, is->suid, is->sgid);
		break;
	case 5:
		set_other(entry, A, A, 1);
		break;
	case 6:
		set_other(entry, NOBODY, NOBODY, 0);
		entry->user.size = 1;
		entry->groups[0] = NOBODY;
		break;
	}
	entry->level = choose(&run->choices, LIBREPLACE_LEVEL_FILESYSTEM + 1, "level");
}
