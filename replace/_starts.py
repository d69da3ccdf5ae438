# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Refuses to start threads and processes under an identity, after refuse_starts() was called.

A thread or process that a switched thread starts inherits the identity, and could leave it. Python reports most starts
by audit events. Functions without an audit event are replaced.
"""

from __future__ import annotations

import sys
from _thread import _local, allocate_lock

from ._errors import IdentityRefused
from ._native import is_itself
from ._stand_in import StandIn, public_name, put_in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

#: Functions that start a thread or a process, or run code that this package cannot see -> their audit events, or None.
#: All other functions in Python's library use one of these. Source: Modules/ of CPython 3.10 to 3.14.
STARTERS = {
    "posix.fork": "os.fork",
    "posix.forkpty": "os.forkpty",
    "posix.execv": "os.exec",
    "posix.execve": "os.exec",
    "posix.posix_spawn": "os.posix_spawn",
    "posix.posix_spawnp": "os.posix_spawn",
    "posix.system": "os.system",
    "_posixsubprocess.fork_exec": None,
    "_thread.start_new_thread": "_thread.start_new_thread",
    "_thread.start_new": "_thread.start_new_thread",
    "_thread.start_joinable_thread": "_thread.start_joinable_thread",
    "faulthandler.dump_traceback_later": None,
    # Another interpreter in the process has its own audit hooks and modules. Its creation raises an audit event, but
    # that event is of no use: CPython turns an exception of the hook into another error, and CPython 3.12.1 crashes.
    "_interpreters.create": None,
    "_interpreters.call": None,
    "_interpreters.exec": None,
    "_interpreters.run_func": None,
    "_interpreters.run_string": None,
    "_xxsubinterpreters.create": None,
    "_xxsubinterpreters.run_string": None,
}
#: subprocess.Popen has its own event, which does not depend on the function that it calls.
_EVENTS = frozenset(event for event in STARTERS.values() if event) | {"subprocess.Popen"}
#: _add_hook() raises this event to find out whether Python calls the hook.
_HOOK_TEST = "replace.refuse_starts"

starting = _local()  # .popen: the Popen object with which popen_as() starts a process in this thread
#: Functions that get the name of a starter, and return whether it is refused in a thread that holds an identity.
_refusing: list[Callable[[str], bool]] = []
_done = {"hook works": False, "functions replaced": False}
_lock = allocate_lock()


def refuse_starts(refuses: Callable[[str], bool]) -> None:
    """From now on, refuse each start for which refuses(name) is true, in threads that hold an identity.

    Raises IdentityRefused if another audit hook vetoes the hook of this package, which needs it to see starts.
    """
    if refuses in _refusing:
        return
    with _lock:
        _add_hook()
        if not _done["functions replaced"]:
            put_in_place([StandIn(original, _guard) for original in _find_functions(_without_event())])
            _done["functions replaced"] = True
        _refusing.append(refuses)


def _guard(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    starter, caller = public_name(original), sys._getframe(2)
    _refuse(starter, caller)
    if _is_popen_as(starter, caller):
        starting.popen = None  # it may start only one process
    return original(*args, **kwargs)


def _without_event() -> list[str]:
    """The names in STARTERS that raise no audit event in this Python."""
    pypy, threads = sys.implementation.name == "pypy", sys.version_info >= (3, 12)
    return [
        name
        for name, event in STARTERS.items()
        if event is None or pypy or (event.startswith("_thread.") and not threads)
    ]


def _find_functions(names: list[str]) -> list[Callable[..., Any]]:
    """The functions with these names in this Python. This imports their modules."""
    from importlib import import_module

    found = []
    for name in names:
        module, function = name.split(".")
        try:
            found.append(getattr(import_module(module), function))
        except (ImportError, AttributeError):
            continue
    return found


def _add_hook() -> None:
    """Add the audit hook, and check that Python calls it.

    If another hook vetoes the new one with a RuntimeError, sys.addaudithook() does not add it, and raises no exception.
    """
    if not _done["hook works"]:
        sys.addaudithook(_hook)
    sys.audit(_HOOK_TEST)
    if not _done["hook works"]:
        raise IdentityRefused(
            "another audit hook vetoes the hook of this package, so starts of threads and processes would not be seen; "
            "allow the event sys.addaudithook in that hook, or call replace.protect_os() before you add the hook"
        )


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        _refuse(event, sys._getframe(1))
    elif event == _HOOK_TEST:
        _done["hook works"] = True


def _refuse(starter: str, caller: FrameType) -> None:
    """Raise if the thread holds an identity or is tainted, unless this is the start that popen_as() makes."""
    if not is_itself() and any(refuses(starter) for refuses in _refusing) and not _is_popen_as(starter, caller):
        raise IdentityRefused(
            f"{starter} is refused in a thread that holds an identity, because a new thread or process would inherit "
            "the identity; start a process with replace.popen_as(), give the work to a replace.IdentityExecutor, or "
            "start it after the thread has left the identity"
        )


def _is_popen_as(starter: str, caller: FrameType) -> bool:
    """Whether the caller is the standard library's Popen, starting the object of popen_as().

    Audit hooks, finalizers and methods of subclasses may run meanwhile. They have other frames, so their starts are
    refused.
    """
    popen = getattr(starting, "popen", None)
    return (
        popen is not None
        and starter in ("subprocess.Popen", "_posixsubprocess.fork_exec")
        and caller.f_globals is vars(sys.modules["subprocess"])
        and caller.f_code.co_name == "_execute_child"
        and caller.f_locals.get("self") is popen
    )
