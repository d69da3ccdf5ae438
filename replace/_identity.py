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
from ._ids import group_numbers, id_number, refuse_overflow_ids
from ._native import getgroups, peer
from ._process import file_system_ids
from ._users import look_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn, SupportsIndex

    from _typeshed import HasFileno

#: Whether from_peer() has warned that it takes the groups of the group database.
_warned = False


class Identity:
    """The user id, group id and supplementary groups that a thread takes on.

    uid, gid: 0 to 2**32-2.  groups: the supplementary groups, at most 65536; kept sorted.
    A group that is given twice is one.  Immutable, hashable, picklable; the repr can be pasted.
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
        numbers = group_numbers(groups)
        put = object.__setattr__
        put(self, "uid", id_number(uid, "uid"))
        put(self, "gid", id_number(gid, "gid"))
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

        It is ``Account.lookup(user).identity``, with the same exceptions: KeyError where there is no such user.
        Source: getpwnam(3), getgrouplist(3).
        """
        _, uid, gid, groups, *_ = look_up(user)
        return cls(uid, gid, groups)

    @classmethod
    def from_peer(cls, socket: HasFileno) -> Identity:
        """The identity of the process at the other end of a connected Unix socket, with the groups that it has.

        These are its effective uid and gid and its supplementary groups when it called connect(2) or socketpair(2);
        in a client, those of the server when it called listen(2). Later changes do not count. A process that inherited
        the socket, or got it sent, is not seen: the credentials stay those of the process that made it.

        Without SO_PEERGROUPS (Linux before 4.13, or a build with such headers) the groups are those that the group
        database lists for the uid, and a RuntimeWarning says so once.

        Args:
            socket: A connected stream or seqpacket socket: of socket, asyncio or trio, or an object with fileno().

        Raises:
            TypeError: This is no socket. A number is none either.
            ValueError: Another kind of socket: not of Unix, a datagram socket, or one that listens.
            OSError: The socket is not connected (ENOTCONN) or closed (EBADF); not on Linux (ENOSYS).
            IdentityRefused: An id is shown as the overflow id, in a user namespace that does not map all ids.
            KeyError: Without SO_PEERGROUPS: no user has this uid.

        Source: unix(7), socket(7), user_namespaces(7).
        """
        uid, gid, listed = peer(socket)
        groups = _groups_in_database(uid) if listed is None else tuple(memoryview(listed).cast("I"))
        refuse_overflow_ids(uid, gid, groups, "the peer")
        return cls(uid, gid, groups)

    @classmethod
    def of_process(cls, process: SupportsIndex) -> Identity:
        """The identity that a process or thread has for files now: its fsuid, fsgid and supplementary groups.

        For a FUSE server, whose context has the number of the thread that asks. Compare the result with the uid and
        gid of that context, and refuse the request if they differ: some threads work with the credentials of another
        process, and a thread that was killed may have left its number to another.

        Args:
            process: The number of a process or of a thread, as this pid namespace has it.

        Raises:
            ProcessLookupError: There is no such process, or it has ended (a zombie).
            IdentityRefused: Nobody can tell who it is, and the text says why.
            TypeError, ValueError: Not a number of a process: a str, a bool, or less than 0.

        Refused are: 0, which FUSE gives for a process outside of the pid namespace; a thread of the kernel's, which
        works for others; ids that change at this moment; a /proc that cannot be read; and the overflow id, in a user
        namespace that does not map all ids.

        Source: proc_pid_status(5), proc_pid_stat(5), setfsuid(2), fuse_req_init_context() in fs/fuse/dev.c.
        """
        uid, gid, listed = file_system_ids(process)
        refuse_overflow_ids(uid, gid, tuple(listed), "the process")
        return cls(uid, gid, listed)

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


def _groups_in_database(uid: int) -> tuple[int, ...]:
    """The peer's groups where the kernel does not tell them."""
    global _warned
    if not _warned:
        import warnings

        text = "SO_PEERGROUPS is not known here: the peer's groups are those that the group database lists for its uid"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        _warned = True
    return look_up(uid)[3]


def check_identity(identity: object, allow_root: bool) -> None:
    """Raise TypeError for what is no Identity, and IdentityRefused for root that was not allowed."""
    if not isinstance(identity, Identity):
        raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
    if identity.has_root and not allow_root:
        raise refused(errno.EPERM, identity)
