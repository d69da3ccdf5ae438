# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What a task may leave on its thread besides ids: how the next user's task gets a thread without it.

A worker of a pool keeps what its initializer has set. restore() sets back what can be set back exactly, and compares
the rest. What cannot be read counts as changed, so the worker ends. native/thread_state_linux.c has the list.
"""

from __future__ import annotations

import errno
import sys
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from operator import is_
from typing import TYPE_CHECKING, Any, get_args

from ._errors import IdentityRefused
from ._event_loops import running_loop
from ._impersonate import refuse_greenlets
from ._native import join_keyring, restore_settings, thread_settings, thread_state
from ._options import Isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

#: What isolation may be.
ISOLATIONS: tuple[str, ...] = get_args(Isolation)


def own_keyring() -> tuple[int, int, int] | None:
    """Give the calling thread a new session keyring, and return join_keyring()'s result. Raises OSError.

    The kernel frees a keyring some milliseconds after the last thread has left it. Meanwhile a server that is not root
    may have used its quota, which is 200 keys.
    """
    attempts = 100
    while True:
        try:
            return join_keyring()
        except OSError as problem:
            attempts -= 1
            if problem.errno != errno.EDQUOT or not attempts:
                advice = f"{problem.strerror}: joining a session keyring; keyrings=False keeps the server's keyrings"
                raise OSError(problem.errno, advice) from None
        time.sleep(0.01)


class ThreadState:
    """What a worker's thread was after the initializer. Used only in that thread."""

    __slots__ = ("_depth", "_hooks", "_keyrings", "_rings", "_settings", "_state", "_thread", "new_context")

    def __init__(self, isolation: Isolation, keyrings: bool) -> None:
        """Look at the calling thread, which has its own ids. Raises OSError if it cannot get a keyring."""
        self._keyrings = keyrings
        self._rings = own_keyring() if keyrings else None
        self._hooks, self._depth = _hooks(), sys.get_coroutine_origin_tracking_depth()
        self._settings = thread_settings()
        self._thread = dict(vars(threading.current_thread()))
        self._state: bytes | None = None
        if isolation == "state":
            with suppress(OSError):  # if it cannot be read, each user needs a new thread
                self._state = thread_state()
        context = copy_context()
        # decimal changes its context in place, so all copies of the Context object would have the same one.
        decimals = [
            (variable, value.copy()) for variable, value in context.items() if variable.name == "decimal_context"
        ]

        def copy_with_decimals() -> Context:
            copied = context.copy()
            for variable, value in decimals:
                copied.run(variable.set, value.copy())
            return copied

        #: Make the context for one task: a copy of the worker's context after the initializer.
        self.new_context: Callable[[], Context] = copy_with_decimals if decimals else context.copy

    def restore_python(self) -> None:
        """Restore what the interpreter keeps for the thread: the functions that it calls, the attributes of Thread.

        Call this while the thread still has the identity of its tasks: afterwards a trace function of a task would run
        as the server, and so would the destructor of an object that is removed here.
        """
        while self._replace_python():  # a destructor of what was removed may have changed something again
            pass

    def _replace_python(self) -> bool:
        """Set back what differs. Return whether something did, and destroy it only at the end."""
        hooks, thread = _hooks(), vars(threading.current_thread())
        sys.set_coroutine_origin_tracking_depth(self._depth)
        # Compare by identity: these objects belong to a task, and so would their __eq__().
        if not _are_same(hooks, self._hooks):
            trace, profile, generators, finalizers = self._hooks
            sys.settrace(trace)
            sys.setprofile(profile)
            sys.set_asyncgen_hooks(generators, finalizers)
        elif len(thread) == len(self._thread) and _are_same(map(thread.get, self._thread), self._thread.values()):
            return False
        removed = thread.copy()
        thread.update(self._thread)
        for name in removed:
            if name not in self._thread:
                del thread[name]
        return True

    def restore(self) -> bool:
        """Make the thread what it was after the initializer. False if that is impossible, or cannot be known.

        Call this with the thread's own ids, after the tasks of one user and before those of another one.
        """
        if self._state is None:
            return False
        try:
            restore_settings(self._settings)
            if self._keyrings and own_keyring() != self._rings:
                return False
            refuse_greenlets(None)  # and a loop: the thread could not enter an identity for the next task
            return not running_loop() and thread_state() == self._state
        except (OSError, IdentityRefused):
            return False


def _hooks() -> tuple[Any, ...]:
    return (sys.gettrace(), sys.getprofile(), *sys.get_asyncgen_hooks())


def _are_same(some: Iterable[object], others: Iterable[object]) -> bool:
    return all(map(is_, some, others))
