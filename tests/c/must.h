/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * MUST() ends the test program if a condition is false. Unlike assert(3), it does not depend on
 * NDEBUG.
 */
#ifndef MUST_H
#define MUST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Seconds for alarm(). The limit only ends a program that hangs. */
#define HANG 240

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition,  \
			        errno);                                                            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#endif
