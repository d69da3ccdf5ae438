/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Makes each system call of kernel.h twice, on the real kernel and on the model, and compares the
 * results and all credentials. compare.c replaces libc's syscall(), prctl() and getters, so this is
 * also done with the calls of replace/core/.
 */
#ifndef EXPLORER_COMPARE_H
#define EXPLORER_COMPARE_H

#include "calls.h"

/* A seccomp filter: the kernel does not make this call, and returns -@error. If the call is prctl,
 * this is true for PR_CAP_AMBIENT only. If @error is 0, the filter lies. */
struct filter {
	long number;
	int error;
};

/* How often a call was compared, and how it ended. */
struct outcomes {
	unsigned long succeeded, eperm, einval, other;
};

/**
 * struct comparison - a real thread, and its model
 * @thread:	the model
 * @filter:	the filter of the thread, or NULL
 * @status:	/proc/thread-self/status of the real thread, opened outside of its user namespace:
 * so it shows the kernel's ids, also those that the namespace does not map
 * @verbose:	print each call
 * @failed:	whether the model is wrong. Then, calls are no longer compared
 * @outcomes:	where to count, for each of model_calls
 */
struct comparison {
	struct thread thread;
	const struct filter *filter;
	int status;
	int verbose, failed;
	struct outcomes *outcomes;
};

/* Compare the calls that this thread makes from now on; NULL: do not. Reads what the real thread
 * is. */
void start_to_compare(struct comparison *comparison);

/* Print what is wrong, with the credentials. */
void complain(struct comparison *comparison, const char *what);

#endif
