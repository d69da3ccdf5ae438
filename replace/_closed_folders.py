# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Finds the folders of sys.path that a user cannot read. Imports from them fail under an identity.

A thread or process with the user's ids asks the kernel: mode bits do not show ACLs, mounts and security modules.
protect_os() asks with ids that no user has, `libreplace verify --as USER` with the ids of that user.
"""

from __future__ import annotations

import os
import sys

from ._identity import Identity
from ._impersonate import impersonate
from ._native import SCOPE, is_itself

_UNUSED_IDS = (2**32 - 3, 65535)  # ids that no user has; the second is for user namespaces that do not map the first
_already = {"asked": False}


def absolute_entries() -> list[str]:
    """The existing entries of sys.path, without relative ones."""
    entries = dict.fromkeys(entry for entry in sys.path if isinstance(entry, str))
    return [entry for entry in entries if os.path.isabs(entry) and os.path.exists(entry)]


def way_to(path: str) -> list[str]:
    """The path's parent folders and the path, then the same for the target of its symbolic links.

    Call this before the switch: the user may have no right to follow the links.
    """
    found: list[str] = []
    for place in (os.path.abspath(path), os.path.realpath(path)):
        way = [place]
        while os.path.dirname(way[0]) != way[0]:
            way.insert(0, os.path.dirname(way[0]))
        found += way
    return list(dict.fromkeys(found))


def closed_at(path: str, way: list[str]) -> str:
    """The first folder or file on the way that the calling thread cannot read; "" if it can read the path.

    Raises OSError for other reasons than a missing permission.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if os.path.isdir(path):
            os.stat(os.path.join(path, "."))  # listing a folder and searching it are different rights
        return ""
    except PermissionError:
        for place in way:
            try:
                os.lstat(place)
            except PermissionError:
                return os.path.dirname(place)
        return way[-1]


def warn_of_closed_folders() -> None:
    """Warn once in a process (RuntimeWarning) if ordinary users cannot read an entry of sys.path.

    protect_os() calls this. The warning shows the line that called protect_os(). If threads cannot switch, do nothing.
    """
    if _already["asked"] or SCOPE != "thread" or not is_itself():
        return
    _already["asked"] = True
    import warnings
    from threading import Thread  # the calling thread may run an event loop, where entry is refused

    ways = {entry: way_to(entry) for entry in absolute_entries()}
    closed: dict[str, None] = {}

    def ask() -> None:
        for number in _UNUSED_IDS:
            try:
                with impersonate(Identity(number, number), level="filesystem"):
                    found = [closed_at(entry, way) for entry, way in ways.items()]
            except Exception:  # not root, another user namespace, a veto of an audit hook: the answer is unknown
                continue
            closed.update(dict.fromkeys(filter(None, found)))
            return

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    if closed:
        warnings.warn(
            f"users cannot read {', '.join(closed)}; imports under an identity will fail: "
            "call replace.preload() with the modules that you need, or move Python to a folder that "
            "users can read; check with `libreplace verify --as USER`",
            RuntimeWarning,
            stacklevel=3,
        )
