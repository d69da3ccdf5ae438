/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Works with files as many users from one thread, without a switch. Include libreplace/replace.h,
 * which includes this file.
 *
 * The kernel's io_uring can store the credentials of a user in a ring and can use them for one
 * request (a personality). The calling thread keeps its own ids, and the kernel checks each request
 * as its user. A ring works with one thread of an event loop:
 *
 *	libreplace_ring_open(&ring, NULL);
 *	watch(libreplace_ring_fd(ring));            readable: call libreplace_ring_results()
 *	libreplace_ring_start(ring, &alice, &call, data, NULL);
 *	libreplace_ring_flush(ring);                once for many requests
 *	while ((n = libreplace_ring_results(ring, results, 64)) > 0)
 *		...                                 results[i].data, results[i].value
 *
 * Call libreplace_ring_results() after each libreplace_ring_flush(), too: many requests are done
 * when that function returns. A ring needs Linux 5.15, and a build whose calls change one thread.
 * None of the functions is a cancellation point.
 */
#ifndef LIBREPLACE_RING_H
#define LIBREPLACE_RING_H

#include <stdint.h>
#include <sys/types.h>
#include <libreplace/identity.h>

#ifdef __clang__ /* clang does not know the @ of kernel-doc */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdocumentation-unknown-command"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct libreplace_ring;
struct libreplace_ring_request;

/**
 * struct libreplace_ring_options - how to make a ring
 * @entries:	requests that the kernel can have at the same time; further ones wait. 0 means 4096
 * @workers:	threads of the kernel that do what can block. 0 means 32. One user gets at most a
 *	quarter of them, but at least one
 * @identities:	users whose credentials the ring keeps while they have no request. 0 means 1024
 * @flags:	LIBREPLACE_ALLOW_ROOT or 0; see enum libreplace_flag
 * @reserved:	0
 */
struct libreplace_ring_options {
	unsigned entries, workers, identities;
	int flags;
	uint64_t reserved[4];
};

/**
 * enum libreplace_ring_kind - what a request does
 * @LIBREPLACE_RING_OPEN:	open a file as libreplace_open_beneath() does with @regular 1
 * @LIBREPLACE_RING_STAT:	read the status of a file
 * @LIBREPLACE_RING_MKDIR:	make a folder
 * @LIBREPLACE_RING_UNLINK:	remove a name that is not of a folder
 * @LIBREPLACE_RING_RENAME:	give a file another name
 * @LIBREPLACE_RING_LINK:	give a file a further name; a symbolic link is not followed
 * @LIBREPLACE_RING_SYMLINK:	make a symbolic link
 */
enum libreplace_ring_kind {
	LIBREPLACE_RING_OPEN = 0,
	LIBREPLACE_RING_STAT = 1,
	LIBREPLACE_RING_MKDIR = 2,
	LIBREPLACE_RING_UNLINK = 3,
	LIBREPLACE_RING_RENAME = 4,
	LIBREPLACE_RING_LINK = 5,
	LIBREPLACE_RING_SYMLINK = 6
};

/**
 * struct libreplace_ring_call - the arguments of a request
 * @kind:	enum libreplace_ring_kind
 * @dir_fd:	descriptor of the folder where @path begins; AT_FDCWD is the working directory. It
 *	must stay open until libreplace_ring_flush() or libreplace_ring_get_result() returns
 * @path:	the path; of LIBREPLACE_RING_SYMLINK, the path of the new link
 * @flags:	of LIBREPLACE_RING_OPEN: flags of open(2). Of LIBREPLACE_RING_STAT:
 *	AT_SYMLINK_NOFOLLOW or 0. Otherwise 0
 * @mode:	permissions of a new file or folder, less the umask of the process
 * @resolve:	enum libreplace_resolve, combined. It applies to every part of a path but the last
 *	name, and for LIBREPLACE_RING_OPEN and LIBREPLACE_RING_STAT also to that
 * @new_dir_fd:	of LIBREPLACE_RING_RENAME and LIBREPLACE_RING_LINK: the folder where @new_path
 *	begins
 * @new_path:	of LIBREPLACE_RING_RENAME and LIBREPLACE_RING_LINK: the new path. Of
 *	LIBREPLACE_RING_SYMLINK: the text of the link, which is not checked
 */
struct libreplace_ring_call {
	int kind;
	int dir_fd;
	const char *path;
	int flags;
	mode_t mode;
	uint64_t resolve;
	int new_dir_fd;
	const char *new_path;
};

/**
 * struct libreplace_ring_status - the status of a file
 * @dev:	device of the file system, as st_dev of stat(2)
 * @ino:	number of the file in the file system
 * @nlink:	number of its names
 * @rdev:	device that the file is, as st_rdev
 * @size:	size in bytes
 * @blksize:	size of the blocks in which it is best read, in bytes
 * @blocks:	allocated blocks of 512 bytes
 * @atime:	time of the last access, in seconds since 1970
 * @mtime:	time of the last change of the content
 * @ctime:	time of the last change of the status
 * @atime_nsec:	nanoseconds of @atime
 * @mtime_nsec:	nanoseconds of @mtime
 * @ctime_nsec:	nanoseconds of @ctime
 * @mode:	kind and permissions, as st_mode
 * @uid:	owner
 * @gid:	group
 *
 * Its size is the same for all programs. That of struct stat depends on macros of the program.
 */
struct libreplace_ring_status {
	uint64_t dev, ino, nlink, rdev, size, blksize, blocks;
	int64_t atime, mtime, ctime;
	uint32_t atime_nsec, mtime_nsec, ctime_nsec;
	uint32_t mode, uid, gid;
};

/**
 * struct libreplace_ring_result - the result of a request
 * @data:	the value that libreplace_ring_start() got
 * @request:	the handle of the request; do not use it any more
 * @value:	the new descriptor, or 0; or the negative errno
 * @status:	of LIBREPLACE_RING_STAT, if @value is 0: the status of the file. Otherwise all
 *	members are 0
 */
struct libreplace_ring_result {
	void *data;
	struct libreplace_ring_request *request;
	int value;
	struct libreplace_ring_status status;
};

/**
 * libreplace_ring_open() - make a ring
 * @ring:	where to store it
 * @options:	how to make it; NULL means the usual values
 *
 * Only the thread that makes the ring may use it. While a ring exists,
 * libreplace_drop_privileges() refuses: the ring keeps the credentials of users. A forked child has
 * no ring. The fork handler of the library closes its copies of the descriptors, and each function
 * but libreplace_ring_close() fails there with EOWNERDEAD.
 *
 * The kernel is asked once, here, whether it has each thing that a ring needs. A later error is the
 * error of a request and never means that something is missing.
 *
 * Return: 0, or -1 with errno set:
 *
 * - ENOSYS: the kernel has no io_uring, or a seccomp filter hides it; or this build has no support
 * - EPERM: the sysctl kernel.io_uring_disabled, a seccomp filter or a security module forbids
 *   io_uring; or the calling thread has no capabilities, so it could not become another user
 * - EOPNOTSUPP: the kernel is older than Linux 5.15, or lacks one of the operations
 * - EBUSY: the calling thread is switched or tainted, or the process drops its privileges
 * - EINVAL: an option is out of range or unknown
 * - ENOMEM, EMFILE, ENFILE: there is no memory or no descriptor
 *
 * Source: io_uring(7), io_uring_setup(2), io_uring_register(2).
 */
int libreplace_ring_open(struct libreplace_ring **ring,
                         const struct libreplace_ring_options *options);

/**
 * libreplace_ring_fd() - get the descriptor to wait on
 * @ring:	the ring
 *
 * It is an eventfd(2) that is readable when there are results. libreplace_ring_results() reads it.
 *
 * Return: the descriptor.
 */
int libreplace_ring_fd(const struct libreplace_ring *ring);

/**
 * libreplace_ring_start() - add a request
 * @ring:	the ring
 * @identity:	the user who makes the request
 * @call:	what to do; it is copied, with its paths
 * @data:	a value for the result
 * @request:	where to store a handle for libreplace_ring_cancel(); may be NULL. It is valid until
 *	the result is returned or the request is cancelled
 *
 * The first request of a user takes about 0.1 ms longer: a new thread becomes the user for good,
 * without capabilities unless it is root, verifies it, stores its credentials in the ring, and
 * ends. Its real and saved user ID are those of LIBREPLACE_LEVEL_SHIELDED, so the user cannot
 * signal it.
 *
 * The kernel gets the request with the next libreplace_ring_flush(). If it has no room, the request
 * waits.
 *
 * Return: 0, or -1 with errno set, and then there will be no result:
 *
 * - EINVAL: the kind, the flags of a kind other than LIBREPLACE_RING_OPEN, or the identity is wrong
 * - EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set; or the calling thread is
 *   not the one that made the ring
 * - EBUSY: the calling thread is switched or tainted, or the process drops its privileges
 * - ESHUTDOWN: libreplace_ring_close() was called
 * - EOWNERDEAD: this is a forked child
 * - ENOMEM, EAGAIN: there is no memory, or no new thread
 * - EDQUOT: the server may not have another key, although the ring has forgotten users without
 *   requests; each user in the ring needs one, see keyrings(7)
 * - another errno, if the new thread could not become the user; see libreplace_enter()
 */
int libreplace_ring_start(struct libreplace_ring *ring, const struct libreplace_identity *identity,
                          const struct libreplace_ring_call *call, void *data,
                          struct libreplace_ring_request **request);

/**
 * libreplace_ring_flush() - give the kernel the requests that were added
 * @ring:	the ring
 *
 * One call for many requests costs less than one call for each. Requests that cannot block are done
 * when this function returns.
 *
 * If the kernel has no memory, the requests wait, and libreplace_ring_fd() becomes readable.
 *
 * Return: 0, or -1 with errno EPERM or EOWNERDEAD as for libreplace_ring_start(). Another errno of
 * io_uring_enter(2) means that the ring cannot be used any more.
 */
int libreplace_ring_flush(struct libreplace_ring *ring);

/**
 * libreplace_ring_results() - get the results of requests
 * @ring:	the ring
 * @results:	where to store them
 * @room:	number of results that fit
 *
 * Requests that waited for others are given to the kernel, too. The function does not wait.
 *
 * Return: the number of results stored. If it is @room, call the function again. If it is -1, errno
 * is EPERM or EOWNERDEAD as for libreplace_ring_start().
 */
int libreplace_ring_results(struct libreplace_ring *ring, struct libreplace_ring_result *results,
                            int room);

/**
 * libreplace_ring_get_result() - get the result of one request, if it is there
 * @ring:	the ring
 * @request:	the handle
 * @result:	where to store the result
 *
 * Gives the kernel all requests that were added, as libreplace_ring_flush() does. Most requests to
 * open an existing file are then done, and need no turn of the event loop. If results of other
 * requests are there, libreplace_ring_fd() becomes readable.
 *
 * Return: 1, or 0 if the request is not done yet. -1 with errno as for libreplace_ring_flush().
 */
int libreplace_ring_get_result(struct libreplace_ring *ring,
                               struct libreplace_ring_request *request,
                               struct libreplace_ring_result *result);

/**
 * libreplace_ring_cancel() - stop a request and forget it
 * @ring:	the ring
 * @request:	the handle
 *
 * There will be no result. The kernel is told to stop, and a file that it has opened is closed.
 * Other effects may have happened or may still happen. Call libreplace_ring_flush() afterwards.
 */
void libreplace_ring_cancel(struct libreplace_ring *ring, struct libreplace_ring_request *request);

/**
 * libreplace_ring_close() - stop all requests and free the ring
 * @ring:	the ring; may be NULL
 *
 * Does not wait: call the function again while it fails with EAGAIN, for example when
 * libreplace_ring_fd() is readable, but at least every 10 ms. After 0 is returned, the ring is
 * freed, no request of it is under way, and the kernel has ended its workers. If the calling thread
 * has another ring, or the kernel is old, idle workers may stay longer than a second; the function
 * then returns 0, too.
 *
 * Return: 0, or -1 with errno EAGAIN, or EPERM if the calling thread is not the one that made the
 * ring.
 */
int libreplace_ring_close(struct libreplace_ring *ring);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
