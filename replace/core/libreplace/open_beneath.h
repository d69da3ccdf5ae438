/*
 * SPDX-FileCopyrightText: 2026 the libreplace authors
 * SPDX-License-Identifier: MIT
 *
 * Opens a file below a folder by a path that a client sent. Under an identity, the kernel checks
 * whether the client may access the file. But an identity does not restrict where the path leads.
 * The path may contain a symbolic link of another user, or lead to a file that the process itself
 * has open (/proc/self/fd/N), or to a FIFO that blocks the thread. libreplace_open_beneath()
 * restricts where the path leads, with openat2(2).
 */
#ifndef LIBREPLACE_OPEN_BENEATH_H
#define LIBREPLACE_OPEN_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

#ifdef __clang__ /* clang does not know the @ of kernel-doc */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdocumentation-unknown-command"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum libreplace_resolve - how the kernel resolves a path
 * @LIBREPLACE_RESOLVE_NO_XDEV:		do not enter another mount, bind mounts included
 * @LIBREPLACE_RESOLVE_NO_MAGICLINKS:	do not follow the links in /proc to the open files and
 *					folders of a process, such as /proc/self/fd/N, cwd and
 *					root
 * @LIBREPLACE_RESOLVE_NO_SYMLINKS:	follow no symbolic link at all
 * @LIBREPLACE_RESOLVE_BENEATH:		stay below the folder: refuse absolute paths, absolute
 *					links, and ".." that leads out
 * @LIBREPLACE_RESOLVE_IN_ROOT:		treat the folder as the root, as after chroot(2): absolute
 *					paths and links begin there, and ".." stays there
 * @LIBREPLACE_RESOLVE_CACHED:		open only if the kernel need not wait for a disk or server;
 *					else fail with EAGAIN (since Linux 5.12)
 *
 * The values are those of the kernel's RESOLVE_* in <linux/openat2.h>. Combine them with
 * bitwise or.
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
 * libreplace_open_beneath() - open a file below a folder by a path that a client sent
 * @dir_fd:	descriptor of the folder; AT_FDCWD is the working directory
 * @path:	the path, relative to the folder
 * @flags:	flags of open(2); O_CLOEXEC and O_NOCTTY are always added
 * @mode:	permissions of a new file; ignored without O_CREAT and O_TMPFILE
 * @resolve:	enum libreplace_resolve, combined. For a path that a client sent, use
 *		LIBREPLACE_RESOLVE_BENEATH | LIBREPLACE_RESOLVE_NO_MAGICLINKS. Without
 *		LIBREPLACE_RESOLVE_BENEATH or LIBREPLACE_RESOLVE_IN_ROOT the path may lead anywhere
 * @regular:	1: open only a regular file, or with O_DIRECTORY a folder. 0: open any kind of file
 *
 * Works in every thread, switched or not; the kernel checks the permissions of the calling thread.
 * If the kernel cannot do what @resolve asks, the call fails. No weaker method is tried.
 *
 * If @regular is 1, the call does not block. It opens the file with O_NONBLOCK and looks at its
 * kind. It closes a file of another kind, and removes O_NONBLOCK unless @flags has it. So a device
 * is opened and closed, with all effects that this has on the device. If another process holds a
 * lease on the file (F_SETLEASE), the call fails with EAGAIN. With O_PATH, which opens nothing, the
 * kind is checked in the same way.
 *
 * Return: a file descriptor, or -1 with errno set to one of these, or to another error of open(2):
 *
 * - EXDEV: the path leads out of the folder
 * - ELOOP: a magic link, or another link that @resolve or O_NOFOLLOW forbids
 * - ENXIO: @regular is 1, and the file is a FIFO, a socket or a device
 * - EISDIR: @regular is 1, the file is a folder, and @flags has no O_DIRECTORY
 * - EAGAIN: each of 17 attempts failed because a file or folder somewhere was renamed at the same
 *   time, or because another process holds a lease on the file
 * - ENOSYS: Linux before 5.6, another system, a seccomp filter that refuses openat2(2), or a build
 *   whose headers had no SYS_openat2
 * - EINVAL: unknown flags, or flags that contradict each other
 *
 * Source: openat2(2), open(2), fs/open.c, fs/namei.c.
 */
int libreplace_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve,
                            int regular);

#ifdef __cplusplus
}
#endif

#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
