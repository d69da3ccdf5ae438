/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Opens files that clients name, below a folder, with openat2(2). An identity makes the kernel ask
 * what the client may do. It does not say where a name leads: to a symbolic link that another user
 * put there, to what the process itself has open (/proc/self/fd/N), or to a FIFO that blocks the
 * thread for ever.
 */
#ifndef LIBREPLACE_OPEN_BENEATH_H
#define LIBREPLACE_OPEN_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum libreplace_resolve - how a name is walked: the kernel's RESOLVE_* of <linux/openat2.h>
 * @LIBREPLACE_RESOLVE_NO_XDEV:		no other mount, bind mounts included
 * @LIBREPLACE_RESOLVE_NO_MAGICLINKS:	none of the links in /proc that lead to what a process has
 *					open, such as /proc/self/fd/N, cwd and root
 * @LIBREPLACE_RESOLVE_NO_SYMLINKS:	no symbolic link at all
 * @LIBREPLACE_RESOLVE_BENEATH:		nothing outside of the folder: no absolute name or link, and
 *					no ".." that leads out
 * @LIBREPLACE_RESOLVE_IN_ROOT:		the folder is the root, as after chroot(2): absolute names
 *					and links begin there, and ".." stays there
 * @LIBREPLACE_RESOLVE_CACHED:		only if the kernel need not wait for it (Linux 5.12); else
 *					EAGAIN
 */
enum libreplace_resolve {
	LIBREPLACE_RESOLVE_NO_XDEV = 1,
	LIBREPLACE_RESOLVE_NO_MAGICLINKS = 2,
	LIBREPLACE_RESOLVE_NO_SYMLINKS = 4,
	LIBREPLACE_RESOLVE_BENEATH = 8,
	LIBREPLACE_RESOLVE_IN_ROOT = 16,
	LIBREPLACE_RESOLVE_CACHED = 32
};

/**
 * libreplace_open_beneath() - open a file that a client names, below a folder
 * @dir_fd:	the folder, open; AT_FDCWD is the working directory
 * @path:	the name, relative to the folder
 * @flags:	those of open(2); O_CLOEXEC and O_NOCTTY are always added
 * @mode:	permissions of a new file; ignored without O_CREAT and O_TMPFILE
 * @resolve:	enum libreplace_resolve, combined. LIBREPLACE_RESOLVE_BENEATH |
 *		LIBREPLACE_RESOLVE_NO_MAGICLINKS is right for names of clients. Without BENEATH and
 *		IN_ROOT the kernel lets the name lead anywhere
 * @regular:	1: only a regular file, or with O_DIRECTORY a folder. 0: whatever is there
 *
 * Works in every thread, switched or not: the kernel asks what the thread is. If the kernel cannot
 * do what @resolve says, the call fails; nothing weaker is tried.
 *
 * With @regular nothing blocks. The file is opened with O_NONBLOCK and looked at. Anything else is
 * closed again, and O_NONBLOCK is taken away unless @flags has it. A device has been opened by
 * then, with whatever that does to it. A lease of another process (F_SETLEASE) is EAGAIN. With
 * O_PATH, which opens nothing, the kind is looked at just the same.
 *
 * Return: a file descriptor, or -1 with errno: EXDEV (the name leads out), ELOOP (a magic link, or
 * another link that @resolve or O_NOFOLLOW forbids), ENXIO (@regular: a FIFO, socket or device),
 * EISDIR (@regular: a folder, and no O_DIRECTORY), EAGAIN (17 attempts met a rename elsewhere, or a
 * lease), ENOSYS (Linux before 5.6, a filter that refuses the call, another system, or a build
 * whose headers had no SYS_openat2), EINVAL (flags that contradict each other, or an unknown one),
 * and those of open(2).
 *
 * Source: openat2(2), open(2), fs/open.c, fs/namei.c.
 */
int libreplace_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve,
                            int regular);

#ifdef __cplusplus
}
#endif
#endif
