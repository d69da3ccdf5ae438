/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The rules of kernel.h. Source, Linux 6.12: kernel/sys.c, kernel/groups.c, kernel/capability.c,
 * kernel/user_namespace.c and security/commoncap.c. Each function names the one that it follows.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include "kernel.h"

enum { NGROUPS_MAX_OF_KERNEL = 65536 };

const struct user_namespace initial_namespace = {
    .uids = {{0, 0, NO_ID}},
    .gids = {{0, 0, NO_ID}},
    .overflow_uid = 65534,
    .overflow_gid = 65534,
};

int kernel_sees_no_op = 1;

uint32_t kernel_id(const struct range *map, uint32_t shown)
{
	for (; map->length != 0; map++)
		if (shown - map->inside < map->length)
			return map->outside + (shown - map->inside);
	return NO_ID;
}

uint32_t shown_id(const struct range *map, uint32_t id, uint32_t overflow)
{
	for (; map->length != 0; map++)
		if (id - map->outside < map->length)
			return map->inside + (id - map->outside);
	return overflow;
}

static int has(uint64_t set, int capability)
{
	return (set >> capability & 1) != 0;
}

static int is_subset(uint64_t set, uint64_t of)
{
	return (set & ~of) == 0;
}

/* ns_capable_setid(): whether the effective set has the capability */
static int is_capable(const struct thread *thread, int capability)
{
	return has(thread->is.effective, capability);
}

/* commit_creds() */
static int commit(struct thread *thread, const struct credentials *new)
{
	thread->changes += memcmp(&thread->is, new, sizeof *new) != 0;
	thread->is = *new;
	return 0;
}

/* ---- User and group IDs */

static int has_root(const struct credentials *is, uint32_t root)
{
	return is->ruid == root || is->euid == root || is->suid == root;
}

/* cap_emulate_setxuid() of security/commoncap.c */
static void fix_capabilities(struct credentials *new, const struct credentials *old, uint32_t root)
{
	if ((old->securebits & NO_SETUID_FIXUP) != 0)
		return;
	if (has_root(old, root) && !has_root(new, root)) {
		if ((old->securebits & KEEP_CAPS) == 0)
			new->permitted = new->effective = 0;
		new->ambient = 0;
	}
	if (old->euid == root && new->euid != root)
		new->effective = 0;
	if (old->euid != root && new->euid == root)
		new->effective = new->permitted;
}

/* Whether an id that is to be set is neither -1 nor one of the three ids. */
static int is_new(uint32_t shown, uint32_t id, const uint32_t ids[3])
{
	return shown != NO_ID && id != ids[0] && id != ids[1] && id != ids[2];
}

/* Whether an id that is to be set is mapped. -1 is not to be set. */
static int is_valid(uint32_t shown, uint32_t id)
{
	return shown == NO_ID || id != NO_ID;
}

/* __sys_setresuid() of kernel/sys.c, and cap_task_fix_setuid() */
int kernel_setresuid(struct thread *thread, uint32_t ruid, uint32_t euid, uint32_t suid)
{
	const struct range *map = thread->namespace->uids;
	const struct credentials *old = &thread->is;
	uint32_t r = kernel_id(map, ruid), e = kernel_id(map, euid), s = kernel_id(map, suid);
	const uint32_t ids[3] = {old->ruid, old->euid, old->suid};
	struct credentials new = *old;

	if (!is_valid(ruid, r) || !is_valid(euid, e) || !is_valid(suid, s))
		return -EINVAL;
	/* "check for no-op": it does not set the fs uid */
	if (kernel_sees_no_op && (ruid == NO_ID || r == old->ruid) &&
	    (euid == NO_ID || (e == old->euid && e == old->fsuid)) &&
	    (suid == NO_ID || s == old->suid))
		return 0;
	if ((is_new(ruid, r, ids) || is_new(euid, e, ids) || is_new(suid, s, ids)) &&
	    !is_capable(thread, SETUID))
		return -EPERM;
	if (ruid != NO_ID)
		new.ruid = r;
	if (euid != NO_ID)
		new.euid = e;
	if (suid != NO_ID)
		new.suid = s;
	new.fsuid = new.euid;
	fix_capabilities(&new, old, kernel_id(map, 0));
	return commit(thread, &new);
}

/* __sys_setresgid() of kernel/sys.c */
int kernel_setresgid(struct thread *thread, uint32_t rgid, uint32_t egid, uint32_t sgid)
{
	const struct range *map = thread->namespace->gids;
	const struct credentials *old = &thread->is;
	uint32_t r = kernel_id(map, rgid), e = kernel_id(map, egid), s = kernel_id(map, sgid);
	const uint32_t ids[3] = {old->rgid, old->egid, old->sgid};
	struct credentials new = *old;

	if (!is_valid(rgid, r) || !is_valid(egid, e) || !is_valid(sgid, s))
		return -EINVAL;
	if (kernel_sees_no_op && (rgid == NO_ID || r == old->rgid) &&
	    (egid == NO_ID || (e == old->egid && e == old->fsgid)) &&
	    (sgid == NO_ID || s == old->sgid))
		return 0;
	if ((is_new(rgid, r, ids) || is_new(egid, e, ids) || is_new(sgid, s, ids)) &&
	    !is_capable(thread, SETGID))
		return -EPERM;
	if (rgid != NO_ID)
		new.rgid = r;
	if (egid != NO_ID)
		new.egid = e;
	if (sgid != NO_ID)
		new.sgid = s;
	new.fsgid = new.egid;
	return commit(thread, &new);
}

/* __sys_setfsuid() of kernel/sys.c, and the case LSM_SETID_FS of cap_task_fix_setuid() */
uint32_t kernel_setfsuid(struct thread *thread, uint32_t uid)
{
	const struct user_namespace *in = thread->namespace;
	const struct credentials *old = &thread->is;
	uint32_t before = shown_id(in->uids, old->fsuid, in->overflow_uid);
	uint32_t id = kernel_id(in->uids, uid), root = kernel_id(in->uids, 0);
	struct credentials new = *old;

	if (id == NO_ID || (id != old->ruid && id != old->euid && id != old->suid &&
	                    id != old->fsuid && !is_capable(thread, SETUID)))
		return before;
	new.fsuid = id;
	if ((old->securebits & NO_SETUID_FIXUP) == 0) {
		if (old->fsuid == root && id != root)
			new.effective &= ~FS_SET;
		if (old->fsuid != root && id == root)
			new.effective |= new.permitted & FS_SET;
	}
	commit(thread, &new);
	return before;
}

/* __sys_setfsgid() of kernel/sys.c */
uint32_t kernel_setfsgid(struct thread *thread, uint32_t gid)
{
	const struct user_namespace *in = thread->namespace;
	const struct credentials *old = &thread->is;
	uint32_t before = shown_id(in->gids, old->fsgid, in->overflow_gid);
	uint32_t id = kernel_id(in->gids, gid);
	struct credentials new = *old;

	if (id == NO_ID || (id != old->rgid && id != old->egid && id != old->sgid &&
	                    id != old->fsgid && !is_capable(thread, SETGID)))
		return before;
	new.fsgid = id;
	commit(thread, &new);
	return before;
}

/* SYSCALL_DEFINE3(getresuid) of kernel/sys.c */
int kernel_getresuid(const struct thread *thread, uint32_t ids[3])
{
	const struct user_namespace *in = thread->namespace;

	ids[0] = shown_id(in->uids, thread->is.ruid, in->overflow_uid);
	ids[1] = shown_id(in->uids, thread->is.euid, in->overflow_uid);
	ids[2] = shown_id(in->uids, thread->is.suid, in->overflow_uid);
	return 0;
}

/* SYSCALL_DEFINE3(getresgid) of kernel/sys.c */
int kernel_getresgid(const struct thread *thread, uint32_t ids[3])
{
	const struct user_namespace *in = thread->namespace;

	ids[0] = shown_id(in->gids, thread->is.rgid, in->overflow_gid);
	ids[1] = shown_id(in->gids, thread->is.egid, in->overflow_gid);
	ids[2] = shown_id(in->gids, thread->is.sgid, in->overflow_gid);
	return 0;
}

/* ---- Supplementary groups */

/* groups_sort() of kernel/groups.c: by the kernel's ids. Equal ids stay. */
void sort_groups(uint32_t *groups, int size)
{
	for (int i = 1; i < size; i++)
		for (int k = i; k > 0 && groups[k - 1] > groups[k]; k--) {
			uint32_t other = groups[k];

			groups[k] = groups[k - 1];
			groups[k - 1] = other;
		}
}

/* SYSCALL_DEFINE2(setgroups) and may_setgroups() of kernel/groups.c. The model has less room for
 * groups than the kernel. */
int kernel_setgroups(struct thread *thread, int size, const uint32_t *groups)
{
	struct credentials new = thread->is;

	if (!is_capable(thread, SETGID) || thread->namespace->denies_setgroups)
		return -EPERM;
	if (size < 0 || size > NGROUPS_MAX_OF_KERNEL)
		return -EINVAL;
	if (size > MOST_GROUPS)
		return -ENOMEM;
	memset(new.groups, 0, sizeof new.groups);
	for (int i = 0; i < size; i++) {
		new.groups[i] = kernel_id(thread->namespace->gids, groups[i]);
		if (new.groups[i] == NO_ID)
			return -EINVAL;
	}
	sort_groups(new.groups, size);
	new.size = size;
	return commit(thread, &new);
}

/* SYSCALL_DEFINE2(getgroups) of kernel/groups.c */
int kernel_getgroups(const struct thread *thread, int size, uint32_t *groups)
{
	const struct user_namespace *in = thread->namespace;

	if (size < 0 || (size > 0 && thread->is.size > size))
		return -EINVAL;
	for (int i = 0; i < thread->is.size && size > 0; i++)
		groups[i] = shown_id(in->gids, thread->is.groups[i], in->overflow_gid);
	return thread->is.size;
}

/* ---- Capabilities */

/* SYSCALL_DEFINE2(capset) of kernel/capability.c, and cap_capset() of security/commoncap.c. The
 * kernel ignores bits that are no capabilities. */
int kernel_capset(struct thread *thread, uint64_t effective, uint64_t permitted,
                  uint64_t inheritable)
{
	const struct credentials *old = &thread->is;
	struct credentials new = *old;

	new.effective = effective & ALL_CAPABILITIES;
	new.permitted = permitted & ALL_CAPABILITIES;
	new.inheritable = inheritable & ALL_CAPABILITIES;
	if (!is_capable(thread, SETPCAP) &&
	    !is_subset(new.inheritable, old->inheritable | old->permitted))
		return -EPERM;
	if (!is_subset(new.inheritable, old->inheritable | old->bounding) ||
	    !is_subset(new.permitted, old->permitted) || !is_subset(new.effective, new.permitted))
		return -EPERM;
	new.ambient &= new.permitted & new.inheritable;
	return commit(thread, &new);
}

/* The case PR_CAP_AMBIENT of cap_task_prctl() */
static int change_ambient(struct thread *thread, unsigned long what, unsigned long capability)
{
	const struct credentials *old = &thread->is;
	struct credentials new = *old;

	if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
		new.ambient = 0;
		return capability == 0 ? commit(thread, &new) : -EINVAL;
	}
	if (capability > LAST_CAPABILITY)
		return -EINVAL;
	switch (what) {
	case PR_CAP_AMBIENT_IS_SET:
		return has(old->ambient, (int)capability);
	case PR_CAP_AMBIENT_RAISE:
		if (!has(old->permitted & old->inheritable, (int)capability) ||
		    (old->securebits & NO_CAP_AMBIENT_RAISE) != 0)
			return -EPERM;
		new.ambient |= BIT(capability);
		return commit(thread, &new);
	case PR_CAP_AMBIENT_LOWER:
		new.ambient &= ~BIT(capability);
		return commit(thread, &new);
	default:
		return -EINVAL;
	}
}

/* cap_prctl_drop() */
static int drop_from_bounding_set(struct thread *thread, unsigned long capability)
{
	struct credentials new = thread->is;

	if (!is_capable(thread, SETPCAP))
		return -EPERM;
	if (capability > LAST_CAPABILITY)
		return -EINVAL;
	new.bounding &= ~BIT(capability);
	return commit(thread, &new);
}

/* The case PR_SET_SECUREBITS of cap_task_prctl() */
static int set_securebits(struct thread *thread, unsigned long bits)
{
	struct credentials new = thread->is;
	unsigned long old = (unsigned long)new.securebits, locked = old & LOCKS;

	if (((locked >> 1) & (old ^ bits)) != 0 || (locked & ~bits) != 0 ||
	    (bits & ~(unsigned long)(SECUREBITS | LOCKS)) != 0 || !is_capable(thread, SETPCAP))
		return -EPERM;
	new.securebits = (int)bits;
	return commit(thread, &new);
}

/* cap_task_prctl() of security/commoncap.c */
int kernel_prctl(struct thread *thread, int option, unsigned long second, unsigned long third)
{
	switch (option) {
	case PR_CAPBSET_READ:
		return second > LAST_CAPABILITY ? -EINVAL : has(thread->is.bounding, (int)second);
	case PR_CAPBSET_DROP:
		return drop_from_bounding_set(thread, second);
	case PR_GET_SECUREBITS:
		return thread->is.securebits;
	case PR_SET_SECUREBITS:
		return set_securebits(thread, second);
	case PR_CAP_AMBIENT:
		return change_ambient(thread, second, third);
	default:
		return -EINVAL;
	}
}
