# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A process that sees no /proc: for servers that open what their clients name.  ../limits.md says why.

Call without_proc() before threads are started.  Needs CAP_SYS_ADMIN.
"""

import contextlib
import ctypes
import errno
import os

CLONE_NEWNS = 0x20000  # linux/sched.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_SLAVE = 1, 2, 4, 8, 1 << 14, 1 << 19  # linux/mount.h

libc = ctypes.CDLL(None, use_errno=True)
libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def call(function, *arguments, harmless=0):
    if function(*arguments) != 0 and ctypes.get_errno() != harmless:
        error = os.strerror(ctypes.get_errno())
        raise SystemExit(f"/proc cannot be hidden from the clients (needs CAP_SYS_ADMIN): {error}")


def without_proc():
    """Cover each proc file system, in a mount namespace of this process's own (mount_namespaces(7))."""
    with contextlib.suppress(FileNotFoundError), open("/proc/self/mounts", "rb") as mounts:
        entries = [line.split() for line in mounts]
        call(libc.unshare, CLONE_NEWNS)
        call(libc.mount, b"none", b"/", None, MS_REC | MS_SLAVE, None)  # what is mounted elsewhere still comes here
        for _, point, kind, *_ in entries:
            if kind == b"proc":  # proc_mounts(5): odd characters are written in octal
                path = point.decode("unicode_escape").encode("latin-1")
                flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
                # ENOENT: it was inside of another that is covered already
                call(libc.mount, b"none", path, b"tmpfs", flags, b"size=4k,mode=0", harmless=errno.ENOENT)
