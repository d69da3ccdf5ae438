/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The core's static variables. Each run of the program explore begins with the values that they had
 * when the library was loaded, as in a new process. The core is a shared library here, so its
 * variables are the writable part of one object. explore.h explains the functions. Source:
 * dl_iterate_phdr(3).
 */
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "explore.h"

/* Variables of all threads, and of this thread. */
static struct part {
	unsigned char *start, *copy;
	size_t size;
} shared, mine;

/* memcpy(3) would complain of the space that AddressSanitizer leaves between variables. */
#if defined(__GNUC__)
__attribute__((no_sanitize("address")))
#endif
static void copy(unsigned char *to, const unsigned char *from, size_t size)
{
	size_t words = size / sizeof(uint64_t);

	for (size_t i = 0; i < words; i++)
		((volatile uint64_t *)to)[i] = ((const uint64_t *)from)[i];
	for (size_t i = words * sizeof(uint64_t); i < size; i++)
		((volatile unsigned char *)to)[i] = from[i];
}

/* If this object is the core, store where its variables are. */
static int find(struct dl_phdr_info *info, size_t size, void *function)
{
	uintptr_t is_in = 0, fixed = 0, start = 0, end = 0;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_LOAD && (uintptr_t)function - at < part->p_memsz)
			is_in = 1;
		if (part->p_type == PT_LOAD && (part->p_flags & PF_W) != 0) {
			start = at;
			end = at + part->p_memsz;
		}
		if (part->p_type == PT_GNU_RELRO) /* the dynamic linker has made it read-only */
			fixed = at + part->p_memsz;
		if (part->p_type == PT_TLS)
			mine.size = part->p_memsz;
	}
	if (!is_in)
		return 0;
	shared.start = (unsigned char *)(fixed > start ? fixed : start);
	shared.size = end - (uintptr_t)shared.start;
	mine.start = info->dlpi_tls_data;
	return 1;
}

static void keep(struct part *part)
{
	part->copy = malloc(part->size);
	if (part->start == NULL || part->copy == NULL) {
		fprintf(stderr, "explore: the core's variables were not found\n");
		exit(2);
	}
	copy(part->copy, part->start, part->size);
}

void keep_memory(void)
{
	(void)libreplace_depth(); /* dlpi_tls_data is NULL before the first use */
	dl_iterate_phdr(find, (void *)(uintptr_t)function_of_core());
	keep(&shared);
	keep(&mine);
}

void restore_memory(void)
{
	copy(shared.start, shared.copy, shared.size);
	copy(mine.start, mine.copy, mine.size);
}
