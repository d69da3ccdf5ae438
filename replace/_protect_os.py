# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""protect_os(): what would break identities raises instead.

os's own calls are refused while a thread is switched; what a thread starts would
inherit its identity, so starting it can be refused, too.
"""

from __future__ import annotations

import os
import sys
from _thread import _local

from ._closed_folders import warn_of_closed_folders
from ._drop_privileges import OS_CALLS, alone_or_refused
from ._errors import IdentityRefused
from ._native import depth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EVENTS = frozenset(
    ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn",
     "_thread.start_new_thread", "_thread.start_joinable_thread")
)  # fmt: skip
starting = _local()  # .here: popen_as() is at work in this thread
_protected = {"os": False, "strict": False}


def protect_os(*, strict: bool = False) -> None:
    """Turn what would break identities into exceptions; once, at the start of the program.

    os.setuid and its brothers (also in posix) raise IdentityRefused while any thread is
    switched, instead of aborting the process or making that thread root.
    strict: in a thread that holds an identity, starting a thread or a process raises
    IdentityRefused as well, as it would inherit the identity (and may come back from it).
    Cannot be undone.  Not seen: names imported from os before, C libraries, PAM.
    """
    if not _protected["os"]:
        _protected["os"] = True
        import posix

        for name, original in OS_CALLS.items():
            guarded = _guarded(f"os.{name}", original)
            for module in (os, posix):
                setattr(module, name, guarded)
    if strict and not _protected["strict"]:
        _protected["strict"] = True
        sys.addaudithook(_refuse_starts)
        if sys.version_info < (3, 12):  # there, starting a thread is no audit event
            import _thread
            import threading

            start = _thread.start_new_thread

            def start_new_thread(*args: Any) -> Any:
                _refuse_starts("_thread.start_new_thread", args)
                return start(*args)

            for module in (_thread, threading):
                for name in ("start_new_thread", "_start_new_thread"):
                    if hasattr(module, name):
                        setattr(module, name, start_new_thread)
    warn_of_closed_folders()


def _guarded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return alone_or_refused(original, args, name)

    call.__module__ = original.__module__  # where a pickle finds it
    call.__name__ = call.__qualname__ = name[3:]
    call.__doc__ = f"{original.__doc__}\n\nGuarded by replace.protect_os()."
    call.__wrapped__ = original  # type: ignore[attr-defined]
    return call


def _refuse_starts(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS and depth() and not getattr(starting, "here", False):
        raise IdentityRefused(
            f"{event} in a thread that holds an identity: what it starts would inherit it; "
            "start it outside, or a process with replace.popen_as()"
        )
