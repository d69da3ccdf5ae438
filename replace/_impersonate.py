# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonate(): the calling thread acts as somebody else, and surely stops.

The guard is made before the switch, and its release is rep_leave() itself: however the
frame is left, dropping the guard restores, also where an interrupt arrives between two
lines of Python.  The other half is core/identity.c.  Nothing is imported inside enter
or leave.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Literal, NoReturn

from ._calls import SCOPE
from ._errors import (
    STATES,
    STEPS,
    CapabilitiesRemain,
    IdentityChanged,
    IdentityError,
    IdentityRefused,
    ThreadTainted,
)
from ._identity import Identity
from ._replace import ffi, lib

Level = Literal["effective", "shielded", "real", "filesystem"]
_LEVELS = {"effective": 0, "shielded": 1, "real": 2, "filesystem": 3}
_ERRORS = {1: ThreadTainted, 8: CapabilitiesRemain, 9: IdentityChanged, 10: ThreadTainted}

_new, _gc, _from_buffer = ffi.new, ffi.gc, ffi.from_buffer
_enter, _leave, _getgroups = lib.rep_enter, lib.rep_leave, lib.rep_getgroups
_NULL = ffi.NULL


def _refuse_event_loops() -> None:
    """An identity must not cross an await: it belongs to the thread, not to the task."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise IdentityRefused("an asyncio event loop is running in this thread; use `await run_as(...)` instead")
    trio = sys.modules.get("trio")
    if trio is not None and getattr(trio.lowlevel, "in_trio_run", lambda: False)():
        raise IdentityRefused("a trio event loop is running in this thread; switch inside a worker thread instead")
    greenlet = sys.modules.get("greenlet")
    if greenlet is not None and greenlet.getcurrent().parent is not None:
        raise IdentityRefused("this is a greenlet: others would run under the identity; switch in a real thread")


def _raise(guard: Any, identity: Identity) -> NoReturn:
    kind = _ERRORS.get(guard.step, IdentityError)
    raise kind(guard.error, identity, STEPS[guard.step], STATES[guard.state])


class impersonate:  # noqa: N801  (a context manager, named as a function)
    """with impersonate(identity): the calling thread acts as identity, this thread only.

    level: which ids are set, "effective" (0/u/0), "shielded", "real" or "filesystem".
    allow_root: permit uid 0, gid 0 or group 0 in the identity.
    Raises IdentityRefused (nothing was changed), IdentityError and its kinds (which say
    what the thread is now).  May be nested; not re-used.
    """

    __slots__ = ("_guard", "_identity", "_level")

    def __init__(self, identity: Identity, *, level: Level = "effective", allow_root: bool = False) -> None:
        if not isinstance(identity, Identity):
            raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
        if level not in _LEVELS:
            raise ValueError(f"level should be one of {', '.join(_LEVELS)}, not {level!r}")
        if SCOPE != "thread":
            raise IdentityRefused(
                "on this build one call changes the whole process; rebuild with -Dcredentials=syscall (Linux)"
            )
        if not allow_root and identity.has_root():
            raise IdentityRefused(f"{identity!r} has uid 0, gid 0 or group 0; allow_root=True permits it")
        self._identity, self._level, self._guard = identity, _LEVELS[level], None

    def __enter__(self) -> Identity:
        if self._guard is not None:
            raise RuntimeError("this impersonate() was used before; make another")
        _refuse_event_loops()
        identity, packed = self._identity, self._identity._groups
        room = max(_getgroups(0, _NULL), len(packed) // 4, 16)
        who = _new(
            "struct rep_identity *", (identity.uid, identity.gid, len(packed) // 4, _from_buffer("gid_t[]", packed))
        )
        guard = _new("struct rep_guard *", {"groups": 3 * room})
        guard.room = room
        self._guard = guard = _gc(guard, _leave)
        try:
            if _enter(guard, who, self._level):
                _raise(guard, identity)
        except BaseException:
            _leave(guard)
            raise
        return identity

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guard = self._guard
        if _leave(guard):
            _raise(guard, self._identity)

    async def __aenter__(self) -> NoReturn:
        raise TypeError("impersonate cannot be held across await; use `await run_as(...)`")

    async def __aexit__(self, *exception: object) -> None:
        raise TypeError("impersonate cannot be held across await; use `await run_as(...)`")
