/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What must hold in each run of the program explore. explore.h explains the functions. The rules do
 * not depend on how the core works: they compare the credentials of the model's thread with those
 * that the documentation of libreplace/guard.h promises.
 */
#include <stddef.h>
#include "explore.h"
#include "inside.h"

void complain(struct run *run, const char *what)
{
	if (run->wrong == NULL)
		run->wrong = what;
}

static struct holding *innermost(struct run *run)
{
	return &run->entries[run->count - 1];
}

/* ---- Inside an entry */

/* The capabilities of a thread that holds the entry. If it acts as root, the kernel decides, unless
 * it was root before. */
static void look_at_capabilities_inside(struct run *run, const struct holding *entry)
{
	const struct credentials *now = &run->thread.is, *before = &entry->before;
	uint64_t forbidden = entry->level == LIBREPLACE_LEVEL_FILESYSTEM ? FS_SET : ~0ULL;
	uint32_t root = kernel_id(run->thread.namespace->uids, 0);

	if (now->permitted != before->permitted || now->bounding != before->bounding ||
	    now->securebits != before->securebits)
		complain(run, "entering changed the permitted or bounding set, or securebits");
	if (entry->user.uid != 0) {
		if ((now->effective & forbidden) != 0)
			complain(run, "inside, the thread has an effective capability");
		if (now->ambient != 0)
			complain(run, "inside, the thread has an ambient capability");
		if (now->inheritable != (before->inheritable & ~before->permitted))
			complain(run, "inside, the thread has another inheritable set");
	} else if (run->strays > 0) {
		return; /* libreplace_check() does not look at the capabilities of root */
	} else if (now->inheritable != before->inheritable ||
	           (now->ambient & ~before->ambient) != 0) {
		complain(run, "acting as root changed the inheritable or ambient set");
	} else if (before->euid == root && before->fsuid == root &&
	           (now->effective != before->effective || now->ambient != before->ambient)) {
		complain(run, "root that acts as root has other capabilities");
	}
}

static void look_inside(struct run *run, const struct holding *entry)
{
	struct credentials set = promised_ids(run, entry);

	if (!same_ids(&run->thread.is, &set))
		complain(run, "inside, the thread has other ids than those of the identity");
	look_at_capabilities_inside(run, entry);
	if (!libreplace_main_is_switched() || libreplace_depth() != (unsigned)run->count)
		complain(run, "inside, the thread does not count as switched");
}

/* ---- Forked children */

/* Whether these are the credentials of somebody who is the user for good. */
static int is_for_good(const struct run *run, const struct holding *entry)
{
	const struct credentials *now = &run->thread.is;
	struct credentials user = *now;

	user.ruid = user.euid = user.suid = user.fsuid =
	    kernel_id(run->thread.namespace->uids, entry->user.uid);
	user.rgid = user.egid = user.sgid = user.fsgid =
	    kernel_id(run->thread.namespace->gids, entry->user.gid);
	set_groups(&user, run->thread.namespace->gids, &entry->user);
	if (entry->user.uid != 0)
		user.effective = user.permitted = user.inheritable = user.ambient = 0;
	return same_credentials(now, &user) && (now->permitted & ~run->start.permitted) == 0;
}

/* In a child of root, libreplace_end() may have to make it root again. */
void look_after_fork(struct run *run, const struct credentials *before, int tainted)
{
	if (tainted)
		complain(run, "a child of a tainted thread goes on");
	if (run->count == 0) {
		if (!same_credentials(&run->thread.is, before))
			complain(run, "a child that was forked outside of entries has changed");
		return;
	}
	run->child_of = innermost(run);
	if (run->child_of->user.uid != 0 && !is_for_good(run, run->child_of))
		complain(run, "the child is not the user for good");
}

static void look_at_child(struct run *run)
{
	if (!is_for_good(run, run->child_of))
		complain(run, "in the end, the child is not the user for good");
	if (libreplace_tainted() || libreplace_depth() != 0 || libreplace_main_is_switched())
		complain(run, "the child is tainted or has an entry");
}

/* A child may abort if a call has failed, or the parent is tainted, or if the parent has not
 * entered yet and the child has not the privilege to become the user. */
void look_after_abort(struct run *run)
{
	const struct holding *entry;

	if (run->faults > 0 || libreplace_tainted())
		return;
	if (run->count == 0) {
		complain(run, "a child that was forked outside of entries aborts");
		return;
	}
	entry = innermost(run);
	if (entry->guard->state == LIBREPLACE_STATE_ENTERED ||
	    (is_privileged(run, entry) && entry->user.uid != 0))
		complain(run, "a child that can become the user aborts");
}

/* ---- After each function */

int has_changed(struct run *run)
{
	return !same_ids(&run->thread.is, &innermost(run)->inside);
}

/* One failure is always overcome. After a stray call, the way back may need what it has taken away:
 * if it has made a user ID 0, the kernel clears capabilities when that ID changes again. */
static void look_at_taint(struct run *run)
{
	if (!libreplace_tainted() || !libreplace_main_is_switched())
		complain(run, "a function failed, but the thread is not tainted or not counted");
	if (run->faults < 2 && run->strays == 0)
		complain(run, "tainted");
}

void look_after_enter(struct run *run, int result)
{
	struct holding *entry = innermost(run);
	const struct libreplace_guard *guard = entry->guard;

	if (run->child_of != NULL) {
		look_at_child(run);
		return;
	}
	run->counts.entered += result == 0;
	run->counts.refused += guard->state == LIBREPLACE_STATE_IDLE;
	run->counts.rolled_back += guard->state == LIBREPLACE_STATE_ROLLED_BACK;
	if (result == 0) {
		entry->inside = run->thread.is;
		entry->found = 0;
		if (guard->state != LIBREPLACE_STATE_ENTERED)
			complain(run, "the state after entering");
		else if (run->unread == 0)
			look_inside(run, entry);
	} else if (guard->state == LIBREPLACE_STATE_TAINTED) {
		look_at_taint(run);
	} else if (guard->state != LIBREPLACE_STATE_IDLE &&
	           guard->state != LIBREPLACE_STATE_ROLLED_BACK) {
		complain(run, "the state after a failure to enter");
	} else if (!same_credentials(&run->thread.is, &entry->before) && run->strays == 0) {
		complain(run, "a failed entry changed something");
	} else if (run->faults + run->strays == 0 && !may_be_refused(run, entry)) {
		complain(run, "an entry without an obstacle failed");
	}
}

void look_after_check(struct run *run, int result, int changed)
{
	innermost(run)->found |= result != 0;
	if (run->child_of != NULL)
		look_at_child(run);
	else if (result != 0 && run->faults + run->strays == 0)
		complain(run, "the check found a difference");
	else if (result == 0 && changed)
		complain(run, "the check did not find a difference");
	else if (result == 0 && run->unread == 0 && run->faults == 0)
		look_inside(run, innermost(run));
}

void look_after_leave(struct run *run, int result, int changed)
{
	struct holding *entry = innermost(run);
	const struct libreplace_guard *guard = entry->guard;

	if (run->child_of != NULL) {
		look_at_child(run);
		return;
	}
	if (guard->state == LIBREPLACE_STATE_TAINTED) {
		look_at_taint(run);
		return;
	}
	if (guard->state != LIBREPLACE_STATE_LEFT)
		complain(run, "the state after leaving");
	if (result != 0 && run->faults + run->strays == 0)
		complain(run, "leaving failed");
	if (result == 0 && (changed || entry->found))
		complain(run, "leaving did not report a difference");
	if (!same_credentials(&run->thread.is, &entry->before) && run->unread == 0)
		complain(run, "leaving did not restore everything");
}

/* ---- At the end of a run */

static int is_one_of(uint32_t id, const uint32_t *list, int size)
{
	for (int i = 0; i < size; i++)
		if (list[i] == id)
			return 1;
	return 0;
}

/* A thread that could not be restored must not have more capabilities than it had. */
static void look_at_rights(struct run *run)
{
	const struct credentials *now = &run->thread.is, *start = &run->start;

	if (((now->permitted | now->effective) & ~start->permitted) != 0 ||
	    (now->inheritable & ~start->inheritable) != 0 ||
	    (now->ambient & ~start->ambient) != 0 || (now->bounding & ~start->bounding) != 0)
		complain(run, "the thread has more capabilities than at the start");
}

/* It must not have an id or a group that neither it nor one of the users had. A stray call may add
 * such ids. */
static void look_at_ids(struct run *run)
{
	const struct credentials *now = &run->thread.is, *start = &run->start;
	const struct user_namespace *in = run->thread.namespace;
	const uint32_t uids[] = {now->ruid, now->euid, now->suid, now->fsuid};
	const uint32_t gids[] = {now->rgid, now->egid, now->sgid, now->fsgid};
	uint32_t may_be[6 + MOST_ENTRIES] = {start->ruid,
	                                     start->euid,
	                                     start->suid,
	                                     start->fsuid,
	                                     kernel_id(in->uids, LIBREPLACE_SHIELD_UID),
	                                     kernel_id(in->uids, 65535)};
	uint32_t may_be_group[2 * MOST_GROUPS] = {start->rgid, start->egid, start->sgid,
	                                          start->fsgid};
	int count = 6, groups = 4, found = 1;

	for (int i = 0; i < start->size; i++)
		may_be_group[groups++] = start->groups[i];
	for (int i = 0; i < MOST_ENTRIES; i++) {
		const struct libreplace_identity *user = &run->entries[i].user;

		may_be[count++] = kernel_id(in->uids, user->uid);
		may_be_group[groups++] = kernel_id(in->gids, user->gid);
		for (size_t k = 0; k < user->size; k++)
			may_be_group[groups++] = kernel_id(in->gids, user->groups[k]);
	}
	for (int i = 0; i < 4; i++)
		found &=
		    is_one_of(uids[i], may_be, count) && is_one_of(gids[i], may_be_group, groups);
	for (int i = 0; i < now->size; i++)
		found &= is_one_of(now->groups[i], may_be_group, groups);
	if (!found)
		complain(run, "the thread has an id or a group that nobody asked for");
}

void look_at_end(struct run *run)
{
	if (run->child_of != NULL) {
		look_at_child(run);
		return;
	}
	look_at_rights(run);
	if (run->strays == 0)
		look_at_ids(run);
	if (libreplace_tainted())
		return;
	if (!same_credentials(&run->thread.is, &run->start) && run->unread == 0)
		complain(run, "in the end, the thread is not what it was");
	if (libreplace_main_is_switched() || libreplace_depth() != 0)
		complain(run, "in the end, the thread counts as switched");
}
