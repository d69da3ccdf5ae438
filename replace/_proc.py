# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the status files of /proc, and finds out whose they are: proc_pid_status(5).

/proc has the numbers of the PID namespace in which it was mounted. A process may be in another one: `unshare --pid`
keeps the old /proc. Then the folder /proc/123 belongs to another process than the process 123. /proc/self and
/proc/thread-self lead to the right folders. The line NSpid ends with the number of a thread in its own namespace.
"""

from __future__ import annotations

import errno
import os

FOREIGN = (
    "/proc has the numbers of another PID namespace, so it shows another process by this number; mount the /proc of "
    "this namespace (mount -t proc proc /proc)"
)


def _read(folder: str) -> bytes:
    with open(f"{folder}/status", "rb") as file:  # text mode would import a codec, maybe as a user who cannot read it
        return file.read()


def read_status(folder: str) -> dict[str, str]:
    """The fields of the status file in this folder. Raises OSError."""
    text = _read(folder).decode("utf-8", "replace")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.split("\n"))}


def numbers(fields: dict[str, str], name: str, base: int = 10, count: int | None = None) -> tuple[int, ...]:
    """The numbers in a field. Raises OSError if there is no such field, or not this count of numbers."""
    try:
        found = tuple(int(word, base) for word in fields[name].split())
    except (KeyError, ValueError):
        found = None
    if found is None or count not in (None, len(found)):
        raise OSError(errno.ENODATA, f"the status files in /proc have no field {name} as proc_pid_status(5) describes")
    return found


def own_number(fields: dict[str, str]) -> int:
    """The number of a thread in its own PID namespace. 0 if the thread has just ended."""
    # Linux 4.1 added NSpid: the numbers from the namespace of /proc to that of the thread.
    return (numbers(fields, "NSpid" if "NSpid" in fields else "Pid") or (0,))[-1]


def thread_number() -> int:
    """The number of the calling thread. Not every system has such numbers; Linux has."""
    from _thread import get_native_id

    return get_native_id()


def own_status() -> dict[str, str]:
    """The fields of the calling thread. Raises OSError."""
    me = thread_number()
    # Linux 3.17 added thread-self. Under proot, it leads to proot's own thread.
    return _status_of(me, "/proc/thread-self", f"/proc/self/task/{me}")


def main_status() -> dict[str, str]:
    """The fields of the main thread of this process. Raises OSError."""
    return _status_of(os.getpid(), "/proc/self")


def _status_of(number: int, *folders: str) -> dict[str, str]:
    for folder in folders:
        try:
            fields = read_status(folder)
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            continue
        if own_number(fields) == number:
            return fields
    raise FileNotFoundError(errno.ENOENT, f"it does not show thread {number}")


def shows_own_numbers() -> bool:
    """Whether /proc has the numbers of this process's PID namespace. Raises OSError."""
    text = _read("/proc/self")
    _, found, rest = text.partition(b"\nNSpid:")
    if not found:
        _, found, rest = text.partition(b"\nPid:")
    return rest.partition(b"\n")[0].split() == [b"%d" % os.getpid()]


def stat_fields(text: bytes) -> list[bytes]:
    """The fields of a stat file, from the state on: proc_pid_stat(5)."""
    return text[text.rindex(b")") + 1 :].split()  # the name before may contain spaces and parentheses
