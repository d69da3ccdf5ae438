# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""PoolStats: what the workers of an IdentityExecutor have done, and who waits for them.

Reading needs no lock, so that a signal handler may do it. Each list and queue is copied before it is looked at.
"""

from typing import TYPE_CHECKING, NamedTuple

from ._identity import Identity
from ._turns import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._pool import Pool
    from ._worker import Task


class PoolStats(NamedTuple):
    """What :meth:`IdentityExecutor.stats` returns. The first three numbers never decrease.

    Attributes:
        tasks: How many functions of tasks the workers have called, also those that still run.
        switches: How many times a worker has entered an identity.
        retired: How many workers have ended too early, and another one replaces them: the ids were wrong, the state of
            the thread could not be restored, another thread threw an exception into the worker, or the pool has
            ``isolation="thread"``. See :doc:`pools`.
        running: How many workers have a task of each identity, or are about to begin one. ``max_per_identity`` limits
            the sum of the identities with the same uid.
        waiting: How many tasks of each identity wait for a worker. A cancelled task waits, too, until a worker destroys
            its arguments.
    """

    tasks: int
    switches: int
    retired: int
    running: dict[Identity, int]
    waiting: dict[Identity, int]


# As __init__.py does it. But stats() may return an object before a program asks for the class.
PoolStats.__module__ = __name__.rpartition(".")[0]


def read_stats(pool: "Pool") -> PoolStats:
    """Read the numbers of a pool."""
    counts = list(pool.counts)
    waiting = tasks_of(pool.inbox)  # first, because tasks move from here to pool.waiting
    for queue in list(dict.values(pool.waiting)):
        waiting += tasks_of(queue)
    running = [worker.task for worker in list(pool.workers)]
    return PoolStats(
        tasks=sum(count.tasks for count in counts),
        switches=sum(count.switches for count in counts),
        retired=pool.retired,
        running=_by_identity(task for task in running if task is not None),
        waiting=_by_identity(waiting),
    )


def _by_identity(tasks: "Iterable[Task]") -> dict[Identity, int]:
    """Return how many of the tasks each identity has."""
    numbers: dict[Identity, int] = {}
    for task in tasks:
        numbers[task.identity] = numbers.get(task.identity, 0) + 1
    return numbers
