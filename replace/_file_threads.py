# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Works with files as many users in the threads of a pool: what _native.Ring does with io_uring.

A FileThreads has the methods of a Ring, and their arguments and results mean the same. So the code for the event loops
(_file_requests.py) exists once, and a program gets the same results and errors from both.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import deque
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import lru_cache, partial
from itertools import count, islice
from typing import TYPE_CHECKING

from ._executor import IdentityExecutor
from ._identity import Identity
from ._ids import whole_number
from ._native import (
    O_PATH,
    RING_LINK,
    RING_MKDIR,
    RING_OPEN,
    RING_RENAME,
    RING_STAT,
    RING_SYMLINK,
    RING_UNLINK,
    is_itself,
)
from ._open_beneath import open_beneath

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any

#: The numbers of a C int and of an unsigned 64-bit integer.
_INT, _UINT64 = range(-(2**31), 2**31), range(2**64)
AT_FDCWD = -100  # on every architecture of Linux
_DUPFD_QUERY = 1024 + 3  # F_DUPFD_QUERY of linux/fcntl.h
_NEWEST = 4  # copies of folders that are looked through


class FileThreads:
    """A pool whose tasks are calls with files, and a pipe that is readable if there are results.

    PyPy has no os.eventfd().
    """

    _reader = _writer = -1

    def __init__(self, workers: int, allow_root: bool) -> None:
        self._executor = IdentityExecutor(
            workers, "replace.aio", allow_root=allow_root, max_per_identity=max(1, workers // 4)
        )
        try:
            self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except BaseException:
            self._executor.shutdown()
            raise
        self._numbers = count()
        self._tasks: dict[int, Future[None]] = {}
        self._done: deque[tuple[int, _Call, Future[None]]] = deque()
        self._copies: dict[int, int] = {}  # descriptor of a folder -> how often calls use it; the newest one last

    def __del__(self) -> None:
        """Close the descriptors if nobody called close(). All tasks have ended, because they refer to this object."""
        if self._reader >= 0:
            for fd in (self._reader, self._writer, *self._copies):
                os.close(fd)

    def fileno(self) -> int:
        return self._reader

    def run(
        self,
        kind: int,
        uid: int,
        gid: int,
        groups: bytes,
        dir_fd: int,
        path: str | bytes,
        flags: int,
        mode: int,
        resolve: int,
        new_dir_fd: int,
        new_path: str | bytes | None,
        /,
    ) -> int | tuple[int, Any]:
        """As Ring.run(). The result comes later, unless there is no descriptor for a copy of a folder."""
        pool = self._executor._pool
        if pool.pid != os.getpid():
            raise OSError(errno.EOWNERDEAD, os.strerror(errno.EOWNERDEAD))
        if not is_itself():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for number, limits in ((dir_fd, _INT), (flags, _INT), (mode, _INT), (new_dir_fd, _INT), (resolve, _UINT64)):
            if whole_number(number, "an argument") not in limits:
                raise OverflowError(f"{number} is out of range")
        names = [None if one is None else os.fsencode(one) for one in (path, new_path)]
        if any(b"\0" in name for name in names if name is not None):
            raise ValueError("embedded null byte")
        call = _Call(_KINDS[kind])
        given = (dir_fd, new_dir_fd) if kind in _WITH_TWO_FOLDERS else (dir_fd,)
        try:
            folders = [self._hold(call, fd) for fd in given]
        except OSError as error:
            self._release(call)
            return -(error.errno or errno.EMFILE), None
        call.arguments = (folders[0], names[0], flags, mode, resolve, folders[-1], names[1])
        number = next(self._numbers)
        try:
            task = self._tasks[number] = self._executor.submit(_identity(uid, gid, groups), call.run)
        except BaseException:
            self._release(call)
            raise
        task.add_done_callback(partial(self._note, number, call))
        return number

    def _note(self, number: int, call: _Call, task: Future[None]) -> None:
        """Note the end of a task. This runs in its worker, as the user; or in the loop's thread."""
        self._done.append((number, call, task))
        with suppress(BlockingIOError):  # a full pipe is readable
            os.write(self._writer, b"x")

    def _hold(self, call: _Call, fd: int) -> int:
        """Copy the descriptor of a folder. Until a worker is free, the caller may close it and use its number again.

        Calls with the same folder share a copy. A wrong descriptor is left to the kernel, which may not need it.
        """
        if fd < 0:  # AT_FDCWD, or a wrong one
            return fd
        newest = islice(reversed(self._copies), _NEWEST)
        copy = next((one for one in newest if _is_same_file(fd, one)), -1)
        if copy < 0:
            try:
                copy = os.dup(fd)
            except OSError as error:
                if error.errno == errno.EBADF:
                    return fd
                raise
            self._copies[copy] = 0
        self._copies[copy] += 1
        call.held.append(copy)
        return copy

    def _release(self, call: _Call) -> None:
        """Close the copies that no other call needs."""
        while call.held:
            copy = call.held.pop()
            self._copies[copy] -= 1
            if not self._copies[copy]:
                del self._copies[copy]
                os.close(copy)

    def results(self) -> list[tuple[int, tuple[int, Any]]]:
        """As Ring.results(). If a worker could not be the user, the exception stands in place of the status."""
        with suppress(BlockingIOError):
            os.read(self._reader, 2**16)
        found: list[tuple[int, tuple[int, Any]]] = []
        while self._done:
            number, call, task = self._done.popleft()
            self._release(call)
            if self._tasks.pop(number, None) is None:  # cancelled
                call.undo()
                continue
            error = CancelledError() if task.cancelled() else task.exception()  # cancelled as the interpreter ends
            if error is not None:  # also if the ids of the worker were wrong after the call
                call.undo()
                found.append((number, (-errno.EIO, error)))
            else:
                found.append((number, (call.value, call.status)))
        return found

    def cancel(self, number: int, /) -> None:
        task = self._tasks.pop(number, None)
        if task is not None:
            task.cancel()

    def close(self) -> bool:
        if self._reader < 0:
            return True
        self._tasks.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)
        ended = not self._executor._pool.supervisor.is_alive()  # it is the last thread of the pool
        self.results()
        if ended:
            reader, writer = self._reader, self._writer
            self._reader = self._writer = -1
            os.close(reader)
            os.close(writer)
        return ended


def _is_same_file(fd: int, other: int) -> bool:
    """Whether both descriptors are of one open(2). Before Linux 6.10, nobody knows, and each call has its own copy."""
    try:
        return fcntl.fcntl(fd, _DUPFD_QUERY, other) == 1
    except OSError:
        return False


@lru_cache(1024)
def _identity(uid: int, gid: int, groups: bytes) -> Identity:
    return Identity(uid, gid, memoryview(groups).cast("I"))


class _Call:
    """One call with files: its arguments until it runs, and then its result."""

    __slots__ = ("arguments", "function", "held", "status", "value")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.arguments: tuple[Any, ...] = ()
        self.held: list[int] = []
        self.value, self.status = -errno.ECANCELED, None  # until it has run

    def run(self) -> None:
        """Make the call, as the user. Only open_beneath() returns an int."""
        try:
            result = self.function(*self.arguments)
        except OSError as error:
            self.value = -(error.errno or errno.EIO)
            return
        if isinstance(result, int):
            self.value = result
        else:
            self.value, self.status = 0, result

    def undo(self) -> None:
        """Close the file of a call whose result nobody gets."""
        if self.function is _open and self.value >= 0:
            os.close(self.value)


class _Folder:
    """Splits a path: the folder that contains its last name, opened as the user, and this name.

    Only the path of the folder needs the rules of `resolve`: the calls for a name do not follow a link of that name.
    """

    def __init__(self, dir_fd: int, path: bytes, resolve: int) -> None:
        end = len(path.rstrip(b"/"))
        slash = path.rfind(b"/", 0, end)
        self.fd, self.name, self._opened = dir_fd, path, False
        if path and not end:  # only slashes
            folder, self.name = path, b"."
        elif slash < 0:
            return
        else:
            folder, self.name = path[: slash + 1], path[slash + 1 :]
        self.fd = open_beneath(dir_fd, folder, O_PATH | os.O_DIRECTORY, resolve=resolve)
        self._opened = True

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._opened:
            os.close(self.fd)


# The calls, with the arguments of Ring.run() from dir_fd on. A worker makes them as the user.


def _open(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, *_: object) -> int:
    return open_beneath(dir_fd, path, flags, mode, resolve=resolve)


def _stat(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, *_: object) -> os.stat_result:
    no_follow = os.O_NOFOLLOW if flags else 0
    fd = open_beneath(dir_fd, path, O_PATH | no_follow, resolve=resolve, regular=False)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _mkdir(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, *_: object) -> None:
    with _Folder(dir_fd, path, resolve) as new:
        os.mkdir(new.name, mode, dir_fd=new.fd)


def _unlink(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, *_: object) -> None:
    with _Folder(dir_fd, path, resolve) as old:
        os.unlink(old.name, dir_fd=old.fd)


def _rename(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, new_dir_fd: int, new_path: bytes) -> None:
    with _Folder(dir_fd, path, resolve) as old, _Folder(new_dir_fd, new_path, resolve) as new:
        os.rename(old.name, new.name, src_dir_fd=old.fd, dst_dir_fd=new.fd)


def _link(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, new_dir_fd: int, new_path: bytes) -> None:
    with _Folder(dir_fd, path, resolve) as old, _Folder(new_dir_fd, new_path, resolve) as new:
        os.link(old.name, new.name, src_dir_fd=old.fd, dst_dir_fd=new.fd, follow_symlinks=False)


def _symlink(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int, new_dir_fd: int, text: bytes) -> None:
    with _Folder(dir_fd, path, resolve) as new:
        os.symlink(text, new.name, dir_fd=new.fd)


_WITH_TWO_FOLDERS = (RING_RENAME, RING_LINK)
_KINDS: dict[int, Callable[..., Any]] = {
    RING_OPEN: _open,
    RING_STAT: _stat,
    RING_MKDIR: _mkdir,
    RING_UNLINK: _unlink,
    RING_RENAME: _rename,
    RING_LINK: _link,
    RING_SYMLINK: _symlink,
}
