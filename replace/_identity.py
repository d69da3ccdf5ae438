# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Who a thread can become: numbers only, looked up beforehand.

A name service may start threads, open sockets or take seconds, so nothing here is
asked while a thread is switched.  The other half is _impersonate.py.
"""

from __future__ import annotations

import errno
import os
import sys

from ._errors import refused
from ._native import MAX_GROUPS, getgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn, SupportsIndex

_HIGHEST = 2**32 - 2


def _number(value: SupportsIndex, kind: str) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{kind} should be integer, not bool")
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"{kind} should be integer, not {type(value).__name__}") from None
    if not 0 <= number <= _HIGHEST:
        raise OverflowError(f"{kind} {number} is not in 0..{_HIGHEST}")
    return number


class Identity:
    """The user id, group id and supplementary groups that a thread takes on.

    uid, gid: 0 to 2**32-2.  groups: the supplementary groups, at most 65536; kept sorted
    and without duplicates.  Immutable, hashable, picklable; the repr can be pasted.
    has_root: whether uid, gid or one of the groups is 0.
    Raises TypeError, OverflowError (-1 included: "unchanged" is nobody), ValueError (too
    many groups).
    """

    __slots__ = ("_groups", "_hash", "gid", "has_root", "uid")
    __match_args__ = ("uid", "gid", "groups")

    uid: int
    gid: int
    has_root: bool
    _groups: bytes
    _hash: int

    def __init__(self, uid: SupportsIndex, gid: SupportsIndex, groups: Iterable[SupportsIndex] = ()) -> None:
        if isinstance(groups, (str, bytes)):
            raise TypeError(f"groups should be integers, not {type(groups).__name__}")
        numbers = tuple(sorted({_number(group, "group") for group in groups}))
        if len(numbers) > MAX_GROUPS:
            raise ValueError("too many groups")
        put = object.__setattr__
        put(self, "uid", _number(uid, "uid"))
        put(self, "gid", _number(gid, "gid"))
        # As an array of 32-bit numbers: 4 bytes a group instead of 40, and what C wants.
        put(self, "_groups", b"".join(number.to_bytes(4, sys.byteorder) for number in numbers))
        put(self, "has_root", self.uid == 0 or self.gid == 0 or numbers[:1] == (0,))
        put(self, "_hash", hash(self._key()))

    @property
    def groups(self) -> tuple[int, ...]:
        """The supplementary groups, ascending."""
        return tuple(memoryview(self._groups).cast("I"))

    @classmethod
    def from_user(cls, user: str | SupportsIndex) -> Identity:
        """The identity of a user, by name or uid, with the groups that the group database lists.

        Raises KeyError where there is no such user.  Source: getpwnam(3), getgrouplist(3).
        """
        import pwd

        entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(_number(user, "uid"))
        return cls(entry.pw_uid, entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid))

    @classmethod
    def current(cls) -> Identity:
        """The effective ids and the groups of the calling thread."""
        return cls(os.geteuid(), os.getegid(), getgroups())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Identity is immutable; cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Identity is immutable; cannot delete {name}")

    def _key(self) -> tuple[int, int, bytes]:
        return (self.uid, self.gid, self._groups)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Identity) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return (Identity, (self.uid, self.gid, self.groups))

    def __repr__(self) -> str:
        return f"Identity(uid={self.uid}, gid={self.gid}, groups={self.groups})"


def check_identity(identity: object, allow_root: bool) -> None:
    """Raise TypeError for what is no Identity, and IdentityRefused for root that was not allowed."""
    if not isinstance(identity, Identity):
        raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
    if identity.has_root and not allow_root:
        raise refused(errno.EPERM, identity)
