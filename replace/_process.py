# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the kernel checks files with when a process or thread opens them, from /proc/ID/status (proc_pid_status(5)).

The number of a process may become another's at any time. The opened folder /proc/ID stays that of one process: when
that process has ended, its files can be read no more.
"""

from __future__ import annotations

import errno
import os

from ._errors import IdentityRefused
from ._ids import whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

#: Bytes. 65536 groups of ten digits take 720 kB, and the other lines a few.
_LONGEST = 1 << 20
#: PF_KTHREAD and PF_IO_WORKER of linux/sched.h: these work with the credentials of others, which /proc does not show.
_KERNEL_THREAD = 0x00200000 | 0x00000010


def file_system_ids(process: SupportsIndex) -> tuple[int, int, list[int]]:
    """(fsuid, fsgid, groups) of a process or thread, by its number."""
    number = whole_number(process, "process id")
    if number == 0:
        raise IdentityRefused("0 is no process: the one that asks is outside of this pid namespace, and nobody sees it")
    if not 0 < number < 2**31:
        raise ValueError(f"process id {number} is not in 1..{2**31 - 1}")
    try:
        folder = os.open(f"/proc/{number}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _read_twice(number, folder)
        finally:
            os.close(folder)
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists("/proc/self/status"):
            raise IdentityRefused("/proc cannot be read, so nobody knows who a process is") from None
        text = f"no process {number}: it has ended, or /proc hides it (hidepid)"
        raise ProcessLookupError(errno.ESRCH, text) from None
    except PermissionError as error:
        raise IdentityRefused(f"/proc/{number} cannot be read ({error.strerror}): /proc hides it (hidepid)") from None


def _read_twice(number: int, folder: int) -> tuple[int, int, list[int]]:
    """What the files say twice.  A thread that executes a program gets the number of its process and keeps its ids."""

    def inside(name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=folder)

    with open("stat", "rb", 0, opener=inside) as stat, open("status", "rb", 0, opener=inside) as status:
        started, ids = _start_time(number, _read(stat.fileno())), _ids(number, _read(status.fileno()))
        if (started, ids) != (_start_time(number, _read(stat.fileno())), _ids(number, _read(status.fileno()))):
            raise IdentityRefused(f"process {number} changes its ids at this moment")
    return ids


def _read(file: int) -> bytes:
    """All of a file of /proc, as it is now: reading from the start makes it anew."""
    text = b""
    while len(text) <= _LONGEST and (part := os.pread(file, 1 << 16, len(text))):
        text += part
    return text


def _start_time(number: int, text: bytes) -> int:
    fields = text[text.rindex(b")") + 1 :].split()  # the name before it may have spaces and parentheses
    state, flags, started = fields[0], int(fields[6]), int(fields[19])
    if state in (b"Z", b"X", b"x"):
        raise ProcessLookupError
    if flags & _KERNEL_THREAD:
        raise IdentityRefused(f"{number} is a thread of the kernel's, which works for others")
    return started


def _ids(number: int, text: bytes) -> tuple[int, int, list[int]]:
    fields = [line.split() for line in text.split(b"\n") if line.startswith((b"Uid:", b"Gid:", b"Groups:"))]
    whole = text.endswith(b"\n") and len(text) <= _LONGEST
    if not whole or [field[0] for field in fields] != [b"Uid:", b"Gid:", b"Groups:"]:
        raise IdentityRefused(f"/proc/{number}/status is not as proc_pid_status(5) has it")
    uids, gids, groups = (list(map(int, field[1:])) for field in fields)
    return uids[3], gids[3], groups
