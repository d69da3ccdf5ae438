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


def _before(identity: Identity, /) -> None:
    """What native/guard_type.c calls before an entry if one of _LOOPS has been imported: it may refuse.

    Refused is a thread that runs an event loop or switches greenlets: there the identity
    would cross an await.  What is not imported cannot run, so nothing is imported here.
    """
    if _ask("asyncio", "_get_running_loop") is not None:
        raise IdentityRefused("an asyncio event loop is running in this thread; use `await run_as(...)`", identity)
    if _ask("trio.lowlevel", "in_trio_run"):
        raise IdentityRefused(
            "a trio event loop is running in this thread; use `await trio.to_thread.run_sync(acting_as(...))`",
            identity,
        )
    greenlet = _ask("greenlet", "getcurrent")
    if greenlet is not None and (
        greenlet.parent is not None or _ask("gevent._hub_local", "get_hub_if_exists") is not None
    ):
        raise IdentityRefused("greenlets switch in this thread, and others would run under it", identity)


_LOOPS = ("asyncio", "trio", "greenlet")
_native.setup(_before, failure, sys.audit, _LOOPS)


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
    check_identity(identity, allow_root)
    number, flags = check_options(level, allow_root, allow_process, on_restore_failure)
    return _native.make(identity, identity.uid, identity.gid, identity._groups, number, flags)
