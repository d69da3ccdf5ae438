# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonate(): the calling thread acts as somebody else, and surely stops.

The switch itself and what undoes it are C (core/guard.c), so that an interrupt finds
the thread as it was or inside, never in between.  Here is what comes before: who is
refused, and where.  Nothing is imported inside enter or leave.
"""

from __future__ import annotations

import errno
import sys

from . import _native
from ._calls import SCOPE
from ._errors import REFUSALS, IdentityRefused, failure
from ._identity import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from ._native import Guard

    Level = Literal["effective", "shielded", "real", "filesystem"]
    OnFailure = Literal["taint", "abort"]

LEVELS = {"effective": 0, "shielded": 1, "real": 2, "filesystem": 3}
ALLOW_ROOT, ALLOW_PROCESS, ABORT = 1, 2, 4  # enum rep_flag

_modules, _audit = sys.modules, sys.audit


def _loop_here() -> str:
    """What runs an event loop or switches greenlets in this thread, if something does."""
    get = _modules.get
    asyncio = get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return "an asyncio event loop is running in this thread; use `await run_as(...)`"
    trio = get("trio")
    if trio is not None and getattr(trio.lowlevel, "in_trio_run", bool)():
        return "a trio event loop is running in this thread; use `trio.to_thread.run_sync(acting_as(...))`"
    greenlet = get("greenlet")
    if greenlet is not None:
        if greenlet.getcurrent().parent is not None:
            return "this is a greenlet, and others would run under the identity; switch in a real thread"
        gevent = get("gevent._hub_local")
        if gevent is not None and gevent.get_hub_if_exists() is not None:
            return "gevent has its hub in this thread, and greenlets would run under the identity"
    return ""


def _before(identity: Identity, level: int) -> None:
    """What core/guard.c calls before each entry: an exception here, and nothing has changed."""
    loop = _loop_here()
    if loop:
        raise IdentityRefused(loop)
    _audit("replace.enter", identity, level)


_native.setup(_before, failure, _audit)


def impersonate(
    identity: Identity,
    *,
    level: Level = "effective",
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> Guard:
    """with impersonate(identity): the calling thread acts as identity, this thread only.

    level: which ids are set, "effective" (0/u/0), "shielded", "real" or "filesystem".
    allow_root: permit uid 0, gid 0 or group 0 in the identity.
    allow_process: on a build whose calls change the whole process, go on if this is its
    only thread.  on_restore_failure: "taint" the thread, which then refuses more and
    should end, or "abort" the process.
    May be nested; each is for one use.  `changes` of the returned guard counts the
    credential-changing system calls.
    Raises IdentityRefused (nothing was changed), IdentityError and its kinds (which say
    what the thread is now), TypeError, ValueError.
    Audit events: replace.enter (identity, level), which may veto; replace.leave.
    """
    if not isinstance(identity, Identity):
        raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
    try:
        number = LEVELS[level]
    except (KeyError, TypeError):
        raise ValueError(f"level should be one of {', '.join(LEVELS)}, not {level!r}") from None
    flags = ALLOW_ROOT if allow_root else 0
    if allow_process:
        flags |= ALLOW_PROCESS
    elif SCOPE != "thread":
        raise IdentityRefused(f"{identity!r} is refused: {REFUSALS[errno.ENOSYS]}")
    if on_restore_failure != "taint":
        if on_restore_failure != "abort":
            raise ValueError(f"on_restore_failure should be taint or abort, not {on_restore_failure!r}")
        flags |= ABORT
    return _native.make(identity, identity.uid, identity.gid, identity._groups, number, flags)
