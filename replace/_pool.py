# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The inner part of IdentityExecutor: the workers, their tasks, and which worker runs which task.

A worker takes the identity of its task and keeps it until it gets another user's task. The threads have references to
the pool, but not to the executor. So when a program drops its last reference to the executor, the executor is
collected, and the workers end.
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

#: A worker runs at most this many tasks of one identity in a row while tasks of other identities wait.
TURNS = 32

_log = logging.getLogger(__package__)
_log.addHandler(logging.NullHandler())  # silent by default


class TaskFuture(Future[Any]):
    """A Future that knows whether it has done callbacks. They run in the worker, whose ids are checked after them."""

    has_callbacks = False

    def add_done_callback(self, function: Callable[[Future[Any]], object]) -> None:
        self.has_callbacks = True
        super().add_done_callback(function)


class Task(NamedTuple):
    """The arguments of submit(), and the Future."""

    future: TaskFuture
    identity: Identity
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Home(NamedTuple):
    """The working directory and umask that each task starts with, if private_fs is on."""

    directory: int  # an open descriptor
    place: tuple[int, int]  # its device and inode
    umask: int

    @classmethod
    def of_process(cls) -> Home:
        """The process's working directory and umask."""
        mask = os.umask(0o077)
        os.umask(mask)
        directory = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(directory)
        return cls(directory, (found.st_dev, found.st_ino), mask)


class Worker:
    """A thread, with its present identity, its task, and a queue that wakes it."""

    __slots__ = ("guard", "identity", "pool", "problem", "task", "thread", "turns", "wake")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.thread: threading.Thread | None = None
        self.identity: Identity | None = None  # used only to choose tasks; the kernel knows the ids
        self.guard: Guard | None = None
        self.turns = 0  # tasks of this identity in a row
        self.task: Task | None = None  # kept until it is done: if this worker ends before, another one gets the task
        self.wake: SimpleQueue[None] = SimpleQueue()
        self.problem: OSError | None = None  # the failure to leave an identity between two tasks

    def work(self) -> None:
        """The body of the thread. It ends when the pool closes, or if the thread's ids are wrong."""
        thrown: BaseException | None = None
        try:
            if self.begin():
                while self.pool.take(self) and self.run():
                    pass
        except BaseException as problem:  # another thread raised it in this thread, with PyThreadState_SetAsyncExc()
            thrown = problem
        finally:
            try:
                self.leave_identity()
            finally:
                self.pool.remove_worker(self, thrown)

    def begin(self) -> bool:
        """Prepare the thread for its first task. False if that failed."""
        pool = self.pool
        try:
            if pool.home is not None:
                private_fs()
            if pool.initializer is not None:
                pool.initializer(*pool.initargs)
            if not is_itself():
                raise IdentityRefused(
                    "the initializer entered an identity and did not leave it; use a with block in the initializer"
                )
            return True
        except BaseException as problem:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            pool.mark_broken(problem)
            return False

    def leave_identity(self) -> bool:
        """Leave the identity. False if that failed, or if the thread is tainted."""
        guard, right = self.guard, True
        if guard is None:
            return True
        try:
            guard.__exit__(None, None, None)
        except OSError as problem:
            self.problem, right = problem, False  # the supervisor logs it, because it belongs to no task
        # Keep the reference until the guard is left. If another thread dropped the last reference, that thread would
        # leave the guard, and would be tainted.
        self.guard = self.identity = None
        return right and is_itself()

    def run(self) -> bool:
        """Run the task. False if the thread's ids were wrong before or after it."""
        assert self.task is not None
        future, identity, function, args, kwargs = self.task
        if identity is not self.identity and identity != self.identity and not self.leave_identity():
            return False
        if not future.set_running_or_notify_cancel():
            self.task = None
            return True
        try:
            guard = self.guard
            if guard is None:
                # Store the guard before it is entered. Then leave_identity() can leave it after any exception
                guard = self.guard = impersonate(identity, **self.pool.options)
                guard.__enter__()
                self.identity, self.turns = identity, 1
        except BaseException as problem:
            right = self.leave_identity() and is_itself()
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
            failed = None  # its traceback refers to this frame, so the reference would be a cycle
        self.task = None
        if future.has_callbacks and right:  # they have run in this thread
            right = guard.check()
        return right and (self.pool.home is None or self.go_home(self.pool.home))

    def go_home(self, home: Home) -> bool:
        """Set the pool's directory and umask for the next task."""
        os.umask(home.umask)
        try:
            current = os.stat(".")
            if (current.st_dev, current.st_ino) == home.place:
                return True
        except OSError:  # the working directory does not exist any more, or the user has no access to it
            pass
        if not self.leave_identity():  # the user may have no access to the pool's directory
            return False
        os.fchdir(home.directory)
        return True


class Pool:
    """The state that the threads of one executor share."""

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
        self.lock = threading.RLock()  # re-entrant: the collector may run inside, and close an executor
        self.workers: set[Worker] = set()
        self.waiting: dict[Identity, deque[Task]] = {}  # the identity that has waited longest comes first
        self.idle: dict[Identity | None, list[Worker]] = {}
        self.closed = False
        self.broken: BaseException | None = None  # the reason why no worker can start
        self.orders: SimpleQueue[Worker | None] = SimpleQueue()  # for the supervisor; a Worker is one that has ended
        self.names = count()

    # ---- Which worker runs which task. The caller holds the lock
    #
    # A signal handler may raise an exception between any two lines of submit(). Two rules keep the pool usable then:
    #
    # * self.idle and self.waiting contain no empty list or queue. The last entry is removed together with its key.
    # * A worker is woken before it gets its task. It then waits for the lock. When it has the lock, it looks whether
    #   submit() has stored a task. If not, it takes a waiting task or waits again.

    def give(self, task: Task) -> None:
        """Give the task to an idle worker, preferably one with the task's identity, or let it wait."""
        can_grow = len(self.workers) < self.size
        queue = self.waiting.get(task.identity)
        if queue is not None:  # the task waits behind other tasks of its identity
            queue.append(task)
        elif self.idle and self.give_to_idle(task, not can_grow):
            return
        else:
            self.waiting[task.identity] = deque((task,))
        if can_grow:
            self.order_worker()
        else:
            self.hand_over()

    def give_to_idle(self, task: Task, any_worker: bool) -> bool:
        """Give the task to an idle worker with its identity, or with none, or (if allowed) with another identity."""
        idle = self.idle
        key: Identity | None = task.identity
        if key not in idle:
            key = None
            if key not in idle:
                if not any_worker:
                    return False
                key = next(iter(idle))
        self.wake(key, task)
        return True

    def wake(self, key: Identity | None, task: Task | None) -> None:
        """Wake the last of these idle workers. Without a task, it takes a waiting one."""
        stack = self.idle[key]
        worker = stack[-1]
        worker.wake.put(None)
        worker.task = task
        self.leave_idle(worker, key)

    def leave_idle(self, worker: Worker, key: Identity | None) -> None:
        """Remove the worker from the idle workers."""
        stack = self.idle.get(key, ())
        if worker in stack:
            if len(stack) > 1:
                stack.remove(worker)
            else:
                del self.idle[key]

    def hand_over(self) -> None:
        """Wake an idle worker, if there is one, for a waiting task."""
        if self.idle and self.waiting:
            self.wake(next(iter(self.idle)), None)

    def take_back(self, worker: Worker) -> Task | None:
        """Put the task of an ended worker first in the queue. If the task has begun, return it instead."""
        task, worker.task = worker.task, None
        if task is None or task.future.cancelled() or task.future.running() or task.future.done():
            return task
        queue = deque((task, *self.waiting.get(task.identity, ())))
        others = {identity: rest for identity, rest in self.waiting.items() if identity != task.identity}
        self.waiting = {task.identity: queue, **others}
        return None

    def order_worker(self) -> None:
        """Ask the supervisor for a new worker. It takes a waiting task when it has started."""
        self.orders.put(None)  # the supervisor waits for the lock
        self.workers.add(Worker(self))

    # ---- Called by workers

    def take(self, worker: Worker) -> bool:
        """Wait for a task for this worker. False if the worker should end."""
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
            with self.lock:  # wait until the thread that woke this worker is done, or was interrupted
                self.leave_idle(worker, identity)
            if worker.guard is not None and not worker.guard.check():
                return False
            if worker.task is not None:
                return True

    def choose(self, worker: Worker) -> Task:
        """Remove a waiting task from its queue and return it.

        A worker prefers tasks of its identity. After TURNS of them, the identity that has waited longest is next.
        """
        waiting, identity = self.waiting, worker.identity
        queue = waiting.get(identity) if identity is not None else None
        if queue is None or (worker.turns >= TURNS and len(waiting) > 1):
            if queue is not None and identity is not None:
                waiting[identity] = waiting.pop(identity)
            identity = next(iter(waiting))
            queue = waiting[identity] = waiting.pop(identity)  # its other tasks now wait behind all others
            worker.turns = 0
        worker.turns += 1
        if len(queue) > 1:
            return queue.popleft()
        del waiting[queue[0].identity]
        return queue[0]

    def remove_worker(self, worker: Worker, problem: BaseException | None) -> None:
        """Remove a worker that ends. Another worker gets its task, unless the task has begun."""
        with self.lock:
            for key in list(self.idle):
                self.leave_idle(worker, key)
            task = self.take_back(worker)
            self.workers.discard(worker)
            if self.waiting:
                self.order_worker()
            # Do this under the lock. Otherwise the supervisor might find no worker and no order, and end too early.
            self.orders.put(worker)
        if task is not None and task.future.running():
            task.future.set_exception(problem or RuntimeError("the worker thread ended during this task"))
        elif task is not None and task.future.cancelled():
            with suppress(RuntimeError):  # set_running_or_notify_cancel() was called before
                task.future.set_running_or_notify_cancel()

    def mark_broken(self, problem: BaseException) -> None:
        """Report that no worker can start, for every waiting task and every later one."""
        with self.lock:
            self.broken = problem
            tasks = self.withdraw()
        for task in tasks:
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(broken_pool(problem))

    # ---- Shutting down

    def withdraw(self, keep: int = 0) -> list[Task]:
        """Remove and return the waiting tasks, except the first keep tasks."""
        with self.lock:
            tasks = [task for queue in self.waiting.values() for task in queue]
            kept: dict[Identity, deque[Task]] = {}
            for task in tasks[:keep]:
                kept.setdefault(task.identity, deque()).append(task)
            self.waiting = kept
            return tasks[keep:]

    def cancel(self) -> None:
        """Cancel the waiting tasks, except one for each worker that is about to take one."""
        with self.lock:
            without_task = sum(worker.task is None for worker in self.workers)
            tasks = self.withdraw(keep=without_task - sum(map(len, self.idle.values())))
        for task in tasks:
            task.future.cancel()

    def close(self) -> None:
        """Let workers end when no task waits. This uses no lock, because the garbage collector may call it."""
        self.closed = True
        for worker in list(self.workers):
            worker.wake.put(None)
        self.orders.put(None)

    # ---- The supervisor: a thread without an identity. It starts the workers, so they inherit none from submit()

    def supervise(self, ready: SimpleQueue[OSError | None]) -> None:
        """The body of the supervisor: start ordered workers and join ended ones, until the pool is closed and empty."""
        try:
            if self.home is not None:
                private_fs()  # only to find out whether it is possible; this thread opens no files
            ready.put(None)
        except OSError as problem:
            ready.put(problem)
            return
        while True:
            ended = self.orders.get()
            if ended is not None and ended.thread is not None:
                ended.thread.join()
                if ended.problem is not None:  # this thread logs it, because a log handler may open files
                    _log.warning("a worker of %s ended: %s", self.prefix, ended.problem)
            with self.lock:
                if self.closed and self.waiting and not self.workers:
                    self.order_worker()  # submit() was interrupted before it ordered a worker
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
        """Start the thread of a worker. If the system refuses more threads, the present workers do the work."""
        worker.thread = threading.Thread(target=worker.work, name=f"{self.prefix}_{next(self.names)}")
        try:
            worker.thread.start()
        except RuntimeError as problem:  # the system refuses more threads
            worker.thread = None
            with self.lock:
                self.workers.discard(worker)
                if self.workers:  # they run the tasks; the next submit() tries again to start a worker
                    self.hand_over()
                    return
            self.mark_broken(problem)


def broken_pool(cause: BaseException) -> BrokenThreadPool:
    """The exception for a task that no worker can run."""
    error = BrokenThreadPool(
        f"a worker could not start ({type(cause).__name__}: {cause}); remove the cause, and create a new executor"
    )
    error.__cause__ = cause
    return error


supervisors: weakref.WeakKeyDictionary[Pool, threading.Thread] = weakref.WeakKeyDictionary()
exiting = threading.Event()


def _exit() -> None:
    """Run the waiting tasks before the interpreter ends."""
    exiting.set()
    for pool, supervisor in list(supervisors.items()):
        if pool.pid == os.getpid():
            pool.close()
            supervisor.join()


# At exit, threading first calls this function. Then it waits for all threads that are not daemons. Functions of atexit
# run after that wait, which would be too late: the workers end only on request. concurrent.futures.thread uses the same
# private function of threading.
threading._register_atexit(_exit)  # type: ignore[attr-defined]
