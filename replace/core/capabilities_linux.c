/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The capabilities of the calling thread, by raw system calls: libcap would be one more
 * library for five short functions. The other half, for kernels that have none, is
 * capabilities_none.c. Source: capabilities(7), capget(2), security/commoncap.c.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

/*
 * capget(2)'s own, which no libc declares: <linux/capability.h> has them, but a C library
 * other than the host's (musl-gcc) comes without the kernel's headers.
 */
struct header {
	uint32_t version;
	int pid;
};

struct words {
	uint32_t effective, permitted, inheritable;
};

enum { VERSION_3 = 0x20080522 }; /* two words for each set */

/* CAP_FS_SET of include/linux/capability.h: what file access as somebody else must not have. */
enum {
	CHOWN = 0,
	DAC_OVERRIDE = 1,
	DAC_READ_SEARCH = 2,
	FOWNER = 3,
	FSETID = 4,
	LINUX_IMMUTABLE = 9,
	MKNOD = 27,
	MAC_OVERRIDE = 32
};
#define FS_CAPABILITIES                                                                            \
	(1ULL << CHOWN | 1ULL << DAC_OVERRIDE | 1ULL << DAC_READ_SEARCH | 1ULL << FOWNER |         \
	 1ULL << FSETID | 1ULL << LINUX_IMMUTABLE | 1ULL << MKNOD | 1ULL << MAC_OVERRIDE)

int libreplace_get_capabilities(struct libreplace_capabilities *set)
{
	struct header header = {VERSION_3, 0};
	struct words data[2] = {{0, 0, 0}, {0, 0, 0}}; /* valgrind knows of the first alone */

	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	set->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	set->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	set->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct header header = {VERSION_3, 0};
	struct words data[2] = {
	    {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
	    {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
	     (uint32_t)(inheritable >> 32)},
	};

	return (int)syscall(SYS_capset, &header, data);
}

int libreplace_raise_capabilities(const struct libreplace_capabilities *held)
{
	return set_capabilities(held->permitted, held->permitted, held->inheritable);
}

/*
 * The kernel drops an ambient capability, which a child that execs would have, with its
 * inheritable one. An inheritable one that is not permitted is left: it could not be taken
 * up again without CAP_SETPCAP, and cannot be ambient.
 */
int libreplace_put_down_capabilities(struct libreplace_capabilities *held)
{
	held->ambient = 0;
	for (int bit = 0; bit < 64 && held->inheritable >> bit != 0; bit++)
		if ((held->inheritable >> bit & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1)
			held->ambient |= 1ULL << bit;
	return set_capabilities(0, held->permitted, held->inheritable & ~held->permitted);
}

int libreplace_take_up_capabilities(const struct libreplace_capabilities *held)
{
	if (set_capabilities(held->effective, held->permitted, held->inheritable) != 0)
		return -1;
	for (int bit = 0; bit < 64 && held->ambient >> bit != 0; bit++)
		if ((held->ambient >> bit & 1) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) != 0)
			return -1;
	return 0;
}

int libreplace_drop_capabilities(void)
{
	return set_capabilities(0, 0, 0);
}

uint64_t libreplace_forbidden_capabilities(uint64_t effective, int level)
{
	return level == LIBREPLACE_LEVEL_FILESYSTEM ? effective & FS_CAPABILITIES : effective;
}
