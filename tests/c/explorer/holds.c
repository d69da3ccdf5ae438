/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * What must hold in each run of the program explore. explore.h explains the functions. The rules do
 * not depend on how the core works: they compare the credentials of the model's thread with those
 * that the documentation of libreplace/guard.h promises.
 */
#include <stddef.h>
#include <string.h>
#include "explore.h"

void complain(struct run *run, const char *what)
{
	if (run->wrong == NULL)
		run->wrong = what;
}

static int same_ids(const struct credentials *a, const struct credentials *b)
{
	size_t start = offsetof(struct credentials, ruid),
	       end = offsetof(struct credentials, securebits);

	return memcmp((const char *)a + start, (const char *)b + start, end - start) == 0;
}

static int same(const struct credentials *a, const struct credentials *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

static struct holding *innermost(struct run *run)
{
	return &run->entries[run->count - 1];
}

/* ---- Inside an entry */

/* Set the groups of the identity. */
static void set_groups(const struct run *run, struct credentials *is,
                       const struct libreplace_identity *user)
{
	memset(is->groups, 0, sizeof is->groups);
	is->size = (int)user->size;
	for (int i = 0; i < is->size; i++)
		is->groups[i] = kernel_id(run->thread.namespace->gids, user->groups[i]);
	sort_groups(is->groups, is->size);
}

/* The ids and groups of a thread that holds the entry; see enum libreplace_level. */
static struct credentials ids_inside(const struct run *run, const struct holding *entry)
{
	const struct range *uids = run->thread.namespace->uids;
	uint32_t uid = kernel_id(uids, entry->user.uid);
	uint32_t gid = kernel_id(run->thread.namespace->gids, entry->user.gid);
	uint32_t shield = kernel_id(uids, LIBREPLACE_SHIELD_UID);
	int fs_only = entry->level == LIBREPLACE_LEVEL_FILESYSTEM;
	struct credentials set = run->start;
	/* a fault may look as if the user namespace did not map the first ID */
	int second = run->faults > 0 && run->thread.is.ruid == kernel_id(uids, 65535);

	set.fsuid = uid;
	set.fsgid = gid;
	if (!fs_only) {
		set.euid = uid;
		set.rgid = set.egid = gid;
	}
	if (entry->level == LIBREPLACE_LEVEL_SHIELDED)
		set.ruid =
		    shield != NO_ID && shield != uid && !second ? shield : kernel_id(uids, 65535);
	if (entry->level == LIBREPLACE_LEVEL_REAL)
		set.ruid = uid;
	set_groups(run, &set, &entry->user);
	return set;
}

static void look_inside(struct run *run, const struct holding *entry)
{
	const struct credentials *now = &run->thread.is, *before = &entry->before;
	struct credentials set = ids_inside(run, entry);
	int fs_only = entry->level == LIBREPLACE_LEVEL_FILESYSTEM;

	if (!same_ids(now, &set))
		complain(run, "inside, the thread has other ids than those of the identity");
	if (now->permitted != before->permitted || now->bounding != before->bounding ||
	    now->securebits != before->securebits)
		complain(run, "entering changed the permitted or bounding set, or securebits");
	if (entry->user.uid == 0)
		return;
	if ((now->effective & (fs_only ? FS_SET : ~0ULL)) != 0)
		complain(run, "inside, the thread has an effective capability");
	if (now->ambient != 0)
		complain(run, "inside, the thread has an ambient capability");
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
	set_groups(run, &user, &entry->user);
	if (entry->user.uid != 0)
		user.effective = user.permitted = user.inheritable = user.ambient = 0;
	return same(now, &user) && (now->permitted & ~run->start.permitted) == 0;
}

/* The child may be the user of any entry that was held or was being made or left. */
static int is_somebody_for_good(const struct run *run)
{
	for (int i = 0; i < run->count; i++)
		if (is_for_good(run, &run->entries[i]))
			return 1;
	return 0;
}

void look_after_fork(struct run *run, const struct credentials *before)
{
	const struct credentials *now = &run->thread.is;
	/* The entry of a thread that has changed nothing yet may go on in the child. */
	int untouched = same(now, before) && same(now, &run->start) && libreplace_depth() == 0;

	run->for_good = !untouched;
	if (run->for_good && innermost(run)->user.uid != 0 && !is_somebody_for_good(run))
		complain(run, "the child is not the user for good");
}

static void look_at_child(struct run *run)
{
	if (!is_somebody_for_good(run))
		complain(run, "in the end, the child is not the user for good");
	if (libreplace_tainted() || libreplace_depth() != 0)
		complain(run, "the child is tainted or has an entry");
}

/* Root that forks can be root for good without any change. */
static int is_child_for_good(struct run *run, const struct libreplace_guard *guard)
{
	if (run->id == CHILD &&
	    (guard->state == LIBREPLACE_STATE_FOR_GOOD || guard->step == LIBREPLACE_STEP_FORKED))
		run->for_good = 1;
	return run->for_good;
}

/* A child may abort if a call has failed, or if the parent had not entered yet and cannot. */
void look_after_abort(struct run *run)
{
	if (run->faults == 0 && innermost(run)->guard->state == LIBREPLACE_STATE_ENTERED)
		complain(run, "a child of a thread that holds an identity aborts");
}

/* ---- After each function */

/* One failure is always overcome. After a stray call, the way back may need what it has taken away:
 * if it has made a user ID 0, the kernel clears capabilities when that ID changes again. */
static void look_at_taint(struct run *run)
{
	if (!libreplace_tainted())
		complain(run, "a function failed, but the thread is not tainted");
	if (run->faults < 2 && run->strays == 0)
		complain(run, "tainted");
}

void look_after_enter(struct run *run, int result)
{
	struct holding *entry = innermost(run);
	const struct libreplace_guard *guard = entry->guard;

	if (is_child_for_good(run, guard)) {
		look_at_child(run);
		return;
	}
	run->counts.entered += result == 0;
	run->counts.refused += guard->state == LIBREPLACE_STATE_IDLE;
	run->counts.rolled_back += guard->state == LIBREPLACE_STATE_ROLLED_BACK;
	if (result == 0) {
		if (guard->state != LIBREPLACE_STATE_ENTERED)
			complain(run, "the state after entering");
		else if (run->unread == 0)
			look_inside(run, entry);
	} else if (guard->state == LIBREPLACE_STATE_TAINTED) {
		look_at_taint(run);
	} else if (guard->state != LIBREPLACE_STATE_IDLE &&
	           guard->state != LIBREPLACE_STATE_ROLLED_BACK) {
		complain(run, "the state after a failure to enter");
	} else if (!same(&run->thread.is, &entry->before) && run->strays == 0) {
		complain(run, "a failed entry changed something");
	}
}

void look_after_check(struct run *run, int result)
{
	if (is_child_for_good(run, innermost(run)->guard))
		look_at_child(run);
	else if (result != 0 && run->faults + run->strays == 0)
		complain(run, "the check found a difference");
	else if (result == 0 && run->unread == 0 && run->faults == 0)
		look_inside(run, innermost(run));
}

void look_after_leave(struct run *run, int result)
{
	struct holding *entry = innermost(run);
	const struct libreplace_guard *guard = entry->guard;

	if (is_child_for_good(run, guard)) {
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
	if (!same(&run->thread.is, &entry->before) && run->unread == 0)
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

/* A thread that could not be restored must not have more rights than it had, or than the users that
 * it acted for. A stray call may add ids. */
static void look_at_rights(struct run *run)
{
	const struct credentials *now = &run->thread.is, *start = &run->start;
	const uint32_t is[] = {now->ruid, now->euid, now->suid, now->fsuid};
	uint32_t may_be[8 + MOST_ENTRIES] = {start->ruid, start->euid, start->suid, start->fsuid};
	int count = 4;

	if (((now->permitted | now->effective) & ~start->permitted) != 0 ||
	    (now->inheritable & ~start->inheritable) != 0 ||
	    (now->ambient & ~start->ambient) != 0 || (now->bounding & ~start->bounding) != 0)
		complain(run, "the thread has more capabilities than at the start");
	may_be[count++] = kernel_id(run->thread.namespace->uids, LIBREPLACE_SHIELD_UID);
	may_be[count++] = kernel_id(run->thread.namespace->uids, 65535);
	for (int i = 0; i < MOST_ENTRIES; i++)
		may_be[count++] = kernel_id(run->thread.namespace->uids, run->entries[i].user.uid);
	for (int i = 0; i < 4 && run->strays == 0; i++)
		if (!is_one_of(is[i], may_be, count))
			complain(run, "the thread has an id that nobody asked for");
}

void look_at_end(struct run *run)
{
	if (run->for_good) {
		look_at_child(run);
		return;
	}
	look_at_rights(run);
	if (libreplace_tainted())
		return;
	if (!same(&run->thread.is, &run->start) && run->unread == 0)
		complain(run, "in the end, the thread is not what it was");
	if (libreplace_main_is_switched() || libreplace_depth() != 0)
		complain(run, "in the end, the thread counts as switched");
}
