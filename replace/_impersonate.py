# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonate(): the calling thread acts as another user, and gets its ids back.

native/guard_type.c switches and restores the ids, so an interrupt comes before or after a switch, never in the middle.
This file decides before each entry whether the identity, the thread and the caller are acceptable. Entering and leaving
import no module.
"""

from __future__ import annotations

import errno
import sys

from . import _native
from ._errors import IdentityRefused, failure, refused
from ._event_loops import call_as_user, call_if_imported, description, running_loop
from ._identity import Identity, check_identity
from ._native import ABORT_UNLESS_RESTORED, ALLOW_PROCESS, ALLOW_ROOT, LEVELS, SCOPE
from ._starts import refuse_starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._native import Guard
    from ._options import Level, OnFailure

DEFAULT_LEVEL: Level = "shielded"
_DEFAULT_NUMBER = LEVELS[DEFAULT_LEVEL]
#: With this level, and no option, impersonate() need not call check_options(). No level if an option is necessary.
_USUAL = DEFAULT_LEVEL if SCOPE == "thread" else object()

_make = _native.make


def refuse_greenlets(identity: Identity | None) -> None:
    """Raise IdentityRefused if another greenlet may run in this thread before the caller is done."""
    greenlet = call_if_imported("greenlet", "getcurrent")
    if greenlet is not None and (
        greenlet.parent is not None
        or call_if_imported("gevent._hub_local", "get_hub_if_exists") is not None
        or hasattr(getattr(sys.modules.get("eventlet.hubs"), "_threadlocal", None), "hub")
    ):
        raise IdentityRefused(
            "greenlets switch in this thread, and the others would run under this identity; do this work in a "
            "thread without greenlets",
            identity,
        )


# native/guard_type.c calls these functions before an entry, the first two only if a module of _LOOPS is imported.


def _before(identity: Identity, /) -> None:
    """Refuse __enter__() in a thread that runs an event loop, because the identity would cross an await."""
    loop = running_loop()
    if loop:
        raise IdentityRefused(
            f"{description(loop)} is running in this thread; use {call_as_user(loop)}, or `acting_as(...)()` for a "
            "plain function",
            identity,
        )
    refuse_greenlets(identity)


def _before_call(identity: Identity, /) -> None:
    """Check a plain function. It cannot cross an await, but it can switch greenlets or start a worker of the loop."""
    if running_loop():
        refuse_starts(_is_thread_beside_loop)
    refuse_greenlets(identity)


def _is_thread_beside_loop(starter: str) -> bool:
    """Whether this starts a thread in a thread that runs an event loop, for example a worker of that loop."""
    return starter.startswith("_thread.") and bool(running_loop())


def _lazy_frame_refused(identity: Identity, flags: int, /) -> IdentityRefused:
    """The exception for an entry in the frame of a generator or coroutine: another thread or task may resume it."""
    if flags & _GENERATOR:
        return IdentityRefused(
            "a generator would hold the identity across yield, where other code runs, and another thread may resume "
            "the generator; use `impersonated(...)`, or `acting_as(...)()` for a part without yield; across_yield=True "
            "permits this, if the thread that enters always resumes the generator",
            identity,
        )
    return IdentityRefused(
        "a coroutine would hold the identity across await, where other tasks run; use `await run_as(...)`, or "
        "`acting_as(...)()` for a plain function",
        identity,
    )


def _await_refused() -> TypeError:
    """The exception for `async with`."""
    return TypeError(f"an identity cannot be held across await; use {call_as_user(running_loop())}")


_GENERATOR = 0x20  # inspect.CO_GENERATOR; importing inspect costs more than this package
_LOOPS = ("asyncio", "trio", "greenlet", "twisted.internet.reactor")
_native.setup(_before, _before_call, _lazy_frame_refused, _await_refused, failure, sys.audit, _LOOPS)


def check_options(
    level: Level = DEFAULT_LEVEL,
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> tuple[int, int]:
    """The options of impersonate() as numbers for C: enum libreplace_level and enum libreplace_flag.

    Raises ValueError; IdentityRefused if the calls of this build change the whole process, unless that is allowed.
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


def changed_options(
    level: Level, allow_root: bool, allow_process: bool, on_restore_failure: OnFailure
) -> dict[str, Any]:
    """The options that differ from their defaults. A pickle or a repr then has only these."""
    options: dict[str, Any] = {}
    if level != DEFAULT_LEVEL:
        options["level"] = level
    if allow_root:
        options["allow_root"] = allow_root
    if allow_process:
        options["allow_process"] = allow_process
    if on_restore_failure != "taint":
        options["on_restore_failure"] = on_restore_failure
    return options


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
    nested. The audit event ``replace.enter`` (identity, level) can veto an entry; ``replace.leave`` follows an exit.

    Args:
        identity: The user, group and supplementary groups to take.
        level: Which ids change. See :data:`Level`.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        allow_process: If the calls of this build change the whole process, enter if this is its only thread.
        across_yield: Allow a generator or coroutine to enter, for example a ``@contextmanager`` helper. Other code runs
            under the identity at each yield. Use this option only if the thread that enters always resumes it.
        on_restore_failure: What happens if the thread cannot restore its ids. See :data:`OnFailure`.

    Returns:
        A guard. Each guard can be entered once.

    Raises:
        IdentityRefused: The identity, or this place in the program, is not acceptable. Nothing changed. Entry is
            refused on a thread that runs an event loop or switches greenlets, and in the frame of a generator or
            coroutine, even by ``contextlib.ExitStack``.
        IdentityError: A step failed. ``state`` says what the thread is now.
        TypeError: ``identity`` is not an Identity.
        ValueError: An option is wrong.

    Source: credentials(7), setresuid(2).
    """
    # In the usual case, do not call the functions that check. Each call would add 1 % to the time of an entry.
    if type(identity) is not Identity or identity.has_root:
        check_identity(identity, allow_root)
    if level is _USUAL and not allow_root and not allow_process and on_restore_failure == "taint":
        number, flags = _DEFAULT_NUMBER, 0
    else:
        number, flags = check_options(level, allow_root, allow_process, on_restore_failure)
    return _make(identity, identity.uid, identity.gid, identity._groups, number, flags, across_yield)
