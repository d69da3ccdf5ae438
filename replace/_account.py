# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Account: a user's entry in the user and group databases.

This file is loaded on first use, because typing loads slower than the rest of this package.
"""

from typing import NamedTuple, SupportsIndex

from ._identity import Identity
from ._users import look_up


class Account(NamedTuple):
    """A user's entry in the user and group databases: an immutable record.

    Attributes:
        name: The user's name.
        uid: The user ID.
        gid: The primary group ID.
        groups: The supplementary groups, in ascending order and without repetitions.
        home: The home directory. It may be empty.
        shell: The login shell. It may be empty.
        gecos: The comment field, often the full name. It may be empty.
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
        """Look up a user in the databases.

        The look-up may wait for the network. No result is cached. If one of several sources of groups does not answer,
        libc does not report this, and the groups of that source are missing.

        Args:
            name_or_uid: A name, or a uid as an int. A number in a str is refused.

        Returns:
            The account.

        Raises:
            KeyError: There is no such user.
            ValueError: The name is not valid; or the database lists -1 as an id of the user, or more than 65536 groups.
            TypeError: The argument is neither a str nor an integer.
            OverflowError: The uid is out of range.

        Source: getpwnam(3), getgrouplist(3).
        """
        return cls(*look_up(name_or_uid))

    @property
    def identity(self) -> Identity:
        """The identity with this uid, gid and groups."""
        return Identity(self.uid, self.gid, self.groups)
