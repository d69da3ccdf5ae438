# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Helpers for the checks of `libreplace verify`: observe() reads a thread's credentials in three ways."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _native
from .._threads import status_fields
from . import explain

#: Different ids above 16 bits that no account has, so that a truncated or swapped id is noticed.
USER, GROUP, OTHER = 80001, 80002, 80003
HIGH = 2**31 + 80001


class NotHere(Exception):
    """The check cannot run here; the text says what it needs."""


class Seen(NamedTuple):
    """The credentials of one thread: from the getters, from /proc, and from the owner of a new file."""

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    fs: tuple[int, ...]
    status: tuple[str, ...]
    owner: tuple[int, int]


def must(condition: object, message: str) -> None:
    if not condition:  # not `assert`, which python -O removes
        raise AssertionError(message)


def or_enosys(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return ()


def observe(folder: int) -> Seen:
    """The credentials of the calling thread."""
    tid = threading.get_native_id()
    name = f"{os.getpid()}-{tid}"
    handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder)
    made = os.fstat(handle)
    os.close(handle)
    os.unlink(name, dir_fd=folder)
    status = status_fields(tid)
    return Seen(
        or_enosys(_native.getresuid),
        or_enosys(_native.getresgid),
        tuple(sorted(_native.getgroups())),
        (or_enosys(_native.getfsuid), or_enosys(_native.getfsgid)),
        tuple(" ".join(status.get(field, "").split()) for field in ("Uid", "Gid", "Groups")),
        (made.st_uid, made.st_gid),
    )


def needs_root() -> None:
    reason = explain.obstacle(USER)
    if reason:
        raise NotHere(reason)
    try:
        _native.setgroups([])
        if or_enosys(_native.getresuid) != (0, 0, 0):
            _native.setuid(0)
        _native.setgid(0)
    except OSError as error:
        raise NotHere(f"this is root, but a switch is refused: {error.strerror} (by seccomp or a sandbox)") from None
