/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The whole process becomes another user for good. Include libreplace/replace.h, which includes
 * this file.
 *
 * libreplace_drop_privileges() uses libc's calls, which change every thread. They do this on every
 * platform and with every back end of this library.
 */
#ifndef LIBREPLACE_DROP_H
#define LIBREPLACE_DROP_H

#include <stdint.h>
#include <sys/types.h>
#include <libreplace/guard.h>

#ifdef __clang__ /* clang does not know the @ of kernel-doc */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdocumentation-unknown-command"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct libreplace_drop - the result of libreplace_drop_privileges()
 * @step:	enum libreplace_step, the first step that failed
 * @error:	errno of that step
 * @state:	enum libreplace_state, what the process is now. LIBREPLACE_STATE_IDLE: nothing was
 *	changed. LIBREPLACE_STATE_ROLLED_BACK: every thread has its old ids, verified. Permitted
 *	capabilities that another thread had cleared in its effective set may be effective again.
 *	LIBREPLACE_STATE_TAINTED: some ids may have changed; end the process.
 *	LIBREPLACE_STATE_FOR_GOOD: every thread has become the user, verified
 * @thread:	the thread that the failure is about, as gettid(2) returns its number in it; 0 if it
 *	is not about one thread
 * @reserved:	0
 */
struct libreplace_drop {
	int step;
	int error;
	int state;
	pid_t thread;
	uint64_t reserved[8];
};

/**
 * libreplace_drop_privileges() - become another user for good, in all threads of the process
 * @identity:	the user that the process becomes
 * @flags:	LIBREPLACE_ALLOW_ROOT and LIBREPLACE_ALLOW_IO_URING, or 0; see enum libreplace_flag
 * @result:	what failed, and what the process is now; may be NULL
 *
 * First looks for reasons to refuse. Then sets the groups, the group IDs and the user IDs with
 * libc's calls, and drops the capabilities of the calling thread. Then reads the credentials of
 * all threads from the kernel, and tries to become root again. If the effective and another user ID
 * are 0, it first sets only the effective one and looks at all threads, which shows who would not
 * become the user. If a step fails, the ids are rolled back. While this function runs, no thread
 * can enter an identity. It allocates memory.
 *
 * The calling thread gets a new session keyring, unless the kernel has no keyrings or a filter
 * refuses keyctl(2). A roll-back does not restore the old one.
 *
 * Return: 0, or -1 with errno and @result set. In these cases, nothing was changed:
 *
 * - LIBREPLACE_STEP_REFUSED, EINVAL: an id is -1, the groups are not in ascending order, or a flag
 *   is not one of the two
 * - LIBREPLACE_STEP_REFUSED, EPERM: the identity has an id 0, and LIBREPLACE_ALLOW_ROOT is not set
 * - LIBREPLACE_STEP_REFUSED, EBUSY: a thread is switched or tainted, or another drop is under way
 * - LIBREPLACE_STEP_READ: /proc does not show the threads of this process; mount it. EAGAIN:
 *   threads start and end too fast for a list of them; try again
 * - LIBREPLACE_STEP_THREADS: @result->thread has other ids or other effective capabilities than
 *   another thread, so libc would abort the process
 * - LIBREPLACE_STEP_CAPABILITIES: @result->thread has capabilities that it would keep, and that
 *   only it can drop; drop privileges before you start threads. Inheritable capabilities count. If
 *   the state is LIBREPLACE_STATE_ROLLED_BACK, the thread has SECBIT_NO_SETUID_FIXUP
 * - LIBREPLACE_STEP_IO_URING: @result->thread has an open io_uring, or is a thread that the kernel
 *   runs for one. A ring can keep the old credentials and use them after the drop. Close all rings,
 *   or drop privileges before you create one, or set LIBREPLACE_ALLOW_IO_URING. If the process has
 *   a ring of libreplace_ring_open(), @result->thread is 0, and the flag does not help
 *
 * With LIBREPLACE_STEP_VERIFY, @result->thread has not become the user. If the state is
 * LIBREPLACE_STATE_TAINTED, the thread is another one than the calling thread, and the ids are
 * right, then it has SECBIT_KEEP_CAPS and the calling thread has not: only the last step shows this
 * bit. Only Linux threads can differ, so the other systems need no /proc.
 *
 * Other threads keep their session keyring. No call can read or change it from outside.
 *
 * A ring is not found if it has neither a descriptor in this process nor a thread of its own:
 * a ring that is only registered or mapped, or whose descriptor another process has. Other threads
 * must not create a ring during the call.
 *
 * Source: credentials(7), capabilities(7), setresuid(2), io_uring_register(2).
 */
int libreplace_drop_privileges(const struct libreplace_identity *identity, int flags,
                               struct libreplace_drop *result);

/**
 * libreplace_drop_begin() - keep every thread from entering
 *
 * Call it before you call a process-wide function of libc, such as setresuid(2), and call
 * libreplace_drop_end() after it. If a thread were switched during such a call, libc would abort
 * the process or make that thread root again.
 *
 * Return: 0, or -1 with errno EBUSY: a thread is switched, or another drop is under way.
 */
int libreplace_drop_begin(void);

/**
 * libreplace_drop_end() - let threads enter again
 */
void libreplace_drop_end(void);

/**
 * libreplace_drop_capabilities() - drop all capabilities of the calling thread for good
 *
 * Empties the effective, permitted and inheritable sets. This empties the ambient set, too. Does
 * nothing on a system without capabilities.
 *
 * Return: 0, or -1 with errno set.
 *
 * Source: capset(2), capabilities(7).
 */
int libreplace_drop_capabilities(void);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
