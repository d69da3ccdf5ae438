/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The numbers and arguments of the system calls that kernel.h has rules for. A program that
 * replaces libc's syscall() passes them on to the model.
 *
 * To add a system call, write its rule in kernel.c and its line in calls.c.
 */
#ifndef EXPLORER_CALLS_H
#define EXPLORER_CALLS_H

#include <stdio.h>
#include "kernel.h"
#include "../numbers.h"

enum { MOST_WORDS = 3 };

/**
 * struct call - a system call of the model
 * @number:	its number, such as SYS_capset
 * @name:	its name, for people
 * @words:	how many of its arguments the model looks at
 * @make:	makes the call. @word: the arguments, as in syscall(2). Returns what the kernel
 * returns: a negative number is an errno
 */
struct call {
	long number;
	const char *name;
	int words;
	long (*make)(struct thread *thread, const long *word);
};

enum { MODEL_CALLS = 11 };
extern const struct call model_calls[MODEL_CALLS];

/* Find a call of the model. Return: NULL if there is none with this number. */
const struct call *find_call(long number);

/* Print credentials in one line, for people. */
void print_credentials(FILE *to, const char *name, const struct credentials *is);

#endif
