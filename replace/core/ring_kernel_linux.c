/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Makes an io_uring with raw system calls, writes requests and reads results. ring_internal.h
 * explains the functions. Source: io_uring(7), io_uring_setup(2), io_uring_register(2),
 * io_uring_enter(2), io_uring/register.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ring_internal.h"

/* Names as in the kernel's header, without IORING_. */
enum {
	SETUP_CQSIZE = 1 << 3,
	SETUP_R_DISABLED = 1 << 6,
	FEAT_SINGLE_MMAP = 1 << 0,
	FEAT_NODROP = 1 << 1,
	FEAT_SUBMIT_STABLE = 1 << 2,
	FEAT_CUR_PERSONALITY = 1 << 4,
	FEAT_NATIVE_WORKERS = 1 << 9,
	REGISTER_EVENTFD = 4,
	REGISTER_PROBE = 8,
	REGISTER_PERSONALITY = 9,
	UNREGISTER_PERSONALITY = 10,
	REGISTER_RESTRICTIONS = 11,
	REGISTER_ENABLE_RINGS = 12,
	REGISTER_IOWQ_MAX_WORKERS = 19,
	RESTRICTION_REGISTER_OP = 0,
	RESTRICTION_SQE_OP = 1,
	RESTRICTION_SQE_FLAGS_ALLOWED = 2,
	CQ_EVENTFD_DISABLED = 1,
	OP_SUPPORTED = 1,
	OFF_SQES = 0x10000000,
	MOST_WRITTEN = 256, /* requests for one system call */
	MOST_OPS = 64,
	MOST_TRIALS = 1000
};

/* struct io_uring_params, with struct io_sqring_offsets and struct io_cqring_offsets */
struct params {
	uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd;
	uint32_t reserved[3];
	struct {
		uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
		uint64_t user_addr;
	} sq;
	struct {
		uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, reserved;
		uint64_t user_addr;
	} cq;
};
_Static_assert(sizeof(struct params) == 120, "the size that the kernel expects");

/* struct io_uring_probe */
struct probe {
	uint8_t last_op, ops_len;
	uint16_t reserved;
	uint32_t reserved2[3];
	struct {
		uint8_t op, reserved;
		uint16_t flags;
		uint32_t reserved2;
	} ops[MOST_OPS];
};

/* struct io_uring_restriction */
struct restriction {
	uint16_t opcode;
	uint8_t value, reserved;
	uint32_t reserved2[3];
};

static const uint8_t operations[] = {
    LIBREPLACE_OP_ASYNC_CANCEL, LIBREPLACE_OP_CLOSE,     LIBREPLACE_OP_STATX,
    LIBREPLACE_OP_OPENAT2,      LIBREPLACE_OP_RENAMEAT,  LIBREPLACE_OP_UNLINKAT,
    LIBREPLACE_OP_MKDIRAT,      LIBREPLACE_OP_SYMLINKAT, LIBREPLACE_OP_LINKAT};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static int setup(unsigned entries, struct params *params)
{
	return (int)syscall(SYS_io_uring_setup, entries, params);
}

static int enter_ring(int fd, unsigned count)
{
	return (int)syscall(SYS_io_uring_enter, fd, count, 0, 0, NULL, 0);
}

static int reg(int fd, unsigned what, const void *argument, unsigned size)
{
	return (int)syscall(SYS_io_uring_register, fd, what, argument, size);
}

static int has_operations(int fd)
{
	struct probe probe;

	memset(&probe, 0, sizeof probe);
	if (reg(fd, REGISTER_PROBE, &probe, MOST_OPS) < 0)
		return 0;
	for (size_t i = 0; i < OPERATIONS; i++)
		if (operations[i] >= probe.ops_len ||
		    !(probe.ops[operations[i]].flags & OP_SUPPORTED)) {
			errno = EOPNOTSUPP;
			return 0;
		}
	return 1;
}

/* Code that finds the descriptor can do no more with the ring than this library does. A restriction
 * cannot demand a personality: see libreplace_ring_write(). */
static int restrict_ring(int fd)
{
	static const uint8_t later[] = {REGISTER_PERSONALITY, UNREGISTER_PERSONALITY,
	                                REGISTER_IOWQ_MAX_WORKERS};
	struct restriction list[OPERATIONS + sizeof later + 1];
	unsigned size = 0;

	memset(list, 0, sizeof list);
	for (size_t i = 0; i < OPERATIONS; i++, size++) {
		list[size].opcode = RESTRICTION_SQE_OP;
		list[size].value = operations[i];
	}
	for (size_t i = 0; i < sizeof later; i++, size++) {
		list[size].opcode = RESTRICTION_REGISTER_OP;
		list[size].value = later[i];
	}
	list[size].opcode = RESTRICTION_SQE_FLAGS_ALLOWED;
	list[size++].value = LIBREPLACE_SQE_ASYNC;
	return reg(fd, REGISTER_RESTRICTIONS, list, size);
}

static int map_queues(struct libreplace_ring_kernel *kernel, const struct params *params)
{
	size_t sq_size = params->sq.array + params->sq_entries * sizeof(unsigned);
	size_t cq_size = params->cq.cqes + params->cq_entries * sizeof(struct libreplace_cqe);
	int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	unsigned *array;
	char *map;

	kernel->map_size = sq_size > cq_size ? sq_size : cq_size;
	kernel->sqes_size = params->sq_entries * sizeof(struct libreplace_sqe);
	map = mmap(NULL, kernel->map_size, protection, flags, kernel->fd, 0);
	if (map == MAP_FAILED)
		return -1;
	kernel->map = map;
	kernel->sqes = mmap(NULL, kernel->sqes_size, protection, flags, kernel->fd, OFF_SQES);
	if (kernel->sqes == MAP_FAILED) {
		kernel->sqes = NULL;
		return -1;
	}
	/* a child that runs no fork handlers has no queues, either */
	if (madvise(map, kernel->map_size, MADV_DONTFORK) != 0 ||
	    madvise(kernel->sqes, kernel->sqes_size, MADV_DONTFORK) != 0)
		return -1;
	kernel->sq_head = (unsigned *)(void *)(map + params->sq.head);
	kernel->sq_tail = (unsigned *)(void *)(map + params->sq.tail);
	kernel->sq_mask = *(unsigned *)(void *)(map + params->sq.ring_mask);
	kernel->sq_entries = params->sq_entries;
	kernel->cq_head = (unsigned *)(void *)(map + params->cq.head);
	kernel->cq_tail = (unsigned *)(void *)(map + params->cq.tail);
	kernel->cq_flags = (unsigned *)(void *)(map + params->cq.flags);
	kernel->cq_mask = *(unsigned *)(void *)(map + params->cq.ring_mask);
	kernel->cqes = (struct libreplace_cqe *)(void *)(map + params->cq.cqes);
	array = (unsigned *)(void *)(map + params->sq.array);
	for (unsigned i = 0; i < kernel->sq_entries; i++)
		array[i] = i; /* each place of the queue has the request with the same number */
	return 0;
}

/* Make one request, as the calling thread: a security module may forbid personalities. The kernel
 * does it at once or fails with EAGAIN, for instance if somebody mounts a file system meanwhile. */
static int try_request(struct libreplace_ring_kernel *kernel)
{
	struct libreplace_how how = {O_PATH | O_CLOEXEC, 0, LIBREPLACE_RESOLVE_CACHED};
	struct libreplace_sqe sqe = {.opcode = LIBREPLACE_OP_OPENAT2, .fd = AT_FDCWD};
	int personality = libreplace_ring_register(kernel->fd), done, retries = 0;
	struct libreplace_cqe cqe;

	if (personality <= 0)
		return -1;
	sqe.addr = (uint64_t)(uintptr_t)"/";
	sqe.off = (uint64_t)(uintptr_t)&how;
	sqe.len = sizeof how;
	sqe.personality = (uint16_t)personality;
	do {
		cqe.res = -EACCES;
		done = libreplace_ring_write(kernel, &sqe) && libreplace_ring_submit(kernel) == 0;
	} while (done && libreplace_ring_next(kernel, &cqe) && cqe.res == -EAGAIN &&
	         retries++ < MOST_TRIALS);
	libreplace_ring_unregister(kernel->fd, personality);
	if (!done)
		return -1;
	if (cqe.res < 0) {
		errno = -cqe.res; /* EMFILE does not mean that rings are forbidden */
		return -1;
	}
	close(cqe.res);
	return 0;
}

static int prepare_ring(struct libreplace_ring_kernel *kernel, const struct params *params,
                        unsigned workers, int event)
{
	const unsigned needed = FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_SUBMIT_STABLE |
	                        FEAT_CUR_PERSONALITY | FEAT_NATIVE_WORKERS;
	unsigned most[2] = {workers, workers};

	if ((params->features & needed) != needed) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (!has_operations(kernel->fd) || map_queues(kernel, params) != 0 ||
	    reg(kernel->fd, REGISTER_EVENTFD, &event, 1) < 0 ||
	    reg(kernel->fd, REGISTER_IOWQ_MAX_WORKERS, most, 2) < 0 ||
	    restrict_ring(kernel->fd) < 0 || reg(kernel->fd, REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -1;
	return try_request(kernel);
}

/* The errno for a failure of libreplace_ring_setup(). */
static int reason(int error)
{
	switch (error) {
	case ENOSYS:
	case EPERM:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return error;
	case EACCES: /* from a security module; also see try_request() */
		return EPERM;
	default: /* EINVAL: an older kernel does not know a flag or an operation */
		return EOPNOTSUPP;
	}
}

int libreplace_ring_setup(struct libreplace_ring_kernel *kernel, unsigned entries, unsigned workers,
                          int event)
{
	struct params params;

	memset(kernel, 0, sizeof *kernel);
	memset(&params, 0, sizeof params);
	params.flags = SETUP_R_DISABLED | SETUP_CQSIZE;
	params.cq_entries = 2 * entries; /* each request may be cancelled */
	/*
	 * Neither SETUP_SINGLE_ISSUER nor SETUP_DEFER_TASKRUN: another thread could not store its
	 * credentials then. The kernel sets FD_CLOEXEC.
	 */
	kernel->fd = setup(entries < MOST_WRITTEN ? entries : MOST_WRITTEN, &params);
	if (kernel->fd >= 0 && prepare_ring(kernel, &params, workers, event) == 0)
		return 0;
	entries = (unsigned)reason(errno);
	libreplace_ring_release(kernel);
	errno = (int)entries;
	return -1;
}

void libreplace_ring_release(struct libreplace_ring_kernel *kernel)
{
	if (kernel->sqes != NULL)
		munmap(kernel->sqes, kernel->sqes_size);
	if (kernel->map != NULL)
		munmap(kernel->map, kernel->map_size);
	if (kernel->fd >= 0)
		close(kernel->fd);
	kernel->sqes = NULL;
	kernel->map = NULL;
	kernel->fd = -1;
}

/* The only function that writes a request. The kernel would do a request without a personality with
 * the credentials of the calling thread, which is usually root. */
int libreplace_ring_write(struct libreplace_ring_kernel *kernel, const struct libreplace_sqe *sqe)
{
	unsigned tail = *kernel->sq_tail;

	if (sqe->personality == 0)
		abort();
	if (tail - __atomic_load_n(kernel->sq_head, __ATOMIC_ACQUIRE) == kernel->sq_entries)
		return 0;
	kernel->sqes[tail & kernel->sq_mask] = *sqe;
	__atomic_store_n(kernel->sq_tail, tail + 1, __ATOMIC_RELEASE);
	kernel->unsubmitted++;
	return 1;
}

static int submit(struct libreplace_ring_kernel *kernel)
{
	int taken;

	/* the kernel stops after a request that it refuses, which gets a result */
	while (kernel->unsubmitted > 0) {
		taken = enter_ring(kernel->fd, kernel->unsubmitted);
		if (taken < 0 && errno == EINTR)
			continue;
		if (taken < 0)
			return -1;
		if (taken == 0) {
			errno = EAGAIN;
			return -1;
		}
		kernel->unsubmitted -= (unsigned)taken;
	}
	return 0;
}

/* Most requests are done at once, and whoever submits them looks for results.
 * REGISTER_EVENTFD_ASYNC would announce only the results of workers, and not that the kernel could
 * not make a worker. */
int libreplace_ring_submit(struct libreplace_ring_kernel *kernel)
{
	int status;

	if (kernel->unsubmitted == 0)
		return 0;
	__atomic_store_n(kernel->cq_flags, CQ_EVENTFD_DISABLED, __ATOMIC_RELAXED);
	status = submit(kernel);
	__atomic_store_n(kernel->cq_flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* before libreplace_ring_next() reads cq_tail */
	return status;
}

int libreplace_ring_next(struct libreplace_ring_kernel *kernel, struct libreplace_cqe *cqe)
{
	unsigned head = *kernel->cq_head;

	if (head == __atomic_load_n(kernel->cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	*cqe = kernel->cqes[head & kernel->cq_mask];
	__atomic_store_n(kernel->cq_head, head + 1, __ATOMIC_RELEASE);
	return 1;
}

int libreplace_ring_register(int fd)
{
	return reg(fd, REGISTER_PERSONALITY, NULL, 0);
}

void libreplace_ring_unregister(int fd, int personality)
{
	(void)reg(fd, UNREGISTER_PERSONALITY, NULL, (unsigned)personality);
}
