# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges(): the whole process becomes another user for good.

The C library decides, changes the ids and verifies them: core/drop.c. This file turns its answers into exceptions.

os's own setters change all threads, too. While a thread is switched, they abort the process or make that thread root.
So alone_or_refused() runs them for protect_os(): it refuses the call if a thread is switched, and no thread can enter
an identity during the call.
"""

from __future__ import annotations

import errno
import os
import sys

from . import _native
from ._errors import UNCHANGED, DropFailed, IdentityRefused, ThreadsDiffer, refused
from ._identity import Identity, check_identity
from ._native import SETTERS, active, alone, state_name, step_name
from ._threads import assert_clean, thread_credentials, unknown_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The setters of os, as they were when this file was imported, before protect_os() replaced them.
OS_CALLS: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in SETTERS if hasattr(os, name)}


def alone_or_refused(function: Callable[..., Any], args: tuple[Any, ...], action: str) -> Any:
    """Call the function while no thread is switched and none can enter. Otherwise raise IdentityRefused."""
    result = alone(function, args)
    if result is NotImplemented:
        raise _busy(action)
    return result


def _busy(action: str) -> IdentityRefused:
    switched = active()
    reason = "another such call is running; try again later"
    if switched:
        held = "1 thread holds an identity or is" if switched == 1 else f"{switched} threads hold an identity or are"
        reason = f"{held} tainted; try again when no such thread is left"
    return IdentityRefused(f"{action} changes every thread, and {reason}", error=errno.EBUSY)


def drop_privileges(identity: Identity, *, allow_root: bool = False, allow_io_uring: bool = False) -> None:
    """Become another user for good, in all threads of the process.

    The call sets the groups, gids and uids with libc's process-wide calls and drops the capabilities of the calling
    thread. Then it reads the credentials of all threads from the kernel, and tries to become root again. If a step
    fails, the ids are rolled back. The audit event is ``replace.drop`` (identity), before the call changes anything.

    If the process is root, the call first sets only the effective uid, and looks at all threads. A thread that would
    not become the user, or would keep capabilities, shows this here, and the ids are rolled back. Only the securebit of
    prctl(PR_SET_KEEPCAPS) shows itself later: if another thread has it and the calling thread has not, the state is
    ``"tainted"``.

    The calling thread gets a new session keyring, also if a later step fails. Other threads keep the server's. So drop
    privileges before you start threads.

    Args:
        identity: The user that the process becomes.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        allow_io_uring: Accept a process that uses io_uring. A ring can keep the credentials of root, which no thread
            shows, and use them after the drop.

    Raises:
        IdentityRefused: A thread is switched; or /proc cannot be read; or another thread would keep capabilities, or
            has inheritable ones, which only that thread can drop; or the process has an open io_uring, or a thread that
            the kernel runs for one; or a :class:`replace.aio.Files` is open. Nothing changed.
        ThreadsDiffer: Threads have different ids, or only some have CAP_SETUID and CAP_SETGID, so libc would abort the
            process. Nothing changed.
        DropFailed: A step failed. ``state`` says what the process is now.
        TypeError: ``identity`` is not an Identity.

    Source: credentials(7), capabilities(7), session-keyring(7), setresuid(2), io_uring_register(2).
    """
    check_identity(identity, True)  # C decides about root
    sys.audit("replace.drop", identity)
    flags = (_native.ALLOW_ROOT if allow_root else 0) | (_native.ALLOW_IO_URING if allow_io_uring else 0)
    step, error, state, tid = _native.drop_privileges(identity.uid, identity.gid, identity._groups, flags)
    if step:
        raise _failure(identity, step, error, state_name(state), tid)


def _failure(identity: Identity, step: int, error: int, state: str, tid: int) -> Exception:
    """The exception for a failed drop. It describes the thread with this number, if the failure is about one."""
    thread, reason = _described(tid), ""
    if state == UNCHANGED and step == _native.STEP_REFUSED:
        return _busy("dropping privileges") if error == errno.EBUSY else refused(error, identity)
    if state == UNCHANGED and step in (_native.STEP_READ, _native.STEP_THREADS):
        return _told_by_python(step, error, tid, thread)
    if step == _native.STEP_IO_URING and not tid:
        reason = "a replace.aio.Files is open, and its ring keeps the credentials of users; close it before the drop"
    elif step == _native.STEP_IO_URING:
        reason = (
            f"the process uses io_uring (found in {thread}), and a ring can keep the credentials of root after the "
            "drop; drop privileges before you create a ring, or pass allow_io_uring=True if no ring has other "
            "credentials"
        )
    elif state == UNCHANGED and step == _native.STEP_CAPABILITIES:
        reason = (
            f"{thread} has capabilities, which only it can drop, also inheritable ones; drop privileges before you "
            "start threads"
        )
    if reason:
        return IdentityRefused(reason, error=error)
    where = ""
    if step == _native.STEP_VERIFY:
        where = f"{thread} has not become the user"
    elif step == _native.STEP_CAPABILITIES and tid:
        where = f"{thread} would keep capabilities; clear its securebits, or drop privileges before you start threads"
    return DropFailed(error, identity, step_name(step), state, where)


def _described(tid: int) -> str:
    """A thread, as the kernel reports it now."""
    if not tid:
        return "the calling thread"
    try:
        return next((repr(thread) for thread in thread_credentials() if thread.tid == tid), f"thread {tid}")
    except OSError:
        return f"thread {tid}"


def _told_by_python(step: int, error: int, tid: int, thread: str) -> Exception:
    """The exception for something that assert_clean() says in more words, and for all threads."""
    found = []
    try:
        assert_clean()
        found = [one for one in thread_credentials() if one.tid == tid]
    except (ThreadsDiffer, IdentityRefused) as exception:
        return exception
    except OSError:
        pass
    if step == _native.STEP_READ:
        return unknown_ids(OSError(error, os.strerror(error)))
    return ThreadsDiffer(
        f"{thread} has other ids or capabilities than the other threads; let it end before this call", tuple(found)
    )
