# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A worker of IdentityExecutor: a thread that takes the identity of each task, and runs it.

A worker keeps its identity until it gets another user's task. _pool.py decides which worker runs which task.
"""

from __future__ import annotations

import logging
import sys
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._acting_as import LAZY_TYPES, refuse_lazy_result
from ._errors import IdentityRefused
from ._impersonate import impersonate
from ._native import is_itself
from ._private_fs import PrivateFs
from ._thread_state import ThreadState
from ._tracebacks import clear_locals

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from ._identity import Identity
    from ._native import Guard
    from ._pool import Pool


class Task(Future[Any]):
    """The future that submit() returns. Until the function is called, it has the function and its arguments.

    The worker empties the task before it calls the function. So a thread that still has a reference to the task, such
    as the one in submit(), cannot be the one that destroys the arguments.
    """

    has_callbacks = False  # they run in the worker, whose ids are checked after them
    begun = False  # a worker has tried to enter the identity; before, a cancelled task waits, too

    def __init__(
        self, identity: Identity, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__()
        self.identity = identity
        self.function: Any = function
        self.args: Any = args
        self.kwargs: Any = kwargs

    def add_done_callback(self, function: Callable[[Future[Any]], object]) -> None:
        self.has_callbacks = True
        super().add_done_callback(function)

    def empty(self) -> None:
        """Remove the function and its arguments."""
        self.function = self.args = self.kwargs = None


class Counts:
    """What the workers in one of the pool's places have done. Only the present worker changes them."""

    __slots__ = ("switches", "tasks")

    def __init__(self) -> None:
        self.switches = self.tasks = 0


class Worker:
    """A thread, with its present identity, its task, and a queue that wakes it."""

    __slots__ = (
        "admitted",
        "context",
        "counted",
        "counts",
        "fs",
        "guard",
        "identity",
        "pool",
        "problem",
        "retired",
        "sleeps",
        "state",
        "task",
        "thread",
        "turns",
        "user",
        "wake",
    )

    counts: Counts  # from Pool.admit()

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.admitted = False  # the thread runs
        self.thread: threading.Thread | None = None
        self.identity: Identity | None = None  # used only to choose tasks; the kernel knows the ids
        self.guard: Guard | None = None
        self.user: Identity | None = None  # the last one that the thread entered since its state was restored
        self.state: ThreadState | None = None
        self.context: Context | None = None  # a new one, for the next task
        self.fs: PrivateFs | None = None
        self.turns = 0  # tasks of this user in a row
        self.counted: int | None = None  # the uid whose limit this worker counts for
        self.retired = False  # the worker ends before the pool is closed and empty
        self.sleeps = False  # it is idle, or was, and has not woken up yet
        self.task: Task | None = None  # kept until it is done: if this worker ends before, another one gets the task
        # True: the worker is removed from the idle ones, and has a task or should take one. False: the pool is closed.
        self.wake: SimpleQueue[bool] = SimpleQueue()
        self.problem: OSError | None = None  # the failure to leave an identity between two tasks

    def work(self) -> None:
        """The body of the thread. It ends when the pool closes, or if the thread's ids are wrong."""
        if not self.pool.admit(self):
            return
        thrown: BaseException | None = None
        try:
            if self.begin():
                self.retired = True  # until Pool.take() finds the pool closed and empty
                while self.pool.take(self) and self.run():
                    pass
        except BaseException as problem:  # another thread raised it in this thread, with PyThreadState_SetAsyncExc()
            clear_locals(problem)
            thrown = problem
        finally:
            try:
                self.leave_identity()
            finally:
                if self.fs is not None:
                    self.fs.close()
                self.pool.remove_worker(self, thrown)
                thrown = None  # its traceback refers to this frame, so the reference would be a cycle

    def begin(self) -> bool:
        """Prepare the thread for its first task. False if that failed."""
        pool = self.pool
        try:
            if pool.private_fs:
                self.fs = PrivateFs()
            if pool.initializer is not None:
                pool.initializer(*pool.initargs)
            if not is_itself():
                raise IdentityRefused(
                    "the initializer entered an identity and did not leave it; use a with block in the initializer"
                )
            if self.fs is not None:
                self.fs.remember()
            self.state = ThreadState(pool.isolation, pool.keyrings)
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
            if self.state is not None:
                self.state.restore_python()  # now: a trace function of a task must not run as the server
        except Exception:  # an audit hook refused it
            right = False
        finally:
            try:
                guard.__exit__(None, None, None)
            except OSError as problem:
                self.problem, right = problem, False  # the supervisor logs it, because it belongs to no task
            # Keep the reference until the guard is left. If another thread dropped the last reference, that thread
            # would leave the guard, and would be tainted.
            self.guard = self.identity = None
        return right and is_itself()

    def change_user(self, identity: Identity) -> bool:
        """Leave the identity, and restore what its tasks changed in the thread. False if the worker must end."""
        if not self.leave_identity():
            return False
        user, self.user = self.user, None
        if user is None or user.uid != identity.uid:
            self.turns = 1
        return user is None or user == identity or (self.state is not None and self.state.restore())

    def enter(self, identity: Identity) -> BaseException | None:
        """Enter the identity. Return the exception if that failed."""
        try:
            # Store the guard before it is entered. Then leave_identity() can leave it after any exception.
            self.guard = impersonate(identity, **self.pool.options)
            self.user = identity
            self.guard.__enter__()
            self.identity = identity
            self.counts.switches += 1
            return None
        except BaseException as problem:
            return problem

    def run(self) -> bool:
        """Run the task. False if the thread's ids were wrong before or after it."""
        task = self.task
        assert task is not None
        identity = task.identity
        if identity is not self.identity and identity != self.identity and not self.change_user(identity):
            return False
        failed = self.enter(identity) if self.guard is None else None
        task.begun = True
        if failed is not None:
            right = self.leave_identity() and is_itself()
            if task.set_running_or_notify_cancel():
                task.set_exception(failed)
            task.empty()
            self.task = task = failed = None  # the exception refers to this frame, so this would be a cycle
            return right and (self.fs is None or self.restore_fs())
        guard, state = self.guard, self.state
        assert guard is not None
        assert state is not None
        if not task.set_running_or_notify_cancel():
            task.empty()  # a cancelled task's arguments, too, are destroyed as its user
            self.task = None
            return guard.check() and (self.fs is None or self.restore_fs())
        context = self.context or state.new_context()
        self.counts.tasks += 1
        result, failed = _outcome(task, context)
        if not task.has_callbacks:
            context = state.new_context()  # before the check, because destructors of values in the old one may run
        right = guard.check()
        if not right:
            result, context = None, state.new_context()  # now, because the thread soon has the ids of the server
            state.restore_python()
            try:
                guard.__exit__(None, None, None)  # raises what check() found
            except OSError as problem:
                problem.__context__ = failed
                failed = problem
            self.guard = self.identity = None
        if failed is None:
            context.run(task.set_result, result)
        else:
            context.run(task.set_exception, failed)
        had_callbacks = task.has_callbacks  # another thread may have added one by now
        self.context = None if had_callbacks else context
        self.task = context = result = failed = None  # type: ignore[assignment]
        # Done callbacks have run in this thread. So does the destructor of the result, if nobody else has the task.
        again = had_callbacks or _references(task) <= _ONLY_HERE
        del task
        if again and right:
            right = guard.check()
        return right and (self.fs is None or self.restore_fs())

    def restore_fs(self) -> bool:
        """Restore the working directory and the umask. A user who may not enter the directory cannot go back there."""
        assert self.fs is not None
        return self.fs.restore() or (self.leave_identity() and self.fs.restore())


#: PyPy has no sys.getrefcount().
_references: Callable[[object], int] = getattr(sys, "getrefcount", lambda thing: 0)


def _count_one() -> int:
    """What _references() returns for an object to which one local variable refers: 2, and 1 from CPython 3.14 on."""
    thing = object()
    count = _references(thing)
    del thing
    return count


_ONLY_HERE = _count_one()


def _outcome(task: Task, context: Context) -> tuple[Any, BaseException | None]:
    """Call the function of a task. Return its result and its exception.

    When this function returns, nothing here refers to the arguments: an exception refers to this frame.
    """
    function, args, kwargs = task.function, task.args, task.kwargs
    task.function = task.args = task.kwargs = None
    result: Any = None
    try:
        result = context.run(function, *args, **kwargs)
        if isinstance(result, LAZY_TYPES):
            refuse_lazy_result(function, result)
        return result, None
    except BaseException as problem:
        clear_locals(problem)
        return None, problem
    finally:
        del task, context, function, args, kwargs, result
