# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The uniform calls in Python: drop-in for those of `os`.

Those that never block are C functions which the build writes from detect/calls.py
(_native: the GIL is kept on the raw back end).  initgroups asks a name service, which
may take seconds, so it goes through cffi, which lets other Python threads run.
"""

from __future__ import annotations

import os

from ._native import (
    THREAD_SCOPE,
    getfsgid,
    getfsuid,
    getgroups,
    getresgid,
    getresuid,
    setegid,
    seteuid,
    setfsgid,
    setfsuid,
    setgid,
    setgroups,
    setregid,
    setresgid,
    setresuid,
    setreuid,
    setuid,
)
from ._replace import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing costs more than all of this package
    from typing import Literal, SupportsIndex

__all__ = [
    "MAX_GROUPS",
    "SCOPE",
    "getfsgid",
    "getfsuid",
    "getgroups",
    "getresgid",
    "getresuid",
    "initgroups",
    "setegid",
    "seteuid",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
]

#: What one setter changes: ``"thread"``, the calling thread; ``"process"``, every thread.
SCOPE: Literal["thread", "process"] = "thread" if THREAD_SCOPE else "process"

MAX_GROUPS = 65536  # NGROUPS_MAX of Linux; the kernel has the last word


def _gid(value: SupportsIndex) -> int:
    """The id as C wants it, or what CPython's converter raises (the rest of it is core/native.c's to_id)."""
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"gid should be integer, not {type(value).__name__}") from None
    if number < -1:
        raise OverflowError("gid is less than minimum")
    if number >= 2**32 - 1:  # 2**32-1 would be taken for -1
        raise OverflowError("gid is greater than maximum")
    return number & 0xFFFFFFFF


def initgroups(username: str | bytes | os.PathLike[str], gid: SupportsIndex, /) -> None:
    """Set the supplementary groups to those that the group database lists for a user.

    username: the name, encoded as os.fsencode does; gid: one more group, as a rule the
    user's own.  The look-up comes first (it may take seconds; other Python threads run
    meanwhile), the one setgroups after it.  This is not a process-wide `initgroups`:
    where SCOPE is "thread" the other threads keep their groups.
    Raises OSError as setgroups, and ENOMEM; ValueError (a null byte); TypeError;
    OverflowError.  Source: initgroups(3), getgrouplist(3).
    """
    name = os.fsencode(username)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    if lib.libreplace_initgroups(ffi.new("char[]", name), _gid(gid)):
        error = ffi.errno
        raise OSError(error, os.strerror(error))
