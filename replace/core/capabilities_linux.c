/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * The capabilities of the calling thread, with raw system calls: these few functions do not justify
 * a dependency on libcap. capabilities_none.c is for other kernels. internal.h and
 * libreplace/guard.h explain the functions. Source: capabilities(7), capget(2),
 * security/commoncap.c.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

/*
 * The arguments of capget(2). <linux/capability.h> declares them, but some C libraries (musl-gcc)
 * come without the kernel's headers.
 */
struct header {
	uint32_t version;
	int pid;
};

struct words {
	uint32_t effective, permitted, inheritable;
};

/* _LINUX_CAPABILITY_VERSION_3: two words for each set */
enum { VERSION_3 = 0x20080522 };

/* The numbers of capabilities, from <linux/capability.h>. */
enum {
	CHOWN = 0,
	DAC_OVERRIDE = 1,
	DAC_READ_SEARCH = 2,
	FOWNER = 3,
	FSETID = 4,
	SETGID = 6,
	SETUID = 7,
	LINUX_IMMUTABLE = 9,
	MKNOD = 27,
	MAC_OVERRIDE = 32
};
/* CAP_FS_SET of include/linux/capability.h: the capabilities that the kernel clears when the fs uid
 * changes from 0 to another id. */
#define FS_CAPABILITIES                                                                            \
	(1ULL << CHOWN | 1ULL << DAC_OVERRIDE | 1ULL << DAC_READ_SEARCH | 1ULL << FOWNER |         \
	 1ULL << FSETID | 1ULL << LINUX_IMMUTABLE | 1ULL << MKNOD | 1ULL << MAC_OVERRIDE)

/* Whether the kernel knows securebits (an emulator may not) and ambient capabilities (since Linux
 * 4.3). If it does not, it fails with EINVAL. An error that comes later, from a filter, must not
 * look like that. */
static int knows_securebits = 1, knows_ambient = 1;

__attribute__((constructor)) static void ask_kernel(void)
{
	int before = errno;

	knows_securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) >= 0 || errno != EINVAL;
	knows_ambient =
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CHOWN, 0, 0) >= 0 || errno != EINVAL;
	errno = before;
}

int libreplace_get_securebits(void)
{
	return knows_securebits ? prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) : 0;
}

/* Read which of these inheritable capabilities are ambient, too. Return: 0, or -1 with errno
 * set. */
static int get_ambient(uint64_t inheritable, uint64_t *ambient)
{
	*ambient = 0;
	if (!knows_ambient)
		return 0;
	for (int bit = 0; bit < 64 && inheritable >> bit != 0; bit++) {
		int is_set;

		if ((inheritable >> bit & 1) == 0)
			continue;
		is_set = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0);
		if (is_set < 0)
			return -1;
		if (is_set == 1)
			*ambient |= 1ULL << bit;
	}
	return 0;
}

int libreplace_get_capabilities(struct libreplace_capabilities *set)
{
	struct header header = {VERSION_3, 0};
	/* set to zero because valgrind believes that capget(2) writes only the first element */
	struct words data[2] = {{0, 0, 0}, {0, 0, 0}};

	if (syscall(SYS_capget, &header, data) != 0)
		return -1;
	set->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	set->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	set->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return get_ambient(set->inheritable, &set->ambient);
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
 * The kernel clears an ambient capability together with the inheritable one. Inheritable
 * capabilities that are not permitted stay: they cannot be ambient, and without CAP_SETPCAP the
 * thread could not set them again.
 */
int libreplace_clear_capabilities(const struct libreplace_capabilities *held, uint64_t effective)
{
	return set_capabilities(effective, held->permitted, held->inheritable & ~held->permitted);
}

/* An ambient capability that is still there is not raised again, because
 * SECBIT_NO_CAP_AMBIENT_RAISE would refuse that. */
int libreplace_set_capabilities(const struct libreplace_capabilities *held)
{
	uint64_t missing, left;

	if (set_capabilities(held->effective, held->permitted, held->inheritable) != 0 ||
	    get_ambient(held->ambient, &left) != 0)
		return -1;
	missing = held->ambient & ~left;
	for (int bit = 0; bit < 64 && missing >> bit != 0; bit++)
		if ((missing >> bit & 1) != 0 &&
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

int libreplace_may_set_uids(uid_t euid, uint64_t effective)
{
	(void)euid;
	return (effective >> SETUID & 1) != 0;
}

int libreplace_may_set_gids(uid_t euid, uint64_t effective)
{
	(void)euid;
	return (effective >> SETGID & 1) != 0;
}

int libreplace_bounded(uint64_t capabilities)
{
	for (int bit = 0; bit < 64 && capabilities >> bit != 0; bit++)
		if ((capabilities >> bit & 1) != 0 && prctl(PR_CAPBSET_READ, bit, 0, 0, 0) != 1)
			return 0;
	return 1;
}
