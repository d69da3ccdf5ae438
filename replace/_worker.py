# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""One worker of an IdentityExecutor: it takes tasks, becomes who they are for, and stays so until another's comes.

The other half, _pool.py, says which task goes to which worker.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ._acting_as import refuse_lazy_result
from ._errors import IdentityRefused
from ._impersonate import impersonate
from ._native import depth, private_fs, tainted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from concurrent.futures import Future

    from ._identity import Identity
    from ._native import Guard
    from ._pool import Pool

    Task = tuple[Future[Any], Identity, Callable[..., Any], tuple[Any, ...], dict[str, Any]]
else:
    Task = tuple


_log = logging.getLogger(__package__)
_log.addHandler(logging.NullHandler())  # silent by default


class Worker:
    """A thread, whom it is at the moment, its task, and how it is woken."""

    __slots__ = ("begun", "guard", "identity", "inbox", "pool", "thread", "turns", "wake")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.thread: threading.Thread | None = None
        self.identity: Identity | None = None  # only said, for choosing tasks; the kernel is asked
        self.guard: Guard | None = None
        self.turns = 0
        self.begun = False  # whether it has asked for a task yet
        self.inbox: deque[Task] = deque()  # one at most; it stays here until it is done, so no exception can lose it
        self.wake: SimpleQueue[None] = SimpleQueue()

    def work(self) -> None:
        """The thread's life.  It ends when the pool closes, and at once if it is not what it should be."""
        try:
            try:
                if self.begin():
                    while (self.inbox or self.pool.take(self)) and self.run(*self.inbox[0]):
                        self.inbox.clear()
            except BaseException as problem:  # thrown into this thread from another one
                self.end(problem)
            else:
                self.end()
        finally:
            self.end()  # where another one came

    def wait(self) -> bool:
        """Until there is a task.  False: end; somebody may have changed what this thread is."""
        self.wake.get()
        return bool(self.inbox) and (self.guard is None or self.guard.check())

    def end(self, problem: BaseException | None = None) -> None:
        """Leave nothing behind: no identity, and no task that nobody does."""
        if self.inbox and self.inbox[0][0].running():
            self.inbox[0][0].set_exception(problem or RuntimeError("the worker was interrupted"))
        self.stop_being()
        self.pool.gone(self)

    def begin(self) -> bool:
        """What comes before the first task; False if there cannot be one."""
        function, args = self.pool.initializer
        try:
            if self.pool.home is not None:
                private_fs()
            if function is not None:
                function(*args)
            if depth() or tainted():
                raise IdentityRefused("the initializer left an identity on this thread")
            return True
        except BaseException as problem:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            self.pool.spoil(problem)
            return False

    def stop_being(self) -> bool:
        """Back to what the thread was; False if that went wrong, or had gone wrong before."""
        guard, self.guard, self.identity = self.guard, None, None
        if guard is None:
            return True
        try:
            guard.__exit__(None, None, None)
        except OSError as problem:
            if depth() == 0:  # a handler opens files, which no user may do for the server
                _log.warning("a worker ends: %s", problem)
            return False
        return depth() == 0 and not tainted()

    def run(self, future: Future[Any], identity: Identity, function: Any, args: Any, kwargs: Any) -> bool:
        """One task; False if the thread is not what it should be before or after it."""
        if identity is not self.identity and identity != self.identity and not self.stop_being():
            return False
        if not future.set_running_or_notify_cancel():
            return True
        try:
            if self.guard is None:
                guard = impersonate(identity, **self.pool.options)
                guard.__enter__()
                self.guard, self.identity, self.turns = guard, identity, 1
            else:
                guard = self.guard
        except BaseException as problem:
            future.set_exception(problem)
            return depth() == 0 and not tainted()
        result: Any = None
        failed: BaseException | None = None
        try:
            result = function(*args, **kwargs)
            refuse_lazy_result(function, result)
        except BaseException as problem:
            failed = problem
        right = guard.check()
        if not right:
            self.guard = None
            try:
                guard.__exit__(None, None, None)  # raises what check() found
            except OSError as problem:
                problem.__context__ = failed
                failed = problem
        if failed is None:
            future.set_result(result)
        else:
            future.set_exception(failed)
            failed = None  # its traceback holds this frame
        if future._done_callbacks and right:  # type: ignore[attr-defined]  # they have run, here
            right = guard.check()
        home = self.pool.home
        return right and (home is None or self.go_home(*home))

    def go_home(self, directory: int, place: tuple[int, int], mask: int) -> bool:
        """The next task starts in the pool's directory, with the pool's umask."""
        os.umask(mask)
        try:
            here = os.stat(".")
            if (here.st_dev, here.st_ino) == place:
                return True
        except OSError:  # gone, or closed to the user
            pass
        if not self.stop_being():  # the user might not be permitted to go there
            return False
        os.fchdir(directory)
        return True
