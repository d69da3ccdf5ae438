# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges(): the whole process becomes somebody for good.

os's calls are libc's, which change every thread: wanted here, and fatal while a thread
is switched.  So each runs with the door shut (_native.alone): no thread can enter
meanwhile, and none may be inside.
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

#: os's own calls as they were when this was imported, before protect_os()
OS_CALLS: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in SETTERS if hasattr(os, name)}


def alone_or_refused(function: Callable[..., Any], args: tuple[Any, ...], what: str) -> Any:
    """function(*args) while no thread is switched and none can be."""
    result = alone(function, args)
    if result is NotImplemented:
        raise IdentityRefused(
            f"{what} changes every thread, and {active()} of them hold an identity (or another such call is under way)"
        )
    return result


def drop_privileges(identity: Identity, *, allow_root: bool = False) -> None:
    """Become identity for good: every thread of the process, verified.

    allow_root: permit uid 0, gid 0 or group 0.  Sets groups, gids and uids with libc's
    process-wide calls, drops the capabilities of the calling thread, then reads every
    thread's credentials from the kernel and tries to come back.
    Raises IdentityRefused, and nothing was changed: a thread is switched, threads differ
    (libc would abort the process), /proc cannot be read, or another thread has
    capabilities that only it can drop.  DropFailed: its state says what the process is.
    Audit event: replace.drop (identity).
    """
    check_identity(identity, allow_root)
    alone_or_refused(_drop, (identity,), "dropping privileges")


def _drop(identity: Identity) -> None:
    assert_clean()  # else libc's call aborts the process
    linux = sys.platform == "linux"
    before = _present()
    if linux and identity.uid != 0 and 0 not in before[0]:  # capabilities(7): kept from one user to another
        me = _gettid()
        for thread in thread_credentials():
            if thread.tid != me and thread.permitted:
                raise IdentityRefused(
                    f"thread {thread.tid} ({thread.name}) has capabilities, which only it can drop; "
                    "drop privileges before threads are started"
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
    problem = _not_dropped(identity) or _came_back(identity)
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
    """As far as it goes; says what the process is."""
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
    """Which thread is not the user, if one is not: read from the kernel where it can tell."""
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
        time.sleep(0.001)  # one that has just ended is passed over by libc, and listed until the kernel is done with it
    return f"verifying: {wrong[0]!r} has not become the user"


def _came_back(identity: Identity) -> str:
    """What brought root back, if something did."""
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
        return f"coming back: {name}({argument}) succeeded"
    return ""
