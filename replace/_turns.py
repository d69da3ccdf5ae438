# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose turn is it? The tasks of a pool that no worker has, and which of them is next.

Here, a user is a uid. A client can show itself with several group lists (newgrp(1)), and so as several identities. It
must not get more turns than the others.

submit() waits for no lock. It only appends to the inbox and reads. Everything else is done under the lock of the pool.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._worker import Task, Worker

#: A worker runs at most this many tasks of one user in a row while tasks of other users wait.
TURNS = 32


class Turns:
    """The waiting tasks of a pool. Users take turns."""

    def __init__(self) -> None:
        self.inbox: deque[Task] = deque()  # tasks that no idle worker got, in the order of submit()
        # The tasks from the inbox, by uid. The user who has waited longest comes first.
        self.waiting: OrderedDict[int, deque[Task]] = OrderedDict()

    def collect(self) -> bool:
        """Move the tasks from the inbox to their queues. Return whether any task waits."""
        inbox, waiting = self.inbox, self.waiting
        while inbox:
            task = inbox[0]
            waiting.setdefault(task.identity.uid, deque()).append(task)
            inbox.popleft()  # only now: Pool.add() must always see the task in one of the two places
        return bool(waiting)

    def first(self) -> Task | None:
        """The collected task of the user who has waited longest. None if no task waits."""
        return next(iter(self.waiting.values()))[0] if self.waiting else None

    def choose(self, worker: Worker) -> Task:
        """Remove the worker's next task and return it. Some task must wait.

        A worker prefers tasks of its user. After TURNS of them, the user who has waited longest is next.
        """
        inbox, waiting, identity = self.inbox, self.waiting, worker.identity
        if not waiting and worker.turns < TURNS and inbox[0].identity is identity:
            worker.turns += 1
            return inbox.popleft()
        self.collect()
        queue = None if identity is None else waiting.get(identity.uid)
        if worker.turns >= TURNS:
            worker.turns = 0
            if queue is not None and len(waiting) > 1:
                waiting.move_to_end(queue[0].identity.uid)
                queue = None
        if queue is None:
            uid = next(iter(waiting))
            waiting.move_to_end(uid)  # the user's other tasks now wait behind all others
            queue = waiting[uid]
            worker.turns = 0
        worker.turns += 1
        task = queue[0]
        if len(queue) > 1:
            queue.popleft()
        else:
            del waiting[task.identity.uid]
        return task

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
