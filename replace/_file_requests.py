# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""How a task of asyncio or trio waits for a request of replace.aio: the part between Files and its back end.

A back end is a _native.Ring or a FileThreads (_file_threads.py). All requests that tasks start in one turn of the event
loop go to the kernel together, in the next turn.
"""

from __future__ import annotations

import errno
import os
import sys

from ._errors import UNCHANGED, IdentityError, IdentityRefused, refused
from ._identity import Identity, check_identity
from ._ids import whole_number
from ._native import RING_OPEN, RING_SYMLINK, is_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, TypeAlias

    from ._file_threads import FileThreads
    from ._native import Ring

    Path: TypeAlias = str | bytes
    #: The kind, the identity and the path of a request; flags, mode, dir_fd and resolve; the second folder and path.
    Arguments: TypeAlias = tuple[int, Identity, Path, int, int, int | None, int, int | None, Path | None]

#: Seconds between two questions whether a back end has ended.
_PAUSE = 0.002
#: Seconds until the kernel is asked again if it had no memory.
_NO_MEMORY_PAUSE = 0.01
_AT_FDCWD = -100  # on every architecture of Linux
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def closed() -> RuntimeError:
    """The exception for a request that nobody makes any more."""
    return RuntimeError("this Files is closed; make a new one")


def _elsewhere() -> RuntimeError:
    return RuntimeError(
        "a Files can be used only in tasks of the event loop that entered it, and not in a forked child; make a Files "
        "for each loop"
    )


class Requests:
    """The requests that wait for a result. A subclass knows the event loop.

    Each request has a waiter with the methods done(), set_result() and set_exception() of an asyncio.Future. The
    result is an int only if it is a descriptor.
    """

    def __init__(self, backend: Ring | FileThreads, allow_root: bool) -> None:
        self._backend, self._allow_root = backend, allow_root
        self._start_request = backend.start
        self._waiters: dict[int, tuple[Any, int, Path, Path | None]] = {}
        self._accepts, self._ended = True, False

    def _begin(
        self,
        kind: int,
        identity: Identity,
        path: Path,
        flags: int,
        mode: int,
        dir_fd: int | None,
        resolve: int,
        new_dir_fd: int | None,
        new_path: Path | None,
    ) -> int:
        """Give a request to the back end. Return its number."""
        if not self._accepts:
            raise closed()
        if type(identity) is not Identity or identity.has_root:
            check_identity(identity, self._allow_root)
        if dir_fd is None:
            dir_fd = _AT_FDCWD
        if not (type(flags) is type(mode) is type(dir_fd) is type(resolve) is int):
            flags, mode = whole_number(flags, "flags"), whole_number(mode, "mode")
            dir_fd, resolve = whole_number(dir_fd, "dir_fd"), whole_number(resolve, "resolve")
        name = path.encode(_ENCODING, _ERRORS) if type(path) is str else os.fsencode(path)
        new_name = None if new_path is None else os.fsencode(new_path)
        new_dir_fd = dir_fd if new_dir_fd is None else whole_number(new_dir_fd, "dst_dir_fd")
        try:
            return self._start_request(
                kind,
                identity.uid,
                identity.gid,
                identity._groups,
                dir_fd,
                name,
                flags,
                mode,
                resolve,
                new_dir_fd,
                new_name,
            )
        except OSError as error:
            raise _not_started(error, identity) from None

    def _turn(self) -> bool:
        """Give the new requests to the kernel, and their results to the waiters. False if the kernel has no memory."""
        if not self._accepts:
            return True  # close() came first
        backend, waiters = self._backend, self._waiters
        flushed = True
        try:
            backend.flush()
        except OSError:
            flushed = False
        for number, value, more in backend.results():
            waiter, kind, path, new_path = waiters.pop(number)
            if value < 0:
                if not waiter.done():
                    names = (new_path, path) if kind == RING_SYMLINK else (path, new_path)
                    waiter.set_exception(more or OSError(-value, os.strerror(-value), names[0], None, names[1]))
            elif kind == RING_OPEN:
                if not waiter.done():
                    waiter.set_result(value)
                else:  # the task was cancelled, but did not run since then
                    os.close(value)
            elif not waiter.done():
                waiter.set_result(os.stat_result(more) if type(more) is tuple else more)
        return flushed

    def _stop(self) -> None:
        """Accept no more requests. All tasks that wait get an exception."""
        self._accepts = False
        waiters = [waiter for waiter, *_ in self._waiters.values()]
        self._waiters.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(closed())

    def _end(self) -> bool:
        """Whether the back end has ended: nothing is under way, and its threads are gone."""
        self._ended = self._ended or self._backend.close()
        return self._ended


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
    number = error.errno
    if number == errno.EOWNERDEAD:
        return _elsewhere()
    if number == errno.ESHUTDOWN:
        return closed()
    if number == errno.EBUSY:
        return switched_or_busy(identity)
    if number in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return error
    return IdentityError(number or 0, identity, "becoming the user", UNCHANGED)


class AsyncioRequests(Requests):
    """Requests of asyncio's tasks. A waiter is a future of the loop."""

    def __init__(self, backend: Ring | FileThreads, allow_root: bool) -> None:
        super().__init__(backend, allow_root)
        asyncio: Any = sys.modules["asyncio"]
        self._running_loop, self._sleep = asyncio._get_running_loop, asyncio.sleep
        self._loop = asyncio.get_running_loop()
        self._new_waiter, self._call_soon = self._loop.create_future, self._loop.call_soon
        self._is_scheduled = False
        self._fd = backend.fileno()
        self._loop.add_reader(self._fd, self._run_turn)

    def start(
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
    ) -> tuple[int, Awaitable[Any]]:
        """Start a request. Return its number, and what to await. If that raises an exception, call forget()."""
        if self._running_loop() is not self._loop:
            raise _elsewhere()
        number = self._begin(kind, identity, path, flags, mode, dir_fd, resolve, new_dir_fd, new_path)
        waiter = self._new_waiter()
        self._waiters[number] = (waiter, kind, path, new_path)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._run_turn)
        return number, waiter

    def _run_turn(self) -> None:
        self._is_scheduled = False
        if not self._turn():
            self._loop.call_later(_NO_MEMORY_PAUSE, self._run_turn)

    def forget(self, number: int, waiter: Any) -> None:
        """Cancel a request, or close the file that it has opened, if its task was cancelled."""
        request = self._waiters.get(number)
        if request is not None and request[0] is waiter:  # a later request may have the same number
            del self._waiters[number]
            self._backend.cancel(number)
            if not self._is_scheduled:
                self._is_scheduled = True
                self._call_soon(self._run_turn)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None and type(waiter.result()) is int:
            os.close(waiter.result())  # the task was cancelled after the result came, and before it ran again

    async def close(self) -> None:
        if self._running_loop() is not self._loop:
            raise _elsewhere()
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
    """Requests of trio's tasks, with two system tasks: one waits for results, the other one for new requests."""

    def __init__(self, backend: Ring | FileThreads, allow_root: bool) -> None:
        super().__init__(backend, allow_root)
        trio = self._trio = sys.modules["trio"]
        self._token = trio.lowlevel.current_trio_token()
        self._scopes = (trio.CancelScope(), trio.CancelScope())
        self._idle: Any = None  # the second task, while it has nothing to do
        # An interrupt between the start of a request and the wait would lose its result.
        self._protected = trio.lowlevel.enable_ki_protection(self._make)
        for task in (self._wait_for_results, self._wait_for_requests):
            trio.lowlevel.spawn_system_task(task)

    def start(
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
    ) -> tuple[int, Awaitable[Any]]:
        """As AsyncioRequests.start(). The request starts when it is awaited."""
        return 0, self._protected(kind, identity, path, flags, mode, dir_fd, resolve, new_dir_fd, new_path)

    async def _make(
        self,
        kind: int,
        identity: Identity,
        path: Path,
        flags: int,
        mode: int,
        dir_fd: int | None,
        resolve: int,
        new_dir_fd: int | None,
        new_path: Path | None,
    ) -> Any:
        """Make a request, and wait for its result."""
        self._check_place()
        lowlevel = self._trio.lowlevel
        await lowlevel.checkpoint_if_cancelled()
        number = self._begin(kind, identity, path, flags, mode, dir_fd, resolve, new_dir_fd, new_path)
        waiter = _TrioWaiter(lowlevel)
        self._waiters[number] = (waiter, kind, path, new_path)
        self._wake()

        def abort(raise_cancel: object) -> Any:
            waiter.task = None
            if self._waiters.pop(number, None) is not None:
                self._backend.cancel(number)
                self._wake()
            return lowlevel.Abort.SUCCEEDED

        await lowlevel.wait_task_rescheduled(abort)
        error, waiter.error = waiter.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        return waiter.result

    def forget(self, number: int, waiter: Any) -> None:
        """Do nothing: the abort function has done it."""

    def _check_place(self) -> None:
        """Raise RuntimeError if the calling task belongs to another run of trio."""
        try:
            token = self._trio.lowlevel.current_trio_token()
        except RuntimeError:
            token = None
        if token is not self._token:
            raise _elsewhere()

    async def _wait_for_results(self) -> None:
        with self._scopes[0]:
            while self._accepts:
                await self._trio.lowlevel.wait_readable(self._backend.fileno())
                if not self._turn():
                    self._wake()

    async def _wait_for_requests(self) -> None:
        lowlevel = self._trio.lowlevel

        def abort(raise_cancel: object) -> Any:
            self._idle = None
            return lowlevel.Abort.SUCCEEDED

        with self._scopes[1]:
            while self._accepts:
                while not self._turn():
                    await self._trio.sleep(_NO_MEMORY_PAUSE)
                self._idle = lowlevel.current_task()
                await lowlevel.wait_task_rescheduled(abort)

    def _wake(self) -> None:
        """Let a system task run a turn, in the next turn of the loop."""
        task, self._idle = self._idle, None
        if task is not None:
            self._trio.lowlevel.reschedule(task)

    async def close(self) -> None:
        self._check_place()
        if self._accepts:
            for scope in self._scopes:
                scope.cancel()
            self._stop()
        with self._trio.CancelScope(shield=True):
            while not self._end():
                await self._trio.sleep(_PAUSE)
