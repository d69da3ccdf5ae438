# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks `level NAME` of `libreplace verify`: what a server does for each request.

A second thread enters an identity and leaves it. It starts from the ids of this process, which need not be root's.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from .._identity import Identity
from .._impersonate import impersonate
from .._options import Level
from .chosen_ids import SHIELDS
from .observe import Seen, kernel_fields, must, observe
from .obstacles import CAPABILITIES, ENTRIES, FILES, IDS, LOSS, OWNERS, PRIVILEGE, REAL_IDS, Machine

LEVELS: tuple[Level, ...] = ("shielded", "effective", "real", "filesystem")
CLAIM = "a thread enters and leaves; other threads keep their ids"

_CALLS = ("setgroups", "getresuid", "getresgid", "getgroups", "getfsuid", "getfsgid")
#: Capabilities that the kernel clears with the fs uid: CAP_FS_SET of include/linux/capability.h, which is CAP_CHOWN,
#: DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD and MAC_OVERRIDE.
_OF_FILES = sum(1 << bit for bit in (0, 1, 2, 3, 4, 9, 27, 32))


def requires(level: Level) -> tuple[str, ...]:
    """What the check of a level needs."""
    own = ("setfsuid", "setfsgid") if level == "filesystem" else ("setresuid", "setresgid")
    loss = (LOSS,) if os.geteuid() == 0 else ()
    return (REAL_IDS, PRIVILEGE, IDS, FILES, CAPABILITIES, *_CALLS, *own, *ENTRIES[level], OWNERS, *loss)


def _wanted(level: Level, base: Seen, now: Seen, machine: Machine) -> Seen:
    """What the thread must be inside, if it was `base` before."""
    user, group, groups = machine.ids.user, machine.ids.group, tuple(sorted((machine.ids.other, machine.ids.high)))
    (real, effective, saved), gids = base.uids, base.gids
    if level != "filesystem":
        gids = (group, group, gids[2])
        effective = user
        if level == "real":
            real = user
        elif level == "shielded":
            real = now.uids[0] if now.uids[0] in SHIELDS else SHIELDS[0]
    uids = (real, effective, saved)
    lines = [" ".join(map(str, line)) if base.status[0] else "" for line in ((*uids, user), (*gids, group), groups)]
    return Seen(uids, gids, groups, user, group, tuple(lines), (user, group))


def _capabilities() -> dict[str, str]:
    """The capability sets of the calling thread, as hexadecimal digits. Empty without /proc."""
    fields = kernel_fields()
    return {name: fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if name in fields}


def enter_and_leave(level: Level, machine: Machine) -> None:
    ids = machine.ids
    os.setgroups([ids.other])  # libc's call, for all threads: the groups from before must come back, too
    base, held = observe(machine), _capabilities()
    with ThreadPoolExecutor(1) as worker:

        def look() -> tuple[Seen, dict[str, str]]:
            return worker.submit(lambda: (observe(machine), _capabilities())).result()

        must(look() == (base, held), "a new thread does not have its creator's ids")
        guard = worker.submit(impersonate, Identity(ids.user, ids.group, [ids.other, ids.high]), level=level).result()
        worker.submit(guard.__enter__).result()
        try:
            inside, capabilities = look()
            wanted = _wanted(level, base, inside, machine)
            must(inside == wanted, f"inside, the thread has {inside}, not {wanted}")
            forbidden = _OF_FILES if level == "filesystem" else -1
            left = int(capabilities.get("CapEff", "0"), 16) & forbidden
            must(not left, f"inside, the thread has the capabilities {left:x}")
            must(observe(machine) == base, f"inside, the main thread has {observe(machine)}, not {base}")
        except AssertionError:
            worker.submit(guard.__exit__, None, None, None).exception()
            raise
        worker.submit(guard.__exit__, None, None, None).result()
        after = look()
        must(after == (base, held), f"after leaving, the thread has {after}, not {(base, held)}")
    must((observe(machine), _capabilities()) == (base, held), f"after leaving, the main thread has {observe(machine)}")
