/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Tests the inner functions that talk to the kernel's ring, which no program can call: a request
 * without a personality would be done as root, so writing one aborts the process; and whoever finds
 * the descriptor of a ring can do nothing else with it. As root, on Linux.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include "ring_kernel_linux.c"
#include "ring_cases.h"

enum { NOP = 0, READ = 22, SOCKET = 45, REGISTER_BUFFERS = 0, REGISTER_FILES = 2 };

static struct libreplace_ring_kernel kernel;
static struct libreplace_how how = {O_RDONLY | O_CLOEXEC, 0, 0};
static int event;
static int root_only; /* the number of a personality */

static void start_case(void)
{
	make("secret", 0, 0, 0600);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(event >= 0 && libreplace_ring_setup(&kernel, 4, 8, event) == 0);
	root_only = libreplace_ring_register(kernel.fd);
	MUST(root_only > 0);
}

static struct libreplace_sqe request(unsigned operation, int personality)
{
	struct libreplace_sqe sqe = {.opcode = (uint8_t)operation, .fd = folder};

	sqe.addr = (uint64_t)(uintptr_t)"secret";
	sqe.off = (uint64_t)(uintptr_t)&how;
	sqe.len = sizeof how;
	sqe.personality = (uint16_t)personality;
	return sqe;
}

/* Give the kernel what is written, and wait for a result. */
static int result(void)
{
	struct pollfd readable = {event, POLLIN, 0};
	struct libreplace_cqe cqe;

	MUST(libreplace_ring_submit(&kernel) == 0);
	while (libreplace_ring_next(&kernel, &cqe) == 0)
		MUST(poll(&readable, 1, -1) == 1);
	return cqe.res;
}

static int result_of(unsigned operation, unsigned flags)
{
	struct libreplace_sqe sqe = request(operation, root_only);

	sqe.flags = (uint8_t)flags;
	MUST(libreplace_ring_write(&kernel, &sqe) == 1);
	return result();
}

static void request_without_personality_aborts(void)
{
	struct libreplace_sqe sqe = request(LIBREPLACE_OP_OPENAT2, 0);
	int status = 0;
	pid_t child;

	MUST((child = fork()) >= 0);
	if (child == 0) {
		start_case();
		libreplace_ring_write(&kernel, &sqe);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* This is why: no restriction of a ring can demand a personality. */
static void kernel_does_a_request_without_personality_as_root(void)
{
	unsigned tail;

	start_case();
	tail = *kernel.sq_tail;
	kernel.sqes[tail & kernel.sq_mask] = request(LIBREPLACE_OP_OPENAT2, 0);
	*kernel.sq_tail = tail + 1;
	kernel.unsubmitted++;
	OPENS(result());
}

static void personality_must_exist(void)
{
	struct libreplace_sqe sqe;

	start_case();
	OPENS(result_of(LIBREPLACE_OP_OPENAT2, 0));
	libreplace_ring_unregister(kernel.fd, root_only);
	sqe = request(LIBREPLACE_OP_OPENAT2, root_only);
	MUST(libreplace_ring_write(&kernel, &sqe) == 1);
	GIVES(result(), -EINVAL);
}

static void ring_is_restricted(void)
{
	static const unsigned others[] = {NOP, READ, 18 /* openat */, 1 /* readv */, SOCKET};
	int fd = folder;

	start_case();
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		GIVES(result_of(others[i], 0), -EACCES);
	for (unsigned flag = 1; flag < 64; flag <<= 1)
		if (flag != LIBREPLACE_SQE_ASYNC)
			MUST(result_of(LIBREPLACE_OP_OPENAT2, flag) < 0);
	for (size_t i = 0; i < OPERATIONS; i++) { /* those of the library, with no arguments */
		struct libreplace_sqe sqe = {.opcode = operations[i], .fd = -1};

		sqe.flags = LIBREPLACE_SQE_ASYNC;
		sqe.personality = (uint16_t)root_only;
		MUST(libreplace_ring_write(&kernel, &sqe) == 1 && result() != -EACCES);
	}
	MUST(reg(kernel.fd, REGISTER_BUFFERS, &fd, 1) == -1 && errno == EACCES);
	MUST(reg(kernel.fd, REGISTER_FILES, &fd, 1) == -1 && errno == EACCES);
	MUST(reg(kernel.fd, REGISTER_EVENTFD, &fd, 1) == -1 && errno == EACCES);
	MUST(restrict_ring(kernel.fd) == -1);
}

static void full_queue_takes_no_request(void)
{
	struct libreplace_sqe sqe;

	start_case();
	sqe = request(LIBREPLACE_OP_OPENAT2, root_only);
	for (unsigned i = 0; i < kernel.sq_entries; i++)
		MUST(libreplace_ring_write(&kernel, &sqe) == 1);
	MUST(libreplace_ring_write(&kernel, &sqe) == 0);
	MUST(kernel.unsubmitted == kernel.sq_entries);
	OPENS(result());
	for (unsigned i = 1; i < kernel.sq_entries; i++)
		OPENS(result());
	OPENS(result_of(LIBREPLACE_OP_OPENAT2, 0));
}

static void released_ring_leaves_nothing(void)
{
	int before;

	start_case();
	before = count_descriptors();
	libreplace_ring_release(&kernel);
	MUST(count_descriptors() == before - 1);
	libreplace_ring_release(&kernel);
	MUST(count_descriptors() == before - 1 && kernel.fd == -1);
}

/* Mount file systems until the test ends. */
static void mount_again_and_again(int news)
{
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		_exit(77);
	for (;;) {
		MUST(mount("none", place, "tmpfs", 0, NULL) == 0);
		MUST(umount2(place, MNT_DETACH) == 0);
		if (news >= 0)
			MUST(write(news, "", 1) == 1 && close(news) == 0);
		news = -1;
	}
}

/* The kernel then looks up paths again, with a worker. Also users may mount in a namespace. */
static void trial_succeeds_while_others_mount(void)
{
	int news[2];
	pid_t child;
	char byte;

	start_case();
	MUST(pipe(news) == 0 && (child = fork()) >= 0);
	if (child == 0)
		mount_again_and_again(news[1]);
	MUST(close(news[1]) == 0);
	if (read(news[0], &byte, 1) != 1)
		skip("needs ", "a mount namespace");
	for (int i = 0; i < 100000; i++)
		MUST(try_request(&kernel) == 0);
	MUST(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

int main(void)
{
	int failed = 0;

	needs_root();
	needs_tmp();
	needs_proc();
	needs_ring();
	RUN_IN_PLACE(request_without_personality_aborts);
	RUN_IN_PLACE(kernel_does_a_request_without_personality_as_root);
	RUN_IN_PLACE(personality_must_exist);
	RUN_IN_PLACE(ring_is_restricted);
	RUN_IN_PLACE(full_queue_takes_no_request);
	RUN_IN_PLACE(released_ring_leaves_nothing);
	RUN_IN_PLACE(trial_succeeds_while_others_mount);
	return failed != 0;
}
