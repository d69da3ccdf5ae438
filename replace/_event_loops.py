# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Which event loop runs in the calling thread, and which calls a refusal names for it.

A loop cannot run if its module is not imported. So these functions only look in sys.modules, and import nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How a message calls each loop, and the code that runs a plain function in a worker thread of that loop.
_LOOPS = {
    "asyncio": ("an asyncio event loop", "await asyncio.to_thread({})"),
    "trio": ("a trio event loop", "await trio.to_thread.run_sync({})"),
    "Twisted": ("a Twisted reactor", "deferToThread({})"),
}

#: The functions of trio.lowlevel that raise RuntimeError outside of a run or task.
_OLD_TRIO = {"run": "current_trio_token", "task": "current_task"}

_module = sys.modules.get


def call_if_imported(module: str, function: str) -> Any:
    """Call a module's function. Return None if the module is not imported, or another thread is importing it."""
    found = getattr(_module(module), function, None)
    return None if found is None else found()


def _trio_has_current(thing: str) -> bool:
    """Whether this thread runs trio (thing is "run"), or a task of it ("task")."""
    has = call_if_imported("trio.lowlevel", f"in_trio_{thing}")
    if has is None:  # trio before 0.29
        try:
            return call_if_imported("trio.lowlevel", _OLD_TRIO[thing]) is not None
        except RuntimeError:
            return False
    return bool(has)


def task_loops() -> list[str]:
    """The loops that run a task in this thread at this moment: "asyncio", "trio".

    One loop may run on another one, as in trio's guest mode. Then each task belongs to one of them. Both run a task if
    a task of one loop starts the other loop and waits for it. Then nobody knows which one is the inner loop.
    """
    found = []
    loop = call_if_imported("asyncio", "_get_running_loop")
    if loop is not None and call_if_imported("asyncio", "current_task") is not None:
        found.append("asyncio")
    if _trio_has_current("task"):
        found.append("trio")
    return found


def running_loop() -> str:
    """The event loop that runs in this thread: "asyncio", "trio" or "Twisted". "" if there is none.

    If several do, the one whose task runs counts. Twisted can run on asyncio.
    """
    asyncio = call_if_imported("asyncio", "_get_running_loop") is not None
    trio = _trio_has_current("run")
    twisted = getattr(_module("twisted.internet.reactor"), "running", False) and bool(
        call_if_imported("twisted.python.threadable", "isInIOThread")
    )
    if asyncio + trio + twisted > 1:
        tasks = task_loops()
        if tasks:
            return tasks[0]
    return "Twisted" if twisted else "asyncio" if asyncio else "trio" if trio else ""


def description(loop: str) -> str:
    """How a message calls the loop, for example "an asyncio event loop"."""
    return _LOOPS[loop][0]


def call_in_thread(loop: str, call: str) -> str:
    """The code that runs a plain function in a worker thread of the loop."""
    return f"`{_LOOPS[loop][1].format(call)}`"


def call_as_user(loop: str) -> str:
    """The code that runs a plain function as a user in a worker thread of the loop."""
    return call_in_thread(loop, "acting_as(...)") if loop == "Twisted" else "`await run_as(...)`"
