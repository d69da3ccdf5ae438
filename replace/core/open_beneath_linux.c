/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * libreplace_open_beneath() with the raw system call, because few C libraries have openat2().
 * open_beneath_none.c is for builds whose headers have no SYS_openat2. libreplace/open_beneath.h
 * explains the function. Source: openat2(2), fs/open.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "internal.h"

/* The kernel checks the size argument first, so size 0 fails with EINVAL. A seccomp filter does not
 * look at the size: the filters of old Docker versions make openat2() always fail with EPERM. */
static int kernel_has_openat2(void)
{
	return syscall(SYS_openat2, 0L, 0L, 0L, 0L) == -1 && errno == EINVAL;
}

static int openat2_again(int dir_fd, const char *path, const struct libreplace_how *how)
{
	int fd, retries = 0;

	do
		fd = (int)syscall(SYS_openat2, dir_fd, path, how, sizeof *how);
	while (fd < 0 && errno == EAGAIN && retries++ < LIBREPLACE_OPEN_RETRIES);
	if (fd < 0 && errno == EPERM)
		errno = kernel_has_openat2() ? EPERM : ENOSYS;
	return fd;
}

/* The errno for a file of the wrong kind; 0 if the kind is right. The kernel uses ENXIO for
 * sockets, and for FIFOs without a reader. */
int libreplace_file_refusal(mode_t mode, int flags)
{
	if (S_ISREG(mode))
		return 0;
	if (S_ISDIR(mode))
		return (flags & O_DIRECTORY) != 0 ? 0 : EISDIR;
	return S_ISLNK(mode) ? ELOOP : ENXIO; /* a link: O_PATH with O_NOFOLLOW */
}

struct libreplace_how libreplace_how_to_open(int flags, mode_t mode, uint64_t resolve, int regular)
{
	int opens = (flags & O_PATH) == 0; /* O_PATH opens nothing and forbids the flags below */
	int creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
	int no_wait = opens && regular ? O_NONBLOCK : 0;
	int all = flags | no_wait | O_CLOEXEC | (opens ? O_NOCTTY | O_LARGEFILE : 0);

	return (struct libreplace_how){(unsigned)all, creates ? mode : 0, resolve};
}

int libreplace_block_again(int fd, int flags)
{
	if ((flags & (O_PATH | O_NONBLOCK)) != 0)
		return 0;
	return fcntl(fd, F_SETFL, flags) == 0 ? 0 : errno;
}

int libreplace_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve,
                            int regular)
{
	struct libreplace_how how = libreplace_how_to_open(flags, mode, resolve, regular);
	struct stat found;
	int error, fd = openat2_again(dir_fd, path, &how);

	if (fd < 0 || !regular)
		return fd;
	error = fstat(fd, &found) != 0 ? errno : libreplace_file_refusal(found.st_mode, flags);
	if (error == 0)
		error = libreplace_block_again(fd, flags);
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}
