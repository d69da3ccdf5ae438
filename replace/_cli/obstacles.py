# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What on this machine prevents checks of `libreplace verify`: the only list of reasons, and of what to change.

A check names its requirements. If one of them has an obstacle, the check is not run. Obstacles are found without this
package's calls, so they say nothing about the build. Every other failure of a check contradicts the build.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .._native import LEVELS, SCOPE, fakeroot_is_loaded
from . import chosen_ids, controls, io_uring
from .children import Died, in_child
from .chosen_ids import Ids, is_mapped, text_of
from .observe import kernel_fields

_CAPABILITIES = {"CAP_SETUID": 7, "CAP_SETGID": 6}  # include/uapi/linux/capability.h
# The requirements of checks. The others are names of calls.
REAL_IDS = "real ids"  # the ids that libc reports are the kernel's
PRIVILEGE = "privilege"
IDS = "ids"  # that the user namespace maps
ROOT = "root"  # the process can become root
FILES = "files"  # there is a temporary folder
OWNERS = "making a file"  # the files in it show who made them
WIDE = "wide ids"
LOSS = "loss of capabilities"  # by a process that becomes a user
CAPABILITIES = "capget and capset"
UNPRIVILEGED = "a call without privilege"  # other users' ids are refused
OPENAT2 = "openat2"
IO_URING = "io_uring"  # a refusal is no obstacle: the claim is then that there is no ring
#: Level -> what entering and leaving it needs.
ENTRIES = {level: (f"entry at level {level}", f"way back from level {level}") for level in LEVELS}
_MORE_FILES = "raise the limit of open files (ulimit -n)"
_MAP = "map more ids into this user namespace, 0 to 65535 at least (subuid(5), newuidmap(1))"


def _allow(calls: str) -> str:
    """The advice if something refuses a call. `calls` is systemd's name for a set of calls (systemd.exec(5))."""
    return (
        "a seccomp filter, a security module or a sandbox prevents the call; allow it (in a systemd unit: "
        f"SystemCallFilter={calls})"
    )


class Obstacle(NamedTuple):
    reason: str  # why a check is not run
    advice: str  # what to change


class Machine(NamedTuple):
    """What a check needs to know about this machine."""

    ids: Ids
    folder: int  # descriptor of the inner folder of check_folder.py, in which everybody may make files
    obstacles: dict[str, Obstacle]  # by requirement
    missing: frozenset[str] = frozenset()  # calls that the platform lacks: they fail with ENOSYS
    no_ring: Obstacle | None = None  # why the kernel or the build refuses a ring of io_uring

    def prevents(self, requirements: tuple[str, ...]) -> Obstacle | None:
        """The first obstacle to a check with these requirements."""
        return next((self.obstacles[name] for name in requirements if name in self.obstacles), None)


def has_capability(bit: int, field: str = "CapEff") -> bool:
    """Whether a capability is in the calling thread's effective set (capabilities(7)), or in another one."""
    mask = kernel_fields().get(field)
    return os.geteuid() == 0 if mask is None else bool(int(mask, 16) >> bit & 1)


def no_process(error: OSError) -> Obstacle:
    """Why in_child() raised this error instead of starting a process: pipe(2) or fork(2) failed."""
    advice = {
        errno.EAGAIN: "raise the limit of processes (ulimit -u, but root has none; of a container: --pids-limit; in a "
        "systemd unit: TasksMax=; of the system: sysctl kernel.pid_max)",
        errno.EMFILE: _MORE_FILES,
        errno.ENFILE: "raise the system's limit of open files or pipes (sysctl fs.file-max, fs.pipe-user-pages-hard)",
        errno.ENOMEM: "give this process more memory, or start it with `unshare --fork` if you use `unshare --pid`",
    }
    return Obstacle(f"cannot start a process: {error.strerror}", advice.get(error.errno or 0, _allow("@process")))


def _fakes_ids() -> Obstacle | None:
    if fakeroot_is_loaded():
        return Obstacle(
            "needs real root: fakeroot replaces libc's calls, but not the kernel's", "run this as real root"
        )
    if "uid_wrapper" in os.environ.get("LD_PRELOAD", ""):
        return Obstacle(
            "needs real ids: uid_wrapper simulates ids and groups; filesystem ids, /proc and file owners are real",
            "run this without LD_PRELOAD",
        )
    return _ask(
        "getresuid or getresgid", controls.shown_ids, "run this outside of the tracer or sandbox (such as proot)"
    )


def _lacks_privilege() -> Obstacle | None:
    missing = [name for name, bit in _CAPABILITIES.items() if not has_capability(bit)]
    if not missing:
        return None
    names = " and ".join(missing)
    if all(has_capability(_CAPABILITIES[name], "CapPrm") for name in missing):
        return Obstacle(
            f"needs {names}, which this process has as permitted, but not as effective capability",
            "raise it in the effective set (capset(2))",
        )
    reason = f"needs root, or {names}" if os.geteuid() and len(missing) == len(_CAPABILITIES) else f"needs {names}"
    options = " ".join(f"--cap-add={name[4:]}" for name in missing)
    return Obstacle(
        reason,
        f"run this as root (sudo libreplace verify), start the container with {options}, or, in a systemd unit, set "
        f"AmbientCapabilities={' '.join(missing)}",
    )


def _ask(name: str, control: Callable[[], str], advice: str = "") -> Obstacle | None:
    """Run a control in a child process. Without advice, the call is one of those that change or read ids."""
    try:
        reason = in_child(control)
    except Died as died:
        if not died.signal:  # the control failed because of another obstacle, which has its own control
            return None
        reason = f"{name} ends the process here: libc's own call, too, gets {signal.Signals(died.signal).name}"
    except OSError as error:
        return no_process(error)
    return Obstacle(reason, advice or _allow("@setuid")) if reason else None


def _find_ring(verdict: dict[str, Any]) -> tuple[Obstacle | None, Obstacle | None]:
    """Why a ring cannot be tried, and why a process gets an error instead of a ring."""
    if sys.platform != "linux":
        return None, None
    not_built = io_uring.why_not_built(verdict)
    if not_built:
        return None, Obstacle(*not_built)
    cannot_try = _ask("io_uring", io_uring.attempt, io_uring.ALLOW)
    refusal = None if cannot_try else in_child(io_uring.refusal)
    return cannot_try, Obstacle(*refusal) if refusal else None


def find(folder: int, no_folder: str, verdict: dict[str, Any]) -> Machine:
    """Ask for every obstacle to the checks of the report's verdict. `no_folder` says why there is no folder."""
    ids, missing = chosen_ids.choose()
    calls = verdict["calls"]
    setters = [call["name"] for call in calls if call["kind"] == "setter"]
    found: dict[str, Obstacle | None] = {
        FILES: Obstacle(no_folder, "set TMPDIR to a folder where this user can make files") if no_folder else None,
        REAL_IDS: _fakes_ids(),
        PRIVILEGE: _lacks_privilege(),
        IDS: Obstacle(f"this user namespace maps too few ids for {', '.join(missing)}", _MAP) if missing else None,
        WIDE: None if chosen_ids.wide() else Obstacle("no id above 65535 is mapped in this user namespace", _MAP),
    }
    if not no_folder:
        found[FILES] = _ask("dup", partial(controls.descriptors, folder), _MORE_FILES)
    for name in ("getresuid", "getresgid", "getgroups"):
        found[name] = found[REAL_IDS] or _ask(name, partial(controls.getter, name))
    for name in ("getfsuid", "getfsgid"):
        found[name] = found[REAL_IDS] or _ask(name, partial(controls.fs_getter, name))
    if not no_folder and sys.platform == "linux":
        found[OPENAT2] = _ask(OPENAT2, partial(controls.openat2, folder), _allow("@file-system"))
    if not any(found[name] for name in (REAL_IDS, PRIVILEGE, IDS)):
        found |= _of_switches(folder, ids, setters, found)
        for name in ("fsuid", "fsgid"):
            found["get" + name] = found["get" + name] or found.get("set" + name)
    found[IO_URING], no_ring = _find_ring(verdict)
    become = not any(found.get(name) for name in (REAL_IDS, PRIVILEGE, IDS, ROOT, "setresuid", "setresgid"))
    found[UNPRIVILEGED] = found[REAL_IDS] or _ask(UNPRIVILEGED, partial(controls.unprivileged, ids, become))
    lacks = frozenset(call["name"] for call in calls if call["backend"] == "none")
    return Machine(ids, folder, {name: obstacle for name, obstacle in found.items() if obstacle}, lacks, no_ring)


def _of_switches(
    folder: int, ids: Ids, setters: list[str], found: dict[str, Obstacle | None]
) -> dict[str, Obstacle | None]:
    """The obstacles for a process that may switch ids."""
    more: dict[str, Obstacle | None] = {}
    if not is_mapped(0, "uid", "gid"):
        more[ROOT] = Obstacle("uid 0 or gid 0 is not mapped in this user namespace", _MAP)
    else:
        more[ROOT] = _ask("becoming root", controls.root)
    if text_of("/proc/self/setgroups") == "deny":
        denied = Obstacle(
            "setgroups is denied in this user namespace", "write the gid_map with newgidmap(1), or as root"
        )
        more |= dict.fromkeys(("setgroups", "initgroups", *(entry for entry, _ in ENTRIES.values())), denied)
    more[CAPABILITIES] = _ask("capget or capset", partial(controls.capabilities, "capget", "capset"))
    for level, (entry, back) in ENTRIES.items() if SCOPE == "thread" else ():
        if entry not in more:
            more[entry] = _ask(entry, partial(controls.entry, level, ids))
        more[back] = _ask(back, partial(controls.way_back, level, ids), "start the server with equal user IDs")
    if more[ROOT]:
        return more
    for name in setters:
        more.setdefault(name, _ask(name, partial(controls.setter, name, ids)))
    more["getgroups"] = found["getgroups"] or (
        None if more.get("setgroups") else _ask("getgroups", partial(controls.group_getter, ids))
    )
    more[LOSS] = _ask(
        LOSS, partial(controls.loss_of_capabilities, ids), "clear the securebits: prctl(PR_SET_SECUREBITS, 0)"
    )
    if not found[FILES]:
        advice = "set TMPDIR to a folder on a file system that stores every owner, and is not an idmapped mount"
        users = [(ids.user, ids.group)] if not (more.get("seteuid") or more.get("setegid")) else []
        more[OWNERS] = _ask(OWNERS, partial(controls.owners, folder, [(0, 0), *users]), advice)
        if users and not found[WIDE]:
            creators = [(number, number) for number in chosen_ids.wide()]
            more[WIDE] = _ask(WIDE, partial(controls.owners, folder, creators), advice)
    return more


def for_user(uid: int) -> Machine:
    """The obstacles to becoming this user."""
    unmapped = None if is_mapped(uid, "uid") else Obstacle(f"uid {uid} is not mapped in this user namespace", _MAP)
    found = {REAL_IDS: _fakes_ids(), PRIVILEGE: _lacks_privilege(), IDS: unmapped}
    return Machine(chosen_ids.choose()[0], -1, {name: obstacle for name, obstacle in found.items() if obstacle})
