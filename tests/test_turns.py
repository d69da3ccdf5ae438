# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose turn is it in an IdentityExecutor?"""

import itertools
import random
import threading
from types import SimpleNamespace

from support.children import ALICE, BOB, HANG, as_root

from replace import Identity, IdentityExecutor
from replace._turns import Turns

#: Alice with another group list, as after newgrp(1).
ALSO_ALICE = Identity(ALICE.uid, 80099)
CAROL = Identity(80003, 80013)
USERS = [ALICE, ALSO_ALICE, BOB, CAROL]


def test_user_with_many_identities_gets_no_more_turns_than_others():
    def body():
        order, gate = [], threading.Event()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, gate.wait, HANG)
            for number in range(60):
                pool.submit(Identity(ALICE.uid, 80100 + number % 20), order.append, "alice")
            pool.submit(BOB, order.append, "bob")
            gate.set()
        assert order.index("bob") <= 33

    as_root(body)


class Record(SimpleNamespace):
    """A worker or a task of the next test, for use in sets."""

    __hash__ = object.__hash__


def test_random_turns_follow_the_rules():
    """The queue alone: any worker may come at any moment, with any identity."""
    for seed in range(60):
        choose = random.Random(seed)
        numbers = itertools.count()
        turns, waiting = Turns(), {user.uid: [] for user in USERS}
        free = [Record(identity=choose.choice([None, *USERS]), turns=0) for _ in range(4)]
        busy = []
        for _ in range(400):
            if choose.random() < 0.5:
                task = Record(identity=choose.choice(USERS), number=next(numbers))
                turns.inbox.append(task)
                waiting[task.identity.uid].append(task)
            elif free and (turns.inbox or turns.waiting):
                worker = choose.choice(free)
                task = turns.choose(worker)
                assert task is waiting[task.identity.uid].pop(0), "in the order of submit()"
                worker.task, worker.identity = task, task.identity
                free.remove(worker)
                busy.append(worker)
            elif busy:
                worker = busy.pop(choose.randrange(len(busy)))
                if choose.random() < 0.1:  # the worker has ended before it has begun the task
                    turns.put_back(worker.task)
                    waiting[worker.task.identity.uid].insert(0, worker.task)
                    worker.identity, worker.turns = None, 0
                    assert turns.first() is worker.task
                free.append(worker)
        assert len(turns.remove_all()) == sum(map(len, waiting.values()))
