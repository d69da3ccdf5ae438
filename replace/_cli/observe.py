# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Helpers for the checks of `libreplace verify`: observe() reads a thread's credentials in three ways."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from .. import _native
from .._proc import own_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .obstacles import Machine


class NotHere(Exception):
    """The check cannot run here; the text says what it needs."""


class Seen(NamedTuple):
    """The credentials of one thread: from the getters, from /proc, and from the owner of a new file.

    What cannot be read here is empty, or None.
    """

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...] | None
    fsuid: int | None
    fsgid: int | None
    status: tuple[str, ...]
    owner: tuple[int, int]


def must(condition: object, message: str) -> None:
    if not condition:  # not `assert`, which python -O removes
        raise AssertionError(message)


def kernel_fields() -> dict[str, str]:
    """The calling thread's fields of /proc/thread-self/status. Empty if they cannot be read."""
    try:
        return own_status()
    except OSError:
        return {}


def kernel_ids() -> tuple[str, str, str]:
    """The user IDs, group IDs and groups (in ascending order) of the calling thread, from /proc. Empty if they cannot
    be read."""
    fields = kernel_fields()
    uids, gids, groups = (list(map(int, fields.get(name, "").split())) for name in ("Uid", "Gid", "Groups"))
    return " ".join(map(str, uids)), " ".join(map(str, gids)), " ".join(map(str, sorted(groups)))


def present_ids() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The real, effective and saved user and group IDs of this process: from /proc, because something may refuse libc's
    getters here."""
    uids, gids, _ = kernel_ids()
    if uids:
        return tuple(map(int, uids.split()[:3])), tuple(map(int, gids.split()[:3]))
    if hasattr(os, "getresuid"):
        return os.getresuid(), os.getresgid()
    return (os.getuid(), os.geteuid()), (os.getgid(), os.getegid())


def new_name() -> str:
    """A name that nobody can guess, for a new file."""
    return os.urandom(8).hex()


def owner_of_new_file(folder: int) -> tuple[int, int]:
    """Make a file and remove it; return its owner and group."""
    name = new_name()
    handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=folder)
    made = os.fstat(handle)
    os.close(handle)
    os.unlink(name, dir_fd=folder)
    return made.st_uid, made.st_gid


def observe(machine: Machine) -> Seen:
    """The credentials of the calling thread. It calls no getter that is missing or prevented here."""

    def read(name: str, nothing: Any = None) -> Any:
        return nothing if name in machine.obstacles or name in machine.missing else getattr(_native, name)()

    groups = read("getgroups")
    return Seen(
        read("getresuid", ()),
        read("getresgid", ()),
        None if groups is None else tuple(sorted(groups)),
        read("getfsuid"),
        read("getfsgid"),
        kernel_ids(),
        owner_of_new_file(machine.folder),
    )
