# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Look-ups in the user and group databases: getpwnam(3), getpwuid(3), getgrouplist(3). No other file looks users up.

The answers of a database are checked like a caller's arguments, because -1 would mean "unchanged" to the kernel.
"""

from __future__ import annotations

import os

from ._ids import group_numbers, id_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from typing import SupportsIndex


def look_up(user: str | SupportsIndex) -> tuple[str, int, int, tuple[int, ...], str, str, str]:
    """The fields of replace.Account for the user with this name or uid."""
    entry = _entry(user)
    try:
        uid, gid = id_number(entry.pw_uid, "uid"), id_number(entry.pw_gid, "gid")
        groups = group_numbers(os.getgrouplist(entry.pw_name, gid))
    except (OverflowError, ValueError) as error:
        raise ValueError(f"the database has a wrong entry for user {entry.pw_name!r}: {error}") from None
    return entry.pw_name, uid, gid, groups, entry.pw_dir, entry.pw_shell, entry.pw_gecos


def _entry(user: str | SupportsIndex) -> pwd.struct_passwd:
    import pwd

    if not isinstance(user, str):
        if isinstance(user, (bytes, bytearray)) or not hasattr(user, "__index__"):
            raise TypeError(f"user should be a name (str) or a uid (int), not {type(user).__name__}")
        uid = id_number(user, "uid")
        try:
            return pwd.getpwuid(uid)
        except KeyError:
            raise KeyError(f"no user has the uid {uid}") from None
    if not user or "\0" in user or any("\ud800" <= letter <= "\udfff" for letter in user):
        raise ValueError(f"{user!r} is not a user name: it is empty, or contains a null byte or a surrogate")
    if user.isascii() and user.isdigit():
        raise ValueError(f"{user!r} is a number in a str; for a uid, pass the int {user}")
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise KeyError(f"no user has the name {user!r}") from None
