# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace.aio: files as many users, from one thread, with each back end and in each event loop."""

import asyncio
import contextlib
import errno
import fcntl
import functools
import gc
import itertools
import os
import re
import resource
import signal
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest
from support import odd_machine
from support.builds import imported, run
from support.children import (
    ALICE,
    BOB,
    HANG,
    as_root,
    in_child,
    install_filter,
    needs_root,
    needs_user_namespace,
    wait_until,
)

import replace
from replace import Identity, IdentityError, IdentityRefused, Resolve, _native
from replace.aio import Files

O_TMPFILE = getattr(os, "O_TMPFILE", 0o20000000 | os.O_DIRECTORY)  # PyPy lacks the name
#: Each runs an async function to its end.
LOOPS = {"asyncio": lambda main: asyncio.run(main()), "trio": lambda main: imported("trio").run(main)}
BACKENDS = ["io_uring", "threads"]
each_loop = pytest.mark.parametrize("loop", LOOPS)
each_backend = pytest.mark.parametrize("backend", BACKENDS)
DUPFD_QUERY = 1024 + 3  # F_DUPFD_QUERY of linux/fcntl.h

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
    os.symlink("alice's", "her link", dir_fd=folder)
    os.chown("her link", ALICE.uid, ALICE.gid, dir_fd=folder, follow_symlinks=False)
    os.mkfifo("fifo", dir_fd=folder)
    os.chmod("fifo", 0o666, dir_fd=folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/socket")
    os.chmod("socket", 0o666, dir_fd=folder)


@pytest.fixture
def place(folder):
    needs_root()
    fill(folder)
    return folder


# ---- One face: the same results, errors and effects

CREATE = os.O_CREAT | os.O_WRONLY
SAFE = Resolve.BENEATH | Resolve.NO_MAGICLINKS
LONG = "n" * 256
PLACE = 500  # the descriptor of the folder, because a path of CALLS contains it


class Number:
    """An integer that is not an int."""

    def __index__(self):
        return int(Resolve.BENEATH)


NUMBER = Number()

#: A call, and its errno as Alice; 0 if it succeeds.
CALLS = [
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, b"public", os.O_RDONLY, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, Path("alice's"), os.O_RDWR | os.O_APPEND, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "alice's", _native.O_PATH, dir_fd=d), 0),
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
    (lambda f, d: f.open(ALICE, ".", O_TMPFILE | os.O_RDWR, dir_fd=d), 0),
    (lambda f, d: f.open(ALICE, "new", CREATE, 0o10000, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "new", CREATE, -1, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", 1 << 30, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", -1, dir_fd=d), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=d, resolve=1 << 40), errno.EINVAL),
    (lambda f, d: f.open(ALICE, "public", os.O_RDONLY, dir_fd=-7), errno.EBADF),
    (lambda f, d: f.stat(ALICE, "/", dir_fd=d, resolve=NUMBER), errno.EXDEV),
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
    (lambda f, d: f.mkdir(ALICE, "/" * 4097, resolve=0), errno.ENAMETOOLONG),
    (lambda f, d: f.mkdir(ALICE, "/" * 4096 + "new", resolve=0), errno.ENAMETOOLONG),
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
    (lambda f, d: f.link(ALICE, "her link", "new", dir_fd=d), 0),
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


@each_loop
def test_awaited_calls_take_effect_in_their_order(loop, place):
    for backend in BACKENDS:

        async def body(files):
            for _ in range(20):
                os.close(await files.open(ALICE, "one", CREATE | os.O_EXCL, dir_fd=place))
                await files.rename(ALICE, "one", "two", dir_fd=place)
                await files.mkdir(ALICE, "folder", dir_fd=place)
                await files.link(ALICE, "two", "folder/three", dir_fd=place)
                await files.symlink(BOB, "folder/three", "four", dir_fd=place)
                assert (await files.stat(ALICE, "four", dir_fd=place)).st_nlink == 2
                for name in ("two", "folder/three", "four"):
                    await files.unlink(ALICE, name, dir_fd=place)
                os.rmdir("folder", dir_fd=place)

        before = listing(place)
        serve(backend, loop, body)
        assert listing(place) == before


@each_backend
@each_loop
def test_audit_events_are_those_of_os(loop, backend, place):
    calls = {
        "open": (lambda f: f.open(ALICE, Path("public"), os.O_RDONLY, dir_fd=place), ("public", None, os.O_CLOEXEC)),
        "os.mkdir": (lambda f: f.mkdir(ALICE, b"new", 0o750, dir_fd=place), (b"new", 0o750, place)),
        "os.rename": (lambda f: f.rename(ALICE, "new", "n2", dir_fd=place), ("new", "n2", place, place)),
        "os.link": (lambda f: f.link(ALICE, "alice's", "n3", dir_fd=place), ("alice's", "n3", place, place)),
        "os.symlink": (lambda f: f.symlink(ALICE, "text", "n4", dir_fd=place), ("text", "n4", place)),
        "os.remove": (lambda f: f.unlink(ALICE, "n4", dir_fd=place), ("n4", place)),
    }

    async def body(files):
        seen, main = [], threading.get_ident()

        def hook(event, arguments):
            if event in calls and threading.get_ident() == main:
                seen.append((event, arguments))
                if arguments[0] == "refused":
                    raise LookupError("of the hook")

        sys.addaudithook(hook)
        for event, (call, arguments) in calls.items():
            result = await call(files)
            assert seen[0] == (event, arguments)
            if result is not None:
                os.close(result)
            seen.clear()
        with pytest.raises(LookupError):
            await files.open(ALICE, "refused", CREATE, dir_fd=place)
        assert "refused" not in os.listdir(place)

    serve(backend, loop, body)


@each_backend
@each_loop
def test_audit_hook_can_veto_an_identity(loop, backend, place):
    async def body(files):
        def hook(event, arguments):
            if event == "replace.enter" and arguments[0] == BOB:
                raise LookupError("of the hook")

        sys.addaudithook(hook)
        for _ in range(2):
            os.close(await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))
            for call in (files.open(BOB, "bob's", CREATE, dir_fd=place), files.mkdir(BOB, "bob's", dir_fd=place)):
                assert isinstance(await outcome(call), LookupError)
        assert "bob's" not in os.listdir(place)

    serve(backend, loop, body)


@each_backend
def test_status_has_all_numbers_of_os_stat(backend, place):
    """Also a time that 64 bits of nanoseconds cannot hold (ext4 has 34 bits of seconds), one before 1970, and 5 GiB."""

    def numbers(status):
        return [getattr(status, name) for name in dir(status) if name.startswith("st_")]

    async def body(files):
        try:
            os.utime("public", ns=(14_000_000_000_123_456_789, -1_000_000_001), dir_fd=place)
        except OverflowError:  # time_t has 32 bits, as on i386
            os.utime("public", ns=(2_147_483_647_123_456_789, -1_000_000_001), dir_fd=place)
        large = await files.open(ALICE, "alice's", os.O_RDWR, dir_fd=place)
        os.ftruncate(large, 5 * 2**30)
        os.close(large)
        for name in ("public", "alice's", "dir", "link", "fifo", "socket"):
            found = await files.stat(ALICE, name, dir_fd=place)
            assert (found, numbers(found)) == (os.stat(name, dir_fd=place), numbers(os.stat(name, dir_fd=place)))

    serve(backend, "asyncio", body)


# ---- Attacks


@each_backend
@each_loop
def test_many_users_at_once_get_only_their_own_files(loop, backend, folder):
    needs_root()
    os.fchmod(folder, 0o777)
    users = [Identity(80100 + number, 80200 + number, [80300 + number]) for number in range(40)]
    for user in users:
        put(folder, f"{user.uid}", user.uid, user.gid, 0o600)
        put(folder, f"{user.uid} group", 0, user.groups[0], 0o640)

    async def body(files):
        async def attempt(user):
            found = []
            for name in (f"{user.uid}", f"{user.uid} group"):
                fd = await files.open(user, name, os.O_RDONLY, dir_fd=folder)
                found.append(os.fstat(fd).st_ino == os.stat(name, dir_fd=folder).st_ino)
                os.close(fd)
            for other in (user.uid + 1, user.uid - 1):
                for name in (f"{other}", f"{other} group"):
                    error = await outcome(files.open(user, name, os.O_RDONLY, dir_fd=folder))
                    found.append(is_refused(error) or is_refused(error, errno.ENOENT))
            fd = await files.open(user, f"{user.uid} new", CREATE | os.O_EXCL, 0o666, dir_fd=folder)
            status = os.fstat(fd)
            os.close(fd)
            return [*found, (status.st_uid, status.st_gid) == (user.uid, user.gid)]

        for found in await together(loop, [attempt(user) for user in users]):
            assert found == [True] * 7

    serve(backend, loop, body)


@each_backend
@each_loop
def test_identities_that_differ_only_in_their_groups_are_different_users(loop, backend, place):
    with_group, without = ALICE, Identity(ALICE.uid, ALICE.gid)

    async def body(files):
        for _ in range(3):
            os.close(await files.open(with_group, "of her group", os.O_RDONLY, dir_fd=place))
            assert is_refused(await outcome(files.open(without, "of her group", os.O_RDONLY, dir_fd=place)))

    serve(backend, loop, body)


@each_backend
@each_loop
def test_group_0_works_only_if_allowed(loop, backend, place):
    member = Identity(ALICE.uid, ALICE.gid, [0])

    async def refused(files):
        for user in (member, Identity(0, 0), Identity(ALICE.uid, 0)):
            with pytest.raises(IdentityRefused, match="allow_root=True"):
                await files.open(user, "of group 0", os.O_RDONLY, dir_fd=place)

    async def allowed(files):
        os.close(await files.open(member, "of group 0", os.O_RDONLY, dir_fd=place))
        assert is_refused(await outcome(files.open(member, "root's", os.O_RDONLY, dir_fd=place)))
        # Root without capabilities is the owner of root's files, and nothing more.
        os.close(await files.open(Identity(0, 0), "root's", os.O_RDONLY, dir_fd=place))

    serve(backend, loop, refused)
    serve(backend, loop, allowed, allow_root=True)


@each_backend
def test_new_files_have_the_umask_of_the_process(backend, place):
    async def body(files):
        for mask in (0o077, 0o022, 0):
            os.umask(mask)
            os.close(await files.open(ALICE, f"file {mask}", CREATE, 0o666, dir_fd=place))
            await files.mkdir(ALICE, f"folder {mask}", 0o777, dir_fd=place)
            for name, mode in (("file", 0o666), ("folder", 0o777)):
                found = os.stat(f"{name} {mask}", dir_fd=place)
                assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode & ~mask, ALICE.uid, ALICE.gid)

    serve(backend, "asyncio", body)


@each_backend
@pytest.mark.parametrize("resolve", [SAFE, 0])
def test_name_that_changes_meanwhile_leads_to_no_forbidden_file(backend, resolve, place):
    """Another process exchanges a link to Alice's file, links to files of root, and a link out of the folder."""

    def exchange():
        while True:
            for target in ("alice's", "root's", "/proc/self/environ", "closed/public"):
                os.symlink(target, "swap.new", dir_fd=place)
                os.rename("swap.new", "swap", src_dir_fd=place, dst_dir_fd=place)

    async def body(files):
        hers, found, rounds = os.stat("alice's", dir_fd=place).st_ino, set(), 0
        while rounds < 30 or not {0, errno.EACCES} <= found:
            rounds += 1
            calls = [files.open(ALICE, "swap", os.O_RDONLY, dir_fd=place, resolve=resolve) for _ in range(20)]
            for result in await together("asyncio", calls):
                if isinstance(result, int):
                    assert os.fstat(result).st_ino == hers
                    os.close(result)
                found.add(0 if isinstance(result, int) else result.errno)
        assert found <= {0, errno.EACCES, errno.EXDEV, errno.EAGAIN}

    os.symlink("alice's", "swap", dir_fd=place)
    child = os.fork()
    if child == 0:
        try:
            exchange()
        finally:
            os._exit(1)
    try:
        serve(backend, "asyncio", body)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@each_backend
def test_fifos_block_nobody(backend, place):
    """Eight users open a FIFO in every way, many times, and Bob's calls still succeed."""
    users = [Identity(80100 + number, 80100) for number in range(8)]
    ways = (os.O_RDONLY, os.O_WRONLY, os.O_RDONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)

    async def body(files):
        os.close(os.open("sticky", CREATE, dir_fd=place))
        calls = [files.open(user, "fifo", way, dir_fd=place) for user in users for way in ways * 4]
        calls += [files.mkdir(BOB, f"bob {number}", dir_fd=place) for number in range(20)]
        (*errors,) = await together("asyncio", calls)
        assert {error.errno for error in errors[:128]} == {errno.ENXIO}
        assert errors[128:] == [None] * 20

    serve(backend, "asyncio", body)


# ---- Cancellation, closing, and many requests


async def cancelled_after(loop, call, count):
    """Start the call in a task, cancel the task after some turns of the event loop, and close what it returned."""

    async def one():
        result = await call()
        if isinstance(result, int):
            os.close(result)

    if loop == "asyncio":
        task = asyncio.create_task(one())
        await turns(loop, count)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    else:
        async with imported("trio").open_nursery() as nursery:
            nursery.start_soon(one)
            await turns(loop, count)
            nursery.cancel_scope.cancel()


@each_backend
@each_loop
def test_cancelled_calls_leave_no_descriptor(loop, backend, place):
    """The task is cancelled before the request starts, meanwhile, and after the result came. serve() counts."""

    async def body(files):
        def opens():
            return files.open(ALICE, "public", os.O_RDONLY, dir_fd=place)

        def creates():
            return files.open(BOB, "bob's", CREATE, dir_fd=place)

        def reads():
            return files.stat(BOB, "public", dir_fd=place)

        for count in range(8):
            for call in (opens, creates, reads):
                for _ in range(20):
                    await cancelled_after(loop, call, count)
        os.close(await opens())

    serve(backend, loop, body)


async def waiting(files, folder):
    """Return a task of asyncio that waits for a descriptor. A worker may be so fast that the task does not wait."""
    numbers = itertools.count()
    while True:
        task = asyncio.create_task(files.open(ALICE, f"new {next(numbers)}", CREATE, dir_fd=folder))
        await asyncio.sleep(0)
        if not task.done():
            return task
        os.close(task.result())


@each_backend
def test_result_that_comes_in_the_turn_of_a_cancellation_is_closed(backend, place):
    """The future has its result, but the task has not run since, when it is cancelled."""

    async def body(files):
        for is_first in (True, False):
            task = await waiting(files, place)
            waiter = task._fut_waiter  # its first callback wakes the task
            if is_first:
                wake = waiter._callbacks[0][0]
                waiter.remove_done_callback(wake)
                waiter.add_done_callback(lambda _, task=task: task.cancel())
                waiter.add_done_callback(wake)
            else:
                waiter.cancel()  # so the result finds a cancelled future
            with pytest.raises(asyncio.CancelledError):
                await task

    serve(backend, "asyncio", body)


@each_backend
def test_folder_whose_descriptor_is_closed_meanwhile_is_not_mixed_up(backend, place):
    """A request that waits keeps its folder, although the number of the descriptor is that of another one by now."""

    async def body(files):
        put_folder(place, "other", ALICE.uid, 0o700)
        flags = os.O_RDONLY | os.O_DIRECTORY
        home, spare = (os.open("home", flags, dir_fd=place) for _ in range(2))
        calls = [
            lambda number: files.mkdir(ALICE, f"folder {number}", dir_fd=home),
            lambda number: files.open(ALICE, f"file {number}", CREATE, dir_fd=home),
            lambda number: files.link(ALICE, "own", f"link {number}", dir_fd=spare, dst_dir_fd=home),
        ]
        tasks = [asyncio.ensure_future(calls[number % 3](number)) for number in range(300)]
        await asyncio.sleep(0)  # all requests have begun
        other = os.open("other", flags, dir_fd=place)
        for fd in (home, spare):
            os.dup2(other, fd, inheritable=False)  # in one step, so that no worker's file gets the number
        for result in await asyncio.gather(*tasks):
            if result is not None:
                os.close(result)
        for fd in (home, spare, other):
            os.close(fd)
        assert os.listdir(f"/proc/self/fd/{place}/other") == []
        assert len(os.listdir(f"/proc/self/fd/{place}/home")) == 301

    serve(backend, "asyncio", body, max_workers=1)


@each_backend
@each_loop
def test_thousands_of_requests_at_once(loop, backend, place):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def body(files):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))

        async def opens(number):
            user = Identity(80100 + number % 64, 80100)
            fd = await files.open(user, "public", os.O_RDONLY, dir_fd=place)
            os.close(fd)
            return (await files.stat(user, "public", dir_fd=place)).st_size

        assert await together(loop, [opens(number) for number in range(3000)]) == [4] * 3000

    serve(backend, loop, body)


@each_backend
def test_waiting_requests_share_the_copy_of_their_folder(backend, place):
    try:
        fcntl.fcntl(place, DUPFD_QUERY, place)
    except OSError:
        pytest.skip("needs Linux 6.10")

    async def body(files):
        most = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + 40, most + 40))
        calls = [files.mkdir(ALICE, f"new {number}", dir_fd=place) for number in range(500)]
        assert await together("asyncio", calls) == [None] * 500

    serve(backend, "asyncio", body, max_workers=1)


@each_backend
def test_each_call_is_a_checkpoint_of_trio(backend, place):
    async def body(files):
        trio = imported("trio")
        ticks = []

        async def tick():
            while True:
                ticks.append(None)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            for count in range(20):
                assert len(ticks) >= count - 2  # both run once in each turn, in any order
                os.close(await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))
            nursery.cancel_scope.cancel()
            with pytest.raises(trio.Cancelled):
                await files.open(ALICE, "new", CREATE, dir_fd=place)
        assert "new" not in os.listdir(place)

    serve(backend, "trio", body)


@each_backend
def test_task_that_only_opens_files_lets_other_tasks_of_asyncio_run(backend, place):
    """The ring opens this file at once. A call that waits for the next turn of the loop can be cancelled."""

    async def body(files):
        def opens():
            return files.open(ALICE, "public", os.O_RDONLY, dir_fd=place)

        async def opens_many():
            for _ in range(1000):
                os.close(await opens())
                with pytest.raises(FileNotFoundError):
                    await files.stat(ALICE, "nothing", dir_fd=place)

        ticks = 0
        task = asyncio.ensure_future(opens_many())
        while not task.done():
            ticks += 1
            await asyncio.sleep(0)
        await task
        assert ticks > 5
        for number in range(600):
            await cancelled_after("asyncio", opens, 1 + number // 300)

    serve(backend, "asyncio", body)


@each_backend
def test_request_of_a_task_that_cannot_wait_is_stopped(backend, place):
    """In debug mode, asyncio reads the stack for each future, and an audit hook forbids it. Other requests go on."""
    armed = []

    def veto(event, _):
        if armed and event == "sys._getframe":
            raise PermissionError("no frames")

    async def body(files):
        sys.addaudithook(veto)
        asyncio.get_running_loop().set_debug(True)
        task = await waiting(files, place)
        found = None
        while found is None:  # a worker may be so fast that the task does not wait
            armed.append(True)
            found = await outcome(files.mkdir(BOB, "bob's", dir_fd=place))
            armed.clear()
            with contextlib.suppress(FileNotFoundError):
                os.rmdir("bob's", dir_fd=place)
        assert str(found) == "no frames"
        os.close(await task)
        for _ in range(3):
            os.close(await files.open(ALICE, "public", os.O_RDONLY | os.O_CREAT, dir_fd=place))

    serve(backend, "asyncio", body)


@each_backend
@each_loop
def test_close_ends_all_requests(loop, backend, place):
    async def body(files):
        calls = [files.mkdir(ALICE, f"n{number}", dir_fd=place) for number in range(50)]
        calls += [files.open(ALICE, "public", os.O_RDONLY, dir_fd=place) for number in range(50)]
        results = await together(loop, [*calls, files.close()])
        for result in results:
            if isinstance(result, int):
                os.close(result)
            assert result is None or isinstance(result, (int, RuntimeError))
        assert any(isinstance(result, RuntimeError) and "closed" in str(result) for result in results)
        with pytest.raises(RuntimeError, match="this Files is closed"):
            await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place)
        await files.close()

    serve(backend, loop, body)


@each_backend
@each_loop
def test_event_loop_goes_on_while_close_waits(loop, backend, place):
    async def body(files):
        ticks = []

        async def closes():
            await files.close()
            ticks.append("closed")

        async def runs():
            while ticks[-1:] != ["closed"]:
                ticks.append("tick")
                await turns(loop, 1)

        await files.mkdir(ALICE, "new", dir_fd=place)  # a thread works
        await together(loop, [runs(), closes()])
        return len(ticks)

    assert (serve(backend, loop, body) or 9) > 1


@each_backend
@each_loop
def test_files_that_nobody_closes_leave_no_descriptor(loop, backend, place):
    needs_backend(backend)

    def body():
        before = descriptors()

        async def main():
            files = await Files(backend=backend).__aenter__()
            await files.mkdir(ALICE, "new", dir_fd=place)

        LOOPS[loop](main)
        gc.collect()
        wait_until(lambda: descriptors() == before)

    as_root(body)


# ---- Places where a Files does not work


@each_backend
@each_loop
def test_forked_child_raises(loop, backend, place):
    async def body(files):
        os.close(await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))

        def child():
            with pytest.raises(RuntimeError, match="forked child"):
                files.open(ALICE, "public", os.O_RDONLY, dir_fd=place).send(None)

        in_child(child)
        os.close(await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))

    serve(backend, loop, body)


@each_backend
def test_cancellation_in_a_forked_child_writes_to_no_file(backend, place):
    """The child ends a task that waits. A descriptor of the ring has become that of another file there."""

    async def body(files):
        task = await waiting(files, place)
        numbers = [int(number) for number, path in descriptors().items() if path.endswith("[eventfd]")]

        def child():
            other = os.open("home/own", os.O_RDWR, dir_fd=place)
            for number in numbers:
                try:
                    os.fstat(number)
                except OSError:
                    os.dup2(other, number)
            with pytest.raises(asyncio.CancelledError):
                task.get_coro().throw(asyncio.CancelledError())
            assert os.pread(other, 100, 0) == b"text"

        in_child(child)
        os.close(await task)

    serve(backend, "asyncio", body)


@each_backend
@each_loop
@pytest.mark.parametrize("other", LOOPS)
def test_other_loop_raises(loop, other, backend, place):
    async def body(files):
        found = []

        async def main():
            found.append(await outcome(files.open(ALICE, "public", os.O_RDONLY, dir_fd=place)))
            found.append(await outcome(files.close()))

        thread = threading.Thread(target=LOOPS[other], args=(main,))
        thread.start()
        thread.join(HANG)
        assert [type(error) for error in found] == [RuntimeError] * 2
        assert all("the event loop that entered it" in str(error) for error in found)
        os.close(await files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))

    serve(backend, loop, body)


@each_backend
def test_switched_loop_thread_raises(backend, place):
    async def body(files):
        def call():
            files.open(ALICE, "public", os.O_RDONLY, dir_fd=place).send(None)

        with pytest.raises(IdentityRefused, match="the event loop's own thread holds an identity"):
            replace.acting_as(BOB, call)()

    serve(backend, "asyncio", body)


@each_loop
def test_files_needs_one_entry(loop):
    def body():
        async def main():
            files = Files(backend="threads")
            with pytest.raises(RuntimeError, match="is not entered"):
                await files.open(ALICE, "x", 0)
            with pytest.raises(RuntimeError, match="is not entered"):
                await files.close()
            with pytest.raises(RuntimeError, match="is not entered"):
                files.backends  # noqa: B018
            async with files:
                with pytest.raises(RuntimeError, match="entered before"):
                    await files.__aenter__()
            with pytest.raises(RuntimeError, match="entered before"):
                await files.__aenter__()

        LOOPS[loop](main)

    as_root(body)


def test_files_needs_a_task():
    for loop in (None, "coroutine"):
        with pytest.raises(RuntimeError, match="works in a task of asyncio or trio, and none runs"):
            Files().__aenter__().send(loop and None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"backend": "fast"}, ValueError),
        ({"backend": None}, ValueError),
        ({"max_workers": 0}, ValueError),
        ({"max_workers": -1}, ValueError),
        ({"max_workers": True}, TypeError),
        ({"max_workers": "1"}, TypeError),
        ({"max_workers": None}, TypeError),
        ({"level": "real"}, TypeError),
    ],
)
def test_wrong_option_raises(options, error):
    with pytest.raises(error):
        Files(**options)


# ---- With the rest of the package


@each_backend
@pytest.mark.parametrize("options", [{}, {"allow_io_uring": True}], ids=["", "allow_io_uring"])
def test_privileges_cannot_be_dropped_while_files_are_open(backend, options, place):
    needs_backend(backend)

    def body():
        async def main():
            async with Files(backend=backend) as files:
                os.close(await files.open(BOB, "public", os.O_RDONLY, dir_fd=place))
                with pytest.raises(
                    IdentityRefused, match="Files is open" if backend == "io_uring" else "threads? hold"
                ):
                    replace.drop_privileges(ALICE, **options)
                os.close(await files.open(BOB, "public", os.O_RDONLY, dir_fd=place))
            assert os.getresuid() == (0, 0, 0)
            replace.drop_privileges(ALICE, **options)
            assert os.getresuid() == (ALICE.uid,) * 3

        asyncio.run(main())

    as_root(body)


@each_loop
def test_threads_of_the_ring_are_clean(loop, place):
    async def body(files):
        await files.mkdir(ALICE, "new", dir_fd=place)
        threads = [thread for thread in replace.thread_credentials() if thread.of_io_uring]
        assert threads
        replace.assert_clean()

    serve("io_uring", loop, body)


@each_loop
def test_threads_of_the_pool_are_not_clean_until_it_is_closed(loop, place):
    async def body(files):
        await files.mkdir(ALICE, "new", dir_fd=place)
        with pytest.raises(replace.ThreadsDiffer, match="80001"):
            replace.assert_clean()

    serve("threads", loop, body)


def test_server_without_privileges_can_become_nobody(place):
    def body():
        os.setresuid(BOB.uid, BOB.uid, BOB.uid)

        async def main():
            async with Files() as files:
                for _ in range(2):
                    error = await outcome(files.open(ALICE, "public", os.O_RDONLY, dir_fd=place))
                    assert (type(error), error.errno, error.state) == (IdentityError, errno.EPERM, "unchanged")

        asyncio.run(main())

    as_root(body)


@each_backend
def test_identity_that_the_user_namespace_does_not_map_raises(backend):
    """The first call needs another thread, which cannot become the user. Later calls of other users succeed."""
    needs_backend(backend)
    needs_user_namespace()

    async def main():
        async with Files(backend=backend) as files:
            for user in (Identity(70001, 1), Identity(1, 70001), Identity(1, 1, [70001])):
                error = await outcome(files.stat(user, "/", resolve=0))
                assert (type(error), error.errno) == (IdentityError, errno.EINVAL), repr(error)
            assert (await files.stat(Identity(1, 1), "/", resolve=0)).st_ino == os.stat("/").st_ino

    def container():
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        asyncio.run(main())
        os.write(1, b"it ran")

    def body():
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        ids = "0 100000 65536"
        odd_machine._in_new_user_namespace(container, lambda pid: odd_machine._write_maps(pid, ids, ids))
        return os.read(reader, 100)

    assert as_root(body) in (b"it ran", None)


@each_backend
def test_identity_that_hides_its_root_is_refused_and_leaves_no_descriptor(backend, place):
    class Liar(Identity):
        uid = property(lambda self: 0, lambda self, value: None)
        has_root = property(lambda self: False, lambda self, value: None)

    async def body(files):
        with pytest.raises((IdentityRefused, IdentityError)):
            await files.mkdir(Liar(ALICE.uid, ALICE.gid), "new", dir_fd=place)
        assert "new" not in os.listdir(place)

    serve(backend, "asyncio", body)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_filter_without_io_uring_leads_to_threads(number, place):
    def body():
        install_filter("io_uring_setup", number)

        async def main():
            async with Files() as files:
                assert files.backends == dict.fromkeys(
                    ["open", "stat", "mkdir", "unlink", "rename", "link", "symlink"], "threads"
                )
                os.close(await files.open(ALICE, "alice's", os.O_RDONLY, dir_fd=place))
                assert is_refused(await outcome(files.open(BOB, "alice's", os.O_RDONLY, dir_fd=place)))
            with pytest.raises(OSError, match=re.escape(os.strerror(number))):
                await Files(backend="io_uring").__aenter__()

        asyncio.run(main())
        replace.assert_clean()

    as_root(body)


def test_auto_prefers_the_ring():
    needs_backend("io_uring")

    def body():
        async def main():
            async with Files() as files:
                return files.backends["open"]

        return asyncio.run(main())

    assert as_root(body) in ("io_uring", None)


def test_argument_that_closes_the_ring_leaves_no_stale_pointer():
    needs_backend("io_uring")

    def body():
        class Closing(os.PathLike):
            def __fspath__(self):
                assert ring.close()
                return "/"

        ring = _native.Ring(1)
        with pytest.raises(ValueError, match="the ring is closed"):
            ring.run(_native.RING_OPEN, 1, 1, b"", 0, Closing(), _native.O_PATH, 0, 0, 0, None)

    as_root(body)


def test_import_of_the_package_loads_no_event_loop():
    script = "import sys, replace; print({'replace.aio', 'asyncio', 'trio'} & set(sys.modules))"
    out = run(sys.executable, "-c", script, cwd="/")
    assert out.stdout == "set()\n", out.stderr
