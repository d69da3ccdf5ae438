# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures opens as 64 users in turn from one asyncio loop: replace.aio.Files beside other ways, and its other calls.

usage: python tests/benchmarks/files.py [--quick]   (as root, with io_uring; two minutes, --quick some seconds)

All ways are measured in one process.  In each round, every way makes the same opens, in turns, so a ratio is the median
of the ratios of the rounds.  Prints the tables of docs/speed.md to standard output, and progress to standard error.
Exit status 1 if a promise is broken, 2 if there is no io_uring.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import statistics
import sys
import tempfile
import threading
import time

from _measure import machine, needs_root
from _tables import markdown, short, spread

import replace
import replace.aio

USERS, BUSY, IN_FLIGHT, PROMISED = 64, 4, (1, 16, 64, 256), 64
PEOPLE = [replace.Identity(90001 + number, 90101 + number, [90201, 90301 + number]) for number in range(USERS)]
HOMES = [f"{number}/" for number in range(USERS)]
FILES = [home + "file" for home in HOMES]
READ, NEW = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_EXCL


folder = -1  # the descriptor of the folder with the homes: every path begins there


class NoRing(Exception):
    """This process cannot have a ring."""


def lay_out(name):
    """Make a home for each user, with a file that only the user may open."""
    global folder
    os.chmod(name, 0o755)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
    for one, home, file in zip(PEOPLE, HOMES, FILES, strict=True):
        os.mkdir(home, dir_fd=folder)
        os.close(os.open(file, NEW, 0o600, dir_fd=folder))
        for path in (home, file):
            os.chown(path, one.uid, one.gid, dir_fd=folder)


# ---- Opens, the ways to open a file and close it.  Each is a loop of its own, because a further call would cost time.


async def bare(numbers):
    """As root, on the event loop."""
    for number in numbers:
        os.close(os.open(FILES[number % USERS], READ, dir_fd=folder))


def files_of(files):
    async def opens(numbers):
        for number in numbers:
            number %= USERS
            os.close(await files.open(PEOPLE[number], FILES[number], READ, dir_fd=folder))

    return opens


def run_as_with(**options):
    opener = functools.partial(os.open, dir_fd=folder)

    async def opens(numbers):
        for number in numbers:
            number %= USERS
            os.close(await replace.run_as(PEOPLE[number], opener, FILES[number], READ, **options))

    return opens


async def check_user(opens):
    """Fail if one of the ways opens a file of another user."""
    FILES.append(FILES.pop(0))
    try:
        await opens(range(1))
    except PermissionError:
        return
    finally:
        FILES.insert(0, FILES.pop())
    raise AssertionError("a user opened the file of another user")


async def timed(opens, count, in_flight):
    """Return the microseconds for each of about `count` opens, of which so many are under way at any time."""
    count = max(count // in_flight, 1) * in_flight
    started = time.perf_counter()
    await asyncio.gather(*(opens(range(first, count, in_flight)) for first in range(in_flight)))
    return (time.perf_counter() - started) / count * 1e6


@contextlib.contextmanager
def busy_threads(count):
    """Let so many threads run Python until the end of the block."""
    ended = []

    def loop():
        number = 0
        while not ended:
            number += 1

    threads = [threading.Thread(target=loop) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.append(True)
        for thread in threads:
            thread.join()


async def compare(ways, busy, in_flight, rounds, seconds):
    """Return a row: for each way the times of the rounds, in us."""
    counts = {}
    for name, opens in ways.items():  # this warms up, too
        await timed(opens, in_flight, in_flight)
        counts[name] = min(20_000, round(seconds * 1e6 / await timed(opens, 4 * in_flight, in_flight)))
    seen = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            seen[name].append(await timed(ways[name], counts[name], in_flight))
    progress(f"{busy} busy, {in_flight} in flight: " + ", ".join(f"{n} {short(min(us))}" for n, us in seen.items()))
    return {"busy": busy, "in_flight": in_flight, "seen": seen}


def ratio(row, way, other):
    """The median of the rounds' ratios."""
    return statistics.median(one / two for one, two in zip(row["seen"][way], row["seen"][other], strict=True))


# ---- The other calls


class Bare:
    """Calls of os as root, on the event loop."""

    async def open(self, one, path, flags, dir_fd):
        return os.open(path, flags, 0o600, dir_fd=dir_fd)

    async def stat(self, one, path, dir_fd):
        return os.stat(path, dir_fd=dir_fd)

    async def mkdir(self, one, path, dir_fd):
        os.mkdir(path, dir_fd=dir_fd)

    async def unlink(self, one, path, dir_fd):
        os.unlink(path, dir_fd=dir_fd)

    async def rename(self, one, path, new, dir_fd):
        os.rename(path, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    async def link(self, one, path, new, dir_fd):
        os.link(path, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    async def symlink(self, one, text, new, dir_fd):
        os.symlink(text, new, dir_fd=dir_fd)


async def opened(files, *arguments, **options):
    os.close(await files.open(*arguments, **options))


def touch(number, path):
    os.close(os.open(path, NEW, dir_fd=folder))
    os.chown(path, PEOPLE[number].uid, PEOPLE[number].gid, dir_fd=folder)


def remove_renamed(path, dir_fd):
    os.unlink(path + "-", dir_fd=dir_fd)


#: The call -> what makes the file that it needs; the call for (files, user, the user's file, a name); what removes it.
CALLS = {
    "open, a file that exists": (None, lambda f, one, file, name, at: opened(f, one, file, READ, dir_fd=at), None),
    "open, a new file": (None, lambda f, one, file, name, at: opened(f, one, name, NEW, dir_fd=at), os.unlink),
    "stat": (None, lambda f, one, file, name, at: f.stat(one, file, dir_fd=at), None),
    "mkdir": (None, lambda f, one, file, name, at: f.mkdir(one, name, dir_fd=at), os.rmdir),
    "unlink": (touch, lambda f, one, file, name, at: f.unlink(one, name, dir_fd=at), None),
    "rename": (touch, lambda f, one, file, name, at: f.rename(one, name, name + "-", dir_fd=at), remove_renamed),
    "link": (None, lambda f, one, file, name, at: f.link(one, file, name, dir_fd=at), os.unlink),
    "symlink": (None, lambda f, one, file, name, at: f.symlink(one, "file", name, dir_fd=at), os.unlink),
}


async def time_call(files, call, count):
    before, function, after = CALLS[call]
    work = [(number % USERS, f"{HOMES[number % USERS]}{number}") for number in range(count)]
    for number, name in work if before else ():
        before(number, name)

    async def calls(part):
        for number, name in part:
            await function(files, PEOPLE[number], FILES[number], name, folder)

    started = time.perf_counter()
    await asyncio.gather(*(calls(work[first::PROMISED]) for first in range(PROMISED)))
    used = time.perf_counter() - started
    for _, name in work if after else ():
        after(name, dir_fd=folder)
    return used / count * 1e6


async def compare_calls(files, rounds, count):
    """Return a row for each call: the times of the rounds, for each of these Files."""
    rows = {}
    for call in CALLS:
        seen = rows[call] = {name: [] for name in files}
        for turn in range(rounds + 1):
            for name in list(files)[:: 1 if turn % 2 else -1]:
                seen[name].append(await time_call(files[name], call, count))
        for times in seen.values():
            del times[0]  # the first round warms up
        progress(f"{call}: " + ", ".join(f"{name} {short(min(times))}" for name, times in seen.items()))
    return rows


# ---- The tables


def cell(times):
    return spread({"us": statistics.median(times), "low": min(times), "high": max(times)})


def opens_table(rows, busy):
    names = ["`os.open`, root", "ring", "`run_as`", "pool"]
    head = [f"opens in flight{f', {busy} busy threads' if busy else ''}", *names, "ring / `os.open`", "`run_as` / ring"]
    body = [
        [
            row["in_flight"],
            *map(cell, row["seen"].values()),
            f"{ratio(row, 'ring', 'bare'):.2f}",
            f"{ratio(row, 'run_as', 'ring'):.1f}",
        ]
        for row in rows
        if row["busy"] == busy
    ]
    return markdown(head, body)


def calls_table(rows):
    return markdown(
        [f"{PROMISED} calls in flight", "`os`, root", "ring", "threads"],
        [[name, *map(cell, seen.values())] for name, seen in rows.items()],
    )


def promises(rows):
    """Return the promises: what, the ratio seen, the limit in words, and whether it is kept."""
    (row,) = [row for row in rows if (row["busy"], row["in_flight"]) == (0, PROMISED)]
    bare, run_as = ratio(row, "ring", "bare"), ratio(row, "run_as", "ring")
    return [
        ["an open on the ring, compared with `os.open` as root", bare, "at most 2.1", bare <= 2.1],
        ["`run_as`, compared with an open on the ring", run_as, "at least 8", run_as >= 8],
    ]


def promises_table(rows):
    body = [[what, f"{seen:.2f}", limit, "kept" if kept else "BROKEN"] for what, seen, limit, kept in rows]
    return markdown([f"{PROMISED} in flight, no busy threads", "seen", "promise", ""], body)


def progress(text):
    print(text, file=sys.stderr, flush=True)


async def measure(quick):
    """Return the rows of the opens and of the calls."""
    rows, seconds = [], 0.005 if quick else 0.01
    async with contextlib.AsyncExitStack() as stack:
        try:
            ring = await stack.enter_async_context(replace.aio.Files(backend="io_uring"))
        except OSError as error:
            raise NoRing(error.strerror) from None
        threads = await stack.enter_async_context(replace.aio.Files(backend="threads"))
        pool = stack.enter_context(replace.IdentityExecutor(8))
        ways = {"bare": bare, "ring": files_of(ring), "run_as": run_as_with(), "pool": run_as_with(executor=pool)}
        for name in ("ring", "run_as", "pool"):
            await check_user(ways[name])
        await check_user(files_of(threads))
        for busy, rounds in ((0, 3 if quick else 101), (BUSY, 1 if quick else 7)):
            with busy_threads(busy):
                for in_flight in IN_FLIGHT:
                    rows.append(await compare(ways, busy, in_flight, rounds, seconds))
        calls = {"bare": Bare(), "ring": ring, "threads": threads}
        return rows, await compare_calls(calls, *((2, 2 * PROMISED) if quick else (15, 16 * PROMISED)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer opens and rounds")
    options = parser.parse_args()
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-benchmark-") as name:
        lay_out(name)
        try:
            rows, calls = asyncio.run(measure(options.quick))
        except NoRing as error:
            print(f"there is no io_uring here ({error}); `libreplace verify --explain` says why", file=sys.stderr)
            return 2
    found = promises(rows)
    for table in (opens_table(rows, 0), opens_table(rows, BUSY), calls_table(calls), promises_table(found)):
        print(table + "\n")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    return 0 if all(kept for *_, kept in found) else 1


if __name__ == "__main__":
    sys.exit(main())
