# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What can go wrong when a thread takes an identity on or gives it back."""

from __future__ import annotations

import errno as _errno
import os
import sys
from _thread import get_ident

from ._native import (
    STATE_IDLE,
    STATE_ROLLED_BACK,
    STATE_TAINTED,
    STEP_CAPABILITIES,
    STEP_FORKED,
    STEP_FOUND,
    STEP_ORDER,
    STEP_REFUSED,
    fakeroot_is_loaded,
    state_name,
    step_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: What a thread, or the process, is after a failure
UNCHANGED, ROLLED_BACK, TAINTED = map(state_name, (STATE_IDLE, STATE_ROLLED_BACK, STATE_TAINTED))


class IdentityError(OSError):
    """An identity could not be taken on or given back.

    identity: whom the thread was to be; step: where it failed; errno: why; state: what
    the thread is now: "unchanged", "rolled back" (both: the ids from before), "restored",
    "for good" (a child that was forked under the identity, and has become it) or
    "tainted" (its ids are not known to be right: end the thread).
    """

    hint = "`libreplace verify --explain` says what is permitted here"

    def __init__(self, error: int, identity: object, step: str, state: str, where: str = "") -> None:
        self.identity, self.step, self.state, self._where = identity, step, state, where
        hint = "fakeroot fakes libc's calls, not the kernel's" if fakeroot_is_loaded() else self.hint
        parts = (f"{os.strerror(error)} in {step}", where, f"the thread is {state}", hint)
        super().__init__(error, "; ".join(filter(None, parts)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.errno, self.identity, self.step, self.state, self._where))

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.identity!r})"


class CapabilitiesRemain(IdentityError):
    """After the switch the thread still had capabilities with which it could act as root."""

    hint = "clear the securebits (PR_SET_SECUREBITS, 0) before serving"


class ThreadTainted(IdentityError):
    """The thread could not be brought back once, or left identities in the wrong order; it refuses more."""

    hint = "end this thread and start another"


class IdentityChanged(IdentityError):
    """On leaving, the ids were not those that entering had set: something else called set*id.

    A call of libc's in another thread changes every thread; the ids from before are back.
    """

    hint = "find the caller of libc's set*id; replace.protect_os() turns those of os into exceptions"


class ForkedUnderIdentity(IdentityError):
    """This process was forked while the identity was held and has become it for good: there is no way back."""

    hint = "end this process with os._exit(), or start children with replace.popen_as()"


class DropFailed(IdentityError):
    """Not every thread has become the user for good, or one could come back.

    state "unchanged" or "rolled back": the process is what it was; "tainted": it is in
    between, and should end.
    """

    hint = "where the state is tainted, end the process"


class IdentityRefused(RuntimeError):
    """The identity, or the place it was to be taken on, is refused before anything is changed.

    identity: whom the thread was to be (None: it is not about one); step and state:
    "refusing" and "unchanged"; errno: what C says (0: it was not asked).
    """

    step, state = step_name(STEP_REFUSED), UNCHANGED

    def __init__(self, message: str, identity: object = None, error: int = 0) -> None:
        self.identity, self.errno = identity, error
        super().__init__(message, identity, error)

    def __str__(self) -> str:
        return f"{self.args[0]}" if self.identity is None else f"{self.identity!r} is refused: {self.args[0]}"


class ThreadsDiffer(RuntimeError):
    """Not every thread has the ids of the main thread.  threads: the ThreadCredentials of those that differ."""

    def __init__(self, message: str, threads: tuple[Any, ...]) -> None:
        self.threads = threads
        super().__init__(message, threads)

    def __str__(self) -> str:
        return f"{self.args[0]}"


REFUSALS = {
    _errno.EBUSY: "the process is dropping its privileges, or one of os's own calls is under way; nobody may enter",
    _errno.EPERM: "it has uid 0, gid 0 or group 0; allow_root=True permits it",
    _errno.ENOSYS: (
        "on this build one call changes the whole process; rebuild with -Dcredentials=syscall (Linux), or give "
        "allow_process=True in a program of one thread"
    ),
    _errno.ENOTSUP: "on this build one call changes the whole process, and this is not known to be its only thread",
    _errno.EINVAL: "an id is -1 or the groups are not in order",
    _errno.EOVERFLOW: (
        "this user namespace maps no id that nobody has (4294967293 or 65535), and level shielded needs one; map one "
        "of them, or choose what you give up: level effective, real or filesystem"
    ),
}


def refused(error: int, identity: object = None) -> IdentityRefused:
    """The exception for one of REFUSALS."""
    return IdentityRefused(REFUSALS[error], identity, error)


_KINDS: dict[int, type[IdentityError]] = {
    STEP_CAPABILITIES: CapabilitiesRemain,
    STEP_FOUND: IdentityChanged,
    STEP_ORDER: ThreadTainted,
    STEP_FORKED: ForkedUnderIdentity,
}


def _name(thread: int) -> str:
    """The name of a thread; its number if Python does not know it."""
    threading = sys.modules.get("threading")
    known = getattr(threading, "_active", {}).get(thread)
    return f"{known.name!r}" if known is not None else f"{thread}"


def _where(entered: int) -> str:
    """How an exit came in the wrong order."""
    if entered == get_ident():
        return "an identity that was entered inside this one is still held"
    return f"the identity was entered in thread {_name(entered)}, and this is thread {_name(get_ident())}"


def failure(error: int, identity: object, step: int, state: int, thread: int) -> Exception:
    """The exception for what a switch came to; thread is the one that entered.  Called by native/guard_type.c."""
    if step == STEP_REFUSED and error != _errno.ENOTRECOVERABLE:
        return refused(error, identity)
    kind = ThreadTainted if step == STEP_REFUSED or state == STATE_TAINTED else _KINDS.get(step, IdentityError)
    return kind(error, identity, step_name(step), state_name(state), _where(thread) if step == STEP_ORDER else "")
