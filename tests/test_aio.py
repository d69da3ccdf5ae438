# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace.aio: files as many users, from one thread, with each back end and in each event loop."""

import asyncio
import contextlib
import errno
import fcntl
import functools
import os
import re
import resource
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest
from support.builds import imported
from support.children import ALICE, BOB, HANG, as_root, in_child, install_filter, needs_root

import replace
from replace import Identity, IdentityRefused, Resolve
from replace.aio import Files

#: Each runs an async function to its end.
LOOPS = {"asyncio": lambda main: asyncio.run(main()), "trio": lambda main: imported("trio").run(main)}
BACKENDS = ["io_uring", "threads"]
each_loop = pytest.mark.parametrize("loop", LOOPS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)
IO_URING_SETUP = 425  # on every architecture of Linux

pytestmark = pytest.mark.per_thread


@functools.cache
def obstacle_of_ring():
    """Return why a process of this machine cannot have a ring; "" if it can."""

    async def main():
        async with Files(backend="io_uring"):
            pass

    def body():
        try:
            asyncio.run(main())
        except OSError as error:
            return error.strerror
        return ""

    return in_child(body)


def needs_backend(backend):
    if backend == "io_uring" and obstacle_of_ring():
        pytest.skip(f"needs io_uring: {obstacle_of_ring()}; try sysctl kernel.io_uring_disabled=0")


def descriptors():
    """The open descriptors and their files."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of this listing
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def serve(backend, loop, body, **options):
    """Await body(files) as root, in a child. Return its result. No descriptor is left, and all threads are clean."""
    needs_backend(backend)
    needs_root()

    def child():
        before = descriptors()

        async def main():
            async with Files(backend=backend, **options) as files:
                assert set(files.backends.values()) == {backend}
                return await body(files)

        result = LOOPS[loop](main)
        assert descriptors() == before
        replace.assert_clean()
        return result

    return as_root(child)


async def outcome(call):
    """Await the call. Return its result or its exception."""
    try:
        return await call
    except Exception as error:
        return error


async def together(loop, calls):
    """Await all calls at the same time, each in a task. Return their results or exceptions."""
    results = {}

    async def one(number, call):
        results[number] = await outcome(call)

    if loop == "asyncio":
        await asyncio.gather(*(one(number, call) for number, call in enumerate(calls)))
    else:
        async with imported("trio").open_nursery() as nursery:
            for number, call in enumerate(calls):
                nursery.start_soon(one, number, call)
    return [results[number] for number in sorted(results)]


async def turns(loop, count):
    """Let the event loop run other tasks."""
    for _ in range(count):
        await (asyncio.sleep(0) if loop == "asyncio" else imported("trio").lowlevel.checkpoint())


def is_refused(found, number=errno.EACCES):
    return isinstance(found, OSError) and found.errno == number


def put(folder, name, owner, group, mode, text=b"text"):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
    os.write(fd, text)
    os.fchown(fd, owner, group)
    os.fchmod(fd, mode)
    os.close(fd)


def put_folder(folder, name, owner, mode):
    os.mkdir(name, dir_fd=folder)
    os.chown(name, owner, owner, dir_fd=folder)
    os.chmod(name, mode, dir_fd=folder)


def fill(folder):
    """Put one file of each kind into a folder in which every user may write."""
    os.fchmod(folder, 0o777)
    put(folder, "public", 0, 0, 0o644)
    put(folder, "root's", 0, 0, 0o600)
    put(folder, "alice's", ALICE.uid, ALICE.gid, 0o600)
    put(folder, "of her group", 0, ALICE.groups[-1], 0o640)
    put(folder, "of group 0", 0, 0, 0o640)
    put_folder(folder, "dir", 0, 0o755)
    put_folder(folder, "closed", 0, 0o700)
    put_folder(folder, "home", ALICE.uid, 0o700)
    put(folder, "home/own", ALICE.uid, ALICE.gid, 0o600)
    put(folder, "closed/public", 0, 0, 0o644)
    links = {"link": "public", "out": "..", "absolute": "/etc/passwd", "dangling": "nothing", "loop": "loop"}
    links |= {"to home": "home", "to root's": "root's"}
    for name, text in links.items():
        os.symlink(text, name, dir_fd=folder)
    os.mkfifo("fifo", dir_fd=folder)
    os.chmod("fifo", 0o666, dir_fd=folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/socket")
    os.chmod("socket", 0o666, dir_fd=folder)


@pytest.fixture
def place(folder):
    fill(folder)
    return folder


# ---- One face: the same results, errors and effects

CREATE = os.O_CREAT | os.O_WRONLY
SAFE = Resolve.BENEATH | Resolve.NO_MAGICLINKS
LONG = "n" * 256
PLACE = 500  # the descriptor of the folder, because a path of CALLS contains it

#: A call, and its errno as Alice; 0 if it succeeds.
CALLS = [
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, b"public", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, Path("alice's"), os.O_RDWR | os.O_APPEND, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "alice's", os.O_PATH, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "of her group", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "of her group", os.O_RDWR, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "of group 0", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(BOB, "of her group", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(BOB, "alice's", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "root's", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "to root's", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "public", os.O_WRONLY | os.O_TRUNC, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "closed/public", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(BOB, "to home/own", os.O_RDONLY, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, "to home/own", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "nothing", os.O_RDONLY, dir_fd=d), errno.ENOENT),
    (lambda f, d: f.open(ALICE, "", os.O_RDONLY, dir_fd=d), errno.ENOENT),
    (lambda f, d: f.open(ALICE, "public/", os.O_RDONLY, dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.open(ALICE, "dir", os.O_RDONLY, dir_fd=d), errno.EISDIR),
    (lambda f, d: f.open(ALICE, "dir", os.O_RDONLY | os.O_DIRECTORY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY | os.O_DIRECTORY, dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.open(ALICE, "fifo", os.O_RDONLY, dir_fd=d), errno.ENXIO),
    (lambda f, d: f.open(ALICE, "fifo", os.O_WRONLY, dir_fd=d), errno.ENXIO),
    (lambda f, d: f.open(ALICE, "fifo", os.O_RDWR, dir_fd=d), errno.ENXIO),
    (lambda f, d: f.open(ALICE, "fifo", os.O_RDONLY | os.O_CREAT, dir_fd=d), errno.ENXIO),
    (lambda f, d: f.open(ALICE, "socket", os.O_RDONLY, dir_fd=d), errno.ENXIO),
    (lambda f, d: f.open(ALICE, "new", CREATE, 0o640, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "new", CREATE | os.O_EXCL, 0o7777, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "public", CREATE | os.O_EXCL, dir_fd=d), errno.EEXIST),
    (lambda f, d: f.open(ALICE, "dangling", CREATE, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "dangling", CREATE | os.O_EXCL, dir_fd=d), errno.EEXIST),
    (lambda f, d: f.open(ALICE, "dir/new", CREATE, dir_fd=d), errno.EACCES),
    (lambda f, d: f.open(ALICE, ".", os.O_TMPFILE | os.O_RDWR, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "new", CREATE, 0o10000, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "new", CREATE, -1, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", 1 << 30, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", -1, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=d, resolve=1 << 40), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=-7), errno.EBADF),
    (lambda f, d: f.open(ALICE, "../x", os.O_RDONLY, dir_fd=d), errno.EXDEV),
    (lambda f, d: f.open(ALICE, "out/x", os.O_RDONLY, dir_fd=d), errno.EXDEV),
    (lambda f, d: f.open(ALICE, "absolute", os.O_RDONLY, dir_fd=d), errno.EXDEV),
    (lambda f, d: f.open(ALICE, "/etc/passwd", os.O_RDONLY, dir_fd=d), errno.EXDEV),
    (lambda f, d: f.open(ALICE, "/etc/passwd", os.O_RDONLY), errno.EXDEV),
    (lambda f, d: f.open(ALICE, "/etc/passwd", os.O_RDONLY, resolve=0), 0),
    (lambda f, d: f.open(ALICE, "absolute", os.O_RDONLY, dir_fd=d, resolve=0), 0),
    (lambda f, d: f.open(ALICE, "/public", os.O_RDONLY, dir_fd=d, resolve=Resolve.IN_ROOT), 0),
    (lambda f, d: f.open(ALICE, "link", os.O_RDONLY, dir_fd=d, resolve=Resolve.NO_SYMLINKS), errno.ELOOP),
    (lambda f, d: f.open(ALICE, "link", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=d), errno.ELOOP),
    (lambda f, d: f.open(ALICE, "loop", os.O_RDONLY, dir_fd=d), errno.ELOOP),
    (lambda f, d: f.open(ALICE, LONG, os.O_RDONLY, dir_fd=d), errno.ENAMETOOLONG),
    (lambda f, d: f.open(ALICE, "x/" * 2050, os.O_RDONLY, dir_fd=d), errno.ENAMETOOLONG),
    (lambda f, d: f.open(ALICE, "two\nlines\udcff", CREATE, dir_fd=d), 0),
    # /proc: the process is root's, and the thread is in it
    (
        lambda f, d: f.open(ALICE, f"/proc/self/fd/{PLACE}/public", os.O_RDONLY, resolve=Resolve.NO_MAGICLINKS),
        errno.ELOOP,
    ),
    (lambda f, d: f.open(ALICE, "/proc/self/root/etc/passwd", 0, resolve=Resolve.NO_MAGICLINKS), errno.ELOOP),
    (lambda f, d: f.open(ALICE, "/proc/self/mem", os.O_RDWR, resolve=0), errno.EACCES),
    (lambda f, d: f.open(ALICE, "/proc/self/environ", os.O_RDONLY, resolve=0), errno.EACCES),
    (lambda f, d: f.open(ALICE, "/proc/sys/kernel/core_pattern", os.O_WRONLY, resolve=0), errno.EACCES),
    (lambda f, d: f.stat(ALICE, "public", dir_fd=d), 0),
    (lambda f, d: f.stat(ALICE, "root's", dir_fd=d), 0),
    (lambda f, d: f.stat(ALICE, "link", dir_fd=d), 0),
    (lambda f, d: f.stat(ALICE, "link", dir_fd=d, follow_symlinks=False), 0),
    (lambda f, d: f.stat(ALICE, "fifo", dir_fd=d), 0),
    (lambda f, d: f.stat(ALICE, "dir/", dir_fd=d), 0),
    (lambda f, d: f.stat(ALICE, "home/own", dir_fd=d), 0),
    (lambda f, d: f.stat(BOB, "home/own", dir_fd=d), errno.EACCES),
    (lambda f, d: f.stat(ALICE, "closed/public", dir_fd=d), errno.EACCES),
    (lambda f, d: f.stat(ALICE, "dangling", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.stat(ALICE, "out", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.stat(ALICE, "out", dir_fd=d, follow_symlinks=False), 0),
    (lambda f, d: f.stat(ALICE, "/", resolve=0), 0),
    (lambda f, d: f.mkdir(ALICE, "new", 0o751, dir_fd=d), 0),
    (lambda f, d: f.mkdir(ALICE, "new/", dir_fd=d), 0),
    (lambda f, d: f.mkdir(ALICE, "home//new//", dir_fd=d), 0),
    (lambda f, d: f.mkdir(ALICE, "new", 0o17777, dir_fd=d), 0),
    (lambda f, d: f.mkdir(ALICE, "dir", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "dangling", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "dir/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.mkdir(BOB, "home/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.mkdir(ALICE, "out/new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.mkdir(ALICE, "/new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.mkdir(ALICE, "/", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.mkdir(ALICE, "/", resolve=0), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.mkdir(ALICE, ".", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "..", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "home/..", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.mkdir(ALICE, "public/new", dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.mkdir(ALICE, "no/new", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.mkdir(ALICE, LONG, dir_fd=d), errno.ENAMETOOLONG),
    (lambda f, d: f.mkdir(ALICE, "new", dir_fd=-7), errno.EBADF),
    (lambda f, d: f.unlink(ALICE, "public", dir_fd=d), 0),
    (lambda f, d: f.unlink(ALICE, "link", dir_fd=d), 0),
    (lambda f, d: f.unlink(ALICE, "home/own", dir_fd=d), 0),
    (lambda f, d: f.unlink(ALICE, "public/", dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.unlink(ALICE, "to home/", dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.unlink(BOB, "home/own", dir_fd=d), errno.EACCES),
    (lambda f, d: f.unlink(ALICE, "closed/public", dir_fd=d), errno.EACCES),
    (lambda f, d: f.unlink(ALICE, "dir", dir_fd=d), errno.EISDIR),
    (lambda f, d: f.unlink(ALICE, "no", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.unlink(ALICE, "out/no", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.rename(ALICE, "public", "new", dir_fd=d), 0),
    (lambda f, d: f.rename(ALICE, "public", "home/new", dir_fd=d), 0),
    (lambda f, d: f.rename(ALICE, "home/own", "new", dir_fd=d), 0),
    (lambda f, d: f.rename(ALICE, "public", "link", dir_fd=d), 0),
    (lambda f, d: f.rename(ALICE, "public", "new", dir_fd=d, dst_dir_fd=d), 0),
    (lambda f, d: f.rename(BOB, "home/own", "new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.rename(ALICE, "public", "dir/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.rename(ALICE, "public", "dir", dir_fd=d), errno.EISDIR),
    (lambda f, d: f.rename(ALICE, "home", "public", dir_fd=d), errno.ENOTDIR),
    (lambda f, d: f.rename(ALICE, "no", "new", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.rename(ALICE, "public", "no/new", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.rename(ALICE, "public", "out/new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.rename(ALICE, "out/x", "new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.rename(ALICE, "public", "new", dir_fd=d, dst_dir_fd=-7), errno.EBADF),
    (lambda f, d: f.link(ALICE, "alice's", "new", dir_fd=d), 0),
    (lambda f, d: f.link(ALICE, "alice's", "home/new", dir_fd=d, dst_dir_fd=d), 0),
    (lambda f, d: f.link(ALICE, "link", "new", dir_fd=d), None),  # depends on the sysctl fs.protected_hardlinks
    (lambda f, d: f.link(ALICE, "root's", "new", dir_fd=d), None),
    (lambda f, d: f.link(ALICE, "dir", "new", dir_fd=d), errno.EPERM),
    (lambda f, d: f.link(ALICE, "alice's", "link", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.link(ALICE, "alice's", "dir/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.link(BOB, "home/own", "new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.link(ALICE, "no", "new", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.link(ALICE, "alice's", "out/new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.symlink(ALICE, "any text", "new", dir_fd=d), 0),
    (lambda f, d: f.symlink(ALICE, b"/\xff", Path("home/new"), dir_fd=d), 0),
    (lambda f, d: f.symlink(ALICE, "", "new", dir_fd=d), errno.ENOENT),
    (lambda f, d: f.symlink(ALICE, "text", "link", dir_fd=d), errno.EEXIST),
    (lambda f, d: f.symlink(ALICE, "text", "dir/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.symlink(BOB, "text", "home/new", dir_fd=d), errno.EACCES),
    (lambda f, d: f.symlink(ALICE, "text", "out/new", dir_fd=d), errno.EXDEV),
    (lambda f, d: f.symlink(ALICE, "text", "new/", dir_fd=d), errno.ENOENT),
]

#: A call with a wrong argument, and the name of its exception.
WRONG = [
    (lambda f, d: f.open("alice", "public", 0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(None, "public", 0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, 5, 0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, None, 0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, bytearray(b"public"), 0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, "public\0", 0, dir_fd=d), "ValueError"),
    (lambda f, d: f.symlink(ALICE, "text\0", "new", dir_fd=d), "ValueError"),
    (lambda f, d: f.rename(ALICE, "public", b"n\0", dir_fd=d), "ValueError"),
    (lambda f, d: f.open(ALICE, "public", "r", dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 1.0, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", True, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 0, True, dir_fd=d), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 0, dir_fd=True), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 0, dir_fd="x"), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 0, dir_fd=d, resolve=None), "TypeError"),
    (lambda f, d: f.rename(ALICE, "public", "new", dir_fd=d, dst_dir_fd=False), "TypeError"),
    (lambda f, d: f.open(ALICE, "public", 2**31, dir_fd=d), "OverflowError"),
    (lambda f, d: f.mkdir(ALICE, "new", 2**31, dir_fd=d), "OverflowError"),
    (lambda f, d: f.mkdir(ALICE, "new", -(2**64), dir_fd=d), "OverflowError"),
    (lambda f, d: f.unlink(ALICE, "public", dir_fd=2**31), "OverflowError"),
    (lambda f, d: f.unlink(ALICE, "public", dir_fd=d, resolve=-1), "OverflowError"),
    (lambda f, d: f.unlink(ALICE, "public", dir_fd=d, resolve=2**64), "OverflowError"),
    (lambda f, d: f.rename(ALICE, "public", "new", dir_fd=d, dst_dir_fd=2**31), "OverflowError"),
    (lambda f, d: f.open(Identity(0, 0), "root's", 0, dir_fd=d), "IdentityRefused"),
    (lambda f, d: f.stat(Identity(80001, 0), "root's", dir_fd=d), "IdentityRefused"),
    (lambda f, d: f.unlink(Identity(80001, 80001, [0, 1]), "public", dir_fd=d), "IdentityRefused"),
]


def described(found):
    """What of an outcome is the same on both back ends: its errno, 0 or an exception type; and more."""
    if isinstance(found, OSError):
        return found.errno, type(found).__name__, found.strerror, found.filename, found.filename2
    if isinstance(found, Exception):
        return (type(found).__name__,)
    if isinstance(found, os.stat_result):
        return 0, stat.filemode(found.st_mode), found.st_uid, found.st_gid, found.st_size, found.st_nlink
    if isinstance(found, int):
        try:
            status, inheritable = os.fstat(found), os.get_inheritable(found)
            return 0, fcntl.fcntl(found, fcntl.F_GETFL), inheritable, stat.filemode(status.st_mode), status.st_uid
        finally:
            os.close(found)
    return 0, found


def listing(folder):
    """Every name below the folder, with its kind, mode, owner and text."""
    found = {}
    for path, folders, names, fd in os.fwalk(".", dir_fd=folder):
        for name in [*folders, *names]:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            text = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else status.st_nlink
            found[f"{path}/{name}"] = stat.filemode(status.st_mode), status.st_uid, status.st_gid, text
    return found


def all_outcomes(backend, loop, calls, folder):
    """Make each call in a folder of its own. Return what it returned or raised, and the files afterwards."""

    async def body(files):
        found = []
        for number, (call, _) in enumerate(calls):
            os.mkdir(f"{folder}/{number}")
            fd = os.open(f"{folder}/{number}", os.O_RDONLY)
            os.dup2(fd, PLACE)
            os.close(fd)
            fill(PLACE)
            result = await outcome(call(files, PLACE))
            found.append((described(result), listing(PLACE)))
            os.close(PLACE)
        return found

    return serve(backend, loop, body)


@each_loop
def test_both_back_ends_have_the_same_results_errors_and_effects(loop, tmp_path):
    os.umask(0o022)  # conftest restores it
    found = {}
    for backend in BACKENDS:
        needs_backend(backend)
        (tmp_path / backend).mkdir()
        found[backend] = all_outcomes(backend, loop, CALLS + WRONG, f"{tmp_path}/{backend}")
    problems = []
    for number, (call, expected) in enumerate(CALLS + WRONG):
        one, other = (found[backend][number] for backend in BACKENDS)
        if one != other or expected not in (None, one[0][0]):
            problems.append((call.__code__.co_firstlineno, expected, one, other))
    assert not problems
