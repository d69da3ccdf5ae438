# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Which numbers are ids: what callers and databases give is checked, and so is what the kernel shows.

In a user namespace the kernel shows every id that the namespace's map lacks as one number, the overflow id (65534).
"""

from __future__ import annotations

import os

from ._errors import IdentityRefused
from ._native import MAX_GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

_HIGHEST = 2**32 - 2


def whole_number(value: SupportsIndex, kind: str) -> int:
    """An integer; TypeError for everything else, bool included."""
    if isinstance(value, bool):
        raise TypeError(f"{kind} should be integer, not bool")
    try:
        return value.__index__()
    except AttributeError:
        raise TypeError(f"{kind} should be integer, not {type(value).__name__}") from None


def id_number(value: SupportsIndex, kind: str) -> int:
    """A uid or gid; OverflowError for a number that is none."""
    number = whole_number(value, kind)
    if not 0 <= number <= _HIGHEST:
        raise OverflowError(f"{kind} {number} is not in 0..{_HIGHEST}")
    return number


def group_numbers(groups: Iterable[SupportsIndex]) -> tuple[int, ...]:
    """Supplementary groups, ascending and each once; ValueError for more than the kernel takes."""
    numbers = tuple(sorted({id_number(group, "group") for group in groups}))
    if len(numbers) > MAX_GROUPS:
        raise ValueError(f"too many groups: {len(numbers)}, and the kernel takes at most {MAX_GROUPS}")
    return numbers


def refuse_overflow_ids(uid: int, gid: int, groups: tuple[int, ...], whose: str) -> None:
    """IdentityRefused if one of these ids, which the kernel has shown, may stand for an id that it cannot show.

    Source: user_namespaces(7), "Unmapped user and group IDs".
    """
    for kind, shown in (("uid", (uid,)), ("gid", (gid, *groups))):
        if not _map_is_complete(kind) and (number := _overflow_id(kind)) in shown:
            raise IdentityRefused(
                f"{whose} is shown with {kind} {number}, which in this user namespace stands for every {kind} that "
                f"/proc/self/{kind}_map lacks; map them all, or serve outside of the namespace"
            )


def _map_is_complete(kind: str) -> bool:
    """Whether this user namespace has a number for every id.  The ranges of a map never overlap."""
    try:
        with open(f"/proc/self/{kind}_map", "rb") as file:
            counts = [int(line.split()[2]) for line in file]
    except FileNotFoundError:  # a kernel without user namespaces; without /proc nobody knows
        return os.path.exists("/proc/self/status")
    return sum(counts) == _HIGHEST + 1


def _overflow_id(kind: str) -> int:
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", "rb") as file:
            return int(file.read())
    except FileNotFoundError:
        return 65534  # DEFAULT_OVERFLOWUID of linux/highuid.h
