/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * calls.h explains the functions. Most functions here unpack the arguments of one system call. The
 * getters take the place of libc's, and make their calls with the program's syscall().
 */
#include <stddef.h>
#include <unistd.h>
#include "calls.h"

static long setresuid_call(struct thread *thread, const long *word)
{
	return kernel_setresuid(thread, (uint32_t)word[0], (uint32_t)word[1], (uint32_t)word[2]);
}

static long setresgid_call(struct thread *thread, const long *word)
{
	return kernel_setresgid(thread, (uint32_t)word[0], (uint32_t)word[1], (uint32_t)word[2]);
}

static long setfsuid_call(struct thread *thread, const long *word)
{
	return (long)kernel_setfsuid(thread, (uint32_t)word[0]);
}

static long setfsgid_call(struct thread *thread, const long *word)
{
	return (long)kernel_setfsgid(thread, (uint32_t)word[0]);
}

static long setgroups_call(struct thread *thread, const long *word)
{
	return kernel_setgroups(thread, (int)word[0], (const uint32_t *)word[1]);
}

static long getgroups_call(struct thread *thread, const long *word)
{
	return kernel_getgroups(thread, (int)word[0], (uint32_t *)word[1]);
}

static long store_ids(const uint32_t ids[3], const long *word)
{
	for (int i = 0; i < 3; i++)
		*(uint32_t *)word[i] = ids[i];
	return 0;
}

static long getresuid_call(struct thread *thread, const long *word)
{
	uint32_t ids[3];

	kernel_getresuid(thread, ids);
	return store_ids(ids, word);
}

static long getresgid_call(struct thread *thread, const long *word)
{
	uint32_t ids[3];

	kernel_getresgid(thread, ids);
	return store_ids(ids, word);
}

/* struct __user_cap_data_struct of linux/capability.h. The version in the header is always 3, with
 * two of them: the low words and the high words. */
struct words {
	uint32_t effective, permitted, inheritable;
};

static long capget_call(struct thread *thread, const long *word)
{
	struct words *set = (struct words *)word[1];

	for (int i = 0; i < 2; i++) {
		set[i].effective = (uint32_t)(thread->is.effective >> 32 * i);
		set[i].permitted = (uint32_t)(thread->is.permitted >> 32 * i);
		set[i].inheritable = (uint32_t)(thread->is.inheritable >> 32 * i);
	}
	return 0;
}

static long capset_call(struct thread *thread, const long *word)
{
	const struct words *set = (const struct words *)word[1];

	return kernel_capset(thread, set[0].effective | (uint64_t)set[1].effective << 32,
	                     set[0].permitted | (uint64_t)set[1].permitted << 32,
	                     set[0].inheritable | (uint64_t)set[1].inheritable << 32);
}

static long prctl_call(struct thread *thread, const long *word)
{
	return kernel_prctl(thread, (int)word[0], (unsigned long)word[1], (unsigned long)word[2]);
}

const struct call model_calls[MODEL_CALLS] = {
    {SETRESUID, "setresuid", 3, setresuid_call}, {SETRESGID, "setresgid", 3, setresgid_call},
    {SETFSUID, "setfsuid", 1, setfsuid_call},    {SETFSGID, "setfsgid", 1, setfsgid_call},
    {SETGROUPS, "setgroups", 2, setgroups_call}, {GETGROUPS, "getgroups", 2, getgroups_call},
    {GETRESUID, "getresuid", 3, getresuid_call}, {GETRESGID, "getresgid", 3, getresgid_call},
    {SYS_capget, "capget", 2, capget_call},      {SYS_capset, "capset", 2, capset_call},
    {SYS_prctl, "prctl", 3, prctl_call},
};

const struct call *find_call(long number)
{
	for (int i = 0; i < MODEL_CALLS; i++)
		if (model_calls[i].number == number)
			return &model_calls[i];
	return NULL;
}

int getresuid(uid_t *ruid, uid_t *euid, uid_t *suid)
{
	return (int)syscall(GETRESUID, ruid, euid, suid);
}

int getresgid(gid_t *rgid, gid_t *egid, gid_t *sgid)
{
	return (int)syscall(GETRESGID, rgid, egid, sgid);
}

int getgroups(int size, gid_t *groups)
{
	return (int)syscall(GETGROUPS, (long)size, groups);
}

void print_credentials(FILE *to, const char *name, const struct credentials *is)
{
	fprintf(to, "%s: uids %u/%u/%u fs %u, gids %u/%u/%u fs %u, groups", name, is->ruid,
	        is->euid, is->suid, is->fsuid, is->rgid, is->egid, is->sgid, is->fsgid);
	for (int i = 0; i < is->size; i++)
		fprintf(to, " %u", is->groups[i]);
	fprintf(to,
	        "; effective %llx, permitted %llx, inheritable %llx, ambient %llx, bounding %llx, "
	        "securebits %#x\n",
	        (unsigned long long)is->effective, (unsigned long long)is->permitted,
	        (unsigned long long)is->inheritable, (unsigned long long)is->ambient,
	        (unsigned long long)is->bounding, (unsigned)is->securebits);
}
