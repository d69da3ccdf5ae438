# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify --explain`: what this kernel, container and environment allow, and what to change."""

from __future__ import annotations

import os
import sys

from .._native import fakeroot_is_loaded
from .._threads import status_fields

_CAP_SETGID, _CAP_SETUID = 6, 7  # include/uapi/linux/capability.h


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _mapped(path: str, wanted: int) -> bool:
    """Whether a map of user_namespaces(7) contains an id. Without a map, every id is valid."""
    rows = [list(map(int, line.split())) for line in _read(path).splitlines()]
    return not rows or any(first <= wanted < first + count for first, _, count in rows)


def facts() -> dict[str, str]:
    """The facts about this machine and process, as text."""
    kernel, status = os.uname(), status_fields()
    return {
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "python": sys.version.split()[0],
        "euid": str(os.geteuid()),
        "capabilities": status.get("CapEff", "unknown"),
        "no_new_privs": status.get("NoNewPrivs", "unknown"),
        "seccomp": status.get("Seccomp", "unknown"),
        "uid_map": " ".join(_read("/proc/self/uid_map").split()),
        "gid_map": " ".join(_read("/proc/self/gid_map").split()),
        "setgroups": _read("/proc/self/setgroups") or "unknown",
        "preload": os.environ.get("LD_PRELOAD", ""),
    }


def has_capability(bit: int) -> bool:
    """Whether a capability is in the calling thread's effective set (capabilities(7))."""
    mask = status_fields().get("CapEff")
    return os.geteuid() == 0 if mask is None else bool(int(mask, 16) >> bit & 1)


def obstacle(user: int) -> str:
    """Why a switch to the id `user` and back cannot be tried here; empty if it can."""
    missing = [
        name for name, bit in (("CAP_SETUID", _CAP_SETUID), ("CAP_SETGID", _CAP_SETGID)) if not has_capability(bit)
    ]
    if fakeroot_is_loaded():
        return "needs real root: fakeroot replaces libc's calls, but not the kernel's"
    if os.geteuid() != 0 or missing:
        return "needs root" + (f" with {' and '.join(missing)}" if missing and os.geteuid() == 0 else "")
    for kind in ("uid", "gid"):
        if not _mapped(f"/proc/self/{kind}_map", user):
            return f"needs root outside this user namespace: {kind} {user} is not mapped here"
    if _read("/proc/self/setgroups") == "deny":
        return "needs root outside this user namespace: setgroups is denied here"
    return ""


def explain() -> list[str]:
    """Lines for people: the facts, what they mean and what to change."""
    found = facts()
    lines = [f"{key:14} {value or '(none)'}" for key, value in found.items()] + [""]
    advice = []
    if os.geteuid() != 0:
        advice.append("not root: switches to another user cannot be tried; run this as root (sudo libreplace verify)")
    for name, bit in (("CAP_SETUID", _CAP_SETUID), ("CAP_SETGID", _CAP_SETGID)):
        if not has_capability(bit):
            advice.append(
                f"no {name}: start the container with --cap-add={name[4:]}, or, in a systemd unit, "
                f"name it in AmbientCapabilities= or run as root"
            )
    if found["no_new_privs"] == "1":
        advice.append(
            "no_new_privs is set: set-user-ID programs do not become root here; switching ids as root still works"
        )
    if found["seccomp"] not in ("0", "unknown"):
        advice.append(
            f"seccomp mode {found['seccomp']}: a filter may refuse system calls; the checks show which ones work"
        )
    if found["uid_map"] not in ("", "0 0 4294967295"):
        advice.append(
            f"user namespace (uid_map {found['uid_map']}): ids outside the map give EINVAL; "
            "map a range of ids (subuid(5), newuidmap(1))"
        )
    if found["setgroups"] == "deny":
        advice.append(
            "setgroups is denied in this namespace, so groups cannot be set; write the gid_map with newgidmap(1)"
        )
    if fakeroot_is_loaded():
        advice.append(
            "fakeroot is loaded: it fakes libc's calls but not syscall(); these results do not show the kernel"
        )
    if "uid_wrapper" in found["preload"]:
        advice.append(
            "uid_wrapper is loaded: it simulates ids and groups; filesystem ids, /proc and file owners are real"
        )
    return lines + (advice or ["nothing on this machine prevents switching ids"])
