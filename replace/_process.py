# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What concerns the whole process: drop privileges for good, guard os's own calls, start children.

os's calls are libc's, which change every thread: wanted here, and fatal while a thread
is switched.  So each runs with the door shut (_native.alone): no thread can enter
meanwhile, and none may be inside.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from _thread import _local

from ._calls import SCOPE
from ._errors import DropFailed, IdentityRefused, log, refused
from ._identity import Identity, not_an_identity
from ._impersonate import impersonate
from ._native import active, alone, depth, drop_capabilities
from ._threads import assert_clean, thread_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Any

#: os's own calls as they were when this was imported, before protect_os()
_OS: dict[str, Callable[..., Any]] = {
    name: getattr(os, name)
    for name in (
        "setuid", "setgid", "seteuid", "setegid", "setreuid", "setregid", "setresuid", "setresgid",
        "setgroups", "initgroups",
    )
    if hasattr(os, name)
}  # fmt: skip


def _checked(identity: Identity, allow_root: bool) -> None:
    if not isinstance(identity, Identity):
        raise not_an_identity(identity)
    if identity.has_root and not allow_root:
        raise refused(errno.EPERM, identity)


def _shut(function: Callable[..., Any], args: tuple[Any, ...], what: str) -> Any:
    """function(*args) while no thread is switched and none can be."""
    result = alone(function, args)
    if result is NotImplemented:
        raise IdentityRefused(
            f"{what} changes every thread, and {active()} of them hold an identity (or another such call is under way)"
        )
    return result


# ---- For good


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
    _checked(identity, allow_root)
    _shut(_drop, (identity,), "dropping privileges")
    log("info", f"every thread is now {identity!r}, for good")


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
            _OS["setgroups"](identity.groups)
        step = "setting the gid"
        _set_all("gid", identity.gid)
        step = "setting the uid"
        _set_all("uid", identity.uid)
        step = "dropping capabilities"
        if identity.uid != 0:
            drop_capabilities()
    except BaseException as error:
        state = _roll_back(before)
        if isinstance(error, OSError) or state == "tainted":
            raise DropFailed(getattr(error, "errno", None) or errno.EINTR, identity, step, state) from error
        raise
    problem = _not_dropped(identity) or _came_back(identity)
    if problem:
        raise DropFailed(errno.EPERM, identity, problem, "tainted")


def _gettid() -> int:
    from _thread import get_native_id

    return get_native_id()


def _present() -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    if hasattr(os, "getresuid"):
        return (os.getresuid(), os.getresgid(), os.getgroups())
    return ((os.getuid(), os.geteuid()), (os.getgid(), os.getegid()), os.getgroups())


def _set_all(kind: str, number: int) -> None:
    setres = _OS.get("setres" + kind)
    if setres:
        setres(number, number, number)
    else:  # setuid(2) of root sets all three
        _OS["set" + kind](number)


def _roll_back(before: tuple[tuple[int, ...], tuple[int, ...], list[int]]) -> str:
    """As far as it goes; says what the process is."""
    if _present() == before:
        return "unchanged"
    try:
        if len(before[1]) == 3:
            _OS["setresuid"](*before[0])
            _OS["setresgid"](*before[1])
        if os.getgroups() != before[2]:
            _OS["setgroups"](before[2])
    except OSError:
        pass
    return "rolled back" if _present() == before else "tainted"


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
            _OS[name](argument)
        except OSError:
            continue
        return f"coming back: {name}({argument}) succeeded"
    return ""


# ---- os's own calls, and what an identity should not start


_EVENTS = frozenset(
    ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "pty.spawn",
     "_thread.start_new_thread", "_thread.start_joinable_thread")
)  # fmt: skip
_spawning = _local()  # .here: popen_as() is at work in this thread
_protected = {"os": False, "strict": False}


def protect_os(*, strict: bool = False) -> None:
    """Turn what would break identities into exceptions; once, at the start of the program.

    os.setuid and its brothers (also in posix) raise IdentityRefused while any thread is
    switched, instead of aborting the process or making that thread root.
    strict: in a thread that holds an identity, starting a thread or a process raises
    IdentityRefused as well, as it would inherit the identity (and may come back from it).
    Cannot be undone.  Not seen: names imported from os before, C libraries, PAM.
    """
    if not _protected["os"]:
        _protected["os"] = True
        import posix

        for name, original in _OS.items():
            for module in (os, posix):
                setattr(module, name, _guarded(f"os.{name}", original))
    if strict and not _protected["strict"]:
        _protected["strict"] = True
        sys.addaudithook(_refuse_starts)
        if sys.version_info < (3, 12):  # there, starting a thread is no audit event
            import _thread
            import threading

            start = _thread.start_new_thread

            def start_new_thread(*args: Any) -> Any:
                _refuse_starts("_thread.start_new_thread", args)
                return start(*args)

            for module in (_thread, threading):
                for name in ("start_new_thread", "_start_new_thread"):
                    if hasattr(module, name):
                        setattr(module, name, start_new_thread)
    log("info", f"os's credential calls are guarded{' (strict)' if strict else ''}")


def _guarded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return _shut(original, args, name)

    call.__name__ = call.__qualname__ = name[3:]
    call.__doc__ = f"{original.__doc__}\n\nGuarded by replace.protect_os()."
    call.__wrapped__ = original  # type: ignore[attr-defined]
    return call


def _refuse_starts(event: str, args: tuple[Any, ...]) -> None:
    if event in _EVENTS and depth() and not getattr(_spawning, "here", False):
        raise IdentityRefused(
            f"{event} in a thread that holds an identity: what it starts would inherit it; "
            "start it outside, or a process with replace.popen_as()"
        )


# ---- Children


def popen_as(identity: Identity, args: Any, /, *, allow_root: bool = False, **options: Any) -> subprocess.Popen[Any]:
    """subprocess.Popen(args, **options), as a child that has become identity for good.

    Real, effective and saved ids and the groups are the identity's, and no capability is
    left, so the child cannot come back.  The program is looked up, and options' files are
    used, as the identity.  May be called while the thread holds another identity; import
    subprocess before, then, or it is imported as that user.
    options: those of subprocess.Popen, but for user, group and extra_groups.
    Raises what impersonate() and subprocess.Popen raise; TypeError.
    """
    import subprocess

    _checked(identity, allow_root)
    for name in ("user", "group", "extra_groups"):
        if name in options:
            raise TypeError(f"popen_as() sets {name} from the identity")
    if SCOPE != "thread":
        return subprocess.Popen(
            args, user=identity.uid, group=identity.gid, extra_groups=list(identity.groups), **options
        )
    # Under the identity, user= makes the child fork (not vfork), so that it becomes the user at once (core/thread.c);
    # what it asks for itself then is a second lock on the same door.
    _spawning.here = True
    try:
        with impersonate(identity, allow_root=allow_root):
            return subprocess.Popen(args, user=identity.uid, group=identity.gid, **options)
    finally:
        _spawning.here = False
