# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Works with files as 64 users from one thread for a long time, and checks every result.

usage: python tests/programs/soak_files.py [--operations N] [--backend NAME] [--seed N] [--json]   (as root)

256 tasks use replace.aio.Files.  Each acts as random users: it makes, reads, renames, links and removes their files,
and tries the same with files that the user must not reach.  One operation in eight is cancelled at a random moment.
After a quarter of the run, the ring has room for 16 requests and keeps 24 users, and there are only four threads.  Then
seccomp filters for all threads make system calls fail: changes of ids for some users, operations, and the way back from
a user.

Errors are: a file with the wrong owner, a forbidden operation that succeeds, a permitted one that fails without a
filter, a changed file of somebody else, descriptors or threads that stay, and memory that grows.  Prints the figures.
Exit status 1 if there was an error.  The same seed makes the same choices.  The default of 1 000 000 operations for
each back end takes ten minutes in all; test_soak.py runs a short form.
"""

import argparse
import asyncio
import collections
import contextlib
import errno
import functools
import json
import os
import random
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak import identity, ids, lay_out, resident
from soak_file_steps import Client
from support.odd_machine import ACTIONS, numbers, set_filter

import replace
import replace.aio
from replace._native import Ring

BACKENDS = ("io_uring", "threads")
LAPS, SMALL, TASKS, USERS = 20, 5, 256, 64
KEPT = {"secret", "shared", "closed"}  # in each home; everything else is made and removed again


class Fault(NamedTuple):
    """A filter: the call that it refuses, for which argument, from which lap on; and what may fail because of it."""

    lap: int
    call: str
    error: str
    argument: tuple[int, int, int] | None
    hits: Callable[[int, str], bool]


#: setresuid() and setgroups() are parts of becoming a user.  The last one leaves no thread a way back.
FAULTS = [
    Fault(8, "setresuid", "EPERM", (1, 7, 3), lambda number, kind: number % 8 == 3),
    Fault(9, "setgroups", "ENOSYS", (0, 0xFFFFFFFF, 2), lambda number, kind: number % 2 == 1),
    Fault(10, "mkdirat", "EPERM", None, lambda number, kind: kind == "mkdir"),
    Fault(11, "linkat", "ENOSYS", None, lambda number, kind: kind == "link"),
    Fault(12, "setresuid", "EPERM", (1, 0xFFFFFFFF, 0), lambda number, kind: False),
]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


class Soak:
    def __init__(self, folder, make, operations, *, tasks=TASKS, users=USERS, seed=0, faults=True, patience=60):
        """make(small) returns a Files.  patience: seconds to wait for the end of cancelled operations."""
        self.folder, self.make, self.faults, self.patience = folder, make, faults, patience
        self.share = -(-operations // (tasks * LAPS))
        self.slack = 2048 if operations >= 200_000 else 16384  # kB; in a short run, the memory still warms up
        self.people = [identity(number) for number in range(users)]
        self.clients = [Client(self, random.Random(f"{seed} {number}"), f"t{number}") for number in range(tasks)]
        self.count = collections.Counter()
        self.wrong = collections.Counter()
        self.hit: list[Fault] = []
        lay_out(folder, self.people)
        for number, one in enumerate(self.people):
            for path, mode in (("closed", 0o700), ("closed/inside", 0o666)):
                path = f"{folder}/{number}/{path}"
                os.mkdir(path) if mode == 0o700 else Path(path).touch()
                os.chown(path, one.uid, one.gid)
                os.chmod(path, mode)
        self.kept = self.look_at_kept()
        self.root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def note(self, error, right=False):
        """Count the error, unless it is right."""
        if not right:
            self.wrong[error] += 1

    def may_fail(self, number, kind):
        return any(fault.hits(number, kind) for fault in self.hit)

    def look_at_kept(self):
        """What no operation may change: owners, modes and contents of the files that stay."""
        found = {}
        for number in range(len(self.people)):
            for name in ("", "secret", "shared", "closed", "closed/inside"):
                path = f"{self.folder}/{number}/{name}"
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(path)
                    content = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else b""
                    found[path] = (status.st_uid, status.st_gid, status.st_mode, content)
        return found

    def sweep(self):
        """Check the owner of each file that cancelled operations left, and remove it.  No task runs now."""
        for number, one in enumerate(self.people):
            for entry in os.scandir(f"{self.folder}/{number}"):
                if entry.name in KEPT:
                    continue
                with contextlib.suppress(FileNotFoundError):  # a cancelled operation may still rename or remove it
                    status = entry.stat(follow_symlinks=False)
                    self.note("wrong owner", (status.st_uid, status.st_gid) == (one.uid, one.gid))
                    self.count["left by cancelled operations"] += 1
                    (os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink)(entry.path)
        self.note("a file that stays was changed", self.look_at_kept() == self.kept)

    async def settle(self, error, count, most):
        """Wait until the count is not above `most`: operations that were cancelled go on to their end."""
        deadline = time.monotonic() + self.patience
        while count() > most and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if count() > most:
            self.note(f"{error}: {count()}, not {most}")
            self.patience = 0

    async def laps(self, laps, memory, progress):
        async with self.make(laps[0] > 0) as files:
            most = descriptors()
            for lap in laps:
                for fault in FAULTS if self.faults else ():
                    if fault.lap == lap:
                        action = ACTIONS["false 0"] | getattr(errno, fault.error)
                        set_filter(fault.call, action, fault.argument, every_thread=True)
                        self.hit.append(fault)
                before = self.count.copy()
                await asyncio.gather(*(client.work(files, self.share) for client in self.clients))
                self.note("nothing succeeded in a lap", self.count["done"] > before["done"])
                await self.settle("descriptors stay open", descriptors, most)
                self.sweep()
                memory.append(resident())
                progress(lap, memory[-1], self.wrong.total())

    async def run(self, progress=lambda *facts: None):
        began, memory, base, most = time.monotonic(), [], ids(), (descriptors(), threads())
        for laps in (range(SMALL), range(SMALL, LAPS)):
            await self.laps(laps, memory, progress)
            await self.settle("descriptors stay open", descriptors, most[0])
            await self.settle("threads stay", threads, most[1])
            self.sweep()
        os.close(self.root)
        self.note("base ids drifted", ids() == base)
        third = LAPS // 3
        early, late = max(memory[: 2 * third]), max(memory[-third:])  # the last third against the first two
        self.note(f"memory grew from {early} to {late} kB", late <= early + self.slack)
        return {
            **self.count,
            "seconds": round(time.monotonic() - began, 1),
            "resident_kB": {"first two thirds": early, "last third": late},
            "wrong": self.wrong,
        }


class SmallRing(replace.aio.Files):
    """Files with a ring that has room for few requests, and keeps the credentials of fewer users than there are."""

    def _make_backend(self):
        self._backend = "io_uring"
        return Ring(4, False, entries=16, identities=24)


def make_files(backend, small):
    if small:
        return SmallRing() if backend == "io_uring" else replace.aio.Files(backend=backend, max_workers=4)
    return replace.aio.Files(backend=backend)


def soak(arguments):
    """Run with one back end, in this process.  Return the figures."""
    replace.setgroups([])
    os.umask(0o022)
    sys.setswitchinterval(0.0005)
    backend, began = arguments.backend, time.monotonic()

    def progress(lap, memory, wrong):
        done = f"{backend}: part {lap + 1} of {LAPS}, {time.monotonic() - began:.0f} s, {memory} kB, wrong: {wrong}"
        print(done, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        files = functools.partial(make_files, backend)
        run = Soak(folder, files, arguments.operations, seed=arguments.seed).run(progress)
        return {"backend": backend, "seed": arguments.seed, **asyncio.run(run)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--backend", choices=BACKENDS, help="without it, both, one after the other")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--json", action="store_true", help="print the figures of each back end as one line of JSON")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or replace.SCOPE != "thread" or not numbers():
        parser.error("run this program as root, with a C compiler and a build whose calls change one thread")
    if arguments.backend == "io_uring":
        try:
            Ring(1).close()
        except OSError as error:
            parser.error(f"there is no io_uring here ({error.strerror}); `libreplace verify --explain` says why")
    if not arguments.backend:  # a process for each, because the filters stay until its end
        words = [sys.executable, __file__, *sys.argv[1:], f"--seed={arguments.seed}"]
        return max([subprocess.run([*words, f"--backend={name}"]).returncode for name in BACKENDS])
    figures = soak(arguments)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:>30}: {value}")
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
