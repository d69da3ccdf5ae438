# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Which worker of an IdentityExecutor does which task, and who starts and ends the workers.

No thread holds the executor itself, only this, so an executor that is forgotten is
collected and its workers end.  What one worker does is in _worker.py.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED
from concurrent.futures.thread import BrokenThreadPool
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._native import private_fs
from ._worker import Task, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._identity import Identity

#: Tasks of its own identity that a worker prefers in a row while others wait.
TURNS = 32


class Pool:
    """What the threads share."""

    def __init__(self, size: int, prefix: str, options: dict[str, Any]) -> None:
        self.size, self.prefix, self.options = size, prefix, options
        self.initializer: tuple[Callable[..., object] | None, tuple[Any, ...]] = (None, ())
        self.pid = os.getpid()
        self.home: tuple[int, tuple[int, int], int] | None = None  # private_fs: directory, device and inode, umask
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
        identity, more = task[1], len(self.workers) < self.size
        queue = self.waiting.get(identity)
        if queue is not None:  # its turn comes after those
            queue.append(task)
        elif self.idle and self.give_to_idle(task, not more):
            return
        else:
            self.waiting[identity] = deque((task,))
        if more:
            self.order()
        else:
            self.hand_over()

    def give_to_idle(self, task: Task, anybody: bool) -> bool:
        """To an idle worker that has the identity; else that has none; else to anybody.  With the lock held."""
        idle = self.idle
        key: Identity | None = task[1]
        if key not in idle:
            key = None
            if key not in idle:
                if not anybody:
                    return False
                key = next(iter(idle))
        stack = idle[key]
        worker = stack.pop()
        if not stack:
            del idle[key]
        worker.inbox.append(task)
        worker.wake.put(None)
        return True

    def hand_over(self) -> None:
        """One task that waits, to any idle worker if there is one.  With the lock held."""
        if self.idle and self.waiting:
            identity, queue = next(iter(self.waiting.items()))
            self.give_to_idle(queue.popleft(), True)
            if not queue:
                del self.waiting[identity]

    def take(self, worker: Worker) -> bool:
        """A task for the worker: of its own identity for TURNS in a row, then of who has waited longest; False: end."""
        with self.lock:
            worker.begun = True
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

    def order(self) -> None:
        """Another worker, which takes what waits when it has started.  With the lock held."""
        self.workers.add(Worker(self))
        self.orders.put(None)

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
                self.order()
        self.orders.put(worker)

    def withdraw_from(self, worker: Worker) -> None:
        """What the worker has not done waits first in line for another.  With the lock held."""
        for task in worker.inbox:
            if task[0]._state not in (CANCELLED_AND_NOTIFIED, FINISHED):  # one that is only cancelled is told so later
                self.waiting = {task[1]: self.waiting.pop(task[1], deque()), **self.waiting}
                self.waiting[task[1]].appendleft(task)
        worker.inbox.clear()

    def spoil(self, problem: BaseException) -> None:
        """No worker can be had: every task that waits and every one to come is told why."""
        with self.lock:
            self.broken = problem
            tasks = self.withdraw()
        for task in tasks:
            error = BrokenThreadPool(f"a worker could not start: {problem!r}")
            error.__cause__ = problem
            if task[0].set_running_or_notify_cancel():
                task[0].set_exception(error)

    def withdraw(self, keep: int = 0) -> list[Task]:
        """What waits, which then waits no more, but for the first few."""
        with self.lock:
            tasks = [task for queue in self.waiting.values() for task in queue]
            self.waiting.clear()
            for task in tasks[:keep]:
                self.waiting.setdefault(task[1], deque()).append(task)
            return tasks[keep:]

    def cancel(self) -> None:
        """All that waits, but for as many tasks as there are workers on their way to one."""
        with self.lock:
            tasks = self.withdraw(sum(not worker.begun for worker in self.workers))
        for task in tasks:
            task[0].cancel()

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
            ended = self.orders.get()
            if ended is not None and ended.thread is not None:
                ended.thread.join()
            with self.lock:
                if self.closed and self.waiting and not self.workers:
                    self.order()  # an interrupt kept submit() from it
                ordered = [worker for worker in self.workers if worker.thread is None]
            while ordered:
                self.start(ordered.pop())
            ended = None
            if self.closed:
                with self.lock:
                    if not self.workers and not self.waiting:
                        break
        if self.home is not None:
            os.close(self.home[0])

    def start(self, worker: Worker) -> None:
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


# As concurrent.futures.thread has it: before threading waits for threads that would never end.
threading._register_atexit(_exit)  # type: ignore[attr-defined]
