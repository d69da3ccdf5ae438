/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Reads what only Linux has: file system ids, and user namespaces that do not map all ids. The
 * kernel shows an id that is not mapped as the overflow id, normally 65534. That number then stands
 * for several ids, and the thread could not set such an id again. ids_none.c is for other kernels.
 * Source: user_namespaces(7), "Unmapped user and group IDs"; setfsuid(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

/* On 32-bit systems, the plain calls take 16-bit ids. */
#ifdef SYS_setfsuid32
enum { SETFSUID = SYS_setfsuid32, SETFSGID = SYS_setfsgid32 };
#else
enum { SETFSUID = SYS_setfsuid, SETFSGID = SYS_setfsgid };
#endif

/* The overflow ids. They belong to the whole system. DEFAULT_OVERFLOWUID of linux/highuid.h */
static unsigned overflow_uid = 65534, overflow_gid = 65534;

/*
 * libreplace_getfsuid() makes two system calls, because it does not know the effective id. Here
 * that id is known. Only if the result looks like an error, or like that of a filter that does not
 * make the call, it is needed.
 */
static int needs_second_look(unsigned now, unsigned effective)
{
	return now >= (unsigned)-4095 || (now == 0 && effective != 0);
}

int libreplace_read_fs_ids(struct libreplace_ids *ids)
{
	ids->fsuid = (uid_t)syscall(SETFSUID, (uid_t)-1);
	ids->fsgid = (gid_t)syscall(SETFSGID, (gid_t)-1);
	if (needs_second_look(ids->fsuid, ids->euid) && libreplace_getfsuid(&ids->fsuid) != 0)
		return -1;
	if (needs_second_look(ids->fsgid, ids->egid) && libreplace_getfsgid(&ids->fsgid) != 0)
		return -1;
	return 0;
}

/* What setfsuid(2) or setfsgid(2) returns: the present id. If a filter refuses the call, or reports
 * success and does not make it, it is another number. An id from -4095 looks like an error on
 * 32-bit systems. */
static unsigned returned_id(long number)
{
	int before = errno;
	long result = syscall(number, (uid_t)-1);
	unsigned id = result == -1 ? (unsigned)-errno : (unsigned)result;

	errno = before;
	return id;
}

int libreplace_can_set_fsuid(const struct libreplace_ids *ids)
{
	return returned_id(SETFSUID) == ids->fsuid;
}

int libreplace_can_set_fsgid(const struct libreplace_ids *ids)
{
	return returned_id(SETFSGID) == ids->fsgid;
}

/* Read the start of a small file. Return: the number of bytes, or -1 with errno set. */
static ssize_t read_file(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (file < 0)
		return -1;
	length = read(file, text, size - 1);
	close(file);
	text[length < 0 ? 0 : length] = '\0';
	return length;
}

/* A seccomp filter may report success without making the call. So look whether the number of groups
 * has changed. */
int libreplace_imitates_groups(const struct libreplace_ids *ids, const gid_t *groups)
{
	int before = errno, other = ids->size == 0, changes = 0;

	if (libreplace_setgroups((size_t)other, &ids->egid) == 0) {
		changes = libreplace_getgroups(0, NULL) == other;
		(void)libreplace_setgroups(ids->size, groups);
	}
	errno = before;
	return changes;
}

/* Store the number that a file holds; keep @number if the file cannot be read. */
static void read_number(const char *path, unsigned *number)
{
	char text[24];

	if (read_file(path, text, sizeof text) > 0)
		*number = (unsigned)strtoul(text, NULL, 10);
}

/* Not on each entry, because it takes longer than the entry. */
__attribute__((constructor)) static void read_overflow_ids(void)
{
	read_number("/proc/sys/kernel/overflowuid", &overflow_uid);
	read_number("/proc/sys/kernel/overflowgid", &overflow_gid);
}

/*
 * Whether the user namespace maps every id. The ranges of a map do not overlap, so their lengths
 * must add up to 2^32 - 1. A map has at most 340 lines; a longer one than fits here counts as
 * incomplete, as does one that cannot be read. A kernel without user namespaces has no such file.
 */
static int is_complete(const char *path)
{
	char text[4096], *next = text, *end;
	uint64_t sum = 0;
	int before = errno;
	ssize_t length = read_file(path, text, sizeof text);

	if (length < 0) {
		int none = errno == ENOENT && access("/proc/self/status", F_OK) == 0;

		errno = before;
		return none;
	}
	errno = before;
	for (int field = 0;; field = (field + 1) % 3) { /* inside, outside, length */
		unsigned long long number = strtoull(next, &end, 10);

		if (end == next)
			return sum == 0xFFFFFFFF;
		if (field == 2)
			sum += number;
		next = end;
	}
}

int libreplace_unmapped(const struct libreplace_ids *ids, const gid_t *groups)
{
	int shown = ids->rgid == overflow_gid || ids->egid == overflow_gid ||
	            ids->sgid == overflow_gid || ids->fsgid == overflow_gid;

	for (size_t i = 0; i < ids->size && !shown; i++)
		shown = groups[i] == overflow_gid;
	if (shown && !is_complete("/proc/self/gid_map"))
		return 1;
	return (ids->ruid == overflow_uid || ids->euid == overflow_uid ||
	        ids->suid == overflow_uid || ids->fsuid == overflow_uid) &&
	       !is_complete("/proc/self/uid_map");
}
