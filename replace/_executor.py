# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""IdentityExecutor: a thread pool whose tasks each run as somebody.

This is what a program sees of it; the workers and their tasks are in _pool.py.
"""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import Executor, Future
from concurrent.futures.thread import BrokenThreadPool
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._acting_as import refuse_lazy_function
from ._errors import IdentityRefused
from ._identity import Identity, check_identity
from ._impersonate import DEFAULT_LEVEL, check_options
from ._native import is_itself
from ._pool import Home, Pool, Task, TaskFuture, exiting, supervisors
from ._threads import like_main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._impersonate import Level


class IdentityExecutor(Executor):
    """A concurrent.futures.Executor whose submit() and map() take an identity first.

    max_workers, thread_name_prefix, initializer, initargs: as of ThreadPoolExecutor; the
    initializer runs as the process, before the first identity.  level, allow_root: as of
    impersonate().  private_fs: each worker has a working directory and umask of its own
    (Linux), and each task starts with those that the pool was made with.

    A worker keeps its identity while tasks of the same user follow, and a task goes to a
    worker that already has its identity if one is idle.  Tasks of one identity start in
    the order of submit(); between identities turns are taken, so nobody's thousand tasks
    keep others waiting.  The kernel is asked what the thread is after each task and its done
    callbacks, and before one that finds the worker idle: where it is not what it should be,
    the task's result is IdentityChanged or CapabilitiesRemain, and the worker is replaced.
    Done callbacks run in the worker: as the user where the outcome is the function's own,
    else as the server.

    While workers hold identities, also idle ones, drop_privileges() is refused and
    assert_clean() lists them: shut the executor down before.
    Raises ValueError, TypeError; IdentityRefused where a call changes the whole process,
    in a thread that holds an identity, and in one that differs from the main thread (it
    was started by one that held an identity; or the main thread holds one now); OSError
    where private_fs is not to be had.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        level: Level = DEFAULT_LEVEL,
        allow_root: bool = False,
        private_fs: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        check_options(level, allow_root)
        if not is_itself():
            raise IdentityRefused("this thread holds an identity, and the workers would inherit it")
        if not like_main():
            raise IdentityRefused("this thread is not what the main thread is, and the workers would inherit that")
        options = {"level": level, "allow_root": allow_root}
        prefix = thread_name_prefix or f"IdentityExecutor-{next(self._numbers)}"
        home = Home.here() if private_fs else None
        pool = self._pool = Pool(max_workers, prefix, initializer, initargs, options, home)
        ready: SimpleQueue[OSError | None] = SimpleQueue()
        supervisor = threading.Thread(target=pool.supervise, args=(ready,), name=f"{prefix}_supervisor")
        supervisor.start()
        problem = ready.get()
        if problem is not None:
            if home is not None:
                os.close(home.directory)
            supervisor.join()
            raise problem
        supervisors[pool] = supervisor
        self._supervisor = supervisor
        self._close = weakref.finalize(self, pool.close)
        self._close.atexit = False

    _numbers = count()

    def submit(  # type: ignore[override]
        self, identity: Identity, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """A Future of function(*args, **kwargs), run as identity.

        Its exception() is the function's, or why the identity could not be taken on or
        was not kept.  Raises TypeError (no Identity; a generator or coroutine function,
        whose body would run later, as the server), IdentityRefused (uid 0, gid 0 or
        group 0), BrokenThreadPool (a worker could not start), RuntimeError (shut down, or
        in a forked child, which has no workers).
        """
        pool = self._pool
        check_identity(identity, pool.options["allow_root"])
        refuse_lazy_function(function)
        future = TaskFuture()
        if pool.pid != os.getpid():  # asked before the lock: another thread's, which is not here, may have held it
            raise RuntimeError("the workers belong to the process that this one was forked from")
        with pool.lock:
            if pool.broken is not None:
                raise BrokenThreadPool(f"a worker could not start: {pool.broken!r}") from pool.broken
            if pool.closed:
                when = "interpreter shutdown" if exiting.is_set() else "shutdown"
                raise RuntimeError(f"cannot schedule new futures after {when}")
            pool.give(Task(future, identity, function, args, kwargs))
        return future

    def map(  # type: ignore[override]
        self, identity: Identity, function: Callable[..., Any], /, *iterables: Iterable[Any], **options: Any
    ) -> Iterator[Any]:
        """As Executor.map(function, *iterables, timeout=None, chunksize=1), each call as identity."""
        return self.bound(identity).map(function, *iterables, **options)

    def bound(self, identity: Identity) -> Executor:
        """An ordinary Executor on these workers whose tasks all run as identity.

        For what takes an executor, as loop.run_in_executor() does.  Shutting it down does
        nothing.
        """
        check_identity(identity, self._pool.options["allow_root"])
        return _Bound(self, identity)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more tasks; those that wait are still done, or cancelled.  wait: return when the threads have ended."""
        pool = self._pool
        if pool.pid != os.getpid():
            return
        with pool.lock:
            if wait and threading.current_thread() in [worker.thread for worker in pool.workers]:
                raise RuntimeError("a worker cannot wait for its own end")
            pool.close()
        if cancel_futures:
            pool.cancel()
        if wait:
            self._supervisor.join()


class _Bound(Executor):
    """What IdentityExecutor.bound() returns."""

    def __init__(self, executor: IdentityExecutor, identity: Identity) -> None:
        self._executor, self._identity = executor, identity

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._executor.submit(self._identity, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: the workers are the executor's."""
