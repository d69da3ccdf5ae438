# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Starting a thread or a process under an identity is refused, where somebody has asked refuse_starts() for it.

What a switched thread starts inherits the identity, and could come back from it. Python tells of most starts by audit
events; functions that raise none are replaced.
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

#: What starts a thread or a process, or runs code where this package cannot look, and the audit event that tells of it.
#: Everything else in Python's library comes down to one of these. Source: Modules/ of CPython 3.10 to 3.14.
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
    # Another interpreter of the process has other audit hooks and other modules. Making one raises an event, but
    # CPython turns what a hook raises there into another error, and 3.12.1 crashes.
    "_interpreters.create": None,
    "_interpreters.call": None,
    "_interpreters.exec": None,
    "_interpreters.run_func": None,
    "_interpreters.run_string": None,
    "_xxsubinterpreters.create": None,
    "_xxsubinterpreters.run_string": None,
}
#: subprocess.Popen has an event of its own, which is heard whatever function it will call one day.
_EVENTS = frozenset(event for event in STARTERS.values() if event) | {"subprocess.Popen"}
_HEARD = "replace.refuse_starts"

starting = _local()  # .popen: the object that popen_as() is about to start in this thread
#: Each is asked whether a start of that name is refused, in a thread that holds an identity.
_refusing: list[Callable[[str], bool]] = []
_done = {"heard": False, "replaced": False}
_lock = allocate_lock()


def refuse_starts(refuses: Callable[[str], bool]) -> None:
    """From now on, refuse each start for which refuses(name) is true, in threads that hold an identity.

    Raises IdentityRefused if starts cannot be seen, because another audit hook vetoes ours.
    """
    if refuses in _refusing:
        return
    with _lock:
        _listen()
        if not _done["replaced"]:
            put_in_place([StandIn(original, _guard) for original in _find(_unheard())])
            _done["replaced"] = True
        _refusing.append(refuses)


def _guard(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    what, caller = public_name(original), sys._getframe(2)
    _refuse(what, caller)
    if _is_popen_as(what, caller):
        starting.popen = None  # it starts one process
    return original(*args, **kwargs)


def _unheard() -> list[str]:
    """Which of STARTERS raise no audit event in this Python."""
    pypy, threads = sys.implementation.name == "pypy", sys.version_info >= (3, 12)
    return [
        name
        for name, event in STARTERS.items()
        if event is None or pypy or (event.startswith("_thread.") and not threads)
    ]


def _find(names: list[str]) -> list[Callable[..., Any]]:
    """The functions of those names which this Python has. Their modules are imported before anybody else does it."""
    from importlib import import_module

    found = []
    for name in names:
        module, function = name.split(".")
        try:
            found.append(getattr(import_module(module), function))
        except (ImportError, AttributeError):
            continue
    return found


def _listen() -> None:
    """Add the audit hook, and make sure of it: sys.addaudithook() is silent if another hook vetoes ours."""
    if not _done["heard"]:
        sys.addaudithook(_hook)
    sys.audit(_HEARD)
    if not _done["heard"]:
        raise IdentityRefused(
            "another audit hook vetoes the one of this package, so starts of threads and processes would not be seen; "
            "let sys.addaudithook pass in that hook, or call replace.protect_os() before it is added"
        )


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS:
        _refuse(event, sys._getframe(1))
    elif event == _HEARD:
        _done["heard"] = True


def _refuse(what: str, caller: FrameType) -> None:
    """Raise if the thread holds an identity, or is not known to be right, unless popen_as() makes exactly this call."""
    if not is_itself() and any(refuses(what) for refuses in _refusing) and not _is_popen_as(what, caller):
        raise IdentityRefused(
            f"{what} is refused in a thread that holds an identity, because a new thread or process would inherit it; "
            "start a process with replace.popen_as(), give work to a replace.IdentityExecutor, or start it outside"
        )


def _is_popen_as(what: str, caller: FrameType) -> bool:
    """Whether the caller is the standard Popen itself, at work on the very object of popen_as().

    Other code that runs meanwhile has a frame of its own: audit hooks, finalizers and what subclasses override.
    """
    popen = getattr(starting, "popen", None)
    return (
        popen is not None
        and what in ("subprocess.Popen", "_posixsubprocess.fork_exec")
        and caller.f_globals is vars(sys.modules["subprocess"])
        and caller.f_code.co_name == "_execute_child"
        and caller.f_locals.get("self") is popen
    )
