# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A user who attacks the temporary folder of `libreplace verify` and of libreplace-verify, while root runs them."""

import contextlib
import mmap
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.builds import tool
from support.children import HANG

NOBODY = 65534
PREFIX = "libreplace-verify-"
KEPT = "kept"  # a folder of root in the user's folder
#: Makes each mkdir(2) of the program take 50 ms longer, so that the attacker is always in time.
SLOW_MKDIR = ("-o", "/dev/null", "-e", "trace=mkdir,mkdirat", "-e", "inject=mkdir,mkdirat:delay_exit=50000")


class Seen:
    """Counters that both processes share: how often the attacker saw a folder, and how often an attack worked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2)

    def add(self, place: int) -> None:
        self._memory[place] = min(self._memory[place] + 1, 255)

    @property
    def folders(self) -> int:
        return self._memory[0]

    @property
    def successes(self) -> int:
        return self._memory[1]


def _plant_names(name: str, victim: str, seen: Seen) -> None:
    """Make the files that the program is about to make. Their names were its numbers, or fixed."""
    seen.add(0)
    with open("/proc/loadavg") as file:
        last = int(file.read().split()[-1])
    names = ["new", "file", "fifo", "out"]
    for pid in range(last, last + 20):
        names += [f"{pid}-{pid + thread}" for thread in range(4)]
        names += [f"{kind}-{pid}" for kind in ("out", "fifo", "file", "control")]
    for new in names:
        for path in (f"{name}/{new}", f"{name}/files/{new}"):
            with contextlib.suppress(OSError):
                os.symlink(victim, path)
                seen.add(1)


#: Folder -> when the attacker saw it first, it had last changed at this time.
_first: dict[str, int] = {}
_swapped: set[str] = set()  # each folder once, or the program would see neither


def _swap(name: str, victim: str, seen: Seen, put: Callable[[str, str], Any], later: bool) -> None:
    """Rename the folder, as the owner of its place may, and put something else there. Later: something is in it."""
    found = os.lstat(name)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid == NOBODY or name in _swapped:
        return
    if later and found.st_mtime_ns == _first.setdefault(name, found.st_mtime_ns):
        return
    os.rename(name, f"moved-{time.monotonic_ns()}")
    _swapped.add(name)
    put(victim, name)
    seen.add(0)


def _put_folder(victim: str, name: str) -> None:
    os.mkdir(name, 0o700)
    os.chmod(name, 0o777)


def _put_folder_of_root(victim: str, name: str) -> None:
    os.rename(KEPT, name)


def _put_file(victim: str, name: str) -> None:
    Path(name).write_text("")


def _put_nothing(victim: str, name: str) -> None:
    pass


#: The attack of who owns the place -> what is put there, and whether only after the program has made something in it.
SWAPS: dict[str, tuple[Callable[[str, str], Any], bool]] = {
    "link": (os.symlink, False),
    "folder": (_put_folder, False),
    "folder of root": (_put_folder_of_root, False),
    "file": (_put_file, False),
    "nothing": (_put_nothing, False),
    "link later": (os.symlink, True),
    "nothing later": (_put_nothing, True),
}


@contextlib.contextmanager
def attacker(place: Path, victim: Path, swap: str = "") -> Iterator[Seen]:
    """Attack in a child process that is nobody, until the end of the block."""
    seen = Seen()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(HANG)
            os.chdir(place)  # the folders above may be closed
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            while True:
                for name in os.listdir():
                    if name.startswith(PREFIX):
                        with contextlib.suppress(OSError):
                            if swap:
                                _swap(name, str(victim), seen, *SWAPS[swap])
                            else:
                                _plant_names(name, str(victim), seen)
        finally:
            os._exit(1)
    try:
        yield seen
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def slowed(*command: object) -> tuple[object, ...]:
    """The words that run a command with a slow mkdir(2)."""
    return (tool("strace", "delays system calls"), *SLOW_MKDIR, *command)


def untouched(victim: Path) -> bool:
    """Whether root's own folder is what it was: with mode 0700, and without a file."""
    return stat.S_IMODE(victim.stat().st_mode) == 0o700 and not list(victim.iterdir())
