# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose turn is it? The tasks of a pool that no worker has, and which of them is next.

Here, a user is a uid. A client can show itself with several group lists (newgrp(1)), and so as several identities. It
must not get more turns or more workers than the others.

submit() waits for no lock. It only appends to the inbox and reads. Everything else is done under the lock of the pool.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._worker import Task, Worker

#: A worker runs at most this many tasks of one user in a row while tasks of other users wait.
TURNS = 32


def tasks_of(queue: deque[Task]) -> list[Task]:
    """Copy a queue that other threads change. Without the GIL, deque.copy() is not atomic, and may fail."""
    while True:
        try:
            return list(queue)
        except RuntimeError:  # it has changed meanwhile
            continue


class Turns:
    """The waiting tasks of a pool. Users take turns, and a user who has enough workers is passed over."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit  # on the workers that one user may have; None if there is no limit
        self.inbox: deque[Task] = deque()  # tasks that no idle worker got, in the order of submit()
        # The tasks from the inbox, by uid. The user who has waited longest comes first.
        self.waiting: OrderedDict[int, deque[Task]] = OrderedDict()
        self.running: dict[int, set[Worker]] = {}  # the workers that each user has; empty without a limit

    def is_full(self, uid: int, more: int = 0) -> bool:
        """Whether this user has as many workers as the limit permits, if more workers begin with tasks of the user."""
        return self.limit is not None and len(self.running.get(uid, ())) + more >= self.limit

    def collect(self) -> bool:
        """Move the tasks from the inbox to their queues. Return whether any task waits."""
        inbox, waiting = self.inbox, self.waiting
        while inbox:
            task = inbox[0]
            uid = task.identity.uid
            queue = waiting.get(uid)
            if queue is None:  # setdefault() would need a new deque for every task
                queue = waiting[uid] = deque()
            if not queue or queue[-1] is not task:  # it is, if an exception interrupted the last call here
                queue.append(task)
            inbox.popleft()  # only now: Pool.add() must always see the task in one of the two places
        return bool(waiting)

    def first(self, coming: Mapping[int, int] | None = None) -> Task | None:
        """The collected task that may start first. None if there is none.

        Users who have enough workers are passed over, and so are those whose tasks are left to their own workers:
        `coming` says how many of each user's workers are about to look for a task. The loop passes only users who have
        workers, so it is short even if thousands of users wait.
        """
        for uid, queue in self.waiting.items():
            if not self.is_full(uid) and len(queue) > (coming.get(uid, 0) if coming else 0):
                return queue[0]
        return None

    def choose(self, worker: Worker, coming: Callable[[], Mapping[int, int]] = dict) -> Task | None:
        """Remove the worker's next task and return it. None if no task may start. Some task must wait.

        A worker prefers tasks of its user. After TURNS of them, the user who has waited longest is next.
        """
        inbox, waiting, identity = self.inbox, self.waiting, worker.identity
        if (
            not waiting
            and worker.turns < TURNS
            and inbox[0].identity is identity
            and (self.limit is None or not self.is_full(identity.uid))
        ):
            worker.turns += 1
            task = inbox.popleft()
        else:
            if inbox:
                self.collect()
            queue = None
            if identity is not None and (self.limit is None or not self.is_full(identity.uid)):
                queue = waiting.get(identity.uid)
            if worker.turns >= TURNS:
                worker.turns = 0
                if queue is not None:
                    waiting.move_to_end(queue[0].identity.uid)
                    queue = None
            if queue is None:
                first = self.first(None if self.limit is None else coming())
                if first is None:
                    return None
                waiting.move_to_end(first.identity.uid)  # the user's other tasks now wait behind all others
                queue = waiting[first.identity.uid]
            worker.turns += 1
            task = queue[0]
            if len(queue) > 1:
                queue.popleft()
            else:
                del waiting[task.identity.uid]
        if self.limit is not None:
            worker.counted = task.identity.uid  # before the next line: release() must find what an exception interrupts
            self.running.setdefault(worker.counted, set()).add(worker)
        return task

    def release(self, worker: Worker) -> None:
        """Note that the worker's task is done. Then another task of the user may start."""
        uid = worker.counted
        if uid is not None and uid in self.running:
            self.running[uid].discard(worker)
            if not self.running[uid]:
                del self.running[uid]
        worker.counted = None

    def put_back(self, task: Task) -> None:
        """Let this task be the next one."""
        self.waiting.setdefault(task.identity.uid, deque()).appendleft(task)
        self.waiting.move_to_end(task.identity.uid, last=False)

    def remove_all(self) -> list[Task]:
        """Remove all waiting tasks, and return them."""
        self.collect()
        tasks = [task for queue in self.waiting.values() for task in queue]
        self.waiting.clear()
        return tasks
