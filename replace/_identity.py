# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Identity: the ids and groups that a thread can take.

An identity has only numbers, so a switch needs no look-up: a name service may start threads, open sockets or take
seconds. _impersonate.py makes the switch.
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

#: Whether from_peer() has warned that it uses the group database.
_warned = False


class Identity:
    """The user, group and supplementary groups that a thread can take.

    An identity is immutable, hashable and picklable. Its repr is a valid expression.

    Args:
        uid: The user ID, 0 to 2**32-2.
        gid: The group ID, 0 to 2**32-2.
        groups: The supplementary groups, at most 65536. They are sorted, and repetitions are removed.

    Attributes:
        uid: The user ID.
        gid: The group ID.
        has_root: Whether uid, gid or a supplementary group is 0.

    Raises:
        TypeError: An id is not an integer; a bool is refused, too.
        OverflowError: An id is out of range. -1 is out of range, too.
        ValueError: There are too many groups.
    """

    __match_args__ = ("uid", "gid", "groups")

    if TYPE_CHECKING:  # for checkers, an assignment is an error

        @property
        def uid(self) -> int: ...
        @property
        def gid(self) -> int: ...
        @property
        def has_root(self) -> bool: ...
    else:
        __slots__ = ("_groups", "_hash", "gid", "has_root", "uid")

    _groups: bytes
    _hash: int

    def __init__(self, uid: SupportsIndex, gid: SupportsIndex, groups: Iterable[SupportsIndex] = ()) -> None:
        if isinstance(groups, (str, bytes)) or not _is_iterable(groups):
            raise TypeError(f"groups should be an iterable of integers, not {type(groups).__name__}")
        numbers = group_numbers(groups)
        put = object.__setattr__
        put(self, "uid", id_number(uid, "uid"))
        put(self, "gid", id_number(gid, "gid"))
        # An array of 32-bit numbers: 4 bytes for each group instead of 40, and the form that C needs.
        put(self, "_groups", b"".join(number.to_bytes(4, sys.byteorder) for number in numbers))
        put(self, "has_root", self.uid == 0 or self.gid == 0 or numbers[:1] == (0,))
        put(self, "_hash", hash(self._key()))

    @property
    def groups(self) -> tuple[int, ...]:
        """The supplementary groups, in ascending order."""
        return tuple(memoryview(self._groups).cast("I"))

    @classmethod
    def from_user(cls, user: str | SupportsIndex) -> Identity:
        """Look up a user's identity, with the groups that the group database lists.

        This is ``Account.lookup(user).identity``.

        Args:
            user: A name, or a uid as an int. A number in a str is refused.

        Returns:
            The identity.

        Raises:
            KeyError: There is no such user.
            ValueError: The name is not valid; or the database lists -1 as an id of the user, or more than 65536 groups.
            TypeError: The argument is neither a str nor an integer.
            OverflowError: The uid is out of range.

        Source: getpwnam(3), getgrouplist(3).
        """
        _, uid, gid, groups, *_ = look_up(user)
        return cls(uid, gid, groups)

    @classmethod
    def from_peer(cls, socket: HasFileno) -> Identity:
        """Read the identity of the process at the other end of a connected Unix socket.

        The kernel records the effective uid and gid and the supplementary groups when the peer calls connect(2),
        listen(2) or socketpair(2). A server gets the credentials of the client, a client those of the server. Later
        changes of the peer's ids do not count. If another process inherits or receives the socket, the credentials
        stay those of the process that made it.

        Without SO_PEERGROUPS (Linux before 4.13, or a build with older headers), the groups come from the group
        database. A RuntimeWarning says so once.

        Args:
            socket: A connected stream or seqpacket socket of the modules socket, asyncio or trio, or another object
                with a method fileno(). A number is refused.

        Returns:
            The identity.

        Raises:
            TypeError: The argument is not a socket.
            ValueError: The socket is not a Unix socket, or is a datagram socket, or listens.
            OSError: ``ENOTCONN`` if the socket is not connected; ``EBADF`` if it is closed; ``ENOSYS`` if the system is
                not Linux.
            IdentityRefused: This user namespace does not map all ids, and an id of the peer is the overflow id.
            KeyError: No user has this uid (only without SO_PEERGROUPS).

        Source: unix(7), socket(7), user_namespaces(7).
        """
        uid, gid, listed = peer(socket)
        groups = _groups_in_database(uid) if listed is None else tuple(memoryview(listed).cast("I"))
        refuse_overflow_ids(uid, gid, groups, "the peer")
        return cls(uid, gid, groups)

    @classmethod
    def of_process(cls, process: SupportsIndex) -> Identity:
        """Read the identity that a process or thread uses for files now: its fsuid, fsgid and supplementary groups.

        Use this in a FUSE server, whose context has the number of the requesting thread. Compare the result with the
        uid and gid of that context, and refuse the request if they differ: some threads use the credentials of another
        process, and if no thread waits for the answer (read-ahead), the number may belong to another thread by now.

        Args:
            process: The number of a process or thread, in this pid namespace.

        Returns:
            The identity.

        Raises:
            ProcessLookupError: There is no such process, or it has ended (a zombie).
            IdentityRefused: The ids cannot be known, and the message says why: the number is 0, which FUSE gives for a
                process outside of the pid namespace; the thread belongs to the kernel and works for other processes;
                its ids change at this moment; /proc cannot be read, or has the numbers of another PID namespace; or an
                id is the overflow id, in a user namespace that does not map all ids.
            TypeError: The argument is not an integer. A bool is refused, too.
            ValueError: The number is negative or too large.

        Source: proc_pid_status(5), proc_pid_stat(5), setfsuid(2), fuse_req_init_context() in fs/fuse/dev.c.
        """
        uid, gid, listed = file_system_ids(process)
        refuse_overflow_ids(uid, gid, tuple(listed), "the process")
        return cls(uid, gid, listed)

    @classmethod
    def current(cls) -> Identity:
        """Read the effective ids and the supplementary groups of the calling thread.

        Returns:
            The identity.
        """
        return cls(os.geteuid(), os.getegid(), getgroups())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot set {name}: an Identity is immutable; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name}: an Identity is immutable; make a new one")

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


def _is_iterable(thing: object) -> bool:
    return hasattr(type(thing), "__iter__") or hasattr(type(thing), "__getitem__")


def _groups_in_database(uid: int) -> tuple[int, ...]:
    """The peer's groups, if the kernel does not report them."""
    global _warned
    if not _warned:
        import warnings

        text = "SO_PEERGROUPS does not exist in this system or build; the peer's groups come from the group database"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        _warned = True
    return look_up(uid)[3]


def check_identity(identity: object, allow_root: bool) -> None:
    """Raise TypeError if this is not an Identity, and IdentityRefused if it has root and that is not allowed."""
    if not isinstance(identity, Identity):
        raise TypeError(f"identity should be Identity, not {type(identity).__name__}; make one with replace.Identity")
    if identity.has_root and not allow_root:
        raise refused(errno.EPERM, identity)
