# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The inner part of IdentityExecutor: how a task reaches a worker, and the thread that starts workers.

_turns.py decides which waiting task is next.

The threads have references to the pool, but not to the executor. So when a program drops its last reference to the
executor, the executor is collected, and the workers end.

A signal handler or a finalizer may call submit() and shutdown() at any moment, also inside submit() itself. So these
two wait for no lock, and use only operations that one C function makes as a whole: append to a deque, pop from a list,
read a dictionary. Only workers and the supervisor use the lock. No signal handler runs in them.
"""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures.thread import BrokenThreadPool
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from ._native import claim
from ._private_fs import PrivateFs
from ._thread_state import own_keyring
from ._turns import Turns, tasks_of
from ._worker import Counts, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._identity import Identity
    from ._options import Isolation
    from ._worker import Task

#: submit() waits at most this many seconds for the start of a worker.
PATIENCE = 1.0

_log = logging.getLogger(__name__.rpartition(".")[0])
_log.addHandler(logging.NullHandler())  # silent by default


class Pool:
    """The state that the threads of one executor share."""

    def __init__(
        self,
        size: int,
        prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        options: dict[str, Any],
        private_fs: bool,
        isolation: Isolation,
        keyrings: bool,
        max_per_identity: int | None,
    ) -> None:
        self.size, self.prefix, self.options = size, prefix, options
        self.private_fs, self.isolation, self.keyrings = private_fs, isolation, keyrings
        self.initializer, self.initargs = initializer, initargs
        self.pid = os.getpid()
        # If one user may have all workers, the limit changes nothing.
        self.limited = max_per_identity is not None and max_per_identity < size
        self.turns = Turns(max_per_identity if self.limited else None)
        self.inbox, self.waiting = self.turns.inbox, self.turns.waiting
        self.idle: dict[Identity | None, list[Worker]] = {}
        self.orders: SimpleQueue[Order] = SimpleQueue()
        self.accepts = True  # tasks: False if the pool is closed or broken, and in a forked child
        self.closed = False
        self.broken: BaseException | None = None  # the reason why no worker can start
        self.ended = False  # the supervisor starts no worker any more
        self.ready: SimpleQueue[BaseException | None] = SimpleQueue()  # what the supervisor found out at its start
        self.supervisor = threading.Thread(target=self.supervise, name=f"{prefix}_supervisor")
        self.ending: list[threading.Thread] = []  # of workers that have ended. Used only by the supervisor
        self.lock = threading.Lock()  # needed to change what follows, and to add to self.idle
        self.workers: set[Worker] = set()
        # A new worker continues the counts of one that has ended. So the sums never decrease.
        self.counts: list[Counts] = []
        self.free_counts: list[Counts] = []  # those of workers that have ended
        self.retired = 0  # workers that ended before the pool was closed and empty
        self.names = count()

    # ---- Called by submit() and shutdown(), without the lock

    def add(self, task: Task) -> None:
        """Give the task to an idle worker, preferably one with the task's identity, or let it wait.

        Raises RuntimeError if the pool has ended meanwhile.
        """
        try:
            identity = task.identity
            if self.limited:
                # Only a worker counts, under the lock. So it gets no task here, but looks for one. If the user has
                # enough workers, one of them looks for this task later: it notes the end of its own task first.
                self.inbox.append(task)
                if self.turns.is_full(identity.uid) or self.give(identity, None):
                    return
            else:
                # A task waits behind other tasks of its user.
                waiting = self.waiting
                if not self.inbox and (not waiting or identity.uid not in waiting) and self.give(identity, task):
                    return
                self.inbox.append(task)
            if len(self.workers) < self.size:
                self.order_worker(task)
            elif any(list(self.idle.values())):  # a worker may have become idle before the task was in the inbox
                self.give(identity, None)
        except BaseException:
            self.orders.put(None)  # the task of an interrupted submit() may be in the inbox: look for a worker
            raise

    def give(self, identity: Identity, task: Task | None, grows: bool = True) -> bool:
        """Give the task to an idle worker with this identity, or with none, or (if the pool cannot grow) with any.

        Without a task, the worker looks for a waiting one. False if there is no such worker.
        """
        idle = self.idle
        for key in (identity, None):
            workers = idle.get(key)
            if workers and claim(workers, task):
                return True
        if grows and len(self.workers) < self.size:
            return False
        return any(workers and claim(workers, task) for workers in list(idle.values()))

    def order_worker(self, task: Task) -> None:
        """Ask the supervisor for a worker, and wait until its thread has started.

        ThreadPoolExecutor.submit() starts the thread, too. Python 3.12 starts no more threads when the main thread has
        ended, so they must exist before. A finalizer may call submit() while this thread holds a lock without which no
        thread can start: one of the pool, or of the module threading. So the pool's own threads do not wait, and the
        wait of others has a limit.
        """
        started: SimpleQueue[None] = SimpleQueue()
        self.orders.put(started)
        if not self.ended and not self.is_own_thread():
            with suppress(Empty):
                started.get(timeout=PATIENCE)
        if self.ended:
            self.cancel_late()
            if task.cancelled():
                raise self.refusal()

    def is_own_thread(self) -> bool:
        """Whether the calling thread is a worker or the supervisor."""
        threads = [self.supervisor, *(worker.thread for worker in list(self.workers))]
        this = threading.get_ident()
        return any(thread is not None and thread.ident == this for thread in threads)

    def refusal(self) -> RuntimeError:
        """The exception for a task that the pool does not accept."""
        if self.pid != os.getpid():
            return RuntimeError(
                "the workers belong to the process that this one was forked from; create an IdentityExecutor in this "
                "process"
            )
        if self.broken is not None:
            return broken_pool(self.broken)
        when = "interpreter shutdown" if exiting.is_set() else "shutdown"
        return RuntimeError(f"cannot schedule new futures after {when}")

    def close(self) -> None:
        """Let workers end when no task waits."""
        self.accepts = False
        self.closed = True
        for worker in list(self.workers):
            worker.wake.put(False)
        self.orders.put(None)

    def cancel(self) -> None:
        """Cancel the waiting tasks, except one for each worker that is about to take one."""
        last = tasks_of(self.inbox)  # first, because tasks move from here to self.waiting
        # Not OrderedDict.values(): another thread may change self.waiting meanwhile.
        tasks = [task for queue in list(dict.values(self.waiting)) for task in tasks_of(queue)]
        tasks += last
        without_task = sum(worker.task is None for worker in list(self.workers))
        starting = without_task - sum(map(len, list(self.idle.values())))
        kept: list[int] = []  # the uids of the tasks that are not cancelled
        for task in tasks:
            uid = task.identity.uid
            if len(kept) < starting and not self.turns.is_full(uid, kept.count(uid)):
                kept.append(uid)
            else:
                task.cancel()

    # ---- Called by workers and the supervisor

    def take(self, worker: Worker) -> bool:
        """Wait for a task for this worker. False if the worker should end."""
        while True:
            with self.lock:
                if worker.counted is not None:
                    self.turns.release(worker)
                if self.inbox or self.waiting:
                    worker.task = self.turns.choose(worker, self.coming)
                    if worker.task is not None:
                        return True
                if self.closed:
                    worker.retired = False
                    return False
                if len(self.idle) > 2 * self.size:
                    self.forget_identities()
                self.idle.setdefault(worker.identity, []).append(worker)
                if self.inbox and self.leave_idle(worker):  # submit() may have looked for an idle worker before
                    continue
                worker.sleeps = True
            if not worker.wake.get():
                with self.lock:
                    is_claimed = not self.leave_idle(worker)
                while is_claimed and not worker.wake.get():
                    pass
            worker.sleeps = False
            if worker.guard is not None and not worker.guard.check():
                return False
            if worker.task is not None:
                return True

    def wake_idle(self, grows: bool = True) -> bool:
        """Let an idle worker look for the next task that may start. False if none can. The caller holds the lock."""
        self.turns.collect()
        task = self.turns.first()
        return task is not None and self.give(task.identity, None, grows)

    def coming(self) -> dict[int, int]:
        """How many workers of each user are about to look for a task: they are idle no more, but not awake yet.

        Another worker leaves them the tasks of their users, because they have the identity already. The caller holds
        the lock, so none of them can look before the caller is done.
        """
        found: dict[int, int] = {}
        for worker in self.workers:
            if worker.sleeps and worker.identity is not None:
                found[worker.identity.uid] = found.get(worker.identity.uid, 0) + 1
        for identity, workers in list(self.idle.items()):
            if identity is not None and workers:
                found[identity.uid] = found.get(identity.uid, 0) - len(workers)
        return found

    def leave_idle(self, worker: Worker) -> bool:
        """Remove the worker from the idle workers. False if it was none. The caller holds the lock."""
        for workers in self.idle.values():
            with suppress(ValueError):
                workers.remove(worker)
                return True
        return False

    def forget_identities(self) -> None:
        """Remove identities that no idle worker has. The caller holds the lock."""
        for identity in [identity for identity, workers in self.idle.items() if not workers]:
            del self.idle[identity]

    def admit(self, worker: Worker) -> bool:
        """Whether a worker whose thread runs may work. False if start() has given it up after an exception."""
        with self.lock:
            worker.admitted = worker in self.workers
            if worker.admitted:
                if not self.free_counts:
                    self.free_counts.append(Counts())
                    self.counts += self.free_counts
                worker.counts = self.free_counts.pop()
        return worker.admitted

    def remove_worker(self, worker: Worker, problem: BaseException | None) -> None:
        """Remove a worker that ends. Another worker gets its task, unless the task has begun."""
        with self.lock:
            self.leave_idle(worker)
            begun = self.take_back(worker)
            self.turns.release(worker)
            self.workers.discard(worker)
            self.free_counts.append(worker.counts)
            self.retired += worker.retired
            # Do this under the lock. Otherwise the supervisor might find no worker and no order, and end too early.
            self.orders.put(worker)
        if self.broken is not None:  # perhaps the supervisor has ended, and submit() did not know that yet
            self.refuse_waiting()
        if begun is not None and begun.running():
            begun.set_exception(problem or RuntimeError("the worker thread ended during this task"))
        elif begun is not None and begun.cancelled():
            with suppress(RuntimeError):  # set_running_or_notify_cancel() was called before
                begun.set_running_or_notify_cancel()

    def take_back(self, worker: Worker) -> Task | None:
        """Let the task of an ended worker be the next one. If it has begun, return it instead."""
        task, worker.task = worker.task, None
        if task is None or (task.begun and (task.running() or task.done())):
            return task
        self.turns.put_back(task)
        return None

    def mark_broken(self, problem: BaseException) -> None:
        """Report that no worker can start, for every waiting task and every later one."""
        self.broken = problem
        self.accepts = False
        self.refuse_waiting()

    def refuse_waiting(self) -> None:
        """Complete the waiting tasks with the reason why no worker can start."""
        assert self.broken is not None
        with self.lock:
            tasks = self.turns.remove_all()
        for task in tasks:
            if task.set_running_or_notify_cancel():
                task.set_exception(broken_pool(self.broken))
            task.empty()

    # ---- The supervisor: a thread without an identity. It starts the workers, so they inherit none from submit()

    def start_supervisor(self) -> None:
        """Start the supervisor.

        Raises RuntimeError if the interpreter ends, or the system refuses more threads. Raises OSError if private_fs or
        keyrings is not possible.
        """
        pools.add(self)
        try:
            refuse_at_exit()  # again: the interpreter may have begun to shut down before pools.add()
            self.supervisor.start()
            problem = self.ready.get()
            if problem is not None:
                self.supervisor.join()
                raise problem
        except BaseException:
            self.close()  # in any case: a thread without an ident may be about to run
            if self.supervisor.ident is None:
                self.release()
            raise

    def supervise(self) -> None:
        """The body of the supervisor: start and join workers, until the pool is closed and empty."""
        try:
            problem = self.try_options()
            self.ready.put(problem)
            while problem is None and self.step():
                pass
            self.join_ending()
        except BaseException as thrown:
            self.mark_broken(thrown)
            self.ready.put(thrown)
            raise
        finally:
            self.release()

    def step(self) -> bool:
        """Carry out one order. False if the pool is closed and empty.

        If another thread raises an exception in this one, with PyThreadState_SetAsyncExc(), the next step completes
        what the exception interrupted.
        """
        try:
            if self.is_finished():
                return False
            self.carry_out(self.orders.get())
        except BaseException as thrown:
            self.orders.put(None)
            _log.warning("an exception in the supervisor of %s: %r", self.prefix, thrown)
        return True

    def try_options(self) -> OSError | None:
        """Find out whether the options are possible. The workers start with this thread's directory and umask."""
        try:
            if self.private_fs:
                PrivateFs()
            if self.keyrings:
                own_keyring()
            return None
        except OSError as problem:
            return problem

    def release(self) -> None:
        """Let nobody wait for the supervisor any more."""
        self.ended = True
        self.cancel_late()
        while not self.orders.empty():
            _reply(self.orders.get())
        pools.discard(self)

    def cancel_late(self) -> None:
        """Cancel the tasks that came after the end. Their submit() raises an exception."""
        with suppress(IndexError):
            while True:
                task = self.inbox.popleft()
                task.cancel()
                task.empty()

    def is_finished(self) -> bool:
        """Whether the pool is closed and empty. Then submit() accepts no task any more."""
        with self.lock:
            if not self.closed or self.workers or self.turns.collect() or not self.orders.empty():
                return False
            self.ended = True
            return True

    def carry_out(self, order: Order) -> None:
        """Start a worker if tasks wait that no idle worker can take. Note the thread of a worker that has ended."""
        try:
            self.join_ended()
            if isinstance(order, Worker) and order.thread is not None:
                self.ending.append(order.thread)
            if self.broken is not None:
                self.refuse_waiting()
            with self.lock:
                worker = self.new_worker()
            if worker is not None:
                self.start(worker)
        finally:
            _reply(order)
        if isinstance(order, Worker) and order.problem is not None:  # logged here, because a log handler may open files
            _log.warning("a worker of %s ended: %s", self.prefix, order.problem)

    def join_ended(self) -> None:
        """Forget the threads that have ended. From CPython 3.13 on, only join() frees the stack of a thread at once."""
        ended = [thread for thread in self.ending if not thread.is_alive()]
        for thread in ended:
            thread.join()
        self.ending = [thread for thread in self.ending if thread not in ended]

    def join_ending(self, timeout: float | None = None) -> None:
        """Wait for the threads of ended workers, where destructors of thread-local variables may still run."""
        for thread in self.ending:
            thread.join(timeout)

    def new_worker(self) -> Worker | None:
        """Make a worker, if a task may start that no idle worker can take, and the pool is not full."""
        if self.wake_idle() or self.turns.first() is None or len(self.workers) >= self.size:
            return None
        return Worker(self)

    def start(self, worker: Worker) -> None:
        """Start the thread of a worker. If the system refuses more threads, the present workers do the work."""
        try:
            with self.lock:
                self.workers.add(worker)
            self.start_thread(worker)
        except BaseException as problem:
            with self.lock:
                if not worker.admitted:
                    self.workers.discard(worker)
                others = bool(self.workers)
                if others:
                    self.wake_idle(grows=False)  # the next submit() tries again to start a worker
            if not isinstance(problem, Exception):
                raise
            if not others:
                self.mark_broken(problem)

    def start_thread(self, worker: Worker) -> None:
        """Start a thread. Raises RuntimeError if the system refuses it."""
        name = f"{self.prefix}_{next(self.names)}"
        worker.thread = threading.Thread(target=worker.work, name=name)
        try:
            worker.thread.start()
        except RuntimeError:
            self.join_ending(PATIENCE)  # these threads count, too
            worker.thread = threading.Thread(target=worker.work, name=name)
            worker.thread.start()


#: What the supervisor waits for: a worker that has ended; the request for a new one, with a queue for the reply; or
#: None from close().
Order: TypeAlias = "Worker | SimpleQueue[None] | None"


def _reply(order: Order) -> None:
    """Tell submit() that its order is done."""
    if isinstance(order, SimpleQueue):
        order.put(None)


def broken_pool(cause: BaseException) -> BrokenThreadPool:
    """The exception for a task that no worker can run."""
    error = BrokenThreadPool(
        f"a worker could not start ({type(cause).__name__}: {cause}); remove the cause, and create a new executor"
    )
    error.__cause__ = cause
    return error


pools: set[Pool] = set()  # those with a running supervisor
exiting = threading.Event()


def refuse_at_exit() -> None:
    """Raise RuntimeError if the interpreter shuts down: a new thread might not run any more."""
    if exiting.is_set():
        raise RuntimeError("cannot create an executor after interpreter shutdown")


def _after_fork() -> None:
    """Let the pools in a forked child refuse tasks: their threads do not exist there."""
    for pool in pools:
        pool.accepts = False


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _exit() -> None:
    """Run the waiting tasks before the interpreter ends."""
    exiting.set()
    for pool in list(pools):
        if pool.pid == os.getpid():
            pool.close()
            with suppress(RuntimeError):  # another thread is about to start the supervisor, which ends at once
                pool.supervisor.join()


# At exit, threading first calls this function. Then it waits for all threads that are not daemons. Functions of atexit
# run after that wait, which would be too late: the workers end only on request. concurrent.futures.thread uses the same
# private function of threading.
threading._register_atexit(_exit)  # type: ignore[attr-defined]
