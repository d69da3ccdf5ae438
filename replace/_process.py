# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the ids that a process or thread opens files with, from /proc/ID/status (proc_pid_status(5)).

The kernel may give the number of a process to a new process at any time. An open folder /proc/ID still belongs to the
first process: when that has ended, the files in the folder cannot be read.
"""

from __future__ import annotations

import errno
import os

from ._errors import IdentityRefused
from ._ids import whole_number
from ._proc import FOREIGN, shows_own_numbers, stat_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

#: Bytes. 65536 groups with ten digits each use 720 kB; the other lines use little.
_LONGEST = 1 << 20
#: PF_KTHREAD and PF_IO_WORKER of linux/sched.h: such threads use credentials of other processes, unseen in /proc.
_KERNEL_THREAD = 0x00200000 | 0x00000010


def file_system_ids(process: SupportsIndex) -> tuple[int, int, list[int]]:
    """The fsuid, fsgid and groups of a process or thread, by its number."""
    number = whole_number(process, "process id")
    if number == 0:
        raise IdentityRefused(
            "process 0 is outside of this pid namespace and cannot be seen; run the server in the outer namespace"
        )
    if not 0 < number < 2**31:
        raise ValueError(f"process id {number} is not in 1..{2**31 - 1}")
    try:
        if not shows_own_numbers():
            raise IdentityRefused(FOREIGN)
        folder = os.open(f"/proc/{number}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _read_twice(number, folder)
        finally:
            os.close(folder)
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists("/proc/self/status"):
            raise IdentityRefused("/proc cannot be read, so the ids of a process are unknown; mount /proc") from None
        text = f"there is no process {number}: it has ended, or /proc hides it (mount option hidepid)"
        raise ProcessLookupError(errno.ESRCH, text) from None
    except PermissionError as error:
        text = f"/proc/{number} cannot be read ({error.strerror}); mount /proc without the option hidepid"
        raise IdentityRefused(text) from None


def _read_twice(number: int, folder: int) -> tuple[int, int, list[int]]:
    """Read the files twice and compare.

    If a thread executes a program, it takes over the number of its process. So between two reads, the number may pass
    to a thread with other ids.
    """

    def inside(name: str, flags: int) -> int:
        return os.open(name, flags, dir_fd=folder)

    with open("stat", "rb", 0, opener=inside) as stat, open("status", "rb", 0, opener=inside) as status:
        started, ids = _start_time(number, _read(stat.fileno())), _ids(number, _read(status.fileno()))
        if (started, ids) != (_start_time(number, _read(stat.fileno())), _ids(number, _read(status.fileno()))):
            raise IdentityRefused(f"process {number} changes its ids at this moment; try again")
    return ids


def _read(file: int) -> bytes:
    """The present content of a file in /proc. The kernel writes it anew for each read from the start."""
    text = b""
    while len(text) <= _LONGEST and (part := os.pread(file, 1 << 16, len(text))):
        text += part
    return text


def _start_time(number: int, text: bytes) -> int:
    fields = stat_fields(text)
    state, flags, started = fields[0], int(fields[6]), int(fields[19])
    if state in (b"Z", b"X", b"x"):
        raise ProcessLookupError
    if flags & _KERNEL_THREAD:
        raise IdentityRefused(
            f"thread {number} belongs to the kernel; it works for other processes, whose ids are unknown; refuse it"
        )
    return started


def _ids(number: int, text: bytes) -> tuple[int, int, list[int]]:
    fields = [line.split() for line in text.split(b"\n") if line.startswith((b"Uid:", b"Gid:", b"Groups:"))]
    whole = text.endswith(b"\n") and len(text) <= _LONGEST
    if not whole or [field[0] for field in fields] != [b"Uid:", b"Gid:", b"Groups:"]:
        raise IdentityRefused(
            f"/proc/{number}/status does not have the form that proc_pid_status(5) describes; mount /proc"
        )
    uids, gids, groups = (list(map(int, field[1:])) for field in fields)
    return uids[3], gids[3], groups
