# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The exceptions of this package, and their messages."""

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
    STEP_RETURN,
    fakeroot_is_loaded,
    state_name,
    step_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._identity import Identity
    from ._threads import ThreadCredentials


#: The state of a thread, or of the process, after a failure.
UNCHANGED, ROLLED_BACK, TAINTED = map(state_name, (STATE_IDLE, STATE_ROLLED_BACK, STATE_TAINTED))

#: State -> its words in a message. TAINTED is not listed: its words begin with the thread or the process.
_NOW = {
    UNCHANGED: "nothing changed",
    ROLLED_BACK: "the ids are rolled back",
    "restored": "the thread has its own ids back",
    "the user for good": "this process has become the user of that identity for good",
}


#: Error number of a refused change of ids -> advice. In the message, it stands before the hint.
_ADVICE = {
    _errno.EPERM: "run as root, or with CAP_SETUID and CAP_SETGID",
    _errno.EINVAL: "map the ids of the identity in this user namespace",
}

#: Error number of STEP_RETURN -> the reason and advice.
_NO_RETURN = {
    _errno.EPERM: (
        "the thread could not set its present ids or capabilities again; run as root, with 0 as the real, effective "
        "and saved uid, or with CAP_SETUID and CAP_SETGID; a server without root that acts as uid 0 also needs the "
        "securebit KEEP_CAPS"
    ),
    _errno.EACCES: (
        "the thread could not set its inheritable or ambient capabilities again; clear them, or the securebit "
        "NO_CAP_AMBIENT_RAISE"
    ),
    _errno.EOVERFLOW: (
        "this user namespace does not map all present ids and groups of the thread, so it could not set them again; "
        "map them, or drop the groups first (os.setgroups([]))"
    ),
}


class IdentityError(OSError):
    """A step of entering or leaving an identity failed.

    Attributes:
        identity: The identity that the thread entered or left.
        step: The step that failed.
        errno: The error number, as in the module errno.
        state: What the thread is now. ``"unchanged"`` and ``"rolled back"``: It has the ids from before.
            ``"restored"``: It has its own ids back. ``"the user for good"``: This is a child that was forked under
            the identity and has become that user. ``"tainted"``: Its ids may be wrong; end the thread.
        hint: Advice, which is part of the message.
    """

    _subject = "the thread"
    hint: str = "`libreplace verify --explain` says what is permitted here"
    identity: Identity | None
    step: str
    state: str

    def __init__(self, error: int, identity: Identity | None, step: str, state: str, where: str = "") -> None:
        self.identity, self.step, self.state, self._where = identity, step, state, where
        now, advice, hint = _NOW.get(state, f"{self._subject} is {state}"), "", self.hint
        if fakeroot_is_loaded():
            hint = "fakeroot replaces libc's calls, not the kernel's; run without it"
        elif "uid_wrapper" in os.environ.get("LD_PRELOAD", ""):
            hint = "uid_wrapper simulates ids; run without it"
            if not isinstance(self, DropFailed):
                hint += ", or use another level than filesystem in a process without capabilities"
        elif not where and type(self) in (IdentityError, DropFailed) and state != TAINTED:
            advice = _ADVICE.get(error, "")
        self.hint = hint
        parts = (f"{step}: {os.strerror(error)}", where, now, advice, hint)
        super().__init__(error, "; ".join(filter(None, parts)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.errno, self.identity, self.step, self.state, self._where))

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.identity!r})"


class CapabilitiesRemain(IdentityError):
    """Under the identity, the thread would have capabilities that let it act as root."""

    hint = "clear the securebits before you serve: prctl(PR_SET_SECUREBITS, 0)"


class ThreadTainted(IdentityError):
    """The thread failed to restore its ids, left identities in the wrong order, or has an identity that another thread
    tried to leave. It refuses further identities."""

    hint = "end this thread and start a new one"


class IdentityChanged(IdentityError):
    """On leaving, the thread did not have the ids that entering had set. It has its own ids back.

    The usual reason is a call of one of libc's set*id functions, which change all threads.
    """

    hint = "find the code that calls libc's set*id functions; replace.protect_os() finds calls of os.set*id"


class ForkedUnderIdentity(IdentityError):
    """This process was forked while the thread held the identity. It has become that user for good."""

    hint = "end this process with os._exit(), or start children with replace.popen_as()"


class DropFailed(IdentityError):
    """drop_privileges() failed: a step failed, a thread has not become the user, or it could become root again.

    If ``state`` is ``"unchanged"`` or ``"rolled back"``, the process has the ids from before. If it is ``"tainted"``,
    some ids may have changed; end the process.
    """

    _subject = "the process"

    def __init__(self, error: int, identity: Identity | None, step: str, state: str, where: str = "") -> None:
        if state == TAINTED:
            self.hint = "end the process"
        super().__init__(error, identity, step, state, where)


class IdentityRefused(RuntimeError):
    """The identity, or this place in the program, is refused. Nothing changed.

    Attributes:
        identity: The refused identity, or None if the refusal is not about an identity.
        errno: The error number of the C library, or 0 if Python refused.
        step: ``"refusing"``.
        state: ``"unchanged"``.
    """

    step: str = step_name(STEP_REFUSED)
    state: str = UNCHANGED
    identity: Identity | None
    errno: int

    def __init__(self, message: str, identity: Identity | None = None, error: int = 0) -> None:
        self.identity, self.errno = identity, error
        super().__init__(message, identity, error)

    def __str__(self) -> str:
        return f"{self.args[0]}" if self.identity is None else f"{self.identity!r} is refused: {self.args[0]}"


class ThreadsDiffer(RuntimeError):
    """Some threads have other ids than the main thread.

    Attributes:
        threads: The :class:`ThreadCredentials` of these threads.
    """

    threads: tuple[ThreadCredentials, ...]

    def __init__(self, message: str, threads: tuple[ThreadCredentials, ...]) -> None:
        self.threads = threads
        super().__init__(message, threads)

    def __str__(self) -> str:
        return f"{self.args[0]}"


REFUSALS = {
    _errno.EBUSY: "another thread is changing the ids of the whole process; try again when it is done",
    _errno.EPERM: "it has uid 0, gid 0 or group 0; allow_root=True permits it",
    _errno.ENOSYS: (
        "the calls of this build change the whole process; rebuild with -Dcredentials=syscall (Linux), or pass "
        "allow_process=True in a program that has one thread"
    ),
    _errno.ENOTSUP: (
        "the calls of this build change the whole process, and this is not known to be its only thread; end the others "
        "first, or rebuild with -Dcredentials=syscall (Linux)"
    ),
    _errno.EINVAL: "an id is -1, or the groups are not in ascending order; pass ids of a replace.Identity",
    _errno.EOVERFLOW: (
        "level shielded needs an id that no user has, and this user namespace must map it: 4294967293, or 65535 if the "
        "identity has another uid; map one of them, or use level effective, real or filesystem, each of which protects "
        "less"
    ),
}


def refused(error: int, identity: Identity | None = None) -> IdentityRefused:
    """The exception for an error of REFUSALS."""
    return IdentityRefused(REFUSALS[error], identity, error)


_KINDS: dict[int, type[IdentityError]] = {
    STEP_CAPABILITIES: CapabilitiesRemain,
    STEP_FOUND: IdentityChanged,
    STEP_FORKED: ForkedUnderIdentity,
}


def _name(thread: int) -> str:
    """The name of a thread, or its number if Python does not know the thread."""
    threading = sys.modules.get("threading")
    known = getattr(threading, "_active", {}).get(thread)
    return f"{known.name!r}" if known is not None else f"{thread}"


def _where(step: int, error: int, state: int, entered: int) -> str:
    """The reason for the failure, if the name of the step does not say it; otherwise empty."""
    if step == STEP_RETURN:
        return _NO_RETURN[error]
    if step == STEP_REFUSED:
        return (
            "the thread is tainted by an earlier failure, or by another thread that tried to leave its identity, so it "
            "cannot enter an identity"
        )
    if step == STEP_FORKED:
        return "this process was forked while the thread held an identity"
    if step != STEP_ORDER:
        return ""
    if entered == get_ident():
        if state != STATE_TAINTED:
            return "another thread tried to leave the identity"
        return "the thread still holds an identity that was entered inside this one"
    owner, this = _name(entered), _name(get_ident())
    return f"the identity was entered in thread {owner}, and this is thread {this}; {owner} keeps it and is tainted"


def failure(error: int, identity: Identity, step: int, state: int, thread: int) -> Exception:
    """The exception for a failed switch. native/guard_type.c calls this.

    `thread` is the number of the thread that entered, as threading.get_ident() returns it.
    """
    if step == STEP_REFUSED and error != _errno.ENOTRECOVERABLE:
        return refused(error, identity)
    kind = ThreadTainted if step == STEP_REFUSED or state == STATE_TAINTED else _KINDS.get(step, IdentityError)
    return kind(error, identity, step_name(step), state_name(state), _where(step, error, state, thread))
