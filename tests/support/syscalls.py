# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make Linux system calls that Python does not have."""

import ctypes
import os
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
