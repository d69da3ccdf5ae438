# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of `libreplace verify`: each compares the build's verdict with what the kernel does.

verify.py runs each in a child process, so a check may change its ids freely. A check that proves its claim
returns a detail or None. It raises NotHere if it cannot run here. Any other exception contradicts the claim.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from .. import _native
from .._threads import status_fields
from . import explain
from .observe import GROUP, HIGH, OTHER, USER, Seen, must, needs_root, observe, or_enosys


class Check(NamedTuple):
    name: str
    claim: str
    run: Callable[[int], str | None]


# ---- One check for each setter: a second thread calls it, the main thread and a third thread look at their own ids

#: setter -> (arguments, the line of /proc/.../status that changes, the ids in it after the call)
# generated: begin expected
EXPECTED: dict[str, tuple[tuple[Any, ...], str, tuple[int, ...]]] = {
    "setuid": ((USER,), "Uid", (USER, USER, USER, USER)),
    "seteuid": ((USER,), "Uid", (0, USER, 0, USER)),
    "setreuid": ((0, USER), "Uid", (0, USER, USER, USER)),
    "setresuid": ((OTHER, USER, 0), "Uid", (OTHER, USER, 0, USER)),
    "setfsuid": ((USER,), "Uid", (0, 0, 0, USER)),
    "setgid": ((GROUP,), "Gid", (GROUP, GROUP, GROUP, GROUP)),
    "setegid": ((GROUP,), "Gid", (0, GROUP, 0, GROUP)),
    "setregid": ((0, GROUP), "Gid", (0, GROUP, GROUP, GROUP)),
    "setresgid": ((OTHER, GROUP, 0), "Gid", (OTHER, GROUP, 0, GROUP)),
    "setfsgid": ((GROUP,), "Gid", (0, 0, 0, GROUP)),
    "setgroups": (([OTHER, GROUP, HIGH],), "Groups", (GROUP, OTHER, HIGH)),
    "initgroups": (("libreplace-nobody", GROUP), "Groups", (GROUP,)),
}
# generated: end


def _changed(base: Seen, field: str, ids: tuple[int, ...]) -> Seen:
    """The credentials that a thread must have after the call, if it had `base` before."""
    text = " ".join(map(str, ids))
    if field == "Groups":
        return base._replace(
            groups=ids, status=(*base.status[:2], text) if base.status[2:] != ("",) or ids else base.status
        )
    if field == "Uid":
        return base._replace(
            uids=ids[:3], fs=(ids[3], base.fs[1]), status=(text, *base.status[1:]), owner=(ids[3], base.owner[1])
        )
    return base._replace(
        gids=ids[:3],
        fs=(base.fs[0], ids[3]),
        status=(base.status[0], text, base.status[2]),
        owner=(base.owner[0], ids[3]),
    )


def _setter(name: str, scope: str, folder: int) -> str | None:
    needs_root()
    arguments, field, ids = EXPECTED[name]
    base = observe(folder)
    caller, third = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    must(third.submit(observe, folder).result() == base, "a new thread does not have its creator's ids")
    caller.submit(getattr(_native, name), *arguments).result()
    switched = caller.submit(observe, folder).result()
    watched, main = third.submit(observe, folder).result(), observe(folder)
    wanted = _changed(base, field, ids)
    must(switched == wanted, f"the calling thread has {switched}, not {wanted}")
    expected = base if scope == "thread" else wanted
    must(main == expected, f"the main thread has {main}, not {expected}")
    must(watched == expected, f"a third thread has {watched}, not {expected}")
    return None


def _missing(name: str, folder: int) -> str | None:
    """A call that this platform does not have fails with ENOSYS and changes nothing."""
    before = observe(folder)
    try:
        getattr(_native, name)(*EXPECTED[name][0] if name in EXPECTED else ())
    except OSError as error:
        must(error.errno == errno.ENOSYS, f"the call failed with {error}, not with ENOSYS")
    else:
        raise AssertionError("the call succeeded, but the build says that it does not exist")
    must(observe(folder) == before, "the failed call changed an id")
    return None


# ---- Round trips, in the order of Samba's configure-time test


def _round_trip(kind: str, folder: int) -> str | None:
    needs_root()
    setres = _native.setresuid if kind == "uid" else _native.setresgid
    getres = _native.getresuid if kind == "uid" else _native.getresgid
    setre = _native.setreuid if kind == "uid" else _native.setregid
    sete = _native.seteuid if kind == "uid" else _native.setegid
    user = USER if kind == "uid" else GROUP

    def step(name: str, wanted: tuple[int, int, int]) -> None:
        must(getres() == wanted, f"after '{name}' the ids are {getres()}, not {wanted}")

    setres(0, 0, 0)
    step("gain root", (0, 0, 0))
    sete(user)
    step("set effective", (0, user, 0))
    sete(0)
    step("restore effective", (0, 0, 0))
    setre(-1, user)
    sete(0)
    must(getres()[:2] == (0, 0), f"after 'save and restore' the ids are {getres()}")  # the saved id: setreuid(2)
    setres(0, 0, 0)
    setres(-1, user, 0)
    step("set effective, keep saved", (0, user, 0))
    setres(-1, 0, -1)
    step("gain root again", (0, 0, 0))
    if kind == "gid":  # only uid 0 may set gids, so drop it too
        _native.setgroups([])
        setres(user, user, user)
        _native.setresuid(USER, USER, USER)
    else:
        setres(user, user, user)
    step("become a user for good", (user, user, user))
    for ids in ((0, 0, 0), (-1, 0, -1), (0, -1, -1)):
        try:
            setres(*ids)
        except OSError as error:
            must(error.errno == errno.EPERM, f"regaining root fails with another error: {error}")
        else:
            raise AssertionError(f"a user for good regained root with {ids}")
    step("fail to regain root", (user, user, user))
    return None


def _groups_round_trip(folder: int) -> str | None:
    needs_root()
    for groups in ([], [GROUP], [OTHER, GROUP, OTHER], list(range(80000, 82000)), []):
        _native.setgroups(groups)
        must(
            sorted(_native.getgroups()) == sorted(groups),
            f"the kernel reports other groups than the {len(groups)} that were set",
        )
    _native.setresuid(USER, USER, USER)
    try:
        _native.setgroups([0])
    except OSError as error:
        must(error.errno == errno.EPERM, f"setgroups as a user fails with another error: {error}")
        return None
    raise AssertionError("setgroups as a user succeeded")


def _wide_ids(folder: int) -> str | None:
    needs_root()
    for user in (65535 + 1, USER, HIGH, 2**32 - 2):
        _native.setresgid(-1, user, -1)
        _native.setresuid(-1, user, -1)
        seen = observe(folder)
        must(seen.owner == (user, user), f"a file of {user} belongs to {seen.owner}")
        _native.setresuid(-1, 0, -1)
        _native.setresgid(-1, 0, -1)
    return None


def _libc_reaches(expected: bool, folder: int) -> str | None:
    needs_root()
    with ThreadPoolExecutor(1) as other:
        other.submit(os.seteuid, USER).result()
    reached = os.geteuid() == USER
    must(reached == expected, f"libc's seteuid in one thread {'did' if reached else 'did not'} change the main thread")
    return None


# ---- Checks that need no privilege


def _refusals(folder: int) -> str | None:
    before = observe(folder)
    cases: list[tuple[str, tuple[Any, ...], type[BaseException], int]] = [
        (name, (-1,), OSError, errno.EINVAL) for name in ("setuid", "setgid", "seteuid", "setegid")
    ]
    cases += [
        ("setresuid", (2**32 - 1, -1, -1), OverflowError, 0),
        ("setresuid", (-1, -2, -1), OverflowError, 0),
        ("setreuid", (-1, "0"), TypeError, 0),
        ("setgroups", ([0, None],), TypeError, 0),
        ("setgroups", ([0] * 65537,), ValueError, 0),
    ]
    for name, arguments, wanted, number in cases:
        try:
            getattr(_native, name)(*arguments)
        except wanted as error:
            must(not number or getattr(error, "errno", 0) == number, f"{name}{arguments}: {error}")
        else:
            raise AssertionError(f"{name}{arguments} was not refused")
    must(observe(folder) == before, "a refused call changed an id or a group")
    return None


def _unprivileged(folder: int) -> str | None:
    """Without privilege: calls that change nothing work, other users' ids are refused, and no id changes."""
    if not explain.obstacle(USER):
        needs_root()
        _native.setresgid(GROUP, GROUP, GROUP)
        _native.setresuid(USER, USER, USER)
    before = observe(folder)
    answers: dict[str, list[str]] = {}
    for name, arguments in (
        ("setresuid", (-1, OTHER, -1)),
        ("setresgid", (-1, OTHER, -1)),
        ("seteuid", (OTHER,)),
        ("setegid", (OTHER,)),
        ("setgroups", ([OTHER],)),
    ):
        try:
            getattr(_native, name)(*arguments)
        except OSError as error:
            must(error.errno in (errno.EPERM, errno.EINVAL, errno.ENOSYS), f"{name}: {error}")
            answers.setdefault(errno.errorcode[error.errno or 0], []).append(name)
        else:
            raise AssertionError(f"{name}{arguments} succeeded without privilege")
    or_enosys(lambda: _native.setresuid(-1, -1, -1))
    or_enosys(lambda: _native.setresgid(-1, -1, -1))
    _native.setreuid(-1, os.geteuid())
    must(observe(folder) == before, "an id changed")
    detail = "; ".join(f"{code}: {', '.join(names)}" for code, names in answers.items())
    # user_namespaces(7): an id outside the map gives EINVAL, for root too
    return detail + (" - this user namespace does not map the id" if "EINVAL" in answers else "")


def _getters(folder: int) -> str | None:
    seen, status = observe(folder), status_fields(threading.get_native_id())
    uids, gids, groups = (os.getuid(), os.geteuid()), (os.getgid(), os.getegid()), tuple(sorted(os.getgroups()))
    must(seen.uids[:2] in ((), uids), f"getresuid says {seen.uids}, but os says {uids}")
    must(seen.gids[:2] in ((), gids), f"getresgid says {seen.gids}, but os says {gids}")
    must(seen.groups == groups, f"getgroups says {seen.groups}, but os says {groups}")
    if status and "uid_wrapper" not in os.environ.get("LD_PRELOAD", ""):
        for ids, fs, line in ((seen.uids, seen.fs[0], seen.status[0]), (seen.gids, seen.fs[1], seen.status[1])):
            must(line == " ".join(map(str, (*ids, fs))), f"/proc says {line}, but the getters say {ids} and {fs}")
    return None


def _open_beneath(folder: int) -> str | None:
    """A path from a client opens nothing outside the folder, follows no magic link and opens no FIFO."""
    out, fifo, name = (f"{kind}-{os.getpid()}" for kind in ("out", "fifo", "file"))
    os.symlink("..", out, dir_fd=folder)
    os.mkfifo(fifo, dir_fd=folder)
    os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    magic = f"self/fd/{os.open(name, os.O_RDONLY, dir_fd=folder)}"
    try:
        os.close(_native.open_beneath(folder, name, os.O_RDONLY))
    except OSError as error:
        must(error.errno == errno.ENOSYS, str(error))
        return "ENOSYS: the kernel, a seccomp filter or the build's headers lack openat2"
    cases = [(folder, out, errno.EXDEV), (folder, fifo, errno.ENXIO)]
    if os.path.isdir("/proc/self/fd"):
        cases.append((os.open("/proc", os.O_RDONLY), magic, errno.ELOOP))
    for place, path, number in cases:
        try:
            _native.open_beneath(place, path, os.O_RDONLY)
        except OSError as error:
            must(error.errno == number, f"opening {path} failed with {error}, not with {errno.errorcode[number]}")
        else:
            raise AssertionError(f"{path} was opened; it must be refused with {errno.errorcode[number]}")
    return None


def _verdict_agrees(document: dict[str, Any], folder: int) -> str | None:
    verdict = document["verdict"]
    scope = verdict["scope"]
    must(scope == _native.SCOPE, f"the report says scope {scope}, but the C module says {_native.SCOPE}")
    system = {"linux": "Linux", "darwin": "Darwin", "freebsd": "FreeBSD", "netbsd": "NetBSD"}.get(verdict["system"])
    must(system in (None, os.uname().sysname), f"built for {system}, but running on {os.uname().sysname}")
    return None


def all_checks(document: dict[str, Any]) -> list[Check]:
    """The checks for the build that this report describes, in order."""
    verdict = document["verdict"]
    thread = verdict["scope"] == "thread"
    checks = [
        Check("verdict", "report, C module and this machine agree", partial(_verdict_agrees, document)),
        Check("getters", "getters and /proc agree", _getters),
        Check("refusals", "bad input is refused and changes nothing", _refusals),
        Check("no privilege", "without privilege other users' ids are refused and nothing changes", _unprivileged),
        Check(
            "open_beneath", "stays below the folder, refuses magic links and FIFOs; or fails with ENOSYS", _open_beneath
        ),
    ]
    checks += [
        Check(
            f"round trip {kind}",
            "set, save, restore, become a user for good, fail to regain root",
            partial(_round_trip, kind),
        )
        for kind in ("uid", "gid")
        if any(c["name"] == "setres" + kind and c["backend"] in ("syscall", "libc") for c in verdict["calls"])
    ]
    checks += [
        Check("round trip groups", "set and read back; a user cannot set them", _groups_round_trip),
        Check("wide ids", "ids above 16 and 31 bits are not truncated", _wide_ids),
    ]
    for call in verdict["calls"]:
        name = call["name"]
        if call["backend"] == "none":
            checks.append(Check(name, "fails with ENOSYS on this platform", partial(_missing, name)))
        elif call["kind"] == "setter":
            claim = (
                "changes only the calling thread"
                if call["scope"] == "thread"
                else "changes every thread of the process"
            )
            checks.append(Check(name, claim, partial(_setter, name, call["scope"])))
    reaches = verdict["libc"] != "bionic"
    claim = f"libc's own call changes {'every thread' if reaches else 'only one thread'}"
    claim += ", which is the reason for this library" if thread and reaches else ""
    return [*checks, Check("libc", claim, partial(_libc_reaches, reaches))]
