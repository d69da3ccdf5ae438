/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Declarations that the files ring_*linux.c share; not installed. ring_linux.c has the public
 * functions and the queues, ring_calls_linux.c the steps of each request, ring_users_linux.c the
 * users, and ring_kernel_linux.c the ring that the process shares with the kernel.
 *
 * The kernel's structures are defined here and not taken from <linux/io_uring.h>: older headers
 * lack parts of them, and some C libraries (musl-gcc) come without the kernel's headers. liburing
 * would have to be built first in every build, with a configure script of its own. It could replace
 * only ring_kernel_linux.c. Source: include/uapi/linux/io_uring.h.
 */
#ifndef LIBREPLACE_RING_INTERNAL_H
#define LIBREPLACE_RING_INTERNAL_H

#include "internal.h"

/* ---- ring_kernel_linux.c: the ring that the process shares with the kernel */

/* Operations and flags of a request, named as in the kernel's header without IORING_. */
enum {
	LIBREPLACE_OP_ASYNC_CANCEL = 14,
	LIBREPLACE_OP_CLOSE = 19,
	LIBREPLACE_OP_STATX = 21,
	LIBREPLACE_OP_OPENAT2 = 28,
	LIBREPLACE_OP_RENAMEAT = 35,
	LIBREPLACE_OP_UNLINKAT = 36,
	LIBREPLACE_OP_MKDIRAT = 37,
	LIBREPLACE_OP_SYMLINKAT = 38,
	LIBREPLACE_OP_LINKAT = 39,
	LIBREPLACE_SQE_ASYNC = 1 << 4
};

/* struct io_uring_sqe: a request to the kernel. */
struct libreplace_sqe {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off, addr;
	uint32_t len, op_flags;
	uint64_t user_data;
	uint16_t buf_index, personality;
	int32_t file_index;
	uint64_t reserved[2];
};

_Static_assert(sizeof(struct libreplace_sqe) == 64, "the size that the kernel expects");

/* struct io_uring_cqe: a result of the kernel. */
struct libreplace_cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

/**
 * struct libreplace_ring_kernel - what the process shares with the kernel
 * @fd:		descriptor of the ring, or -1
 * @map:	both queues; @map_size bytes
 * @sqes:	the requests; @sqes_size bytes
 * @unsubmitted: requests that are written and not given to the kernel yet
 */
struct libreplace_ring_kernel {
	int fd;
	void *map;
	size_t map_size, sqes_size;
	struct libreplace_sqe *sqes;
	struct libreplace_cqe *cqes;
	unsigned *sq_head, *sq_tail, *cq_head, *cq_tail, *cq_flags;
	unsigned sq_mask, sq_entries, cq_mask, unsubmitted;
};

/* Make a ring, and ask the kernel whether it has each thing that a ring needs. The descriptor
 * @event announces the results that come later than in libreplace_ring_submit(). Return: 0, or -1
 * with errno set; see libreplace_ring_open(). */
LIBREPLACE_HIDDEN int libreplace_ring_setup(struct libreplace_ring_kernel *kernel, unsigned entries,
                                            unsigned workers, int event);
/* Free it. Other functions of this file must not be called afterwards. */
LIBREPLACE_HIDDEN void libreplace_ring_release(struct libreplace_ring_kernel *kernel);
/* Write a request. Aborts if it has no personality. Return: 1, or 0 if there is no room before the
 * next libreplace_ring_submit(). */
LIBREPLACE_HIDDEN int libreplace_ring_write(struct libreplace_ring_kernel *kernel,
                                            const struct libreplace_sqe *sqe);
/* Give the written requests to the kernel. Return: 0, or -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_ring_submit(struct libreplace_ring_kernel *kernel);
/* Get the next result. Return: 1, or 0 if there is none. */
LIBREPLACE_HIDDEN int libreplace_ring_next(struct libreplace_ring_kernel *kernel,
                                           struct libreplace_cqe *cqe);
/* Store the credentials of the calling thread in a ring. Return: the number of the personality, or
 * -1 with errno set. */
LIBREPLACE_HIDDEN int libreplace_ring_register(int fd);
/* Remove them. */
LIBREPLACE_HIDDEN void libreplace_ring_unregister(int fd, int personality);

/* ---- ring_users_linux.c: the users whose credentials a ring has */

/* A member of a list, or the list itself. */
struct libreplace_link {
	struct libreplace_link *next, *previous;
};

LIBREPLACE_HIDDEN void libreplace_list_init(struct libreplace_link *list);
LIBREPLACE_HIDDEN void libreplace_list_append(struct libreplace_link *list,
                                              struct libreplace_link *link);
LIBREPLACE_HIDDEN void libreplace_list_remove(struct libreplace_link *link);
LIBREPLACE_HIDDEN int libreplace_list_is_empty(const struct libreplace_link *list);

/**
 * struct libreplace_ring_share - a user's share of the workers, whatever his groups are
 * @users:	entries of the table with this user ID
 * @working:	requests that have a worker of the kernel, or get one in this or a later step
 * @waiting:	requests that wait because the user has his share
 */
struct libreplace_ring_share {
	unsigned users, working;
	struct libreplace_link waiting;
};

/**
 * struct libreplace_ring_user - a user whose credentials the ring has
 * @link:	place in the list of users without requests; the first one was used longest ago
 * @next:	next user in the same slot of the table
 * @hash:	of the identity
 * @personality: number of the credentials in the ring, 1 to 65535
 * @requests:	requests of the user that exist
 * @share:	that of his user ID
 * @identity:	the user; the groups are @groups
 */
struct libreplace_ring_user {
	struct libreplace_link link;
	struct libreplace_ring_user *next;
	struct libreplace_ring_share *share;
	uint64_t hash;
	int personality;
	unsigned requests;
	struct libreplace_identity identity;
	gid_t groups[];
};

enum { LIBREPLACE_RING_SLOTS = 1024 };

/**
 * struct libreplace_ring_users - the users of a ring
 * @fd:		descriptor of the ring, or -1 if it is closed
 * @flags:	LIBREPLACE_ALLOW_ROOT or 0
 * @limit:	how many users without requests are kept
 * @idle:	the users without requests, @idle_size of them
 */
struct libreplace_ring_users {
	int fd, flags;
	unsigned limit, idle_size;
	struct libreplace_link idle;
	struct libreplace_ring_user *slots[LIBREPLACE_RING_SLOTS];
};

/* Find a user, or store the credentials, and count a request of him. Return: the user, or NULL with
 * errno set. */
LIBREPLACE_HIDDEN struct libreplace_ring_user *
libreplace_ring_find_user(struct libreplace_ring_users *users,
                          const struct libreplace_identity *identity);
/* Count a request less. A user without requests may be forgotten. */
LIBREPLACE_HIDDEN void libreplace_ring_leave_user(struct libreplace_ring_users *users,
                                                  struct libreplace_ring_user *user);
/* Forget all users without requests. */
LIBREPLACE_HIDDEN void libreplace_ring_forget_users(struct libreplace_ring_users *users);

/* ---- ring_calls_linux.c: the steps of each request */

/* struct statx of statx(2), up to the members that are used here */
struct libreplace_ring_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, reserved;
	uint64_t ino, size, blocks, attributes_mask;
	struct {
		int64_t sec;
		uint32_t nsec;
		int32_t reserved;
	} atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, more[13];
};
_Static_assert(sizeof(struct libreplace_ring_statx) == 256, "the size that the kernel expects");

/* What the kernel does for a request at this moment. */
enum libreplace_ring_step {
	LIBREPLACE_RING_OPENS_FOLDER,     /* the folder of the last name of the path */
	LIBREPLACE_RING_OPENS_NEW_FOLDER, /* the same of the new path */
	LIBREPLACE_RING_OPENS_FILE,       /* for stat, with O_PATH */
	LIBREPLACE_RING_READS_STATUS,
	LIBREPLACE_RING_CALLS,  /* mkdirat(2) and the like */
	LIBREPLACE_RING_CLOSES, /* a file that is not wanted */
	LIBREPLACE_RING_IS_DONE
};

/* Where a request is. */
enum libreplace_ring_place {
	LIBREPLACE_RING_IS_READY,   /* to be given to the kernel */
	LIBREPLACE_RING_IS_WAITING, /* in the list of its user */
	LIBREPLACE_RING_IS_IN_KERNEL,
	LIBREPLACE_RING_IS_FINISHED
};

/**
 * struct libreplace_ring_folder - a copy of a descriptor that requests which wait have in common
 * @link:	its place in the list of all
 * @requests:	how often requests hold it
 */
struct libreplace_ring_folder {
	struct libreplace_link link;
	unsigned requests;
	int fd;
};

/**
 * struct libreplace_ring_request - a request
 * @link:	its place in one of the queues
 * @all:	its place in the list of all requests
 * @cancel:	its place in the list of requests that the kernel must cancel
 * @needs_worker: the step can block, so a worker of the kernel does it
 * @has_worker:	it counts as one of the requests of its user that work; until it is done
 * @by_worker:	a worker opened @file, so closing it may block, too
 * @retries:	how often this step failed with EAGAIN
 * @file, @folder, @new_folder: descriptors that the request has opened, or -1
 * @held, @new_held: copies of the descriptors of @call, or NULL
 * @value:	the result, when it is done
 * @parent, @name, @new_parent, @new_name: the parts of the paths; a parent is NULL if the path is
 *	only a name
 * @found:	where the kernel writes the status; not set to 0 at first
 */
struct libreplace_ring_request {
	struct libreplace_link link, all, cancel;
	struct libreplace_ring_user *user;
	void *data;
	struct libreplace_ring_call call;
	enum libreplace_ring_step step;
	enum libreplace_ring_place place;
	int needs_worker, has_worker, by_worker, is_cancelled, retries;
	int file, folder, new_folder, value;
	struct libreplace_ring_folder *held, *new_held;
	struct libreplace_how how;
	struct libreplace_ring_status status;
	const char *parent, *name, *new_parent, *new_name;
	struct libreplace_ring_statx found;
	char text[];
};

/* Whether the file system of a mount may wait. */
enum libreplace_ring_kind_of_mount {
	LIBREPLACE_RING_HAS_SERVER,
	LIBREPLACE_RING_COPIES, /* if a file is opened for writing */
	LIBREPLACE_RING_IS_LOCAL
};

enum { LIBREPLACE_RING_MOUNTS = 16 };

/* The file systems whose mounts the ring knows, see libreplace_ring_begin(); and the folders that
 * requests hold. @next: the place for the next mount. */
struct libreplace_ring_mounts {
	struct libreplace_link folders;
	uint64_t id[LIBREPLACE_RING_MOUNTS];
	enum libreplace_ring_kind_of_mount kind[LIBREPLACE_RING_MOUNTS];
	unsigned next;
};

/* Copy a call. Return: the request, or NULL with errno EINVAL or ENOMEM. */
LIBREPLACE_HIDDEN struct libreplace_ring_request *
libreplace_ring_copy(const struct libreplace_ring_call *call);
/* Choose the first step of a request. @waits: there may be no room for it at first. */
LIBREPLACE_HIDDEN void libreplace_ring_begin(struct libreplace_ring_mounts *mounts,
                                             struct libreplace_ring_request *request, int waits);
/* Write the present step of a request as a request to the kernel. */
LIBREPLACE_HIDDEN void libreplace_ring_fill(struct libreplace_ring_request *request,
                                            struct libreplace_sqe *sqe);
/* Take the kernel's result of the present step, and choose the next step. */
LIBREPLACE_HIDDEN void libreplace_ring_advance(struct libreplace_ring_mounts *mounts,
                                               struct libreplace_ring_request *request, int result);
/* Give up a request that is not in the kernel. Its next step is to close its file, or it is done.
 */
LIBREPLACE_HIDDEN void libreplace_ring_give_up(struct libreplace_ring_request *request, int error);

#endif
