# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Which folders of sys.path a user cannot read, so that imports under an identity fail.

The kernel is asked, by a thread or a process that is the user: mode bits do not know of ACLs, security modules and
mounts.  protect_os() asks here as nobody in particular, `libreplace verify --as USER` as that user.
"""

from __future__ import annotations

import os
import sys

from ._identity import Identity
from ._impersonate import impersonate
from ._native import SCOPE, is_itself

_NOBODY = (2**32 - 3, 65535)  # ids that nobody has; the second, if this user namespace does not map the first
_already = {"asked": False}


def absolute_entries() -> list[str]:
    """The entries of sys.path that are there, without relative ones."""
    entries = dict.fromkeys(entry for entry in sys.path if isinstance(entry, str))
    return [entry for entry in entries if os.path.isabs(entry) and os.path.exists(entry)]


def way_to(path: str) -> list[str]:
    """The path's folders and the path, then the same of the place that its symbolic links lead to.

    Ask before the switch: the user may be unable to follow the links.
    """
    found: list[str] = []
    for place in (os.path.abspath(path), os.path.realpath(path)):
        way = [place]
        while os.path.dirname(way[0]) != way[0]:
            way.insert(0, os.path.dirname(way[0]))
        found += way
    return list(dict.fromkeys(found))


def closed_at(path: str, way: list[str]) -> str:
    """Where the calling thread is kept from reading the file, or the folder's listing and files; "" if nowhere.

    Raises OSError for anything but a missing permission.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if os.path.isdir(path):
            os.stat(os.path.join(path, "."))  # listing it is one right, searching it another
        return ""
    except PermissionError:
        for place in way:
            try:
                os.lstat(place)
            except PermissionError:
                return os.path.dirname(place)
        return way[-1]


def warn_of_closed_folders() -> None:
    """RuntimeWarning, once in a process, if users in general cannot read an entry of sys.path.

    Called by protect_os(); the warning names the line that called that.  Nothing happens where a thread cannot switch.
    """
    if _already["asked"] or SCOPE != "thread" or not is_itself():
        return
    _already["asked"] = True
    import warnings
    from threading import Thread  # the calling thread may run an event loop, where nobody enters

    ways = {entry: way_to(entry) for entry in absolute_entries()}
    closed: dict[str, None] = {}

    def ask() -> None:
        for number in _NOBODY:
            try:
                with impersonate(Identity(number, number), level="filesystem"):
                    found = [closed_at(entry, way) for entry, way in ways.items()]
            except Exception:  # not root, another user namespace, a veto of an audit hook: it cannot be told
                continue
            closed.update(dict.fromkeys(filter(None, found)))
            return

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    if closed:
        warnings.warn(
            f"users cannot read {', '.join(closed)}; imports under an identity will fail: call replace.preload() with "
            "what you need, or move Python; `libreplace verify --as USER` checks",
            RuntimeWarning,
            stacklevel=3,
        )
