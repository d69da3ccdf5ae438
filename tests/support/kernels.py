# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Models of the credential calls of each kernel, as pure functions of the state.

A state is the real, effective and saved id, and whether the caller is privileged. A call returns an errno (0 if it
succeeds) and the next state. User and group ids follow the same rules. On Linux the fs id follows the effective id;
setfsuid has a separate model.

Sources: "Setuid Demystified" (Chen, Wagner, Dean 2002) and its revision (Tsafrir, Da Silva, Wagner 2008),
credentials(7), and the source file of each kernel, which the docstring of its class names.
"""

from __future__ import annotations

import errno
import itertools
from typing import NamedTuple

UNSET = -1
#: 0, and two ids above 65535, which a 16-bit call would truncate.
IDS = (0, 80001, 80002)
ARGUMENTS = (*IDS, UNSET)


class State(NamedTuple):
    r: int
    e: int
    s: int


Answer = tuple[int, State]


def each(*ids: int) -> set[int]:
    return set(ids) | {UNSET}


class Linux:
    """kernel/sys.c: __sys_setuid() to __sys_setfsuid(); privileged: CAP_SETUID or CAP_SETGID in the effective set."""

    calls = {"set": 1, "sete": 1, "setre": 2, "setres": 3}

    @staticmethod
    def set(old: State, privileged: bool, new: int) -> Answer:
        if new == UNSET:
            return errno.EINVAL, old
        if privileged:
            return 0, State(new, new, new)
        return (0, old._replace(e=new)) if new in (old.r, old.s) else (errno.EPERM, old)

    @staticmethod
    def sete(old: State, privileged: bool, new: int) -> Answer:
        """libc calls setres(-1, new, -1). In glibc and in libreplace, -1 is EINVAL."""
        return (errno.EINVAL, old) if new == UNSET else Linux.setres(old, privileged, UNSET, new, UNSET)

    @staticmethod
    def setre(old: State, privileged: bool, r: int, e: int) -> Answer:
        if not privileged and (r not in each(old.r, old.e) or e not in each(*old)):
            return errno.EPERM, old
        new = State(old.r if r == UNSET else r, old.e if e == UNSET else e, old.s)
        if r != UNSET or e not in (UNSET, old.r):
            new = new._replace(s=new.e)
        return 0, new

    @staticmethod
    def setres(old: State, privileged: bool, r: int, e: int, s: int) -> Answer:
        if not privileged and not {r, e, s} <= each(*old):
            return errno.EPERM, old
        return 0, State(*(was if new == UNSET else new for was, new in zip(old, (r, e, s), strict=True)))

    @staticmethod
    def setfs(old: State, fs: int, privileged: bool, new: int) -> tuple[int, int]:
        """Return (errno, fs id) of libreplace, which refuses -1 and reports EPERM; the kernel reports no error."""
        if new == UNSET:
            return errno.EINVAL, fs
        return (0, new) if privileged or new in (*old, fs) else (errno.EPERM, fs)


class Darwin:
    """xnu bsd/kern/kern_prot.c; privileged: suser(), an effective uid of 0. It has no setresuid()."""

    @staticmethod
    def set(old: State, privileged: bool, new: int) -> Answer:
        if privileged:
            return 0, State(new, new, new)
        return (0, old._replace(e=new)) if new in (old.r, old.s) else (errno.EPERM, old)

    @staticmethod
    def sete(old: State, privileged: bool, new: int) -> Answer:
        return (0, old._replace(e=new)) if privileged or new in (old.r, old.s) else (errno.EPERM, old)

    @staticmethod
    def setre(old: State, privileged: bool, r: int, e: int) -> Answer:
        if not privileged and not {r, e} <= each(*old):
            return errno.EPERM, old
        new = State(old.r if r == UNSET else r, old.e if e == UNSET else e, old.s)
        if old.s not in (r, e):  # so setreuid(-1, -1) may change the saved id
            new = new._replace(s=new.e)
        return 0, new


class NetBSD:
    """sys/kern/kern_prot.c: do_setresuid() and its flags; privileged: an effective uid of 0. It has no setresuid()."""

    @staticmethod
    def _do(old: State, privileged: bool, new: tuple[int, int, int], allowed: tuple[set[int], ...]) -> Answer:
        if not privileged and any(id not in may for id, may in zip(new, allowed, strict=True)):
            return errno.EPERM, old
        return 0, State(*(was if id == UNSET else id for was, id in zip(old, new, strict=True)))

    @staticmethod
    def set(old: State, privileged: bool, new: int) -> Answer:
        return NetBSD._do(old, privileged, (new, new, new), (each(old.r),) * 3)

    @staticmethod
    def sete(old: State, privileged: bool, new: int) -> Answer:
        return NetBSD._do(old, privileged, (UNSET, new, UNSET), (each(), each(old.r, old.s), each()))

    @staticmethod
    def setre(old: State, privileged: bool, r: int, e: int) -> Answer:
        r, e = old.r if r == UNSET else r, old.e if e == UNSET else e
        s = UNSET if r == old.r else e
        return NetBSD._do(old, privileged, (r, e, s), (each(old.r, old.e), each(*old), each(*old)))


class FreeBSD:
    """sys/kern/kern_prot.c; privileged: an effective uid of 0. setuid() follows appendix B.4.2.2 of POSIX."""

    @staticmethod
    def set(old: State, privileged: bool, new: int) -> Answer:
        if not privileged and new not in old:
            return errno.EPERM, old
        if privileged or new == old.e:
            return 0, State(new, new, new)
        return 0, old._replace(e=new)

    @staticmethod
    def sete(old: State, privileged: bool, new: int) -> Answer:
        return (0, old._replace(e=new)) if privileged or new in (old.r, old.s) else (errno.EPERM, old)

    @staticmethod
    def setre(old: State, privileged: bool, r: int, e: int) -> Answer:
        if not privileged and (r not in each(old.r, old.s) or e not in each(*old)):
            return errno.EPERM, old
        new = State(old.r if r == UNSET else r, old.e if e == UNSET else e, old.s)
        if (r != UNSET or new.e != new.r) and new.s != new.e:
            new = new._replace(s=new.e)
        return 0, new

    setres = Linux.setres  # sys_setresuid(): privileged, or each id is one of the three


def states() -> list[State]:
    return [State(*ids) for ids in itertools.product(IDS, repeat=3)]


def arguments(count: int) -> list[tuple[int, ...]]:
    return list(itertools.product(ARGUMENTS, repeat=count))


def reachable(kernel: type, calls: dict[str, int]) -> set[State]:
    """Return every state that a process can reach if it starts as root."""
    seen, todo = set(), [State(0, 0, 0)]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            for call, count in calls.items():
                # a call with one argument would take -1 for an ordinary id
                for args in arguments(count):
                    if count > 1 or UNSET not in args:
                        todo.append(getattr(kernel, call)(state, state.e == 0, *args)[1])
    return seen
