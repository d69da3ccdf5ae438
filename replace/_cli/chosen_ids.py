# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The ids that the checks of `libreplace verify` use: the user namespace maps them, and this process has none of them.

A setter's check compares the thread's ids with a row of expected(), which comes from the table of the calls.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from .observe import kernel_ids, present_ids

#: Different ids above 16 bits that no account has, so that a truncated or swapped id is noticed.
_HIGH = 2**31 + 80001
_PREFERRED = (("user", 80001, ("uid",)), ("group", 80002, ("gid",)), ("other", 80003, ("uid", "gid")))
_WIDE = (65535 + 1, 80001, _HIGH, 2**32 - 2)
_LONG = range(80000, 82000)
#: Root; nobody, which also stands for an id that is not mapped; and the ids that level `shielded` sets as real uid.
SHIELDS = (2**32 - 3, 65535)
_RESERVED = {0, 65534, 2**32 - 2, *SHIELDS}


class Ids(NamedTuple):
    """The ids that the checks set, all different. `other` is used as a uid and as a gid."""

    user: int
    group: int
    other: int
    high: int


# generated: begin expected
def expected(ids: Ids) -> dict[str, tuple[tuple[Any, ...], str, tuple[int, ...]]]:
    """Setter -> arguments, the changed line of /proc/PID/status, and its ids after a call by root."""
    return {
        "setuid": ((ids.user,), "Uid", (ids.user, ids.user, ids.user, ids.user)),
        "seteuid": ((ids.user,), "Uid", (0, ids.user, 0, ids.user)),
        "setreuid": ((0, ids.user), "Uid", (0, ids.user, ids.user, ids.user)),
        "setresuid": ((ids.other, ids.user, 0), "Uid", (ids.other, ids.user, 0, ids.user)),
        "setfsuid": ((ids.user,), "Uid", (0, 0, 0, ids.user)),
        "setgid": ((ids.group,), "Gid", (ids.group, ids.group, ids.group, ids.group)),
        "setegid": ((ids.group,), "Gid", (0, ids.group, 0, ids.group)),
        "setregid": ((0, ids.group), "Gid", (0, ids.group, ids.group, ids.group)),
        "setresgid": ((ids.other, ids.group, 0), "Gid", (ids.other, ids.group, 0, ids.group)),
        "setfsgid": ((ids.group,), "Gid", (0, 0, 0, ids.group)),
        "setgroups": (([ids.other, ids.group, ids.high],), "Groups", (ids.group, ids.other, ids.high)),
        "initgroups": (("libreplace-nobody", ids.group), "Groups", (ids.group,)),
    }


# generated: end


def text_of(path: str) -> str:
    """The text of a small file of /proc; empty if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("ascii", "replace").strip()
    except OSError:
        return ""


def _ranges(kind: str) -> list[range]:
    """The ids that the user namespace maps, the highest first. Without a map, every id is valid: user_namespaces(7)."""
    rows = [list(map(int, line.split())) for line in text_of(f"/proc/self/{kind}_map").splitlines()]
    found = [range(first, first + count) for first, _, count in rows] or [range(2**32 - 1)]
    return sorted(found, key=lambda ids: ids.start, reverse=True)


def is_mapped(number: int, *kinds: str) -> bool:
    """Whether the user namespace maps the id, for kinds uid and gid."""
    return all(any(number in ids for ids in _ranges(kind)) for kind in kinds)


def _highest(kinds: tuple[str, ...]) -> Iterator[int]:
    """The mapped ids, the highest first."""
    for ids in _ranges(kinds[0]):
        for other in _ranges(kinds[-1]):
            yield from reversed(range(max(ids.start, other.start), min(ids.stop, other.stop)))


def _own_ids() -> set[int]:
    """The user and group ids that this process has."""
    uids, gids = present_ids()
    groups = kernel_ids()[2] if kernel_ids()[0] else " ".join(map(str, os.getgroups()))
    return {*uids, *gids, *map(int, groups.split())}


def choose() -> tuple[Ids, list[str]]:
    """The ids for the checks, and the names of those for which the user namespace maps too few ids."""
    taken, missing, found = _RESERVED | _own_ids(), [], []
    for name, preferred, kinds in (*_PREFERRED, ("high", _HIGH, ("gid",))):
        usable = preferred if preferred not in taken and is_mapped(preferred, *kinds) else None
        if usable is None:
            usable = next((number for number in _highest(kinds) if number not in taken), None)
        if usable is None:
            missing.append(name)
            usable = preferred
        taken.add(usable)
        found.append(usable)
    return Ids(*found), missing


def wide() -> list[int]:
    """Mapped ids that need more than 16 or 31 bits."""
    return [number for number in _WIDE if is_mapped(number, "uid", "gid")]


def long_list() -> list[int]:
    """Mapped group ids, 2000 of them if there are as many, in ascending order."""
    if all(is_mapped(gid, "gid") for gid in (_LONG[0], _LONG[-1])):
        return list(_LONG)
    return sorted(islice(_highest(("gid",)), len(_LONG)))
