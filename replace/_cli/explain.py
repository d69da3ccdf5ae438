# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify --explain`: what this kernel, container and environment allow, and what to change."""

from __future__ import annotations

import os
import sys

from .chosen_ids import text_of
from .observe import kernel_fields
from .obstacles import Machine


def facts() -> dict[str, str]:
    """The facts about this machine and process, as text."""
    kernel, status = os.uname(), kernel_fields()
    return {
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "python": sys.version.split()[0],
        "euid": str(os.geteuid()),
        "capabilities": status.get("CapEff", "unknown"),
        "no_new_privs": status.get("NoNewPrivs", "unknown"),
        "seccomp": status.get("Seccomp", "unknown"),
        "uid_map": " ".join(text_of("/proc/self/uid_map").split()),
        "gid_map": " ".join(text_of("/proc/self/gid_map").split()),
        "setgroups": text_of("/proc/self/setgroups") or "unknown",
        "uring_disabled": text_of("/proc/sys/kernel/io_uring_disabled") or "unknown",
        "preload": os.environ.get("LD_PRELOAD", ""),
    }


def explain(machine: Machine) -> list[str]:
    """Lines for people: the facts, each obstacle with what to change, and what may look like an obstacle."""
    machine_facts = facts()
    lines = [f"{key:14} {value or '(none)'}" for key, value in machine_facts.items()] + [""]
    if machine.no_ring:
        lines += [f"no io_uring: {machine.no_ring.reason}", f"  to change this: {machine.no_ring.advice}"]
    reasons: dict[str, list[str]] = {}  # by what to change
    for obstacle in dict.fromkeys(machine.obstacles.values()):
        reasons.setdefault(obstacle.advice, []).append(obstacle.reason)
    notes = []
    for advice, found in reasons.items():
        notes += ["; ".join(found), f"  to change this: {advice}"]
    if machine_facts["no_new_privs"] == "1":
        notes.append("no_new_privs is set: set-user-ID programs do not become root here; switching ids still works")
    if machine_facts["seccomp"] not in ("0", "unknown"):
        notes.append(
            f"seccomp mode {machine_facts['seccomp']}: a filter may refuse system calls; the checks show which work"
        )
    if machine_facts["uid_map"] not in ("", "0 0 4294967295"):
        notes.append(f"user namespace (uid_map {machine_facts['uid_map']}): ids outside the map give EINVAL")
    return lines + (notes or ["nothing on this machine prevents switching ids"])
