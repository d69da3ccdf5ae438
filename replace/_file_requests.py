# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""How a task of asyncio or trio waits for a request of replace.aio: the part between Files and its back end.

A back end is a _native.Ring or a FileThreads (_file_threads.py). Its run() makes a request. If the result is there
already, nobody waits. Otherwise the result comes later, and a descriptor becomes readable in the event loop.
"""

from __future__ import annotations

import errno
import os
import sys
from sys import audit

from ._errors import UNCHANGED, IdentityError, IdentityRefused, refused
from ._file_threads import AT_FDCWD
from ._identity import Identity, check_identity
from ._impersonate import DEFAULT_LEVEL
from ._native import LEVELS, RING_OPEN, RING_SYMLINK, Ring, is_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ._file_threads import FileThreads

    Backend: TypeAlias = Ring | FileThreads
    Path: TypeAlias = str | bytes

#: Under asyncio, a call waits for the next turn of the loop after so many calls that were done at once. They take about
#: a millisecond. To count them, and to wait for the turn, makes them 2 % slower.
_AT_ONCE = 256
#: Seconds between two questions whether a back end has ended.
_PAUSE = 0.002
_LEVEL = LEVELS[DEFAULT_LEVEL]


def _closed() -> RuntimeError:
    return RuntimeError("this Files is closed; make a new one")


def _elsewhere() -> RuntimeError:
    return RuntimeError(
        "a Files can be used only in tasks of the event loop that entered it, and not in a forked child; make a Files "
        "for each loop"
    )


class Requests:
    """The requests that wait for a result. A subclass knows the event loop.

    Each request has a waiter with the methods done(), set_result() and set_exception() of an asyncio.Future. Its result
    is an int only if that is a descriptor.
    """

    def __init__(
        self, backend: Backend, allow_root: bool, place: Callable[[], object], new_waiter: Callable[[], Any]
    ) -> None:
        self._backend, self._allow_root = backend, allow_root
        self._run_request, self._fd = backend.run, backend.fileno()
        self._is_ring = isinstance(backend, Ring)
        self._place, self._home, self._new_waiter = place, place(), new_waiter
        self._waiters: dict[int, tuple[Any, int, Path, Path | None]] = {}
        self._left = _AT_ONCE
        self._accepts, self._ended = True, False

    def run(
        self,
        kind: int,
        identity: Identity,
        path: Path,
        flags: int,
        mode: int,
        dir_fd: int | None,
        resolve: int,
        new_dir_fd: int | None = None,
        new_path: Path | None = None,
    ) -> Any:
        """Make a request. Return its result, or a tuple: the arguments of wait()."""
        if self._place() is not self._home:
            raise _elsewhere()
        if not self._accepts:
            raise _closed()
        if type(identity) is not Identity or identity.has_root:
            check_identity(identity, self._allow_root)
        if dir_fd is None:
            dir_fd = AT_FDCWD
        if new_dir_fd is None:
            new_dir_fd = dir_fd
        if self._is_ring:  # with threads, the worker that enters the identity raises the event
            audit("replace.enter", identity, _LEVEL)
        uid, gid, groups = identity.uid, identity.gid, identity._groups
        found: Any
        try:
            found = self._run_request(kind, uid, gid, groups, dir_fd, path, flags, mode, resolve, new_dir_fd, new_path)
        except OSError as error:
            self._check_place()  # a ring refuses another thread with EPERM
            raise _not_started(error, identity) from None
        if type(found) is tuple:  # isinstance() and finished() would cost 0.1 us
            self._left -= 1
            if not self._left:
                return self._give_later(found, kind, path, new_path)
            return found[0] if kind == RING_OPEN and found[0] >= 0 else finished(found, kind, path, new_path)
        try:
            waiter = self._new_waiter()
            self._waiters[found] = (waiter, kind, path, new_path)
        except BaseException:  # in debug mode, asyncio opens source files
            self._backend.cancel(found)
            raise
        return found, waiter

    def _give_later(self, result: tuple[int, Any], kind: int, path: Path, new_path: Path | None) -> Any:
        """As the end of run(), after many calls that were done at once."""
        return finished(result, kind, path, new_path)

    def _check_place(self) -> None:
        if self._place() is not self._home:
            raise _elsewhere()

    def _turn(self) -> None:
        """Give the results that have come to the tasks that wait for them."""
        if not self._accepts:
            return  # close() came first
        for number, result in self._backend.results():
            _give(result, *self._waiters.pop(number))

    def _stop(self) -> None:
        """Accept no more requests. All tasks that wait get an exception."""
        self._accepts = False
        waiters = [waiter for waiter, *_ in self._waiters.values()]
        self._waiters.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(_closed())

    def _end(self) -> bool:
        """Whether the back end has ended: nothing is under way, and its threads are gone."""
        self._ended = self._ended or self._backend.close()
        return self._ended


def _give(result: tuple[int, Any], waiter: Any, kind: int, path: Path, new_path: Path | None) -> None:
    """Give a result to the task that waits for it."""
    if waiter.done():  # the task was cancelled, but has not run since then
        if kind == RING_OPEN and result[0] >= 0:
            os.close(result[0])
        return
    try:
        value = finished(result, kind, path, new_path)
    except BaseException as error:
        waiter.set_exception(error.with_traceback(None))
    else:
        waiter.set_result(value)


def finished(result: tuple[int, Any], kind: int, path: Path, new_path: Path | None) -> Any:
    """What a call returns: a descriptor, an os.stat_result or None. Raises the exception of a call that failed."""
    value, more = result
    if value < 0:
        if more is not None:
            raise more
        one, other = (new_path, path) if kind == RING_SYMLINK else (path, new_path)
        raise OSError(-value, os.strerror(-value), one, None, other)
    if kind == RING_OPEN:
        return value
    return _status(*more) if type(more) is tuple else more


def _status(
    mode: int,
    ino: int,
    dev: int,
    nlink: int,
    uid: int,
    gid: int,
    size: int,
    atime: int,
    mtime: int,
    ctime: int,
    atime_nsec: int,
    mtime_nsec: int,
    ctime_nsec: int,
    blksize: int,
    blocks: int,
    rdev: int,
) -> os.stat_result:
    """The status that a ring has read. The numbers after the first ten have names, whose order PyPy does not keep."""
    named: dict[str, float] = {"st_blksize": blksize, "st_blocks": blocks, "st_rdev": rdev}
    for name, whole, rest in (
        ("st_atime", atime, atime_nsec),
        ("st_mtime", mtime, mtime_nsec),
        ("st_ctime", ctime, ctime_nsec),
    ):
        named[name] = whole + 1e-9 * rest
        named[name + "_ns"] = whole * 10**9 + rest
    return os.stat_result((mode, ino, dev, nlink, uid, gid, size, atime, mtime, ctime), named)


def switched_or_busy(identity: Identity | None = None) -> IdentityRefused:
    """The exception if a back end fails with EBUSY."""
    if is_itself():
        return refused(errno.EBUSY, identity)
    return IdentityRefused(
        "the event loop's own thread holds an identity or is tainted; make the call outside of the identity",
        identity,
        errno.EBUSY,
    )


def _not_started(error: OSError, identity: Identity) -> Exception:
    """The exception for a request that the back end refused."""
    number = error.errno or 0
    if number == errno.EOWNERDEAD:
        return _elsewhere()
    if number == errno.ESHUTDOWN:
        return _closed()
    if number == errno.EBUSY:
        return switched_or_busy(identity)
    if number in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return error
    return IdentityError(number, identity, "becoming the user", UNCHANGED)


class AsyncioRequests(Requests):
    """Requests of asyncio's tasks. A waiter is a future of the loop."""

    def __init__(self, backend: Backend, allow_root: bool) -> None:
        asyncio: Any = sys.modules["asyncio"]
        self._sleep, self._loop = asyncio.sleep, asyncio.get_running_loop()
        self._running_loop = asyncio._get_running_loop
        # A ring belongs to one thread, in which one loop can run. Before Python 3.12, _get_running_loop() makes a
        # system call.
        place = self._loop.is_running if isinstance(backend, Ring) else self._running_loop
        super().__init__(backend, allow_root, place, self._loop.create_future)
        self._loop.add_reader(self._fd, self._turn)

    def _check_place(self) -> None:
        if self._running_loop() is not self._loop:
            raise _elsewhere()

    def _give_later(self, result: tuple[int, Any], kind: int, path: Path, new_path: Path | None) -> tuple[int, Any]:
        """Give the result in the next turn of the loop, so that other tasks run. Return the arguments of wait()."""
        self._left = _AT_ONCE
        waiter = self._new_waiter()
        self._loop.call_soon(_give, result, waiter, kind, path, new_path)
        return -1, waiter  # no request has this number

    async def wait(self, number: int, waiter: Any) -> Any:
        """Wait for the result of a request. If the task is cancelled, the request is, too."""
        try:
            return await waiter
        except BaseException:
            request = self._waiters.get(number)
            if request is not None and request[0] is waiter:  # a later request may have the same number
                del self._waiters[number]
                self._backend.cancel(number)
            elif not waiter.cancelled() and waiter.exception() is None and type(waiter.result()) is int:
                os.close(waiter.result())  # the task was cancelled after the result came, and before it ran again
            del waiter  # its exception refers to this frame
            raise

    async def close(self) -> None:
        self._check_place()
        if self._accepts:
            self._loop.remove_reader(self._fd)
            self._stop()
        while not self._end():
            await self._sleep(_PAUSE)


class _TrioWaiter:
    """A task of trio that waits for a request."""

    __slots__ = ("error", "reschedule", "result", "task")

    def __init__(self, lowlevel: Any) -> None:
        self.task: Any = lowlevel.current_task()  # None: it waits no more
        self.reschedule = lowlevel.reschedule
        self.result: Any = None
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self.task is None

    def set_result(self, result: Any) -> None:
        self.result = result
        self.wake()

    def set_exception(self, error: BaseException) -> None:
        self.error = error
        self.wake()

    def wake(self) -> None:
        task, self.task = self.task, None
        self.reschedule(task)


class TrioRequests(Requests):
    """Requests of trio's tasks. A system task waits for results."""

    def __init__(self, backend: Backend, allow_root: bool) -> None:
        trio: Any = sys.modules["trio"]
        self._trio, self._lowlevel = trio, trio.lowlevel
        super().__init__(backend, allow_root, self._token, lambda: _TrioWaiter(trio.lowlevel))
        # An interrupt between the start of a request and the wait would lose its result.
        self.wait = trio.lowlevel.enable_ki_protection(self._wait)
        self._scope = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._wait_for_results)

    def _token(self) -> object:
        """The token of this run of trio, or None if trio does not run."""
        try:
            return self._lowlevel.current_trio_token()
        except RuntimeError:
            return None

    def run(self, *arguments: Any) -> Any:
        """As Requests.run(), but the request starts in wait()."""
        return arguments

    async def _wait(self, *arguments: Any) -> Any:
        """Make a request, and wait for its result. This is a checkpoint, unless it raises an exception."""
        self._check_place()
        lowlevel = self._lowlevel
        await lowlevel.checkpoint_if_cancelled()
        found = super().run(*arguments)
        if type(found) is not tuple:
            await lowlevel.cancel_shielded_checkpoint()
            return found
        number, waiter = found

        def abort(raise_cancel: object) -> Any:
            waiter.task = None
            if self._waiters.pop(number, None) is not None:
                self._backend.cancel(number)
            return lowlevel.Abort.SUCCEEDED

        await lowlevel.wait_task_rescheduled(abort)
        if waiter.error is not None:
            try:
                raise waiter.error
            finally:
                del waiter, found  # the exception refers to this frame
        return waiter.result

    async def _wait_for_results(self) -> None:
        with self._scope:
            while self._accepts:
                await self._lowlevel.wait_readable(self._fd)
                self._turn()

    async def close(self) -> None:
        self._check_place()
        if self._accepts:
            self._scope.cancel()
            self._stop()
        with self._trio.CancelScope(shield=True):
            while not self._end():
                await self._trio.sleep(_PAUSE)
