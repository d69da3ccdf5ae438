# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make Linux system calls that Python does not have, and find them in what strace shows."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import pytest

from support.children import LIBC, call_number

LIBC.syscall.restype = ctypes.c_long


def call(name: str, *arguments: Any) -> int:
    """Make a system call. Raises OSError."""
    return done(LIBC.syscall(call_number(name), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)))


def injected(fault: str) -> str:
    """Return strace's option for a fault, such as `setresuid:error=EPERM`. It also hits setresuid32 of i386 and arm."""
    name, _, what = fault.partition(":")
    return f"--inject=/^{name}(32)?$:{what}"


def plain(name: str) -> str:
    """Return the name of a call that strace shows: setresuid for setresuid32 of i386 and arm."""
    return name.removesuffix("32")


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
