/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * A model of what the Linux kernel does with a thread's credentials: the system calls that
 * replace/core/ makes to enter and to leave. The program explore runs the compiled core on it, and
 * kernel_rules.c compares it with the real kernel, call by call.
 *
 * Each function is one system call. It returns what the system call returns: a negative number is
 * an errno. A failed call changes nothing. Names and order are those of the kernel's own functions,
 * which the comments in kernel.c cite.
 */
#ifndef EXPLORER_KERNEL_H
#define EXPLORER_KERNEL_H

#include <stdint.h>
#include <sys/types.h>
#include "../securebits.h"

/* Capabilities. Source: linux/capability.h */
enum {
	CHOWN = 0,
	DAC_OVERRIDE = 1,
	DAC_READ_SEARCH = 2,
	FOWNER = 3,
	FSETID = 4,
	SETGID = 6,
	SETUID = 7,
	SETPCAP = 8,
	LINUX_IMMUTABLE = 9,
	MKNOD = 27,
	MAC_OVERRIDE = 32,
	LAST_CAPABILITY = 40
};
/* CAP_FS_SET: the capabilities that belong to fs uid 0 */
#define FS_SET                                                                                     \
	(BIT(CHOWN) | BIT(DAC_OVERRIDE) | BIT(DAC_READ_SEARCH) | BIT(FOWNER) | BIT(FSETID) |       \
	 BIT(LINUX_IMMUTABLE) | BIT(MKNOD) | BIT(MAC_OVERRIDE))
#define BIT(capability) (1ULL << (capability))
#define ALL_CAPABILITIES (BIT(LAST_CAPABILITY + 1) - 1)

enum { MOST_GROUPS = 70, MOST_RANGES = 3 };

/* A range of a map of a user namespace: ids @inside, @inside + 1, ... are the kernel's ids
 * @outside, @outside + 1, ... Source: user_namespaces(7) */
struct range {
	uint32_t inside, outside, length;
};

/* What the calls need to know of the user namespace. A map ends with a range of length 0. */
struct user_namespace {
	struct range uids[MOST_RANGES + 1], gids[MOST_RANGES + 1];
	uint32_t overflow_uid, overflow_gid;
	int denies_setgroups;
};

/* Whether setresuid(2) and setresgid(2) do nothing if the real, effective and saved id would stay:
 * normally 1. Linux before 6.3 sets the fs id even then. The fix went into older stable versions,
 * too, so the version does not tell. */
extern int kernel_sees_no_op;

/* All ids are mapped to themselves. */
extern const struct user_namespace initial_namespace;

/**
 * struct credentials - what the kernel stores for one thread: struct cred of linux/cred.h
 * @groups:	the supplementary groups, in ascending order; the rest is 0, so that credentials can
 *	be compared with memcmp(3)
 *
 * All ids are those of the kernel, not those that the thread sees.
 */
struct credentials {
	uint64_t effective, permitted, inheritable, ambient, bounding;
	uint32_t ruid, euid, suid, fsuid;
	uint32_t rgid, egid, sgid, fsgid;
	uint32_t groups[MOST_GROUPS];
	int size, securebits;
};

/**
 * struct thread - a thread of the model
 * @is:		its credentials
 * @namespace:	its user namespace
 * @changes:	how many calls have changed its credentials
 */
struct thread {
	struct credentials is;
	const struct user_namespace *namespace;
	unsigned changes;
};

/* ---- The ids of a namespace: make_kuid() and from_kuid_munged() of kernel/user_namespace.c */

#define NO_ID ((uint32_t)-1)

/* The kernel's id for an id of the namespace, or NO_ID if it is not mapped. */
uint32_t kernel_id(const struct range *map, uint32_t shown);
/* What the namespace shows for an id of the kernel. */
uint32_t shown_id(const struct range *map, uint32_t id, uint32_t overflow);

/* ---- System calls */

int kernel_setresuid(struct thread *thread, uint32_t ruid, uint32_t euid, uint32_t suid);
int kernel_setresgid(struct thread *thread, uint32_t rgid, uint32_t egid, uint32_t sgid);
/* These two return the previous id as shown, also if they change nothing. */
uint32_t kernel_setfsuid(struct thread *thread, uint32_t uid);
uint32_t kernel_setfsgid(struct thread *thread, uint32_t gid);
/* Sort groups as the kernel stores them. */
void sort_groups(uint32_t *groups, int size);
int kernel_setgroups(struct thread *thread, int size, const uint32_t *groups);
/* Return: the number of groups; with @size 0, nothing is stored */
int kernel_getgroups(const struct thread *thread, int size, uint32_t *groups);
int kernel_getresuid(const struct thread *thread, uint32_t ids[3]);
int kernel_getresgid(const struct thread *thread, uint32_t ids[3]);
int kernel_capset(struct thread *thread, uint64_t effective, uint64_t permitted,
                  uint64_t inheritable);
/* @option and its arguments: those of prctl(2) that have to do with credentials */
int kernel_prctl(struct thread *thread, int option, unsigned long second, unsigned long third);

#endif
