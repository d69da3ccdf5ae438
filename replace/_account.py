# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A user as the databases have it: an identity with a name, a home and a shell.

Loaded when asked for, since typing costs more than this package.
"""

from typing import NamedTuple, SupportsIndex

from ._identity import Identity
from ._users import look_up


class Account(NamedTuple):
    """A user as the user and group databases have it: an immutable record.

    name, uid, gid: the user's entry.  groups: the supplementary groups, ascending and each once.
    home, shell, gecos: the rest of the entry; each may be empty.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str
    gecos: str

    @classmethod
    def lookup(cls, name_or_uid: "str | SupportsIndex") -> "Account":
        """Ask the databases for a user.  This may wait for the network; nothing is cached.

        Args:
            name_or_uid: A name, or a uid as an int. A number in a str is refused.

        Returns:
            The account. If one of several sources of groups does not answer, libc does not say so, and
            the groups of that source are missing.

        Raises:
            KeyError: There is no such user.
            ValueError: No name; or the database has -1 for an id of the user, or over 65536 groups. Nothing is cut.
            TypeError, OverflowError: This is neither a name nor a uid.

        Source: getpwnam(3), getgrouplist(3).
        """
        return cls(*look_up(name_or_uid))

    @property
    def identity(self) -> Identity:
        """Who a thread can become: uid, gid and groups."""
        return Identity(self.uid, self.gid, self.groups)
