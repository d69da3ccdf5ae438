# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonate(): the calling thread acts as somebody else, and surely stops.

The switch itself and what undoes it are C (native/guard_type.c), so that an interrupt finds
the thread as it was or inside, never in between.  Here is what comes before: who is
refused, and where.  Nothing is imported inside enter or leave.
"""

from __future__ import annotations

import errno
import sys

from . import _native
from ._errors import IdentityRefused, failure, refused
from ._identity import Identity, check_identity
from ._native import ABORT_UNLESS_RESTORED, ALLOW_PROCESS, ALLOW_ROOT, LEVELS, SCOPE
from ._starts import refuse_starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._native import Guard

    Level = Literal["shielded", "effective", "real", "filesystem"]
    OnFailure = Literal["taint", "abort"]

DEFAULT_LEVEL: Level = "shielded"

_module = sys.modules.get


def _ask(module: str, function: str) -> Any:
    """What that function answers; None where the module is not imported, or another thread is only importing it."""
    found = getattr(_module(module), function, None)
    return None if found is None else found()


def running_loop() -> str:
    """Which event loop runs in this thread, and what to use there; empty if there is none.

    What is not imported cannot run, so nothing is imported here.
    """
    if _ask("asyncio", "_get_running_loop") is not None:
        return "an asyncio event loop is running in this thread; use `await run_as(...)`"
    if _ask("trio.lowlevel", "in_trio_run"):
        return "a trio event loop is running in this thread; use `await trio.to_thread.run_sync(acting_as(...))`"
    if getattr(_module("twisted.internet.reactor"), "running", False) and _ask(
        "twisted.python.threadable", "isInIOThread"
    ):
        return "a Twisted reactor is running in this thread; use `deferToThread(acting_as(...))`"
    return ""


def _refuse_greenlets(identity: Identity) -> None:
    greenlet = _ask("greenlet", "getcurrent")
    if greenlet is not None and (
        greenlet.parent is not None
        or _ask("gevent._hub_local", "get_hub_if_exists") is not None
        or hasattr(getattr(_module("eventlet.hubs"), "_threadlocal", None), "hub")
    ):
        raise IdentityRefused("greenlets switch in this thread, and others would run under it", identity)


# What native/guard_type.c calls before an entry. These two only if one of _LOOPS has been imported.


def _before(identity: Identity, /) -> None:
    """__enter__() is refused in a thread that runs an event loop: the identity would cross an await."""
    running = running_loop()
    if running:
        raise IdentityRefused(f"{running}, or `acting_as(...)()` for a plain function", identity)
    _refuse_greenlets(identity)


def _before_call(identity: Identity, /) -> None:
    """A plain function cannot cross an await. But it can switch greenlets, or start a worker of the loop's executor."""
    if running_loop():
        refuse_starts(_is_thread_beside_loop)
    _refuse_greenlets(identity)


def _is_thread_beside_loop(what: str) -> bool:
    return what.startswith("_thread.") and bool(running_loop())


def _lazily(identity: Identity, flags: int, /) -> IdentityRefused:
    """The refusal of a generator's or coroutine's frame: whoever resumes it may be another thread, or another task."""
    if flags & _GENERATOR:
        return IdentityRefused(
            "a generator would hold it across yield, where other code runs, and perhaps another thread resumes it; use "
            "`impersonated(...)`, or `acting_as(...)()` for a part without yield; across_yield=True permits it where "
            "the thread that enters is the one that resumes",
            identity,
        )
    return IdentityRefused(
        "a coroutine would hold it across await, where other tasks run; use `await run_as(...)`, or `acting_as(...)()` "
        "for a plain function",
        identity,
    )


_GENERATOR = 0x20  # inspect.CO_GENERATOR; importing inspect costs more than this package
_LOOPS = ("asyncio", "trio", "greenlet", "twisted.internet.reactor")
_native.setup(_before, _before_call, _lazily, failure, sys.audit, _LOOPS)


def check_options(
    level: Level = DEFAULT_LEVEL,
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> tuple[int, int]:
    """The options of impersonate() as C wants them: enum libreplace_level, enum libreplace_flag.

    Raises ValueError; IdentityRefused on a build whose calls change the whole process, unless that is allowed.
    """
    try:
        number = LEVELS[level]
    except (KeyError, TypeError):
        raise ValueError(f"level should be one of {', '.join(LEVELS)}, not {level!r}") from None
    flags = ALLOW_ROOT if allow_root else 0
    if allow_process:
        flags |= ALLOW_PROCESS
    elif SCOPE != "thread":
        raise refused(errno.ENOSYS)
    if on_restore_failure != "taint":
        if on_restore_failure != "abort":
            raise ValueError(f"on_restore_failure should be taint or abort, not {on_restore_failure!r}")
        flags |= ABORT_UNLESS_RESTORED
    return number, flags


def impersonate(
    identity: Identity,
    *,
    level: Level = DEFAULT_LEVEL,
    allow_root: bool = False,
    allow_process: bool = False,
    across_yield: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> Guard:
    """Act as another user in the calling thread, inside a ``with`` block.

    Other threads keep their ids. When the block ends, the thread gets back the ids that it had on entry. Blocks may be
    nested. Audit events: ``replace.enter`` (identity, level), which may veto, and ``replace.leave``.

    Args:
        identity: The user, group and supplementary groups to take.
        level: Which ids change: "shielded", "effective", "real" or "filesystem"; docs/levels.md says what each gives
            up.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        allow_process: On a build whose calls change the whole process, enter if this is its only thread.
        across_yield: Accept that a generator or coroutine enters, for example a ``@contextmanager`` helper. Other code
            runs under the identity at each yield. Use this only if the thread that enters always resumes it.
        on_restore_failure: "taint" the thread, which then refuses more identities and should end, or "abort" the
            process.

    Returns:
        A guard. Each guard can be entered once. ``changes`` counts its credential-changing system calls.

    Raises:
        IdentityRefused: The identity, or this place in the program, is not acceptable. Nothing changed. Entering is
            refused on a thread that runs an event loop or switches greenlets, and from the frame of a generator or
            coroutine, also through ``contextlib.ExitStack``.
        IdentityError: A step failed. ``state`` says what the thread is now.
        TypeError, ValueError: An argument is wrong.

    Source: credentials(7), setresuid(2).
    """
    check_identity(identity, allow_root)
    number, flags = check_options(level, allow_root, allow_process, on_restore_failure)
    return _native.make(identity, identity.uid, identity.gid, identity._groups, number, flags, across_yield)
