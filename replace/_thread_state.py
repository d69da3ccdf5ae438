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
from typing import TYPE_CHECKING, Any

from ._errors import IdentityRefused
from ._impersonate import _before as refuse_thread_of_loop
from ._native import join_keyring, restore_settings, thread_settings, thread_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from ._options import Isolation

#: What isolation may be. The type of the option is in _options.py.
ISOLATIONS = ("state", "thread")


def own_keyring() -> tuple[int, int, int] | None:
    """Give the calling thread a new session keyring, and return join_keyring()'s result. Raises OSError.

    The kernel frees a keyring some milliseconds after the last thread has left it. Meanwhile a server that is not root
    may have used its quota, which is 200 keys.
    """
    for attempt in range(100):
        try:
            return join_keyring()
        except OSError as problem:
            if problem.errno != errno.EDQUOT or attempt == 99:
                advice = f"{problem.strerror}: joining a session keyring; keyrings=False keeps the server's keyrings"
                raise OSError(problem.errno, advice) from None
        time.sleep(0.01)
    raise AssertionError


class ThreadState:
    """What a worker's thread was after the initializer. Used only in that thread."""

    __slots__ = ("_hooks", "_keyrings", "_rings", "_settings", "_state", "_thread", "new_context")

    def __init__(self, isolation: Isolation, keyrings: bool) -> None:
        """Look at the calling thread, which has its own ids. Raises OSError if it cannot get a keyring."""
        self._keyrings = keyrings
        self._rings = own_keyring() if keyrings else None
        self._hooks = _hooks()
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
        if _hooks() != self._hooks:
            trace, profile, generators, depth = self._hooks
            sys.setprofile(profile)
            sys.settrace(trace)
            sys.set_asyncgen_hooks(*generators)
            sys.set_coroutine_origin_tracking_depth(depth)
        now, before = vars(threading.current_thread()), self._thread
        if now != before:
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)

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
            refuse_thread_of_loop(None)  # it would refuse the identity of each next task
            return thread_state() == self._state
        except (OSError, IdentityRefused):
            return False


def _hooks() -> tuple[Any, Any, Any, int]:
    return (
        sys.gettrace(),
        sys.getprofile(),
        sys.get_asyncgen_hooks(),
        sys.get_coroutine_origin_tracking_depth(),
    )
