# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of `libreplace verify` that switch ids as root: each setter, and round trips. checks.py lists them."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

from .. import _native
from . import chosen_ids
from .controls import become_root
from .observe import Seen, must, observe
from .obstacles import Machine

# ---- One check for each setter: a second thread calls it, the main thread and a third thread look at their own ids


def _changed(base: Seen, field: str, ids: tuple[int, ...]) -> Seen:
    """The credentials that a thread must have after the call, if it had `base` before."""
    fields, shown = ("Uid", "Gid", "Groups"), list(base.status)
    if base.status[0]:
        shown[fields.index(field)] = " ".join(map(str, ids))
    base = base._replace(status=tuple(shown))
    if field == "Groups":
        return base._replace(groups=None if base.groups is None else ids)
    if field == "Uid":
        fsuid = None if base.fsuid is None else ids[3]
        return base._replace(uids=ids[:3] if base.uids else (), fsuid=fsuid, owner=(ids[3], base.owner[1]))
    fsgid = None if base.fsgid is None else ids[3]
    return base._replace(gids=ids[:3] if base.gids else (), fsgid=fsgid, owner=(base.owner[0], ids[3]))


def change_ids(name: str, scope: str, machine: Machine) -> str | None:
    become_root()
    arguments, field, ids = chosen_ids.expected(machine.ids)[name]
    base = observe(machine)
    caller, third = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    must(third.submit(observe, machine).result() == base, "a new thread does not have its creator's ids")
    caller.submit(getattr(_native, name), *arguments).result()
    switched = caller.submit(observe, machine).result()
    watched, main = third.submit(observe, machine).result(), observe(machine)
    wanted = _changed(base, field, tuple(sorted(ids)) if field == "Groups" else ids)
    must(switched == wanted, f"the calling thread has {switched}, not {wanted}")
    expected = base if scope == "thread" else wanted
    must(main == expected, f"the main thread has {main}, not {expected}")
    must(watched == expected, f"a third thread has {watched}, not {expected}")
    return None


def fail_with_enosys(name: str, machine: Machine) -> str | None:
    """A call that this platform does not have fails with ENOSYS and changes nothing."""
    before = observe(machine)
    try:
        expected = chosen_ids.expected(machine.ids)
        getattr(_native, name)(*expected[name][0] if name in expected else ())
    except OSError as error:
        must(error.errno == errno.ENOSYS, f"the call failed with {error}, not with ENOSYS")
    else:
        raise AssertionError("the call succeeded, but the build says that it does not exist")
    must(observe(machine) == before, "the failed call changed an id")
    return None


# ---- Round trips, in the order of Samba's configure-time test


def make_round_trip(kind: str, machine: Machine) -> str | None:
    become_root()
    setres = _native.setresuid if kind == "uid" else _native.setresgid
    getres = _native.getresuid if kind == "uid" else _native.getresgid
    setre = _native.setreuid if kind == "uid" else _native.setregid
    sete = _native.seteuid if kind == "uid" else _native.setegid
    user = machine.ids.user if kind == "uid" else machine.ids.group

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
        setres(user, user, user)
        _native.setresuid(*[machine.ids.user] * 3)
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


def set_groups(machine: Machine) -> str | None:
    become_root()
    group, other = machine.ids.group, machine.ids.other
    for groups in ([], [group], [other, group, other], chosen_ids.long_list(), []):
        _native.setgroups(groups)
        must(
            sorted(_native.getgroups()) == sorted(groups),
            f"the kernel reports other groups than the {len(groups)} that were set",
        )
    _native.setresuid(*[machine.ids.user] * 3)
    try:
        _native.setgroups([0])
    except OSError as error:
        must(error.errno == errno.EPERM, f"setgroups as a user fails with another error: {error}")
        return None
    raise AssertionError("setgroups as a user succeeded")


def set_wide_ids(machine: Machine) -> str | None:
    become_root()
    for user in chosen_ids.wide():
        _native.setresgid(-1, user, -1)
        _native.setresuid(-1, user, -1)
        seen = observe(machine)
        must(seen.owner == (user, user), f"a file of {user} belongs to {seen.owner}")
        _native.setresuid(-1, 0, -1)
        _native.setresgid(-1, 0, -1)
    return None


def call_libc(expected: bool, machine: Machine) -> str | None:
    become_root()
    with ThreadPoolExecutor(1) as other:
        other.submit(os.seteuid, machine.ids.user).result()
    reached = os.geteuid() == machine.ids.user
    must(reached == expected, f"libc's seteuid in one thread {'did' if reached else 'did not'} change the main thread")
    return None
