/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * An identity: the numbers of the user that a thread acts as, and where to get them. Include
 * libreplace/replace.h, which includes this file.
 */
#ifndef LIBREPLACE_IDENTITY_H
#define LIBREPLACE_IDENTITY_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __clang__ /* clang does not know the @ of kernel-doc */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdocumentation-unknown-command"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct libreplace_identity - the user that a thread acts as
 * @uid:	user ID; not -1
 * @gid:	group ID; not -1
 * @size:	number of supplementary groups, 0 to NGROUPS_MAX
 * @groups:	the supplementary groups, ascending and without duplicates; not read if @size is 0
 *
 * libreplace_identity_from_user() looks one up. If you have the groups from another source, such as
 * SO_PEERGROUPS, call libreplace_sort_groups().
 */
struct libreplace_identity {
	uid_t uid;
	gid_t gid;
	size_t size;
	const gid_t *groups;
};

/**
 * libreplace_identity_from_user() - look up a user in the user and group databases
 * @identity:	where to store the identity; its groups are those in @groups
 * @name:	the user's name
 * @groups:	storage for the groups; it must stay valid as long as the identity
 * @room:	number of groups that fit into @groups
 *
 * The groups are those that the group database lists for the user, and the user's primary group,
 * in ascending order and without duplicates. The look-up may wait for the network, and may allocate
 * memory, start threads and open sockets: call it before libreplace_enter(). If one of several
 * sources of groups does not answer, libc does not report this, and the groups of that source are
 * missing.
 *
 * Return: 0, or -1 with errno set. Any errno that is not listed comes from the databases:
 *
 * - ENOENT: there is no such user
 * - ERANGE: the groups do not fit. @identity->size is the room to try next; it may be larger than
 *   necessary. The other members are not set
 * - EINVAL: an id of the user, or one of the groups, is -1
 * - ENOMEM: there is no memory for the user's entry
 * - ENOSYS: this system cannot list the groups of a user (getgrouplist(3))
 *
 * Source: getpwnam_r(3), getgrouplist(3).
 */
int libreplace_identity_from_user(struct libreplace_identity *identity, const char *name,
                                  gid_t *groups, size_t room);

/**
 * libreplace_sort_groups() - sort a list of groups and remove the duplicates
 * @groups:	the list; it is changed
 * @size:	number of groups in the list
 *
 * An identity needs its groups in this form. Allocates no memory.
 *
 * Return: the number of groups that remain.
 */
size_t libreplace_sort_groups(gid_t *groups, size_t size);

/**
 * libreplace_identity_has_root() - tell whether an identity has user ID 0, group ID 0 or group 0
 * @identity:	its groups must be in ascending order
 *
 * Return: 1 or 0.
 */
int libreplace_identity_has_root(const struct libreplace_identity *identity);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
