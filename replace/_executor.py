# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""IdentityExecutor: a thread pool that runs each task as a user.

This file has the public class. _pool.py has the workers and their tasks.
"""

from __future__ import annotations

import os
import weakref
from concurrent.futures import Executor, Future
from itertools import count
from typing import TYPE_CHECKING, Any

from ._acting_as import refuse_lazy_function, refuse_unknown_options
from ._errors import IdentityRefused
from ._identity import Identity, check_identity
from ._impersonate import DEFAULT_LEVEL, check_options
from ._native import is_itself, main_is_switched
from ._pool import Pool, refuse_at_exit
from ._pool_stats import read_stats
from ._thread_state import ISOLATIONS
from ._threads import difference_from_main, unknown_ids
from ._worker import Task

if TYPE_CHECKING:
    import sys
    from collections.abc import Callable, Iterable, Iterator
    from typing import ParamSpec, TypedDict, TypeVar

    from typing_extensions import Unpack

    from ._options import Isolation, Level
    from ._pool_stats import PoolStats

    P = ParamSpec("P")
    T = TypeVar("T")

    class OldMapOptions(TypedDict, total=False):
        """The options of ``Executor.map()``."""

        timeout: float | None
        chunksize: int

    if sys.version_info >= (3, 14):

        class MapOptions(OldMapOptions, total=False):
            buffersize: int | None
    else:
        MapOptions = OldMapOptions


class IdentityExecutor(Executor):
    """A thread pool that runs each task as a user: a ``concurrent.futures.Executor`` whose tasks have an identity.

    A worker keeps a user's identity until its next task belongs to another user. A task goes to an idle worker that
    already has its identity, if there is one. Tasks of one user start in the order of submit(). Users take turns, 32
    tasks each, so a user with 1000 tasks does not make the others wait for all of them. If tasks can block, such as the
    open() of a FIFO, set ``max_per_identity``: otherwise one user can occupy all workers.

    The pool asks the kernel for a worker's ids after each task and its done callbacks, and when an idle worker gets a
    task. If the ids are wrong, a new worker replaces this one. If they are wrong after a task, the result of the task
    is :exc:`IdentityChanged` or :exc:`CapabilitiesRemain`. Done callbacks run in the worker: as the user if the
    outcome comes from the function, otherwise as the server.

    While workers hold identities, even idle ones, :func:`drop_privileges` is refused and :func:`assert_clean` lists
    them. Shut the executor down before you call these functions.

    Args:
        max_workers: As for ThreadPoolExecutor.
        thread_name_prefix: As for ThreadPoolExecutor.
        initializer: As for ThreadPoolExecutor. It runs with the ids of the process, before the first identity.
        initargs: As for ThreadPoolExecutor.
        level: As for :func:`impersonate`.
        allow_root: As for :func:`impersonate`.
        private_fs: Give each worker its own working directory and umask (Linux only). Each task starts with those that
            its worker had after the initializer. Without an initializer, these are the process's when you made the
            pool.
        isolation: What happens between the tasks of two users. With ``"state"``, the worker restores what a task may
            have changed in its thread, and compares what it cannot restore. If something differs or cannot be read, a
            new worker replaces it. With ``"thread"``, a new worker always replaces it. See :doc:`pools`.
        keyrings: Give each user's tasks a new session keyring. With False, tasks use the server's keyrings, for example
            for the keys of encrypted folders.
        max_per_identity: At most this many workers run tasks of one user at the same time. The user's other tasks wait,
            and workers are free for other users. With None, one user may occupy all workers. Identities with the same
            uid count together, because a client can change its groups (newgrp(1)).

    Raises:
        ValueError: ``max_workers``, ``level``, ``isolation`` or ``max_per_identity`` is wrong.
        TypeError: ``initializer`` is not callable; or ``max_per_identity`` is neither an int nor None.
        IdentityRefused: The calls of this build change the whole process; or this thread or the main thread holds an
            identity; or this thread's ids differ from the main thread's, or cannot be compared because /proc cannot be
            read.
        OSError: ``private_fs`` is not possible on this system; or this thread cannot get a session keyring.
        RuntimeError: The interpreter shuts down.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        level: Level = DEFAULT_LEVEL,
        allow_root: bool = False,
        private_fs: bool = False,
        isolation: Isolation = "state",
        keyrings: bool = True,
        max_per_identity: int | None = None,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (getattr(os, "process_cpu_count", os.cpu_count)() or 1) + 4)
        if max_workers <= 0:
            raise ValueError(f"max_workers must be greater than 0, not {max_workers}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer should be callable, not {type(initializer).__name__}")
        if isolation not in ISOLATIONS:
            raise ValueError(f"isolation should be {' or '.join(ISOLATIONS)}, not {isolation!r}")
        _check_limit(max_per_identity)
        check_options(level, allow_root)
        refuse_at_exit()
        if not is_itself():
            raise IdentityRefused(
                "this thread holds an identity or is tainted, and the workers would inherit its ids; create the "
                "executor in another thread"
            )
        if main_is_switched():
            raise IdentityRefused(
                "the main thread holds an identity, which this thread may have inherited; create the executor when the "
                "main thread has left it"
            )
        try:
            difference = difference_from_main()
        except OSError as error:
            raise unknown_ids(error) from None
        if difference:
            raise IdentityRefused(
                f"this thread's ids differ from the main thread's ({difference}), and the workers would inherit them; "
                "create the executor in a thread that is not switched"
            )
        options = {"level": level, "allow_root": allow_root}
        prefix = thread_name_prefix or f"IdentityExecutor-{next(self._numbers)}"
        pool = self._pool = Pool(
            max_workers, prefix, initializer, initargs, options, private_fs, isolation, keyrings, max_per_identity
        )
        self._close = weakref.finalize(self, pool.close)  # before the threads start: an interrupt may come between
        self._close.atexit = False
        pool.start_supervisor()

    _numbers = count()

    def submit(  # type: ignore[override]
        self, identity: Identity, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Run a function in a worker, as another user.

        Args:
            identity: The user to run the function as.
            function: A plain function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            A Future. Its ``exception()`` is the function's exception, or the reason why the worker could not enter or
            keep the identity.

        Raises:
            TypeError: ``identity`` is not an Identity; or ``function`` is a generator or coroutine function, whose body
                would run later, as the server.
            IdentityRefused: The identity has uid 0, gid 0 or group 0, without ``allow_root``.
            BrokenThreadPool: A worker could not start.
            RuntimeError: The executor is shut down; or this is a forked child, which has no workers.
        """
        pool = self._pool
        check_identity(identity, pool.options["allow_root"])
        refuse_lazy_function(function)
        if not pool.accepts:
            raise pool.refusal()
        task = Task(identity, function, args, kwargs)
        del function, args, kwargs  # so that this thread does not destroy them, if the task is faster
        pool.add(task)
        return task

    def map(  # type: ignore[override]
        self,
        identity: Identity,
        function: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        **options: Unpack[MapOptions],
    ) -> Iterator[T]:
        """Call a function for each item, as another user.

        Args:
            identity: The user to run each call as.
            function: A plain function.
            iterables: As for ``Executor.map()``.
            options: ``timeout`` and others, as for ``Executor.map()``.

        Returns:
            An iterator of the results, as of ``Executor.map()``.

        Raises:
            TypeError: As for :meth:`submit`; or an option is unknown.
            IdentityRefused: As for :meth:`submit`.
            BrokenThreadPool: As for :meth:`submit`.
            RuntimeError: As for :meth:`submit`.
        """
        refuse_unknown_options("map", options.keys() - (Executor.map.__kwdefaults__ or {}).keys())
        return self.bound(identity).map(function, *iterables, **options)

    def bound(self, identity: Identity) -> Executor:
        """Make an ordinary Executor that runs all its tasks as one user, for code such as loop.run_in_executor().

        Args:
            identity: The user to run the tasks as.

        Returns:
            An Executor with the workers of this one. Its shutdown() does nothing.

        Raises:
            TypeError: ``identity`` is not an Identity.
            IdentityRefused: The identity has uid 0, gid 0 or group 0, without ``allow_root``.
        """
        check_identity(identity, self._pool.options["allow_root"])
        return _Bound(self, identity)

    def stats(self) -> PoolStats:
        """Read what the workers have done, and who waits for them.

        The call waits for no lock: any thread, a signal handler and a finalizer may make it. It takes longer if many
        tasks wait.

        Returns:
            The numbers of this moment. While the call reads, a task may move to a worker, and may then appear twice or
            not at all in ``waiting`` and ``running``.
        """
        return read_stats(self._pool)

    def __repr__(self) -> str:
        pool = getattr(self, "_pool", None)  # none if __init__() raised
        if pool is None:
            return object.__repr__(self)
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        state = ", shut down" if pool.closed else ""
        return f"<{kind} {pool.prefix} max_workers={pool.size} level={pool.options['level']}{state}>"

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more tasks. The workers still run the waiting tasks, unless you cancel them.

        Args:
            wait: Return when the threads have ended.
            cancel_futures: Cancel the waiting tasks.

        Raises:
            RuntimeError: A worker of this executor called it with ``wait``.
        """
        pool = self._pool
        if pool.pid != os.getpid():
            return
        if wait and pool.is_own_thread():
            raise RuntimeError(
                "a worker cannot wait for its own end; call shutdown(wait=False), or call it in another thread"
            )
        pool.close()
        if cancel_futures:
            pool.cancel()
        if wait:
            pool.supervisor.join()


def _check_limit(limit: object) -> None:
    """Raise TypeError or ValueError if this is not a value of max_per_identity."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"max_per_identity should be int or None, not {type(limit).__name__}")
    if limit <= 0:
        raise ValueError(f"max_per_identity must be greater than 0, not {limit}")


class _Bound(Executor):
    """The executor that IdentityExecutor.bound() returns."""

    def __init__(self, executor: IdentityExecutor, identity: Identity) -> None:
        self._executor, self._identity = executor, identity

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._executor.submit(self._identity, function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: the workers belong to the IdentityExecutor."""

    def __repr__(self) -> str:
        return f"<tasks as {self._identity!r} in {self._executor!r}>"
