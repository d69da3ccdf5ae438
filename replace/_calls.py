# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The uniform calls in Python: drop-in for those of `os`.

Same arguments, same exceptions; the differences are in each docstring.  The other
half is the C module that detect/generate.py writes: this file only converts and
raises.  One system call a function, and nothing is remembered: the kernel is the
truth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from operator import index
from typing import Any, Literal, SupportsIndex

from ._replace import ffi, lib

#: What one setter changes: ``"thread"``, the calling thread; ``"process"``, every thread.
SCOPE: Literal["thread", "process"] = "thread" if lib.LIBREPLACE_THREAD_SCOPE else "process"

_UNSET = 2**32 - 1  # (uid_t)-1
MAX_GROUPS = 65536  # NGROUPS_MAX of Linux; the kernel has the last word
_LONG_LIST = 1024  # from here on setgroups lets other Python threads run (25 ms at 65 536)
# Calls through a pointer release the GIL, on either back end; those of `lib` keep it on the raw one.
_setgroups_unlocked = ffi.addressof(lib, "rep_setgroups")
_initgroups_unlocked = ffi.addressof(lib, "rep_initgroups")


def _id(value: SupportsIndex, kind: str) -> int:
    """The id as C wants it.  Raises what CPython's converters raise, with the same words."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{kind} should be integer, not {type(value).__name__}") from None
    if number == -1:
        return _UNSET
    if number < 0:
        raise OverflowError(f"{kind} is less than minimum")
    if number >= _UNSET:  # 2**32-1 would be taken for -1
        raise OverflowError(f"{kind} is greater than maximum")
    return number


def _check(result: int) -> None:
    if result:
        error = ffi.errno
        raise OSError(error, os.strerror(error))


def setuid(uid: SupportsIndex, /) -> None:
    """Set the effective user id; with CAP_SETUID the real and the saved one too.

    uid: the id, 0 to 2**32-2.  This is not the `setuid` that POSIX describes: where
    SCOPE is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (-1, or not mapped); OverflowError; TypeError.
    Unlike os.setuid, refuses 2**32-1.  Source: setuid(2), kernel/sys.c.
    """
    _check(lib.rep_setuid(_id(uid, "uid")))


def setgid(gid: SupportsIndex, /) -> None:
    """Set the effective group id; with CAP_SETGID the real and the saved one too.

    gid: the id, 0 to 2**32-2.  This is not the `setgid` that POSIX describes: where
    SCOPE is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (-1, or not mapped); OverflowError; TypeError.
    Unlike os.setgid, refuses 2**32-1.  Source: setgid(2), kernel/sys.c.
    """
    _check(lib.rep_setgid(_id(gid, "gid")))


def seteuid(euid: SupportsIndex, /) -> None:
    """Set the effective user id alone.

    euid: the id, 0 to 2**32-2; -1 is EINVAL, never "unchanged".  This is not the
    `seteuid` that POSIX describes: where SCOPE is "thread" the other threads keep theirs.
    Raises OSError: EPERM, EINVAL; OverflowError; TypeError.  Source: seteuid(2).
    """
    _check(lib.rep_seteuid(_id(euid, "uid")))


def setegid(egid: SupportsIndex, /) -> None:
    """Set the effective group id alone.

    egid: the id, 0 to 2**32-2; -1 is EINVAL, never "unchanged".  This is not the
    `setegid` that POSIX describes: where SCOPE is "thread" the other threads keep theirs.
    Raises OSError: EPERM, EINVAL; OverflowError; TypeError.  Source: setegid(2).
    """
    _check(lib.rep_setegid(_id(egid, "gid")))


def setreuid(ruid: SupportsIndex, euid: SupportsIndex, /) -> None:
    """Set the real and the effective user id.

    ruid, euid: the ids, 0 to 2**32-2, or -1 to leave one unchanged.  The saved id may
    follow (setreuid(2)).  This is not the `setreuid` that POSIX describes: where SCOPE
    is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (not mapped), ENOSYS; OverflowError; TypeError.
    Source: setreuid(2), kernel/sys.c.
    """
    _check(lib.rep_setreuid(_id(ruid, "uid"), _id(euid, "uid")))


def setregid(rgid: SupportsIndex, egid: SupportsIndex, /) -> None:
    """Set the real and the effective group id.

    rgid, egid: the ids, 0 to 2**32-2, or -1 to leave one unchanged.  The saved id may
    follow (setregid(2)).  This is not the `setregid` that POSIX describes: where SCOPE
    is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (not mapped), ENOSYS; OverflowError; TypeError.
    Source: setregid(2), kernel/sys.c.
    """
    _check(lib.rep_setregid(_id(rgid, "gid"), _id(egid, "gid")))


def setresuid(ruid: SupportsIndex, euid: SupportsIndex, suid: SupportsIndex, /) -> None:
    """Set the real, effective and saved user id.

    ruid, euid, suid: the ids, 0 to 2**32-2, or -1 to leave one unchanged.  This is not a
    process-wide `setresuid`: where SCOPE is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (not mapped), ENOSYS (not in this libc, and not to be
    had with the same meaning); OverflowError; TypeError.  Source: setresuid(2), kernel/sys.c.
    """
    _check(lib.rep_setresuid(_id(ruid, "uid"), _id(euid, "uid"), _id(suid, "uid")))


def setresgid(rgid: SupportsIndex, egid: SupportsIndex, sgid: SupportsIndex, /) -> None:
    """Set the real, effective and saved group id.

    rgid, egid, sgid: the ids, 0 to 2**32-2, or -1 to leave one unchanged.  This is not a
    process-wide `setresgid`: where SCOPE is "thread" the other threads keep their ids.
    Raises OSError: EPERM, EINVAL (not mapped), ENOSYS (not in this libc, and not to be
    had with the same meaning); OverflowError; TypeError.  Source: setresgid(2), kernel/sys.c.
    """
    _check(lib.rep_setresgid(_id(rgid, "gid"), _id(egid, "gid"), _id(sgid, "gid")))


def setfsuid(fsuid: SupportsIndex, /) -> None:
    """Set the user id that file system access is checked with (Linux; always this thread).

    fsuid: the id, 0 to 2**32-2.  The kernel's call reports no error, so a second one
    verifies it.  Raises OSError: EPERM (it did not take: no privilege, or not mapped),
    EINVAL (-1), ENOSYS; OverflowError; TypeError.  Source: setfsuid(2).
    """
    _check(lib.rep_setfsuid(_id(fsuid, "uid")))


def setfsgid(fsgid: SupportsIndex, /) -> None:
    """Set the group id that file system access is checked with (Linux; always this thread).

    fsgid: the id, 0 to 2**32-2.  The kernel's call reports no error, so a second one
    verifies it.  Raises OSError: EPERM (it did not take: no privilege, or not mapped),
    EINVAL (-1), ENOSYS; OverflowError; TypeError.  Source: setfsgid(2).
    """
    _check(lib.rep_setfsgid(_id(fsgid, "gid")))


def setgroups(groups: Sequence[SupportsIndex], /) -> None:
    """Set the supplementary groups.

    groups: a sequence of at most 65536 ids; all of it is read before the one system
    call.  This is not a process-wide `setgroups`: where SCOPE is "thread" the other
    threads keep their groups.
    Raises OSError: EPERM, EINVAL (an id is -1 or not mapped, or the kernel takes fewer);
    ValueError (more than 65536); OverflowError; TypeError (not a sequence, or an entry
    is no integer).  Source: setgroups(2), kernel/groups.c.
    """
    if isinstance(groups, (set, frozenset, dict)) or not hasattr(groups, "__getitem__"):
        raise TypeError("setgroups argument must be a sequence")
    if len(groups) > MAX_GROUPS:
        raise ValueError("too many groups")
    ids = [_id(group, "gid") for group in groups]
    if len(ids) > MAX_GROUPS:  # a sequence that grew while it was read
        raise ValueError("too many groups")
    call: Callable[..., int] = _setgroups_unlocked if len(ids) > _LONG_LIST else lib.rep_setgroups
    _check(call(len(ids), ffi.new("gid_t[]", ids) if ids else ffi.NULL))


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
    _check(_initgroups_unlocked(ffi.new("char[]", name), _id(gid, "gid")))


def _read(call: Callable[..., int], ctype: str, count: int) -> Any:
    values = [ffi.new(ctype) for _ in range(count)]
    _check(call(*values))
    return tuple(int(value[0]) for value in values)


def getresuid() -> tuple[int, int, int]:
    """The real, effective and saved user id of the calling thread.

    Raises OSError: ENOSYS where the system cannot tell.  Source: getresuid(2).
    """
    ids: tuple[int, int, int] = _read(lib.rep_getresuid, "uid_t *", 3)
    return ids


def getresgid() -> tuple[int, int, int]:
    """The real, effective and saved group id of the calling thread.

    Raises OSError: ENOSYS where the system cannot tell.  Source: getresgid(2).
    """
    ids: tuple[int, int, int] = _read(lib.rep_getresgid, "gid_t *", 3)
    return ids


def getfsuid() -> int:
    """The user id that file system access is checked with.

    Raises OSError: ENOSYS where there is none.  Source: setfsuid(2).
    """
    return int(_read(lib.rep_getfsuid, "uid_t *", 1)[0])


def getfsgid() -> int:
    """The group id that file system access is checked with.

    Raises OSError: ENOSYS where there is none.  Source: setfsgid(2).
    """
    return int(_read(lib.rep_getfsgid, "gid_t *", 1)[0])


def getgroups() -> list[int]:
    """The supplementary groups of the calling thread, in the kernel's order.

    Raises OSError.  Source: getgroups(2).
    """
    while True:
        count = lib.rep_getgroups(0, ffi.NULL)
        if count <= 0:
            _check(count)
            return []
        groups = ffi.new("gid_t[]", count)
        got = lib.rep_getgroups(count, groups)
        if got >= 0:
            return ffi.unpack(groups, got)
        if ffi.errno != 22:  # EINVAL: it grew between the two calls (a process-wide back end)
            _check(got)
