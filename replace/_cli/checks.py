# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of `libreplace verify`: each compares the build's verdict with what the kernel does.

verify.py runs each in a child process, so a check may change its ids freely, unless obstacles.py found an obstacle to
one of its requirements. A check that proves its claim returns a detail or None. It raises NotHere if it cannot run
here. Any other exception contradicts the claim. switch_checks.py has the checks of single calls,
level_checks.py those of whole entries, and file_checks.py those that open files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .. import _native
from . import controls, file_checks, level_checks, switch_checks
from .controls import become_root
from .observe import must, observe
from .obstacles import (
    FILES,
    IDS,
    LOSS,
    OPENAT2,
    OWNERS,
    PRIVILEGE,
    REAL_IDS,
    ROOT,
    UNPRIVILEGED,
    WIDE,
    Machine,
)

#: What a check needs that switches ids as root.
_SWITCH = (REAL_IDS, PRIVILEGE, IDS, ROOT, FILES)
_GETTERS = ("getresuid", "getresgid", "getgroups", "getfsuid", "getfsgid")


class Check(NamedTuple):
    name: str
    claim: str
    run: Callable[[Machine], str | None]
    requires: tuple[str, ...] = ()  # see obstacles.py


def _refusals(machine: Machine) -> str | None:
    before = observe(machine)
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
    must(observe(machine) == before, "a refused call changed an id or a group")
    return None


def _unprivileged(machine: Machine) -> str | None:
    """Without privilege: calls that change nothing work, other users' ids are refused, and no id changes."""
    if not machine.prevents((*_SWITCH, OWNERS, "setresuid", "setresgid")):
        become_root()
        _native.setresgid(*[machine.ids.group] * 3)
        _native.setresuid(*[machine.ids.user] * 3)
    _native.drop_capabilities()
    before = observe(machine)
    answers: dict[str, list[str]] = {}
    for name, arguments in controls.forbidden(machine.ids):
        try:
            getattr(_native, name)(*arguments)
        except OSError as error:
            wanted = (errno.ENOSYS,) if name in machine.missing else controls.REFUSALS
            must(error.errno in wanted, f"{name}: {error}")
            answers.setdefault(errno.errorcode[error.errno or 0], []).append(name)
        else:
            raise AssertionError(f"{name}{arguments} succeeded without privilege")
    for name, arguments in controls.HARMLESS:
        if name not in machine.missing:
            getattr(_native, name)(*arguments)
    must(observe(machine) == before, "an id changed")
    detail = "; ".join(f"{code}: {', '.join(names)}" for code, names in answers.items())
    # user_namespaces(7): an id outside the map gives EINVAL, for root too
    return detail + (" - this user namespace does not map the id" if "EINVAL" in answers else "")


def _getters(machine: Machine) -> str | None:
    seen = observe(machine)
    uids, gids, groups = (os.getuid(), os.geteuid()), (os.getgid(), os.getegid()), tuple(sorted(os.getgroups()))
    must(seen.uids[:2] in ((), uids), f"getresuid says {seen.uids}, but os says {uids}")
    must(seen.gids[:2] in ((), gids), f"getresgid says {seen.gids}, but os says {gids}")
    must(seen.groups == groups, f"getgroups says {seen.groups}, but os says {groups}")
    if seen.status[0]:
        for ids, fs, line in ((seen.uids, seen.fsuid, seen.status[0]), (seen.gids, seen.fsgid, seen.status[1])):
            must(line == " ".join(map(str, (*ids, fs))), f"/proc says {line}, but the getters say {ids} and {fs}")
    return None


def _verdict_agrees(document: dict[str, Any], machine: Machine) -> str | None:
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
        Check("getters", "getters and /proc agree", _getters, (REAL_IDS, FILES, *_GETTERS)),
        Check("refusals", "bad input is refused and changes nothing", _refusals, (FILES,)),
        Check(
            "no privilege",
            "without privilege other users' ids are refused and nothing changes",
            _unprivileged,
            (REAL_IDS, FILES, UNPRIVILEGED),
        ),
        Check(
            "open_beneath",
            "stays below the folder, refuses magic links and FIFOs; or fails with ENOSYS",
            file_checks.open_beneath,
            (FILES, OPENAT2),
        ),
    ]
    for kind in ("uid", "gid"):
        if any(c["name"] == "setres" + kind and c["backend"] in ("syscall", "libc") for c in verdict["calls"]):
            claim = "set, save, restore, become a user for good, fail to regain root"
            calls = (f"setres{kind}", f"sete{kind}", f"setre{kind}", f"getres{kind}", "setresuid")
            checks.append(
                Check(
                    f"round trip {kind}", claim, partial(switch_checks.make_round_trip, kind), (*_SWITCH, *calls, LOSS)
                )
            )
    checks += [
        Check(
            "round trip groups",
            "set and read back; a user cannot set them",
            switch_checks.set_groups,
            (*_SWITCH, "setgroups", "getgroups", "setresuid", LOSS),
        ),
        Check(
            "wide ids",
            "ids above 16 and 31 bits are not truncated",
            switch_checks.set_wide_ids,
            (*_SWITCH, "setresuid", "setresgid", OWNERS, WIDE),
        ),
    ]
    for call in verdict["calls"]:
        name = call["name"]
        if call["backend"] == "none":
            checks.append(
                Check(
                    name, "fails with ENOSYS on this platform", partial(switch_checks.fail_with_enosys, name), (FILES,)
                )
            )
        elif call["kind"] == "setter":
            claim = (
                "changes only the calling thread"
                if call["scope"] == "thread"
                else "changes every thread of the process"
            )
            checks.append(
                Check(name, claim, partial(switch_checks.change_ids, name, call["scope"]), (*_SWITCH, name, OWNERS))
            )
    for level in level_checks.LEVELS if thread else ():
        run = partial(level_checks.enter_and_leave, level)
        checks.append(Check(f"level {level}", level_checks.CLAIM, run, level_checks.requires(level)))
    for backend, requirement in file_checks.BACK_ENDS.items() if thread else ():
        checks.append(
            Check(
                f"files by {backend}",
                file_checks.CLAIM + ("; or there is no ring" if backend == "io_uring" else ""),
                partial(file_checks.open_as_users, backend),
                (*level_checks.requires("shielded"), ROOT, LOSS, requirement),
            )
        )
    reaches = verdict["libc"] != "bionic"
    claim = f"libc's own call changes {'every thread' if reaches else 'only one thread'}"
    claim += ", which is the reason for this library" if thread and reaches else ""
    return [*checks, Check("libc", claim, partial(switch_checks.call_libc, reaches), (*_SWITCH, "seteuid"))]
