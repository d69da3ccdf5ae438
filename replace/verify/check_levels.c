/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Enters and leaves each level in a second thread, from the ids with which the program was started,
 * as a server does. While the thread is inside, the main thread must keep its ids.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "verify.h"

const int levels[4] = {LIBREPLACE_LEVEL_SHIELDED, LIBREPLACE_LEVEL_EFFECTIVE, LIBREPLACE_LEVEL_REAL,
                       LIBREPLACE_LEVEL_FILESYSTEM};

/* One entry, as an argument for the second thread. */
struct entry {
	struct libreplace_guard *guard;
	struct libreplace_identity identity;
	int level;
};

static void enter(void *place)
{
	struct entry *entry = place;

	MUST(libreplace_enter(entry->guard, &entry->identity, entry->level) == 0,
	     "libreplace_enter failed at the step '%s': %s; the thread is %s",
	     libreplace_step_name(entry->guard->step), strerror(entry->guard->error),
	     libreplace_state_name(entry->guard->state));
}

static void leave(void *place)
{
	struct libreplace_guard *guard = ((struct entry *)place)->guard;

	MUST(libreplace_check(guard) == 0, "libreplace_check failed at the step '%s': %s",
	     libreplace_step_name(guard->step), strerror(guard->error));
	MUST(libreplace_leave(guard) == 0,
	     "libreplace_leave failed at the step '%s': %s; the thread is %s",
	     libreplace_step_name(guard->step), strerror(guard->error),
	     libreplace_state_name(guard->state));
	MUST(guard->state == LIBREPLACE_STATE_LEFT && !libreplace_tainted(),
	     "libreplace_leave succeeded, but the thread is %s",
	     libreplace_state_name(guard->state));
}

/* What the thread must be inside: its own ids before, and the user's in their place. */
static struct seen expected(struct seen base, int level)
{
	static const enum test_id groups[] = {GROUP, HIGH};
	const uint32_t shield =
	    is_mapped(UID, LIBREPLACE_SHIELD_UID) ? LIBREPLACE_SHIELD_UID : 65535;
	struct view *views[] = {&base.calls, &base.proc, &base.owner};

	expect_line(&base, GROUPS, groups, 2);
	for (size_t i = 0; i < 3; i++) {
		struct view *view = views[i];

		view->ids[UID][FS] = uid(USER);
		view->ids[GID][FS] = gid(GROUP);
		if (level == LIBREPLACE_LEVEL_FILESYSTEM)
			continue;
		view->ids[UID][EFFECTIVE] = uid(USER);
		view->ids[GID][REAL] = view->ids[GID][EFFECTIVE] = gid(GROUP);
		if (level != LIBREPLACE_LEVEL_EFFECTIVE)
			view->ids[UID][REAL] = level == LIBREPLACE_LEVEL_REAL ? uid(USER) : shield;
	}
	return base;
}

/* Whether the effective set has a capability that the level forbids. */
static int keeps_capabilities(const struct seen *seen, int level)
{
	/* CAP_FS_SET of include/linux/capability.h: CAP_CHOWN, CAP_DAC_OVERRIDE,
	 * CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD and
	 * CAP_MAC_OVERRIDE */
	const unsigned long long of_files = 0x1f | 1 << 9 | 1 << 27 | 1ULL << 32;
	const char *text = seen->capabilities;
	unsigned long long set;

	for (int i = 0; i < 2; i++) /* inheritable, permitted, effective */
		text += strcspn(text, " ") + (text[strcspn(text, " ")] == ' ');
	set = strtoull(text, NULL, 16);
	return (set & (level == LIBREPLACE_LEVEL_FILESYSTEM ? of_files : ~0ULL)) != 0;
}

void check_level(const void *argument)
{
	const int level = *(const int *)argument;
	gid_t groups[] = {gid(GROUP), gid(HIGH)}, before[] = {gid(OTHER)};
	LIBREPLACE_GUARD(held, 2);
	struct entry entry = {&held.guard, {uid(USER), gid(GROUP), 2, groups}, level};
	struct worker *worker;
	struct seen base, inside, outside, main_thread, wanted;
	const char *text;

	if (groups[0] > groups[1]) {
		groups[0] = gid(HIGH);
		groups[1] = gid(GROUP);
	}
	MUST(libreplace_guard_init(&held.guard, sizeof held) == 0, "libreplace_guard_init failed");
	/* groups that this user namespace does not map could not be restored */
	DO(libreplace_setgroups(1, before));
	base = observe();
	worker = start_worker();

	in_worker(worker, enter, &entry);
	inside = observe_worker(worker);
	wanted = expected(base, level);
	text = difference(&inside, &wanted);
	MUST(text == NULL, "inside, %s", text);
	MUST(!keeps_capabilities(&inside, level), "inside, the capabilities are %s",
	     inside.capabilities);
	main_thread = observe();
	text = difference(&main_thread, &base);
	MUST(text == NULL, "while another thread is inside, %s in the main thread", text);

	in_worker(worker, leave, &entry);
	outside = observe_worker(worker);
	text = difference(&outside, &base);
	MUST(text == NULL, "after leaving, %s", text);
	MUST(strcmp(outside.capabilities, base.capabilities) == 0,
	     "after leaving, the capabilities are %s, not %s", outside.capabilities,
	     base.capabilities);
}
