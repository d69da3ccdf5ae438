/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Decides which capabilities a thread keeps in an entry, and clears and restores them.
 * capabilities_*.c make the system calls. internal.h explains the functions.
 */
#include <errno.h>
#include "internal.h"

/* Whether the library must clear capabilities. If the effective user ID changes from 0 to another
 * id, the kernel clears the effective capabilities, but not the inheritable ones. */
static int must_clear(const struct libreplace_guard *guard)
{
	return libreplace_mine.explicit || guard->capabilities.inheritable != 0;
}

/*
 * Whether the thread is ordinary root: with no other user ID, with all permitted capabilities
 * effective, and with none inheritable. An inner entry finds other ids, but the outer one has
 * looked.
 */
static int is_ordinary_root(const struct libreplace_guard *guard)
{
	const struct libreplace_ids *before = &guard->before;
	const struct libreplace_capabilities *held = &guard->capabilities;

	if (held->inheritable != 0)
		return 0;
	if (libreplace_mine.depth > 0)
		return !libreplace_mine.explicit;
	return before->ruid == 0 && before->euid == 0 && before->suid == 0 && before->fsuid == 0 &&
	       held->effective == held->permitted;
}

/*
 * The kernel raises and clears the capabilities of ordinary root. Ordinary root can always return,
 * so this function does not read its securebits: that would cost 1 % of an entry. If a securebit
 * keeps the kernel from clearing, libreplace_lose_capabilities() finds the capabilities, and the
 * entry is rolled back.
 */
int libreplace_choose_explicit(const struct libreplace_guard *guard)
{
	static const int changing = LIBREPLACE_NO_SETUID_FIXUP | LIBREPLACE_KEEP_CAPS;
	int ordinary = is_ordinary_root(guard), outermost = libreplace_mine.depth == 0;
	int securebits = ordinary ? 0 : libreplace_get_securebits();

	if (outermost)
		libreplace_mine.explicit = 0;
	/* nothing is permitted on a system without capabilities */
	if (!ordinary && guard->capabilities.permitted != 0 &&
	    (outermost || (securebits & changing) != 0))
		libreplace_mine.explicit = 1;
	return securebits;
}

static int same_capabilities(const struct libreplace_capabilities *a,
                             const struct libreplace_capabilities *b)
{
	return a->effective == b->effective && a->permitted == b->permitted &&
	       a->inheritable == b->inheritable && a->ambient == b->ambient;
}

int libreplace_restore_capabilities(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (same_capabilities(&now, held))
		return 0;
	if (libreplace_set_capabilities(held) != 0 || libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (!same_capabilities(&now, held))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* If the kernel raises the capabilities, the effective set stays as the kernel has left it: at
 * level filesystem, the thread keeps the effective user ID 0, so the kernel would not give
 * CAP_SETGID back on leaving. */
int libreplace_lose_capabilities(struct libreplace_guard *guard, uid_t uid, int level)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (uid == 0 && libreplace_mine.explicit && guard->before.euid == 0)
		return libreplace_restore_capabilities(guard);
	if (uid == 0)
		return 0;
	if (libreplace_mine.explicit && libreplace_mine.base.euid != 0)
		now.effective = 0;
	else if (libreplace_mine.explicit) /* root: what the kernel would leave */
		now.effective =
		    held->effective & ~libreplace_forbidden_capabilities(held->effective, level);
	else if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (must_clear(guard) && (libreplace_clear_capabilities(held, now.effective) != 0 ||
	                          libreplace_get_capabilities(&now) != 0))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (libreplace_forbidden_capabilities(now.effective, level) != 0 ||
	    (now.inheritable & held->permitted) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}

/* When the effective user ID becomes 0 again, the kernel makes all permitted capabilities
 * effective. */
int libreplace_kernel_restores_capabilities(const struct libreplace_guard *guard, uid_t euid)
{
	const struct libreplace_capabilities *held = &guard->capabilities;

	return !must_clear(guard) && held->effective == held->permitted &&
	       euid == guard->set.euid && euid != 0 && guard->before.euid == 0;
}

int libreplace_compare_capabilities(struct libreplace_guard *guard)
{
	const struct libreplace_capabilities *held = &guard->capabilities;
	struct libreplace_capabilities now;

	if (guard->set.fsuid == 0)
		return 0;
	if (libreplace_get_capabilities(&now) != 0)
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, errno);
	if (libreplace_forbidden_capabilities(now.effective, guard->level) != 0 ||
	    now.permitted != held->permitted ||
	    now.inheritable != (held->inheritable & ~held->permitted))
		return libreplace_fail(guard, LIBREPLACE_STEP_CAPABILITIES, EPERM);
	return 0;
}
