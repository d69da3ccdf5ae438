# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges(): the whole process becomes another user for good.

The calls of os are libc's, which change all threads, as drop_privileges() needs. But while a thread is switched, they
abort the process or make that thread root. So _native.alone() runs each call: it refuses the call if a thread is
switched, and no thread can enter an identity during the call.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from ._errors import ROLLED_BACK, TAINTED, UNCHANGED, DropFailed, IdentityRefused
from ._identity import Identity, check_identity
from ._native import SETTERS, active, alone, drop_capabilities
from ._threads import assert_clean, thread_credentials

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
        switched = active()
        reason = "another such call is running; try again later"
        if switched:
            held = (
                "1 thread holds an identity or is" if switched == 1 else f"{switched} threads hold an identity or are"
            )
            reason = f"{held} tainted; try again when no such thread is left"
        raise IdentityRefused(f"{action} changes every thread, and {reason}")
    return result


def drop_privileges(identity: Identity, *, allow_root: bool = False) -> None:
    """Become another user for good, in all threads of the process.

    The call sets the groups, gids and uids with libc's process-wide calls and drops the capabilities of the calling
    thread. Then it reads the credentials of all threads from the kernel, and checks that the process cannot become root
    again. The audit event is ``replace.drop`` (identity).

    Args:
        identity: The user that the process becomes.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.

    Raises:
        IdentityRefused: A thread is switched; or /proc cannot be read; or another thread has capabilities, which only
            that thread can drop. Nothing changed.
        ThreadsDiffer: Threads have different ids, so libc would abort the process. Nothing changed.
        DropFailed: A step failed. ``state`` says what the process is now.
        TypeError: ``identity`` is not an Identity.

    Source: credentials(7), capabilities(7), setresuid(2).
    """
    check_identity(identity, allow_root)
    alone_or_refused(_drop, (identity,), "dropping privileges")


def _drop(identity: Identity) -> None:
    assert_clean()  # libc aborts the process if threads have different ids
    linux = sys.platform == "linux"
    before = _present()
    # A change from one ordinary user to another keeps the capabilities: capabilities(7).
    if linux and identity.uid != 0 and 0 not in before[0]:
        me = _gettid()
        for thread in thread_credentials():
            if thread.tid != me and thread.permitted:
                raise IdentityRefused(
                    f"thread {thread.tid} ({thread.name}) has capabilities, which only it can drop; "
                    "drop privileges before you start threads"
                )
    sys.audit("replace.drop", identity)
    step = "setgroups"
    try:
        if sorted(before[2]) != list(identity.groups):
            OS_CALLS["setgroups"](identity.groups)
        step = "setting the gid"
        _set_all("gid", identity.gid)
        step = "setting the uid"
        _set_all("uid", identity.uid)
        step = "dropping capabilities"
        if identity.uid != 0:
            drop_capabilities()
    except BaseException as error:
        state = _roll_back(before)
        if isinstance(error, OSError) or state == TAINTED:
            raise DropFailed(getattr(error, "errno", None) or errno.EINTR, identity, step, state) from error
        raise
    problem = _not_dropped(identity) or _became_root(identity)
    if problem:
        raise DropFailed(errno.EPERM, identity, problem, TAINTED)


def _gettid() -> int:
    from _thread import get_native_id

    return get_native_id()


def _present() -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    if hasattr(os, "getresuid"):
        return (os.getresuid(), os.getresgid(), os.getgroups())
    return ((os.getuid(), os.geteuid()), (os.getgid(), os.getegid()), os.getgroups())


def _set_all(kind: str, number: int) -> None:
    setres = OS_CALLS.get("setres" + kind)
    if setres:
        setres(number, number, number)
    else:  # setuid(2) of root sets all three
        OS_CALLS["set" + kind](number)


def _roll_back(before: tuple[tuple[int, ...], tuple[int, ...], list[int]]) -> str:
    """Restore the ids as far as possible. Return the state of the process."""
    if _present() == before:
        return UNCHANGED
    try:
        if len(before[1]) == 3:
            OS_CALLS["setresuid"](*before[0])
            OS_CALLS["setresgid"](*before[1])
        if os.getgroups() != before[2]:
            OS_CALLS["setgroups"](before[2])
    except OSError:
        pass
    return ROLLED_BACK if _present() == before else TAINTED


def _not_dropped(identity: Identity) -> str:
    """Name a thread that has not become the user. Empty if all have. On Linux, the kernel's answer counts."""
    if sys.platform != "linux":
        now = _present()
        good = set(now[0]) == {identity.uid} and set(now[1]) == {identity.gid}
        return "" if good else f"verifying: the ids are {now[:2]}"
    for _ in range(200):
        wrong = [
            thread
            for thread in thread_credentials()
            if set(thread.uids) != {identity.uid}
            or set(thread.gids) != {identity.gid}
            or tuple(sorted(thread.groups)) != identity.groups
            or (identity.uid != 0 and (thread.effective or thread.permitted))
        ]
        if not wrong:
            return ""
        time.sleep(0.001)  # libc skips a thread that has just ended; the kernel lists it a little longer
    return f"verifying: {wrong[0]!r} has not become the user"


def _became_root(identity: Identity) -> str:
    """Try to become root again. Name the call that succeeded, or return ""."""
    if identity.uid == 0:
        return ""
    attempts: list[tuple[str, Any]] = [("setuid", 0), ("seteuid", 0)]
    if identity.gid != 0:
        attempts += [("setgid", 0), ("setegid", 0)]
    attempts.append(("setgroups", [2**32 - 2]))
    for name, argument in attempts:
        try:
            OS_CALLS[name](argument)
        except OSError:
            continue
        return f"trying to become root again: {name}({argument}) succeeded"
    return ""
