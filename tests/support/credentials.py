# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The credentials of a thread: read them from the kernel, choose them at random, and give them to a thread.

Source: credentials(7), capabilities(7), proc_pid_status(5).
"""

from __future__ import annotations

import ctypes
import os
import random
import re
from typing import NamedTuple

import replace
from support.odd_machine import LIBC

#: include/uapi/linux/prctl.h
PR_CAPBSET_DROP, PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 24, 27, 28, 47, 2
#: include/uapi/linux/securebits.h. The lock of each bit is the next higher bit
NOROOT, NO_SETUID_FIXUP, KEEP_CAPS, NO_CAP_AMBIENT_RAISE = 1 << 0, 1 << 2, 1 << 4, 1 << 6
SECUREBITS = NOROOT | NO_SETUID_FIXUP | KEEP_CAPS | NO_CAP_AMBIENT_RAISE
LOCKS = SECUREBITS << 1
#: include/uapi/linux/capability.h
SETGID, SETUID, SETPCAP = 1 << 6, 1 << 7, 1 << 8
#: CAP_FS_SET of include/linux/capability.h: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE,
#: MKNOD and MAC_OVERRIDE
ABOUT_FILES = 0b11111 | 1 << 9 | 1 << 27 | 1 << 32


class Credentials(NamedTuple):
    """What the kernel stores for one thread. The four ids are the real, effective, saved and file system id."""

    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    effective: int
    permitted: int
    inheritable: int
    ambient: int
    bounding: int
    securebits: int

    def __repr__(self) -> str:
        sets = (f"{name}={getattr(self, name):#x}" for name in self._fields[3:])
        return f"Credentials(uids={self.uids}, gids={self.gids}, groups={self.groups}, {', '.join(sets)})"


_FIELDS = re.compile(rb"^(Uid|Gid|Groups|Cap...):(.*)$", re.MULTILINE)


def look() -> Credentials:
    """Read the credentials of the calling thread."""
    with open("/proc/thread-self/status", "rb", buffering=0) as file:
        return from_status(file.read() or b"", _prctl(PR_GET_SECUREBITS))


def from_status(text: bytes, securebits: int = 0) -> Credentials:
    """The credentials in the text of a status file, which does not show securebits."""
    fields = dict(_FIELDS.findall(text))

    def ids(name: bytes) -> tuple[int, ...]:
        return tuple(map(int, fields[name].split()))

    def capabilities(name: bytes) -> int:
        return int(fields[name], 16)

    return Credentials(
        uids=ids(b"Uid"),
        gids=ids(b"Gid"),
        groups=tuple(sorted(ids(b"Groups"))),  # the order depends on the user namespace
        effective=capabilities(b"CapEff"),
        permitted=capabilities(b"CapPrm"),
        inheritable=capabilities(b"CapInh"),
        ambient=capabilities(b"CapAmb"),
        bounding=capabilities(b"CapBnd"),
        securebits=securebits,
    )


def _prctl(option: int, *arguments: int) -> int:
    result: int = LIBC.prctl(option, *map(ctypes.c_ulong, (*arguments, 0, 0, 0, 0)[:4]))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {arguments}): {os.strerror(ctypes.get_errno())}")
    return result


def _set_capabilities(*sets: int) -> None:
    """Set the effective, permitted and inheritable set: capset(2)."""
    words = [word >> shift & 0xFFFFFFFF for shift in (0, 32) for word in sets]
    if LIBC.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*words)) != 0:
        raise OSError(ctypes.get_errno(), f"capset{sets}: {os.strerror(ctypes.get_errno())}")


def _bits(capabilities: int) -> list[int]:
    return [bit for bit in range(64) if capabilities >> bit & 1]


def become(wanted: Credentials) -> None:
    """Give these credentials to the calling thread, which is root with all its capabilities.

    SECBIT_NO_SETUID_FIXUP is set meanwhile, so that no change of ids changes capabilities.
    """
    own = look()
    _prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP)
    if wanted.groups != own.groups:
        replace.setgroups(wanted.groups)
    replace.setresgid(*wanted.gids[:3])
    replace.setfsgid(wanted.gids[3])
    replace.setresuid(*wanted.uids[:3])
    replace.setfsuid(wanted.uids[3])
    _set_capabilities(own.permitted, own.permitted, wanted.inheritable)
    for bit in _bits(wanted.ambient):
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit)
    for bit in _bits(own.bounding & ~wanted.bounding):
        _prctl(PR_CAPBSET_DROP, bit)
    _prctl(PR_SET_SECUREBITS, wanted.securebits)
    _set_capabilities(wanted.effective, wanted.permitted, wanted.inheritable)
    assert look() == wanted


def may_set_groups() -> bool:
    """Whether this user namespace permits setgroups(2): user_namespaces(7)."""
    if not os.path.exists("/proc/self/setgroups"):
        return True  # a kernel without user namespaces
    with open("/proc/self/setgroups") as file:
        return file.read() == "allow\n"


def random_credentials(
    choose: random.Random, own: Credentials, uids: tuple[int, ...], gids: tuple[int, ...]
) -> Credentials:
    """Credentials that a thread with the credentials `own` can get, with these ids. Ordinary ones are more frequent."""

    def some(capabilities: int) -> int:
        return choose.getrandbits(64) & capabilities

    def four(ids: tuple[int, ...]) -> tuple[int, ...]:
        if choose.random() < 0.3:
            return (ids[0],) * 4
        real, effective, saved = (choose.choice(ids) for _ in range(3))
        return real, effective, saved, effective if choose.random() < 0.7 else choose.choice(ids)

    everything, both = own.permitted, SETUID | SETGID
    permitted = choose.choice(
        [everything, everything, everything, both, both, SETUID, SETGID, 0, some(everything), some(everything) | both]
    )
    effective = choose.choice([permitted, permitted, permitted, 0, permitted & both, some(permitted)])
    inheritable = choose.choice(
        [0, 0, 0, permitted, permitted & both, some(permitted), some(everything), everything & ~permitted]
    )
    ambient = inheritable & permitted & choose.choice([0, everything, everything, some(everything)])
    bounding = own.bounding & choose.choice([*[-1] * 6, ~SETPCAP, ~SETUID, ~some(everything), 0])
    securebits = choose.choice([0, 0, KEEP_CAPS, some(SECUREBITS), some(SECUREBITS | LOCKS), some(SECUREBITS) | LOCKS])
    groups = tuple(sorted(choose.sample(gids, choose.randrange(len(gids) + 1)))) if may_set_groups() else own.groups
    return Credentials(four(uids), four(gids), groups, effective, permitted, inheritable, ambient, bounding, securebits)
