# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""IdentityExecutor: a thread pool whose tasks each run as somebody.

The executor gives tasks to workers and keeps no identity itself; what one worker does
is in _worker.py.  A supervisor thread, which never takes an identity on, starts the
workers, so they start clean whoever submits.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections import deque
from concurrent.futures import Executor, Future
from concurrent.futures.thread import BrokenThreadPool
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._calls import SCOPE
from ._errors import REFUSALS, IdentityRefused
from ._identity import Identity
from ._impersonate import impersonate
from ._native import depth, private_fs, tainted
from ._run import refuse_lazy_function
from ._worker import Task, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._impersonate import Level

#: Tasks of its own identity that a worker prefers in a row while others wait.
TURNS = 32


class _Pool:
    """What the threads share: no thread holds the executor itself, so that it can be collected."""

    def __init__(self, size: int, prefix: str, options: dict[str, Any]) -> None:
        self.size, self.prefix, self.options = size, prefix, options
        self.initializer: tuple[Callable[..., object] | None, tuple[Any, ...]] = (None, ())
        self.pid = os.getpid()
        self.home: tuple[int, bytes, int] | None = None  # private_fs: the directory, its path, the umask
        self.lock = threading.RLock()  # re-entrant: a collector that runs inside may finalize another task's executor
        self.workers: set[Worker] = set()
        self.waiting: dict[Identity, deque[Task]] = {}  # whoever has waited longest comes first
        self.idle: dict[Identity | None, list[Worker]] = {}
        self.closed = False
        self.broken: BaseException | None = None
        self.orders: SimpleQueue[Worker | None] = SimpleQueue()
        self.names = count()

    def give(self, task: Task) -> None:
        """To an idle worker, the one that has the identity first; else it waits.  With the lock held."""
        identity = task[1]
        if self.idle:
            worker = self.idle_worker(identity)
            if worker is not None:
                worker.inbox.append(task)
                worker.wake.put(None)
                return
        if len(self.workers) < self.size:
            self.order(task)
        elif (queue := self.waiting.get(identity)) is not None:
            queue.append(task)
        else:
            self.waiting[identity] = deque((task,))

    def idle_worker(self, identity: Identity) -> Worker | None:
        """One that has the identity; else that has none; else, if there can be no more, any.  With the lock held."""
        idle = self.idle
        key: Identity | None = identity
        if key not in idle:
            key = None
            if key not in idle:
                if len(self.workers) < self.size:
                    return None
                key = next(iter(idle))
        stack = idle[key]
        worker = stack.pop()
        if not stack:
            del idle[key]
        return worker

    def take(self, worker: Worker) -> bool:
        """A task for the worker: of its own identity for TURNS in a row, then of who has waited longest; False: end."""
        with self.lock:
            waiting, identity = self.waiting, worker.identity
            if waiting:
                queue = waiting.get(identity)  # type: ignore[arg-type]
                if queue is None or (worker.turns >= TURNS and len(waiting) > 1):
                    if queue is not None:
                        waiting[identity] = waiting.pop(identity)  # type: ignore[index, arg-type]
                    identity = next(iter(waiting))
                    queue = waiting[identity] = waiting.pop(identity)  # its others wait behind everybody's
                    worker.turns = 0
                worker.turns += 1
                # One C function takes and puts: no exception that arrives between two bytecodes loses the task.
                worker.inbox.extend(map(deque.popleft, (queue,)))
                if not queue:
                    del waiting[identity]  # type: ignore[arg-type]
                return True
            if self.closed:
                return False
            self.idle.setdefault(identity, []).append(worker)
        return worker.wait()  # give() may have put a task there already, so it is not asked again who is closed

    def order(self, task: Task) -> None:
        """Another worker, and its first task.  With the lock held."""
        worker = Worker(self, task)
        self.workers.add(worker)
        self.orders.put(worker)

    def gone(self, worker: Worker) -> None:
        """A worker has ended: another gets its task.  May be repeated."""
        with self.lock:
            if worker not in self.workers:
                return
            self.idle = {
                key: rest for key, stack in self.idle.items() if (rest := [w for w in stack if w is not worker])
            }
            self.withdraw_from(worker)
            self.workers.discard(worker)
            if self.waiting:
                identity, queue = next(iter(self.waiting.items()))
                self.order(queue.popleft())
                if not queue:
                    del self.waiting[identity]
        self.orders.put(worker)

    def withdraw_from(self, worker: Worker) -> None:
        """What the worker has not done waits first in line for another.  With the lock held."""
        for task in worker.inbox:
            if not task[0].done():
                self.waiting = {task[1]: self.waiting.pop(task[1], deque()), **self.waiting}
                self.waiting[task[1]].appendleft(task)
        worker.inbox.clear()

    def spoil(self, problem: BaseException, worker: Worker) -> None:
        """No worker can be had: this one's task, every one that waits and every one to come is told why."""
        with self.lock:
            self.broken = problem
            self.withdraw_from(worker)
            tasks = self.withdraw()
        for task in tasks:
            error = BrokenThreadPool(f"a worker could not start: {problem!r}")
            error.__cause__ = problem
            if task[0].set_running_or_notify_cancel():
                task[0].set_exception(error)

    def withdraw(self) -> list[Task]:
        with self.lock:
            tasks = [task for queue in self.waiting.values() for task in queue]
            self.waiting.clear()
            return tasks

    def close(self) -> None:
        """Workers end when nothing waits any more.  No lock: the collector calls this, too."""
        self.closed = True
        for worker in list(self.workers):
            worker.wake.put(None)
        self.orders.put(None)

    def supervise(self, ready: SimpleQueue[OSError | None]) -> None:
        """The supervisor's life: start what is ordered, join what has ended, until all is done."""
        try:
            if self.home is not None:
                private_fs()  # a probe, and harmless: this thread opens no files
            ready.put(None)
        except OSError as problem:
            ready.put(problem)
            return
        while True:
            worker = self.orders.get()
            if worker is not None:
                self.start_or_join(worker)
            worker = None
            if self.closed:
                with self.lock:
                    if not self.workers and not self.waiting:
                        break
        if self.home is not None:
            os.close(self.home[0])

    def start_or_join(self, worker: Worker) -> None:
        if worker.thread is not None:
            worker.thread.join()
            return
        worker.thread = threading.Thread(target=worker.work, name=f"{self.prefix}_{next(self.names)}")
        try:
            worker.thread.start()
        except RuntimeError as problem:  # no more threads
            worker.thread = None
            with self.lock:
                self.workers.discard(worker)
                if self.workers:
                    self.withdraw_from(worker)
                    return
            self.spoil(problem, worker)


_pools: weakref.WeakKeyDictionary[_Pool, threading.Thread] = weakref.WeakKeyDictionary()
_exiting = False


def _exit() -> None:
    """At the end of the interpreter, what waits is still done."""
    global _exiting
    _exiting = True
    for pool, supervisor in list(_pools.items()):
        if pool.pid == os.getpid():
            pool.close()
            supervisor.join()


# As concurrent.futures.thread has it: before threading waits for threads that would never end.
threading._register_atexit(_exit)  # type: ignore[attr-defined]


class IdentityExecutor(Executor):
    """A concurrent.futures.Executor whose submit() and map() take an identity first.

    max_workers, thread_name_prefix, initializer, initargs: as of ThreadPoolExecutor; the
    initializer runs as the process, before the first identity.  level, allow_root: as of
    impersonate().  private_fs: each worker has a working directory and umask of its own
    (Linux), and each task starts with those that the pool was made with.

    A worker keeps its identity while tasks of the same user follow, and a task goes to a
    worker that already has its identity if one is idle.  Tasks of one identity start in
    the order of submit(); between identities turns are taken, so nobody's thousand tasks
    keep others waiting.  Before and after each task the kernel is asked what the thread is:
    where it is not what it should be, the task's result is IdentityChanged or
    CapabilitiesRemain, and the worker is replaced.  Done callbacks run in the worker, as
    the user; they have fewer rights then, not more.

    While workers hold identities, also idle ones, drop_privileges() is refused and
    assert_clean() lists them: shut the executor down before.
    Raises ValueError, TypeError; IdentityRefused where a call changes the whole process,
    and in a thread that holds an identity; OSError where private_fs is not to be had.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        level: Level = "effective",
        allow_root: bool = False,
        private_fs: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if SCOPE != "thread":
            raise IdentityRefused(REFUSALS[errno.ENOSYS], None, errno.ENOSYS)
        if depth() or tainted():
            raise IdentityRefused("this thread holds an identity, and the workers would inherit it")
        options = {"level": level, "allow_root": allow_root}
        impersonate(Identity(1, 1), **options)  # type: ignore[arg-type]  # a wrong level is an error here
        prefix = thread_name_prefix or f"IdentityExecutor-{next(self._numbers)}"
        pool = self._pool = _Pool(max_workers, prefix, options)
        pool.initializer = (initializer, initargs)
        if private_fs:
            mask = os.umask(0o077)
            os.umask(mask)
            pool.home = (os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), os.getcwdb(), mask)
        ready: SimpleQueue[OSError | None] = SimpleQueue()
        supervisor = threading.Thread(target=pool.supervise, args=(ready,), name=f"{prefix}_supervisor")
        supervisor.start()
        problem = ready.get()
        if problem is not None:
            if pool.home is not None:
                os.close(pool.home[0])
            supervisor.join()
            raise problem
        _pools[pool] = supervisor
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
        if type(identity) is not Identity and not isinstance(identity, Identity):
            raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
        refuse_lazy_function(function)
        pool = self._pool
        if identity.has_root and not pool.options["allow_root"]:
            raise IdentityRefused(REFUSALS[errno.EPERM], identity, errno.EPERM)
        future: Future[Any] = Future()
        with pool.lock:
            if pool.broken is not None:
                raise BrokenThreadPool(f"a worker could not start: {pool.broken!r}") from pool.broken
            if pool.closed:
                when = "interpreter shutdown" if _exiting else "shutdown"
                raise RuntimeError(f"cannot schedule new futures after {when}")
            if pool.pid != os.getpid():
                raise RuntimeError("the workers belong to the process that this one was forked from")
            pool.give((future, identity, function, args, kwargs))
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
        if not isinstance(identity, Identity):
            raise TypeError(f"identity should be Identity, not {type(identity).__name__}")
        return _Bound(self, identity)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more tasks; those that wait are still done, or cancelled.  wait: return when the threads have ended."""
        pool = self._pool
        if pool.pid != os.getpid():
            return
        with pool.lock:
            if wait and threading.current_thread() in [worker.thread for worker in pool.workers]:
                raise RuntimeError("a worker cannot wait for its own end")
            tasks = pool.withdraw() if cancel_futures else []
            pool.close()
        for task in tasks:
            task[0].cancel()
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
