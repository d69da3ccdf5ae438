# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""For starting_states.py: random entries into identities, in every way that Python offers, and what must hold in them.

A function that is named wrong_* returns what is wrong, or an empty text.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import replace
from support.children import IS_PYPY, LEVELS, SHIELD
from support.credentials import (
    ABOUT_FILES,
    KEEP_CAPS,
    NO_CAP_AMBIENT_RAISE,
    NO_SETUID_FIXUP,
    SETGID,
    SETUID,
    Credentials,
    look,
    may_set_groups,
)

#: The ids of the identities. A starting state has all but the last of them.
UIDS, GIDS = (0, 80001, 80002, 80003), (0, 80011, 80012, 80013)


class Fault(Exception):
    """Something is not as it must be."""


class Plan(NamedTuple):
    """One entry into an identity, and perhaps another one inside."""

    way: str
    identity: replace.Identity
    level: Any
    allow_root: bool
    forks: bool
    inner: Plan | None

    @property
    def options(self) -> dict[str, Any]:
        return {"level": self.level, "allow_root": self.allow_root}


# ---- The ways to enter. Each calls body() as the user


def with_block(plan: Plan, body: Callable[[], None]) -> None:
    guard = replace.impersonate(plan.identity, **plan.options)
    with guard:
        body()
        if not guard.check():
            raise Fault("check() finds a change")


def acting_as(plan: Plan, body: Callable[[], None]) -> None:
    replace.acting_as(plan.identity, body, **plan.options)()


def dropped(plan: Plan, body: Callable[[], None]) -> None:
    """Nobody calls __exit__(). The guard leaves when its last reference goes."""
    guard = replace.impersonate(plan.identity, **plan.options)
    guard.__enter__()
    try:
        body()
    finally:
        del guard


def impersonated(plan: Plan, body: Callable[[], None]) -> None:
    before = look()

    def twice() -> Iterator[None]:
        for _ in range(2):
            body()
            yield

    items: Any = replace.impersonated(plan.identity, twice(), **plan.options)
    with contextlib.closing(items):
        for _ in items:
            if look() != before:
                raise Fault(f"between two items, the thread has {look()}")


def run_as(plan: Plan, body: Callable[[], None]) -> None:
    asyncio.run(replace.run_as(plan.identity, body, **plan.options))


Ways = dict[str, Callable[[Plan, Callable[[], None]], None]]
WAYS: Ways = {"with": with_block, "acting_as": acting_as, "impersonated": impersonated}
if not IS_PYPY:  # which destroys objects later
    WAYS["a dropped guard"] = dropped
#: These ways start threads, so they work only outside of every identity.
OUTER_WAYS: Ways = {"run_as": run_as}
#: Of each 100 plans, so many enter in an OUTER_WAY, and so many fork.
OUTER, FORKS = 2, 3


def random_plan(choose: random.Random, depth: int = 0) -> Plan:
    outer = depth == 0 and choose.randrange(100) < OUTER
    groups = choose.sample(GIDS, choose.choice([0, 0, 1, 2]))
    identity = replace.Identity(choose.choice(UIDS), choose.choice(GIDS), groups)
    return Plan(
        choose.choice([*OUTER_WAYS]) if outer else choose.choice([*WAYS]),
        identity,
        choose.choice(LEVELS),
        choose.random() < (0.8 if identity.has_root else 0.2),
        choose.randrange(100) < FORKS,
        random_plan(choose, depth + 1) if depth < 2 and choose.random() < 0.4 else None,
    )


# ---- What must hold


@functools.cache
def _ranges(kind: str) -> list[range]:
    """The ids that this user namespace maps: user_namespaces(7)."""
    if not os.path.exists(f"/proc/self/{kind}_map"):
        return [range(2**32)]  # a kernel without user namespaces
    with open(f"/proc/self/{kind}_map") as file:
        rows = [[int(word) for word in line.split()] for line in file]
    return [range(first, first + length) for first, _, length in rows]


def are_mapped(kind: str, *numbers: int) -> bool:
    return all(any(number in one for one in _ranges(kind)) for number in numbers)


def shield(uid: int) -> int:
    """The real user ID at level shielded, or -1 if this user namespace maps none."""
    return next((one for one in (SHIELD, 65535) if one != uid and are_mapped("uid", one)), -1)


def expected_ids(plan: Plan, base: Credentials) -> tuple[tuple[int, ...], ...]:
    """The uids, gids and groups inside; see replace.Level. `base` is what the thread had before all entries."""
    uid, gid, groups = plan.identity.uid, plan.identity.gid, tuple(plan.identity.groups)
    if plan.level == "filesystem":
        return (*base.uids[:3], uid), (*base.gids[:3], gid), groups
    real = {"shielded": shield(uid), "effective": base.uids[0], "real": uid}[plan.level]
    return (real, uid, base.uids[2], uid), (gid, gid, base.gids[2], gid), groups


def wrong_inside(plan: Plan, base: Credentials, before: Credentials, now: Credentials) -> str:
    """What is wrong with a thread that holds the identity. `before` is what the thread had before this entry."""
    if now[:3] != expected_ids(plan, base):
        return "ids or groups"
    if now[7:] != before[7:] or now.permitted != before.permitted:
        return "permitted or bounding set or securebits"
    # The kernel raises all permitted capabilities of a thread that becomes root.
    possible = base.effective if before == base and base.uids[1] == 0 else base.permitted
    if plan.identity.uid == 0:
        if now.inheritable != before.inheritable or now.ambient & ~before.ambient or now.effective & ~possible:
            return "capabilities of root"
    elif now.inheritable != before.inheritable & ~before.permitted or now.ambient:
        return "inheritable or ambient capabilities"
    elif now.effective & (ABOUT_FILES | ~possible if plan.level == "filesystem" else -1):
        return "effective capabilities"
    return ""


def wrong_child(plan: Plan, base: Credentials, now: Credentials) -> str:
    """What is wrong with a child that was forked inside, or with a program that popen_as() started."""
    identity = plan.identity
    if now[:3] != ((identity.uid,) * 4, (identity.gid,) * 4, tuple(identity.groups)):
        return "ids or groups"
    sets = now.effective | now.permitted | now.inheritable | now.ambient
    # root may keep its capabilities, and execve(2) gives it those of the bounding set
    allowed = base.permitted | base.inheritable | base.bounding if identity.uid == 0 else 0
    return "capabilities" if sets & ~allowed else ""


#: Class of exception, step -> the possible errno and state.
REFUSALS: dict[tuple[type[Exception], str], tuple[set[int], set[str]]] = {
    (replace.IdentityError, "checking that the thread could return"): ({errno.EPERM, errno.EACCES}, {"unchanged"}),
    (replace.CapabilitiesRemain, "checking capabilities"): ({errno.EPERM}, {"unchanged", "rolled back"}),
    (replace.IdentityError, "setgroups"): ({errno.EPERM}, {"rolled back"}),
    (replace.IdentityError, "setting the gid"): ({errno.EPERM}, {"rolled back"}),
    (replace.IdentityError, "setting the uid"): ({errno.EPERM}, {"rolled back"}),
    (replace.IdentityError, "regaining privilege"): ({errno.EPERM}, {"rolled back"}),
}


def wrong_refusal(plan: Plan, base: Credentials, before: Credentials, problem: Any) -> str:
    """What is wrong with the exception of an entry. `before` is what the thread had before this entry."""
    if plan.identity.has_root and not plan.allow_root:
        right = type(problem) is replace.IdentityRefused and problem.state == "unchanged"
        return "" if right else "it is not IdentityRefused"
    has_shield = plan.level != "shielded" or shield(plan.identity.uid) >= 0
    mapped = are_mapped("uid", plan.identity.uid) and are_mapped("gid", plan.identity.gid, *plan.identity.groups)
    if type(problem) is replace.IdentityRefused and not has_shield:
        errors, states = {errno.EOVERFLOW}, {"unchanged"}
    else:
        errors, states = REFUSALS.get((type(problem), problem.step), (set(), set()))
    if not mapped and problem.step.startswith("set"):
        errors = {*errors, errno.EINVAL}
    if problem.errno not in errors or problem.state not in states or problem.identity != plan.identity:
        return "another class, step, errno or state than expected"
    possible = mapped and has_shield and may_set_groups()
    return "needless" if possible and must_enter(plan, base, before) else ""


def must_enter(plan: Plan, base: Credentials, before: Credentials) -> bool:
    """Whether the thread may not be refused: it has the two capabilities, and nothing stops it from returning."""
    if base.permitted & SETUID == 0 or base.permitted & SETGID == 0:
        return False
    if before.inheritable & before.permitted & ~before.bounding:
        return False
    if before.ambient and before.securebits & NO_CAP_AMBIENT_RAISE:
        return False
    if before.securebits & NO_SETUID_FIXUP:
        return base.uids[1] != 0 or plan.identity.uid == 0
    keeps_zero = (0 in before.uids[:3]) == (0 in expected_ids(plan, base)[0][:3])
    return keeps_zero or before.securebits & KEEP_CAPS != 0
