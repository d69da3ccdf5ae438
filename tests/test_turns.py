# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose turn is it in an IdentityExecutor: max_per_identity, turns by uid, and the numbers of stats()."""

import gc
import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import wait
from concurrent.futures.thread import BrokenThreadPool
from types import SimpleNamespace

import pytest
from support.children import (
    ALICE,
    BOB,
    HANG,
    as_root,
    collect_often,
    count_idle,
    counts_references,
    held_elsewhere,
    in_child,
    needs_root,
    throw,
    throws,
    wait_until,
    with_gil,
)

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


@pytest.mark.parametrize("limit", [2, None])
def test_fifos_of_one_user_leave_workers_for_others(limit):
    """Without a limit, Bob waits until Alice opens the other end of a FIFO."""

    def body():
        with tempfile.TemporaryDirectory() as folder, IdentityExecutor(6, max_per_identity=limit) as pool:
            os.chmod(folder, 0o711)
            fifos = [f"{folder}/{number}" for number in range(6)]
            for fifo in fifos:
                os.mkfifo(fifo, 0o600)
                os.chown(fifo, ALICE.uid, ALICE.gid)
            ends = []
            try:
                hung = [pool.submit(ALICE, open, fifo, "rb") for fifo in fifos]
                wait_until(lambda: pool.stats().running == {ALICE: limit or 6})
                bob = pool.submit(BOB, os.geteuid)
                if limit:
                    assert bob.result(HANG) == BOB.uid
                    assert pool.stats().waiting == {ALICE: 4}
                else:
                    assert pool.stats().waiting == {BOB: 1}
                assert not any(future.done() for future in hung)
                ends.append(os.open(fifos[0], os.O_RDWR))
                hung[0].result(HANG).close()
                assert bob.result(HANG) == BOB.uid
                assert not any(future.done() for future in hung[1:])
            finally:
                ends += [os.open(fifo, os.O_RDWR) for fifo in fifos]
                for future in hung:
                    future.result(HANG).close()
                for end in ends:
                    os.close(end)

    as_root(body)


def test_each_task_that_ends_starts_the_next_one_of_its_user():
    def body():
        begun, gates = [], [threading.Event() for _ in range(8)]

        def task(number):
            begun.append(number)
            assert gates[number].wait(HANG)

        with IdentityExecutor(5, max_per_identity=2) as pool:
            try:
                futures = [pool.submit((ALICE, ALSO_ALICE)[number % 2], task, number) for number in range(8)]
                for number in range(8):
                    wait_until(lambda number=number: len(begun) == min(number + 2, 8))
                    assert sorted(begun) == list(range(len(begun))), "in the order of submit()"
                    assert sum(pool.stats().running.values()) <= 2, "identities of one uid count together"
                    gates[number].set()
                    futures[number].result(HANG)
            finally:
                for gate in gates:
                    gate.set()

    as_root(body)


def test_limit_of_all_workers_is_no_limit():
    def body():
        for limit in (2, 3, 100):
            with IdentityExecutor(3, max_per_identity=limit) as pool:
                together = threading.Barrier(min(limit, 3))
                futures = [pool.submit(ALICE, together.wait, HANG) for _ in range(together.parties)]
                assert sorted(future.result(HANG) for future in futures) == list(range(together.parties))

    as_root(body)


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


def test_users_take_turns_of_32_tasks():
    """The turns of a user begin with 1, although the worker has run tasks of another user before."""

    def body():
        order, gate = [], threading.Event()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, gate.wait)
            for user, number in ((ALICE, 20), (BOB, 40), (CAROL, 1)):
                for _ in range(number):
                    pool.submit(user, order.append, user)
            gate.set()
        assert order == [ALICE] * 20 + [BOB] * 32 + [CAROL] + [BOB] * 8

    as_root(body)


def test_no_worker_is_free_while_a_task_may_start():
    """Random tasks begin, end, are cancelled, and cost their worker its place. After each step, the pool comes to rest.

    Then each user who waits has as many workers as the limit permits, or all workers are busy.
    """

    def body(seed):
        choose = random.Random(seed)
        size, limit = ((2, 1), (4, 1), (4, 3), (6, 2))[seed % 4]
        isolation = ("state", "thread")[seed // 4]
        count, most = Counter(), Counter()
        gates, futures, lock = [], [], threading.Lock()

        def task(uid, gate, last):
            with lock:
                count[uid] += 1
                most[uid] = max(most[uid], count[uid])
            try:
                assert gate.wait(HANG)
                assert os.geteuid() == uid
            finally:
                with lock:
                    count[uid] -= 1
            if last is not None:
                last()

        def at_rest():
            stats = pool.stats()
            running, busy = Counter(), sum(stats.running.values())
            for user, number in stats.running.items():
                running[user.uid] += number
            return busy == size or all(running[user.uid] == limit for user in stats.waiting)

        with IdentityExecutor(size, isolation=isolation, max_per_identity=limit) as pool:
            try:
                for _ in range(120):
                    what = choose.random()
                    if what < 0.5 or not gates:
                        user, last = choose.choice(USERS), choose.choice([None, None, None, become_root, lambda: 1 / 0])
                        gates.append(threading.Event())
                        futures.append(pool.submit(user, task, user.uid, gates[-1], last))
                    elif what < 0.9:
                        gates.pop(choose.randrange(len(gates))).set()
                    else:
                        choose.choice(futures).cancel()
                    wait_until(at_rest)
            finally:
                for gate in gates:
                    gate.set()
            assert not wait(futures, HANG).not_done
        assert max(most.values()) <= limit
        assert pool.stats()[3:] == ({}, {})
        assert pool._pool.turns.running == {}

    for seed in range(8):
        as_root(body, seed)


class Record(SimpleNamespace):
    """A worker or a task of the next test, for use in sets."""

    __hash__ = object.__hash__


def test_random_turns_follow_the_rules():
    """The queue alone: any worker may come at any moment, with any identity."""
    for seed in range(60):
        choose = random.Random(seed)
        limit, numbers = choose.choice([None, 1, 2]), itertools.count()
        turns, waiting = Turns(limit), {user.uid: [] for user in USERS}
        free = [Record(identity=choose.choice([None, *USERS]), turns=0, counted=None) for _ in range(4)]
        busy = []
        for _ in range(400):
            if choose.random() < 0.5:
                task = Record(identity=choose.choice(USERS), number=next(numbers))
                turns.inbox.append(task)
                waiting[task.identity.uid].append(task)
            elif free and (turns.inbox or turns.waiting):
                worker = choose.choice(free)
                running = Counter(other.task.identity.uid for other in busy)
                may_start = [uid for uid, tasks in waiting.items() if tasks and (limit is None or running[uid] < limit)]
                coming = {user.uid: choose.choice([0, 0, 1, 2]) for user in USERS}  # other workers, which look later
                task = turns.choose(worker, lambda coming=coming: coming)
                if task is None:
                    left = [uid for uid in may_start if len(waiting[uid]) > coming[uid]]
                    assert left == []
                    assert limit is not None or may_start == []
                    assert (turns.first() is None) == (may_start == [])
                    continue
                assert task.identity.uid in may_start
                assert task is waiting[task.identity.uid].pop(0), "in the order of submit()"
                worker.task, worker.identity = task, task.identity
                free.remove(worker)
                busy.append(worker)
            elif busy:
                worker = busy.pop(choose.randrange(len(busy)))
                turns.release(worker)
                if choose.random() < 0.1:  # the worker has ended before it has begun the task
                    turns.put_back(worker.task)
                    waiting[worker.task.identity.uid].insert(0, worker.task)
                    worker.identity, worker.turns = None, 0
                    assert turns.first() is worker.task
                free.append(worker)
        assert len(turns.remove_all()) == sum(map(len, waiting.values()))


class Thrown(BaseException):
    """The exception that a test throws into a worker."""


@throws
def test_limit_holds_while_everything_happens_at_once():
    """Threads and a signal handler submit. Tasks raise exceptions, lose their worker, are interrupted and cancelled."""

    def body():
        sys.setswitchinterval(1e-6)
        for seed in range(6):
            choose, futures, limit = random.Random(seed), [], 1 + seed % 3
            count, wrong, lock = Counter(), [], threading.Lock()
            seen = [PoolStats(0, 0, 0, {}, {})]

            def task(uid, what, count=count, wrong=wrong, lock=lock, limit=limit):
                with lock:
                    count[uid] += 1
                    if count[uid] > limit or os.geteuid() != uid:
                        wrong.append((uid, count[uid], os.geteuid()))
                try:
                    if what < 0.02:
                        throw(threading.get_ident(), Thrown)
                        while True:
                            pass
                    if what < 0.2:
                        raise ValueError
                    if what > 0.5:
                        os.sched_yield()
                finally:
                    with lock:
                        count[uid] -= 1
                if what < 0.25:
                    become_root()

            with IdentityExecutor(4, max_per_identity=limit) as pool:

                def submit(choose=choose, pool=pool, futures=futures, task=task):
                    user = choose.choice(USERS)
                    futures.append(pool.submit(user, task, user.uid, choose.random()))
                    if choose.random() < 0.1:
                        choose.choice(futures).cancel()

                def handle(number, frame, submit=submit, pool=pool, seen=seen):
                    submit()
                    before = seen[0]
                    stats = pool.stats()
                    if any(new < old for new, old in zip(stats[:3], before[:3], strict=True)):
                        seen.append(stats)  # a number has decreased
                    seen[0] = stats
                    signal.setitimer(signal.ITIMER_REAL, 0.001)

                def submit_often(submit=submit):
                    for _ in range(250):
                        submit()

                signal.signal(signal.SIGALRM, handle)
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                try:
                    threads = [threading.Thread(target=submit_often) for _ in range(3)]
                    for thread in threads:
                        thread.start()
                    submit_often()
                    for thread in threads:
                        thread.join()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    signal.signal(signal.SIGALRM, signal.SIG_IGN)
                assert not wait(futures, HANG).not_done
            assert wrong == []
            assert len(seen) == 1, seen
            assert pool.stats().tasks == sum(not future.cancelled() for future in futures)
            assert pool._pool.turns.running == {}

    as_root(body)


def test_workers_begin_with_the_users_who_have_waited_longest():
    turns = Turns(None)
    turns.inbox.extend(Record(identity=user) for user in (BOB, BOB, CAROL, ALICE, CAROL, ALICE, ALSO_ALICE))
    workers = [Record(identity=None, turns=0) for _ in range(3)]
    assert [turns.choose(worker).identity for worker in workers] == [BOB, CAROL, ALICE]


@pytest.mark.parametrize("limit", [None, 1])
def test_worker_that_becomes_idle_inside_submit_gets_the_task(limit):
    """A task ends at each line of submit()."""

    def body():
        def end_at_line(number, pool, gate):
            def trace(frame, event, argument):
                nonlocal number
                if event == "line" and frame.f_code.co_filename.endswith(("_pool.py", "_turns.py")):
                    number -= 1
                    if number == 0:
                        gate.set()
                        wait_until(lambda: any(pool._pool.idle.values()))
                return trace

            return trace

        lines, ended = 0, True
        while ended:
            lines, gate, other_gate = lines + 1, threading.Event(), threading.Event()
            with IdentityExecutor(2, max_per_identity=limit) as pool:
                try:
                    for user, its_gate in ((ALICE, gate), (BOB, other_gate)):
                        pool.submit(user, its_gate.wait)
                    wait_until(lambda pool=pool: pool.stats().tasks == 2)
                    sys.settrace(end_at_line(lines, pool, gate))
                    try:
                        future = pool.submit(ALICE, os.geteuid)
                    finally:
                        sys.settrace(None)
                    ended = gate.is_set()
                    if ended:
                        assert future.result(HANG) == ALICE.uid
                finally:
                    gate.set()
                    other_gate.set()
        assert lines > 5

    as_root(body)


def test_interrupted_collect_neither_loses_nor_doubles_a_task():
    """An exception comes at each line of collect()."""
    line, reached = 0, True
    while reached:
        line, reached, left = line + 1, False, line + 1
        turns, tasks = Turns(1), [Record(identity=user) for user in USERS]
        turns.inbox.extend(tasks)

        def trace(frame, event, argument):
            nonlocal left
            if event == "line" and frame.f_code is Turns.collect.__code__:
                left -= 1
                if left == 0:
                    raise Thrown
            return trace

        sys.settrace(trace)
        try:
            turns.collect()
        except Thrown:
            reached = True
        finally:
            sys.settrace(None)
        assert sorted(map(id, turns.remove_all())) == sorted(map(id, tasks))
    assert line > 20


class Witness:
    """Its destructor notes the effective uid of its thread."""

    def __init__(self, seen):
        self.seen = seen

    def __del__(self):
        self.seen.append(os.geteuid())


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_tasks_go_to_idle_workers_of_their_users(limit):
    """Four threads submit for one user each. A worker that becomes free leaves a task to the user's own worker."""

    def body():
        users = [ALICE, BOB, CAROL, Identity(80004, 80014)]
        together = threading.Barrier(len(users), timeout=HANG)

        def submit_often(user):
            for _ in range(200):
                pool.submit(user, os.geteuid).result(HANG)

        with IdentityExecutor(len(users), max_per_identity=limit) as pool:
            for future in [pool.submit(user, together.wait) for user in users]:
                future.result(HANG)
            threads = [threading.Thread(target=submit_often, args=(user,)) for user in users]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            stats = pool.stats()
        assert stats.switches < stats.tasks / 2, stats

    as_root(body)


@with_gil
@counts_references
def test_cancelled_task_of_a_user_at_the_limit_is_destroyed_as_its_user():
    def body():
        gate, seen = threading.Event(), []
        with IdentityExecutor(3, max_per_identity=1) as pool:
            try:
                pool.submit(ALICE, gate.wait, HANG)
                wait_until(lambda: pool.stats().running == {ALICE: 1})
                late = pool.submit(ALICE, print, Witness(seen))
                after = pool.submit(ALICE, os.geteuid)
                assert late.cancel()
                assert pool.submit(BOB, os.geteuid).result(HANG) == BOB.uid
                assert (seen, pool.stats().waiting) == ([], {ALICE: 2})
            finally:
                gate.set()
            assert after.result(HANG) == ALICE.uid
            assert seen == [ALICE.uid]

    as_root(body)


@pytest.mark.parametrize("isolation", ["state", "thread"])
def test_worker_that_ends_lets_the_next_task_of_its_user_start(isolation):
    """Nothing else happens that could start it."""

    def body():
        with IdentityExecutor(3, max_per_identity=1, isolation=isolation) as pool:
            futures = [pool.submit(ALICE, become_root) for _ in range(5)]
            assert {type(future.exception(HANG)) for future in futures} == {replace.IdentityChanged}
            assert pool.submit(ALICE, os.geteuid).result(HANG) == ALICE.uid
            assert pool.stats().retired == 5
            assert len(pool._pool.counts) <= 3, "a new worker continues the counts of an old one"

    as_root(body)


def test_shutdown_cancels_the_tasks_of_a_user_at_the_limit():
    def body():
        gate = threading.Event()
        pool = IdentityExecutor(4, max_per_identity=1)
        try:
            hung = [pool.submit(user, gate.wait, HANG) for user in (ALICE, BOB)]
            wait_until(lambda: len(pool.stats().running) == 2)
            late = [pool.submit(user, int) for user in (ALICE, BOB) * 3]
            pool.shutdown(wait=False, cancel_futures=True)
            assert all(future.cancelled() for future in late)
        finally:
            gate.set()
            pool.shutdown()
        assert all(future.result(HANG) for future in hung)
        assert not wait(late, HANG).not_done

    as_root(body)


def test_shutdown_leaves_a_starting_worker_a_task_that_may_start():
    """As with ThreadPoolExecutor, a worker that is about to take a task gets one. The other tasks may not start."""

    def body():
        gate, begin, starts = threading.Event(), threading.Event(), iter([lambda: None])
        pool = IdentityExecutor(3, initializer=lambda: next(starts, begin.wait)(), max_per_identity=1)
        try:
            pool.submit(ALICE, gate.wait, HANG)
            wait_until(lambda: pool.stats().running == {ALICE: 1})
            futures = [pool.submit(user, os.geteuid) for user in (ALICE, BOB, BOB)]
            assert len(pool._pool.workers) == 3
            pool.shutdown(wait=False, cancel_futures=True)
            assert [future.cancelled() for future in futures] == [True, False, True]
            begin.set()
            assert futures[1].result(HANG) == BOB.uid
        finally:
            begin.set()
            gate.set()
            pool.shutdown()

    as_root(body)


def test_shutdown_runs_the_tasks_of_a_user_at_the_limit():
    """Idle workers end at once. Those of the user do the rest."""

    def body():
        gate, ran = threading.Event(), []
        pool = IdentityExecutor(4, max_per_identity=2)
        try:
            for user in (ALICE, ALICE, BOB, CAROL):
                pool.submit(user, gate.wait, HANG if user is ALICE else 0)
            late = [pool.submit(ALICE, ran.append, number) for number in range(40)]
            pool.shutdown(wait=False)
            wait_until(lambda: len(pool._pool.workers) == 2)
            assert not any(future.done() for future in late)
        finally:
            gate.set()
            pool.shutdown()
        assert sorted(ran) == list(range(40))

    as_root(body)


def test_waiting_tasks_fail_if_the_initializer_fails_later():
    def body():
        gate, starts = threading.Event(), iter([lambda: None])
        with IdentityExecutor(3, initializer=lambda: next(starts)(), max_per_identity=1) as pool:
            try:
                hung = pool.submit(ALICE, gate.wait, HANG)
                wait_until(lambda: pool.stats().running == {ALICE: 1})
                late = pool.submit(ALICE, int)
                other = pool.submit(BOB, int)  # the initializer of its worker raises StopIteration
                for future in (late, other):
                    assert isinstance(future.exception(HANG), BrokenThreadPool)
            finally:
                gate.set()
            assert hung.result(HANG)

    as_root(body)


def test_tasks_of_a_user_at_the_limit_run_before_the_interpreter_ends():
    needs_root()
    if replace.SCOPE != "thread":
        return
    code = (
        "import replace\n"
        "pool = replace.IdentityExecutor(4, max_per_identity=1)\n"
        "for n in range(20): pool.submit(replace.Identity(80001, 80011), print, 'ran', flush=True)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=HANG, check=False)
    assert (done.returncode, done.stdout.count("ran"), done.stderr) == (0, 20, "")


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("users", [(ALICE,), (ALICE, ALICE, BOB)], ids=len)
def test_interrupted_submit_holds_no_task_back(users, limit):
    """An exception of a signal handler comes at each line of submit(). The task hangs, if it is in the pool already."""

    def body():
        def interrupt_line(number):
            def trace(frame, event, argument):
                nonlocal number
                if event == "line" and frame.f_code.co_filename.endswith(("_pool.py", "_turns.py", "_executor.py")):
                    number -= 1
                    if number == 0:
                        sys.settrace(None)
                        raise KeyboardInterrupt
                return trace

            return trace

        lines, interrupted = 0, True
        while interrupted:
            lines, interrupted, gate = lines + 1, False, threading.Event()
            with IdentityExecutor(3, max_per_identity=limit) as pool:
                together = threading.Barrier(len(users))
                assert not wait([pool.submit(user, together.wait, HANG) for user in users], HANG).not_done
                wait_until(lambda pool=pool: count_idle(pool) == len(users))
                sys.settrace(interrupt_line(lines))
                try:
                    pool.submit(ALICE, gate.wait)
                except KeyboardInterrupt:
                    interrupted = True
                finally:
                    sys.settrace(None)
                try:
                    for user in (ALICE, BOB, ALICE):
                        assert pool.submit(user, os.geteuid).result(HANG) == user.uid
                finally:
                    gate.set()
        assert lines > 10

    as_root(body)


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

        with IdentityExecutor(2, max_per_identity=1) as pool:
            pool.submit(ALICE, int).result(HANG)
            with held_elsewhere(pool._pool.lock):
                assert pool.stats().tasks == 1
                assert in_child(lambda: pool.stats().tasks) == 1
            collect_often(20)
            futures = [pool.submit((ALICE, BOB)[number % 2], Cycle) for number in range(300)]
            assert not wait(futures, HANG).not_done
            del futures
            gc.collect()
        assert len(stats) > 100

    as_root(body)
