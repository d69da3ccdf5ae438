# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make Linux system calls that Python does not have."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import pytest

from support.children import LIBC

LIBC.syscall.restype = ctypes.c_long

#: arch/x86/entry/syscalls/syscall_64.tbl
NUMBERS = {"tgkill": 234, "add_key": 248, "request_key": 249, "keyctl": 250, "ioprio_set": 251, "ioprio_get": 252}
NUMBERS |= {"set_mempolicy": 238, "get_mempolicy": 239, "move_pages": 279, "perf_event_open": 298}
NUMBERS |= {"sched_setscheduler": 144, "kcmp": 312, "pidfd_getfd": 438}
NUMBERS |= {"landlock_create_ruleset": 444, "landlock_restrict_self": 446}


def call(name: str, *arguments: Any) -> int:
    """Make a system call of x86_64. Raises OSError."""
    if os.uname().machine != "x86_64":
        pytest.skip("the test has the numbers of x86_64")
    return done(LIBC.syscall(NUMBERS[name], *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))


def done(result: int) -> int:
    """Return the result of a function of libc that sets errno. Raises OSError."""
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


@contextlib.contextmanager
def hanging(path: str | os.PathLike[str], what: str) -> Iterator[int]:
    """Let every open() or read() of this file hang until the block ends, as a file system that does not answer does.

    fanotify(7) asks this process for permission, and it does not answer. Yield a descriptor that is readable when a
    thread hangs.
    """
    content, close_on_exec, add, here = 4, 1, 1, -100
    try:
        listener = done(LIBC.fanotify_init(content | close_on_exec, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"needs fanotify(7) with permission events: {error}")
    try:
        mask = ctypes.c_uint64({"open": 0x10000, "read": 0x20000}[what])
        done(LIBC.fanotify_mark(listener, add, mask, here, os.fsencode(path)))
        yield listener
    finally:
        os.close(listener)
