# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""run_as(): a task of asyncio or trio awaits a function that runs as a user in another thread."""

from __future__ import annotations

import sys

from ._acting_as import acting_as, refuse_lazy_function, refuse_lazy_result, refuse_unknown_options
from ._errors import IdentityRefused
from ._event_loops import call_as_user, call_in_thread, description, running_loop, task_loops
from ._impersonate import DEFAULT_LEVEL, changed_options
from ._native import depth, tainted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import TypeVarTuple, Unpack

    from ._executor import IdentityExecutor
    from ._identity import Identity
    from ._options import Level, OnFailure

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")


async def run_as(
    identity: Identity,
    function: Callable[[Unpack[Ts]], T],
    /,
    *args: Unpack[Ts],
    executor: IdentityExecutor | None = None,
    abandon_on_cancel: bool = False,
    level: Level | None = None,
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
    **unknown: NoReturn,
) -> T:
    """Run a function as another user in a worker thread: ``await run_as(identity, function, *args)``.

    It works in a task of asyncio or trio, and so under anyio, too. Without ``executor``, the worker is one of
    ``asyncio.to_thread()`` or ``trio.to_thread.run_sync()``. The function then sees the context variables of the
    caller. With ``executor``, the worker is one of that pool, and each task has its own context variables.

    A thread cannot be stopped. So if the awaiting task is cancelled, a function that runs goes on to its end, as the
    user. asyncio does not wait for it. trio waits, unless ``abandon_on_cancel`` is true. A function that still waits
    for a worker is not called.

    Args:
        identity: The user to run the function as.
        function: A plain function.
        args: The positional arguments of the function. Bind keyword arguments with functools.partial.
        executor: The pool to use. Its own options apply, so do not give ``level`` and the arguments after it.
        abandon_on_cancel: As for ``trio.to_thread.run_sync()``. With asyncio, a cancelled task never waits.
        level: As for :func:`impersonate`. None means ``"shielded"``, or the level of ``executor``.
        allow_root: As for :func:`impersonate`.
        allow_process: As for :func:`impersonate`.
        on_restore_failure: As for :func:`impersonate`.
        unknown: No other keyword arguments are accepted.

    Returns:
        The result of the function.

    Raises:
        IdentityRefused: As for :func:`impersonate`. Also if no task of asyncio or trio runs in this thread, or a task
            of both. Without ``executor``, also if the event loop's thread is switched, because a new worker would
            inherit its ids; and if the worker still holds an identity that earlier code entered and never left.
        IdentityError: A step failed. ``state`` says what the worker thread is now.
        TypeError: As for :class:`acting_as`; or ``executor`` is not an :class:`IdentityExecutor`, or is given together
            with one of the last four options.
        ValueError: An option is wrong.
        BrokenThreadPool: As for :meth:`IdentityExecutor.submit`.
        RuntimeError: As for :meth:`IdentityExecutor.submit`; or asyncio's own executor is shut down; or the function
            raised StopIteration.
        CancelledError: The executor was shut down with ``cancel_futures`` before the function ran. With asyncio it is
            asyncio.CancelledError, otherwise concurrent.futures.CancelledError.
    """
    refuse_unknown_options("run_as", unknown)
    loop = _own_loop(identity)
    library: Any = sys.modules[loop]
    if executor is not None:
        options = {"level": level, **changed_options(DEFAULT_LEVEL, allow_root, allow_process, on_restore_failure)}
        _check_executor(executor, [name for name, value in options.items() if value is not None])
        refuse_lazy_function(function)  # submit() sees another function
        waiting: list[Callable[..., T]] = [function]
    else:
        _refuse_start(identity)
        call = acting_as(
            identity,
            function,
            level=DEFAULT_LEVEL if level is None else level,
            allow_root=allow_root,
            allow_process=allow_process,
            on_restore_failure=on_restore_failure,
        )
        waiting = [call]
    result: T
    try:
        if executor is None and loop == "trio":
            option = {"abandon_on_cancel": True} if abandon_on_cancel else {}  # trio 0.22 has another name
            result = await library.to_thread.run_sync(_in_worker, identity, waiting, args, **option)
        elif executor is None:
            result = await library.to_thread(_in_worker, identity, waiting, args)
        elif loop == "trio":
            result = await _in_pool_of_trio(executor, abandon_on_cancel, identity, waiting, args)
        else:
            result = await library.wrap_future(executor.submit(identity, _call, waiting, args))
    finally:
        waiting.clear()  # a cancelled function is not called, even if a worker has it, but has not called it yet
    return result


def _own_loop(identity: Identity) -> str:
    """The loop whose task runs: "asyncio" or "trio". Raises IdentityRefused if that is neither, or cannot be known."""
    loops = task_loops()
    if len(loops) == 1:
        return loops[0]
    if loops:
        one, other = (call_in_thread(loop, "acting_as(...)") for loop in loops)
        raise IdentityRefused(
            f"tasks of {' and '.join(loops)} run in this thread, one inside the other, and run_as() cannot know which "
            f"one awaits it; use {one} or {other}",
            identity,
        )
    running = running_loop()
    where = f"; {description(running)} is running in this thread" if running else ""
    what = call_as_user(running) if running == "Twisted" else "`acting_as(...)` in a worker thread of your event loop"
    raise IdentityRefused(
        f"run_as() works in tasks of asyncio and trio, also those of anyio, and none runs here{where}; use {what}",
        identity,
    )


def _check_executor(executor: object, options: list[str]) -> None:
    """Raise TypeError if this is no IdentityExecutor, or if there are options, which the pool decides."""
    from ._executor import IdentityExecutor

    if not isinstance(executor, IdentityExecutor):
        raise TypeError(
            f"executor should be an IdentityExecutor, not {type(executor).__name__}, whose workers could start with "
            "the ids of a switched thread, and nobody would check them; call acting_as(...) in that executor yourself"
        )
    if options:
        raise TypeError(
            f"run_as() cannot change {', '.join(options)} of the executor's workers; give the executor these options "
            "when you make it, if it has them"
        )


def _refuse_start(identity: Identity) -> None:
    """Raise IdentityRefused if a new worker thread might inherit wrong ids from this thread."""
    if tainted():
        raise IdentityRefused(
            "the event loop's own thread is tainted, because an identity of another thread was left or dropped in it, "
            "and a new worker might inherit wrong ids; end the process",
            identity,
        )
    if depth():
        raise IdentityRefused(
            "the event loop's own thread is switched, and a new worker would inherit its ids; call run_as() outside "
            "of the identity",
            identity,
        )


def _in_worker(identity: Identity, waiting: list[Callable[..., T]], args: tuple[Any, ...]) -> T | None:
    """Call the function, unless earlier code has entered an identity in this worker and never left it."""
    if depth():
        raise IdentityRefused(
            "this worker thread of the event loop still holds an identity that earlier code entered and never left; "
            "find that code, and use a with block in it",
            identity,
        )
    return _call(waiting, args)


def _call(waiting: list[Callable[..., T]], args: tuple[Any, ...]) -> T | None:
    """Take the function out of the list and call it. The list is empty if the awaiting task was cancelled.

    A coroutine cannot raise StopIteration, and asyncio before Python 3.12 would wait forever.
    """
    try:
        function = waiting.pop()
    except IndexError:
        return None
    try:
        result = function(*args)
    except StopIteration as error:
        raise RuntimeError(f"{function!r} raised StopIteration") from error
    refuse_lazy_result(function, result)
    return result


async def _in_pool_of_trio(
    executor: IdentityExecutor,
    abandon_on_cancel: bool,
    identity: Identity,
    waiting: list[Callable[..., T]],
    args: tuple[Any, ...],
) -> T:
    """Submit a task and wait for it, as trio.to_thread.run_sync() does with its thread."""
    trio: Any = sys.modules["trio"]
    token, finished = trio.lowlevel.current_trio_token(), trio.RunFinishedError
    waiter = trio.lowlevel.current_task()  # None if it waits no more: a worker must not be the last to refer to it

    def tell_loop(future: Future[T]) -> None:  # in the worker, under the identity
        try:
            token.run_sync_soon(resume)
        except finished:
            return  # trio has ended, so nobody waits

    def resume() -> None:
        nonlocal waiter
        task, waiter = waiter, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def wait() -> T:
        future: Any = executor.submit(identity, _call, waiting, args)

        def abort(raise_cancel: object) -> Any:
            nonlocal waiter
            if not future.cancel() and not abandon_on_cancel:
                return trio.lowlevel.Abort.FAILED  # it runs: wait for its end
            waiter = None
            return trio.lowlevel.Abort.SUCCEEDED

        future.add_done_callback(tell_loop)
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
            value: T = future.result()
            return value
        finally:
            future = None  # it refers to an exception, whose traceback refers to this frame

    await trio.lowlevel.checkpoint_if_cancelled()
    # An interrupt between submit() and the wait would not wait for the function.
    result: T = await trio.lowlevel.enable_ki_protection(wait)()
    return result
