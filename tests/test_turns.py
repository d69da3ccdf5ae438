# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose turn is it in an IdentityExecutor: turns by uid, and the numbers of stats()."""

import gc
import itertools
import pickle
import random
import threading
from concurrent.futures import wait
from types import SimpleNamespace

from support.children import ALICE, BOB, HANG, as_root, held_elsewhere, in_child, wait_until

import replace
from replace import Identity, IdentityExecutor, PoolStats
from replace._turns import Turns

#: Alice with another group list, as after newgrp(1).
ALSO_ALICE = Identity(ALICE.uid, 80099)
CAROL = Identity(80003, 80013)
USERS = [ALICE, ALSO_ALICE, BOB, CAROL]


def become_root():
    """Let the worker end after this task: its ids are wrong."""
    replace.setresuid(-1, 0, -1)


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


# ---- stats()


def test_stats_count_tasks_switches_and_retired_workers():
    def body():
        gate = threading.Event()
        with IdentityExecutor(1) as pool:
            assert pool.stats() == PoolStats(tasks=0, switches=0, retired=0, running={}, waiting={})
            for user in (ALICE, ALICE, ALICE, BOB, ALICE):
                pool.submit(user, int).result(HANG)
            assert pool.stats()[:3] == (5, 3, 0)
            assert isinstance(pool.submit(ALICE, become_root).exception(HANG), replace.IdentityChanged)
            wait_until(lambda: pool.stats().retired == 1)
            pool.submit(ALICE, int).result(HANG)
            assert pool.stats()[:3] == (7, 4, 1), "a new worker continues the counts"
            try:
                pool.submit(ALICE, gate.wait, HANG)
                futures = [pool.submit(user, int) for user in (BOB, ALSO_ALICE, Identity(BOB.uid, BOB.gid))]
                wait_until(lambda: pool.stats().tasks == 8)  # a task that runs counts
                assert pool.stats().running == {ALICE: 1}
                assert pool.stats().waiting == {BOB: 2, ALSO_ALICE: 1}
                assert futures[0].cancel()
                assert pool.stats().waiting == {BOB: 2, ALSO_ALICE: 1}
            finally:
                gate.set()
        stats = pool.stats()
        assert stats == (10, 6, 1, {}, {}), "a cancelled task is not called; the end of the pool retires no worker"
        assert pickle.loads(pickle.dumps(stats)) == stats
        assert type(stats).__module__ == "replace"

    as_root(body)


def test_stats_count_the_workers_that_isolation_replaces():
    def body():
        with IdentityExecutor(1, isolation="thread") as pool:
            for user in (ALICE, BOB, ALICE):
                pool.submit(user, int).result(HANG)
            assert pool.stats()[:3] == (3, 3, 2)

    as_root(body)


def test_stats_wait_for_no_lock():
    """A signal handler or a finalizer may call stats() while any thread holds any lock. So may a forked child."""

    def body():
        stats = []

        class Cycle:
            def __init__(self):
                self.itself = self

            def __del__(self):
                stats.append(pool.stats())

        with IdentityExecutor(2) as pool:
            pool.submit(ALICE, int).result(HANG)
            with held_elsewhere(pool._pool.lock):
                assert pool.stats().tasks == 1
                assert in_child(lambda: pool.stats().tasks) == 1
            gc.set_threshold(20)
            futures = [pool.submit((ALICE, BOB)[number % 2], Cycle) for number in range(300)]
            assert not wait(futures, HANG).not_done
            del futures
            gc.collect()
        assert len(stats) > 100

    as_root(body)
