/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * seccomp filters for the C tests, without the kernel's headers, which musl-gcc lacks.
 */
#ifndef FILTER_H
#define FILTER_H

#include <stdint.h>
#include <sys/prctl.h>
#include "cases.h"
#include "numbers.h"

/* struct sock_filter */
struct instruction {
	uint16_t code;
	uint8_t if_true, if_false;
	uint32_t value;
};
enum { LOAD = 0x20, JUMP_IF_EQUAL = 0x15, RETURN = 0x06 };
/* Where struct seccomp_data has the low word of the first argument */
enum { FIRST_ARGUMENT = 16 + 4 * (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) };
#define ALLOW 0x7fff0000U
#define ERRNO 0x00050000U

static inline void install_filter(struct instruction *code, unsigned short size)
{
	struct {
		unsigned short size;
		struct instruction *code;
	} program = {size, code};

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (prctl(22, 2, &program, 0, 0) != 0) { /* PR_SET_SECCOMP, SECCOMP_MODE_FILTER */
		MUST(errno == EINVAL || errno == ENOSYS);
		printf("# skipped: needs seccomp filters, which an emulator does not have\n");
		exit(0);
	}
}

/* Make a system call fail with @error. With 0, it returns 0 without being made. */
static inline void refuse_call(unsigned number, int error)
{
	struct instruction code[] = {{LOAD, 0, 0, 0},
	                             {JUMP_IF_EQUAL, 0, 1, number},
	                             {RETURN, 0, 0, ERRNO | (unsigned)error},
	                             {RETURN, 0, 0, ALLOW}};

	install_filter(code, sizeof code / sizeof *code);
}

/* Make a system call fail with EPERM if the low word of its first argument is @value. */
static inline void refuse_value(unsigned number, uint32_t value)
{
	struct instruction code[] = {{LOAD, 0, 0, 0},
	                             {JUMP_IF_EQUAL, 0, 3, number},
	                             {LOAD, 0, 0, FIRST_ARGUMENT},
	                             {JUMP_IF_EQUAL, 0, 1, value},
	                             {RETURN, 0, 0, ERRNO | EPERM},
	                             {RETURN, 0, 0, ALLOW}};

	install_filter(code, sizeof code / sizeof *code);
}

#endif
