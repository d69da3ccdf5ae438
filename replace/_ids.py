# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Checks of numbers that should be ids: from callers, databases and the kernel.

In a user namespace, the kernel shows each id that the namespace does not map as the overflow id, normally 65534.
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
    """The value as an int. TypeError if it is a bool or not an integer."""
    if isinstance(value, bool):
        raise TypeError(f"{kind} should be integer, not bool")
    try:
        return value.__index__()
    except AttributeError:
        raise TypeError(f"{kind} should be integer, not {type(value).__name__}") from None


def id_number(value: SupportsIndex, kind: str) -> int:
    """The value as a uid or gid. OverflowError if it is out of range."""
    number = whole_number(value, kind)
    if not 0 <= number <= _HIGHEST:
        raise OverflowError(f"{kind} {number} is not in 0..{_HIGHEST}")
    return number


def group_numbers(groups: Iterable[SupportsIndex]) -> tuple[int, ...]:
    """Supplementary groups in ascending order, without repetitions. ValueError for more than the kernel accepts."""
    numbers = tuple(sorted({id_number(group, "group") for group in groups}))
    if len(numbers) > MAX_GROUPS:
        raise ValueError(f"too many groups: {len(numbers)}; the kernel accepts at most {MAX_GROUPS}")
    return numbers


def refuse_overflow_ids(uid: int, gid: int, groups: tuple[int, ...], subject: str) -> None:
    """Raise IdentityRefused if one of these ids from the kernel may stand for an id that the kernel cannot show.

    Source: user_namespaces(7), "Unmapped user and group IDs".
    """
    for kind, shown in (("uid", (uid,)), ("gid", (gid, *groups))):
        if not _map_is_complete(kind) and (number := _overflow_id(kind)) in shown:
            raise IdentityRefused(
                f"{subject} has {kind} {number}, which in this user namespace stands for every {kind} that is not in "
                f"/proc/self/{kind}_map; map all {kind}s, or run the server outside of the namespace"
            )


def _map_is_complete(kind: str) -> bool:
    """Whether this user namespace maps every id. The ranges of a map never overlap."""
    try:
        with open(f"/proc/self/{kind}_map", "rb") as file:
            counts = [int(line.split()[2]) for line in file]
    except FileNotFoundError:  # a kernel without user namespaces, if /proc exists
        return os.path.exists("/proc/self/status")
    return sum(counts) == _HIGHEST + 1


def _overflow_id(kind: str) -> int:
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", "rb") as file:
            return int(file.read())
    except FileNotFoundError:
        return 65534  # DEFAULT_OVERFLOWUID of linux/highuid.h
