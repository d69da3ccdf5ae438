# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What is behind an IdentityExecutor: the workers, their tasks, and which worker does which task.

A worker becomes the user that a task is for, and stays that user until another user's task comes.  No thread holds the
executor itself, only its pool, so an executor that is forgotten is collected and its workers end.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from concurrent.futures.thread import BrokenThreadPool
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from ._acting_as import refuse_lazy_result
from ._errors import IdentityRefused
from ._identity import Identity
from ._impersonate import impersonate
from ._native import is_itself, private_fs

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native import Guard

#: Tasks of its own identity that a worker prefers in a row while others wait.
TURNS = 32

_log = logging.getLogger(__package__)
_log.addHandler(logging.NullHandler())  # silent by default


class TaskFuture(Future[Any]):
    """A Future that knows whether it has done callbacks: they run in the worker, which is looked at after them."""

    has_callbacks = False

    def add_done_callback(self, function: Callable[[Future[Any]], object]) -> None:
        self.has_callbacks = True
        super().add_done_callback(function)


class Task(NamedTuple):
    """What submit() was given."""

    future: TaskFuture
    identity: Identity
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Home(NamedTuple):
    """With private_fs, where each task starts."""

    directory: int  # an open descriptor
    place: tuple[int, int]  # its device and inode
    umask: int

    @classmethod
    def here(cls) -> Home:
        """The process's working directory and umask."""
        mask = os.umask(0o077)
        os.umask(mask)
        directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(directory)
        return cls(directory, (found.st_dev, found.st_ino), mask)


class Worker:
    """A thread: whom it is at the moment, its task, and how it is woken."""

    __slots__ = ("guard", "identity", "pool", "problem", "task", "thread", "turns", "wake")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.thread: threading.Thread | None = None
        self.identity: Identity | None = None  # for choosing tasks only; the kernel is asked who the thread is
        self.guard: Guard | None = None
        self.turns = 0  # tasks of this identity in a row
        self.task: Task | None = None  # until it is done, so that somebody else does it if this worker ends
        self.wake: SimpleQueue[None] = SimpleQueue()
        self.problem: OSError | None = None  # what it found when it left an identity between two tasks

    def work(self) -> None:
        """The thread's life.  It ends when the pool closes, and at once if it is not what it should be."""
        thrown: BaseException | None = None
        try:
            if self.begin():
                while self.pool.take(self) and self.run():
                    pass
        except BaseException as problem:  # thrown into this thread from another one
            thrown = problem
        finally:
            try:
                self.stop_being()
            finally:
                self.pool.gone(self, thrown)

    def begin(self) -> bool:
        """What comes before the first task; False if there cannot be one."""
        pool = self.pool
        try:
            if pool.home is not None:
                private_fs()
            if pool.initializer is not None:
                pool.initializer(*pool.initargs)
            if not is_itself():
                raise IdentityRefused("the initializer left an identity on this thread")
            return True
        except BaseException as problem:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            pool.spoil(problem)
            return False

    def stop_being(self) -> bool:
        """Back to what the thread was; False if that went wrong, or had gone wrong before."""
        guard, right = self.guard, True
        if guard is None:
            return True
        try:
            guard.__exit__(None, None, None)
        except OSError as problem:
            self.problem, right = problem, False  # nobody waits for it here
        self.guard = self.identity = None  # not before: a guard that another thread drops would taint that thread
        return right and is_itself()

    def run(self) -> bool:
        """Do the task; False if the thread is not what it should be before or after it."""
        assert self.task is not None
        future, identity, function, args, kwargs = self.task
        if identity is not self.identity and identity != self.identity and not self.stop_being():
            return False
        if not future.set_running_or_notify_cancel():
            self.task = None
            return True
        try:
            guard = self.guard
            if guard is None:
                # Stored before it is entered: whatever is thrown into this thread, stop_being() leaves it, here.
                guard = self.guard = impersonate(identity, **self.pool.options)
                guard.__enter__()
                self.identity, self.turns = identity, 1
        except BaseException as problem:
            right = self.stop_being() and is_itself()
            future.set_exception(problem)
            self.task = None
            return right
        result: Any = None
        failed: BaseException | None = None
        try:
            result = function(*args, **kwargs)
            refuse_lazy_result(function, result)
        except BaseException as problem:
            failed = problem
        right = guard.check()
        if not right:
            try:
                guard.__exit__(None, None, None)  # raises what check() found
            except OSError as problem:
                problem.__context__ = failed
                failed = problem
            self.guard = None
        if failed is None:
            future.set_result(result)
        else:
            future.set_exception(failed)
            failed = None  # its traceback holds this frame
        self.task = None
        if future.has_callbacks and right:  # they have run, here
            right = guard.check()
        return right and (self.pool.home is None or self.go_home(self.pool.home))

    def go_home(self, home: Home) -> bool:
        """The next task starts in the pool's directory, with the pool's umask."""
        os.umask(home.umask)
        try:
            here = os.stat(".")
            if (here.st_dev, here.st_ino) == home.place:
                return True
        except OSError:  # gone, or closed to the user
            pass
        if not self.stop_being():  # the user might not be permitted to go there
            return False
        os.fchdir(home.directory)
        return True


class Pool:
    """What the threads of one executor share."""

    def __init__(
        self,
        size: int,
        prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        options: dict[str, Any],
        home: Home | None,
    ) -> None:
        self.size, self.prefix, self.options, self.home = size, prefix, options, home
        self.initializer, self.initargs = initializer, initargs
        self.pid = os.getpid()
        self.lock = threading.RLock()  # re-entrant: a collector that runs inside may finalize another task's executor
        self.workers: set[Worker] = set()
        self.waiting: dict[Identity, deque[Task]] = {}  # whoever has waited longest comes first
        self.idle: dict[Identity | None, list[Worker]] = {}
        self.closed = False
        self.broken: BaseException | None = None
        self.orders: SimpleQueue[Worker | None] = SimpleQueue()
        self.names = count()

    # ---- Which worker does which task; all of this with the lock held
    #
    # A signal may raise an exception between any two lines of submit().  So no list and no queue is ever empty, and a
    # worker is woken before it gets its task: it waits for the lock, and sees in take() how far submit() came.

    def give(self, task: Task) -> None:
        """To an idle worker, the one that has the identity first; else the task waits."""
        more = len(self.workers) < self.size
        queue = self.waiting.get(task.identity)
        if queue is not None:  # its turn comes after those
            queue.append(task)
        elif self.idle and self.give_to_idle(task, not more):
            return
        else:
            self.waiting[task.identity] = deque((task,))
        if more:
            self.order()
        else:
            self.hand_over()

    def give_to_idle(self, task: Task, anybody: bool) -> bool:
        """To an idle worker that has the identity; else to one that has none; else to anybody if that is permitted."""
        idle = self.idle
        key: Identity | None = task.identity
        if key not in idle:
            key = None
            if key not in idle:
                if not anybody:
                    return False
                key = next(iter(idle))
        self.wake(key, task)
        return True

    def wake(self, key: Identity | None, task: Task | None) -> None:
        """Wake the last of those idle workers.  Without a task it takes one that waits."""
        stack = self.idle[key]
        worker = stack[-1]
        worker.wake.put(None)
        worker.task = task
        self.leave_idle(worker, key)

    def leave_idle(self, worker: Worker, key: Identity | None) -> None:
        """The worker waits for a task no more."""
        stack = self.idle.get(key, ())
        if worker in stack:
            if len(stack) > 1:
                stack.remove(worker)
            else:
                del self.idle[key]

    def hand_over(self) -> None:
        """What waits, to any idle worker if there is one."""
        if self.idle and self.waiting:
            self.wake(next(iter(self.idle)), None)

    def take_back(self, worker: Worker) -> Task | None:
        """The task of a worker that has ended waits first in line for another; returned is one that was begun."""
        task, worker.task = worker.task, None
        if task is None or task.future.cancelled() or task.future.running() or task.future.done():
            return task
        queue = deque((task, *self.waiting.get(task.identity, ())))
        others = {identity: rest for identity, rest in self.waiting.items() if identity != task.identity}
        self.waiting = {task.identity: queue, **others}
        return None

    def order(self) -> None:
        """Another worker, which takes what waits when it has started."""
        self.orders.put(None)  # the supervisor waits for the lock
        self.workers.add(Worker(self))

    # ---- What workers call

    def take(self, worker: Worker) -> bool:
        """A task for the worker: of its own identity for TURNS in a row, then of who has waited longest; False: end."""
        while True:
            with self.lock:
                identity = worker.identity
                if self.waiting:
                    worker.task = self.choose(worker)
                    return True
                if self.closed:
                    return False
                self.idle.setdefault(identity, []).append(worker)
            worker.wake.get()
            with self.lock:  # until whoever woke it is done, or was interrupted
                self.leave_idle(worker, identity)
            if worker.guard is not None and not worker.guard.check():
                return False
            if worker.task is not None:
                return True

    def choose(self, worker: Worker) -> Task:
        """The next of the tasks that wait."""
        waiting, identity = self.waiting, worker.identity
        queue = waiting.get(identity) if identity is not None else None
        if queue is None or (worker.turns >= TURNS and len(waiting) > 1):
            if queue is not None and identity is not None:
                waiting[identity] = waiting.pop(identity)
            identity = next(iter(waiting))
            queue = waiting[identity] = waiting.pop(identity)  # its others wait behind everybody's
            worker.turns = 0
        worker.turns += 1
        if len(queue) > 1:
            return queue.popleft()
        del waiting[queue[0].identity]
        return queue[0]

    def gone(self, worker: Worker, problem: BaseException | None) -> None:
        """A worker has ended: another gets its task, unless it was begun."""
        with self.lock:
            for key in list(self.idle):
                self.leave_idle(worker, key)
            task = self.take_back(worker)
            self.workers.discard(worker)
            if self.waiting:
                self.order()
            self.orders.put(worker)  # with the lock held: the supervisor ends when no worker and no order is left
        if task is not None and task.future.running():
            task.future.set_exception(problem or RuntimeError("the worker of this task has ended"))
        elif task is not None and task.future.cancelled():
            with suppress(RuntimeError):  # it was told before
                task.future.set_running_or_notify_cancel()

    def spoil(self, problem: BaseException) -> None:
        """No worker can be had: every task that waits and every one to come is told why."""
        with self.lock:
            self.broken = problem
            tasks = self.withdraw()
        for task in tasks:
            error = BrokenThreadPool(f"a worker could not start: {problem!r}")
            error.__cause__ = problem
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(error)

    # ---- The end

    def withdraw(self, keep: int = 0) -> list[Task]:
        """What waits, which then waits no more, but for the first few."""
        with self.lock:
            tasks = [task for queue in self.waiting.values() for task in queue]
            kept: dict[Identity, deque[Task]] = {}
            for task in tasks[:keep]:
                kept.setdefault(task.identity, deque()).append(task)
            self.waiting = kept
            return tasks[keep:]

    def cancel(self) -> None:
        """All that waits, but for as many tasks as there are workers on their way to one."""
        with self.lock:
            free = sum(worker.task is None for worker in self.workers) - sum(map(len, self.idle.values()))
            tasks = self.withdraw(free)
        for task in tasks:
            task.future.cancel()

    def close(self) -> None:
        """Workers end when nothing waits any more.  No lock: the collector calls this, too."""
        self.closed = True
        for worker in list(self.workers):
            worker.wake.put(None)
        self.orders.put(None)

    # ---- The supervisor: a thread that never takes an identity on, so workers start clean whoever submits

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
            ended = self.orders.get()
            if ended is not None and ended.thread is not None:
                ended.thread.join()
                if ended.problem is not None:  # told here, since a handler opens files
                    _log.warning("a worker of %s ended: %s", self.prefix, ended.problem)
            with self.lock:
                if self.closed and self.waiting and not self.workers:
                    self.order()  # an interrupt kept submit() from it
                ordered = [worker for worker in self.workers if worker.thread is None]
            while ordered:
                self.start(ordered.pop())
            ended = None
            if self.closed:
                with self.lock:
                    if not self.workers and not self.waiting and self.orders.empty():
                        break
        if self.home is not None:
            os.close(self.home.directory)

    def start(self, worker: Worker) -> None:
        """Start the thread of a worker; if no more can be had, the workers that there are do the work."""
        worker.thread = threading.Thread(target=worker.work, name=f"{self.prefix}_{next(self.names)}")
        try:
            worker.thread.start()
        except RuntimeError as problem:  # no more threads
            worker.thread = None
            with self.lock:
                self.workers.discard(worker)
                if self.workers:  # they do it; the next task tries again to have one more
                    self.hand_over()
                    return
            self.spoil(problem)


supervisors: weakref.WeakKeyDictionary[Pool, threading.Thread] = weakref.WeakKeyDictionary()
exiting = threading.Event()


def _exit() -> None:
    """At the end of the interpreter, what waits is still done."""
    exiting.set()
    for pool, supervisor in list(supervisors.items()):
        if pool.pid == os.getpid():
            pool.close()
            supervisor.join()


# A private name, since atexit comes too late: it runs after threading has waited for all threads that are no daemons,
# and the workers end only when they are told to.  concurrent.futures.thread does the same.
threading._register_atexit(_exit)  # type: ignore[attr-defined]
