# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Compares IdentityExecutor with ThreadPoolExecutor.  Each measurement runs in a separate process.

usage: python tests/benchmarks/_executor.py ratio CORES WORKERS COUNT ROUNDS
       python tests/benchmarks/_executor.py limit CORES WORKERS COUNT ROUNDS
       python tests/benchmarks/_executor.py affinity CORES COUNT ROUNDS
       python tests/benchmarks/_executor.py changes WHO WORKERS IN_FLIGHT TASKS    (run under strace)

ratio prints JSON: tasks of one user, one at a time and as a burst.  CORES is one or all.  With several cores, the
scheduler puts a worker on the submitter's core or on another one, and leaves it there; waking it costs 20 us or 70 us,
with either executor.  With one core, all workers are on the submitter's core.

limit prints the same for IdentityExecutor with and without max_per_identity.

affinity prints JSON: tasks of 4 random users on 4 idle workers, one at a time.  IdentityExecutor looks for the worker
that holds the user's identity; the other pool gives the task to any idle worker.

changes runs TASKS tasks between two accesses of MARK, which strace sees.  At most IN_FLIGHT tasks are submitted at a
time (0: all at once).  WHO is same (one user), random (random users), or each (random users on a ThreadPoolExecutor
that enters and leaves for each task).
"""

import concurrent.futures
import functools
import json
import os
import random
import sys
import threading
import time

from _measure import ALICE, ratio

import replace
from replace import _native, _pool

MARK = "/libreplace-benchmark-mark"
USERS = [replace.Identity(90001 + n, 90101 + n, [90101 + n, 90200]) for n in range(64)]


def nothing():
    pass


def wait():
    """Wait as long as a small read from a disk takes."""
    time.sleep(0.001)
    return os.geteuid()


def ratios(limit, workers, count, rounds):
    """Return {how: (ratio, microseconds of ours, of theirs)}.  Both pools stay open in all rounds."""
    with (
        replace.IdentityExecutor(workers, max_per_identity=limit) as ours,
        replace.IdentityExecutor(workers) if limit else concurrent.futures.ThreadPoolExecutor(workers) as theirs,
    ):
        submits = [functools.partial(ours.submit, ALICE), theirs.submit]
        if limit:
            submits[1] = functools.partial(theirs.submit, ALICE)

        def one_at_a_time(submit, count):
            for _ in range(count):
                submit(nothing).result()

        def in_a_burst(submit, count):
            concurrent.futures.wait([submit(nothing) for _ in range(count)])

        return {
            how: ratio(*(functools.partial(body, submit) for submit in submits), count, rounds)
            for how, body in (("one at a time", one_at_a_time), ("burst", in_a_burst))
        }


def any_idle_worker(pool, identity, task, grows=True):
    """Pool.give(), but it does not look at the workers' identities."""
    return any(workers and _native.claim(workers, task) for workers in list(pool.idle.values()))


def affinity(count, rounds):
    """Return (ratio, microseconds of ours, of a pool that uses any idle worker)."""
    own_worker_first = _pool.Pool.give

    def in_turn(executor, give):
        chosen = random.Random(1)

        def body(count):
            _pool.Pool.give = give
            for _ in range(count):
                executor.submit(chosen.choice(USERS[:4]), nothing).result()

        return body

    with replace.IdentityExecutor(4) as ours, replace.IdentityExecutor(4) as theirs:
        for executor in (ours, theirs):
            together = threading.Barrier(4)
            concurrent.futures.wait([executor.submit(user, together.wait) for user in USERS[:4]])
        return ratio(in_turn(ours, own_worker_first), in_turn(theirs, any_idle_worker), count, rounds)


def changes(who, workers, in_flight, tasks):
    """Run the tasks between the two marks, and check that each ran as its user."""
    chosen = random.Random(1)
    users = [ALICE if who == "same" else chosen.choice(USERS) for _ in range(tasks)]
    slots = threading.Semaphore(in_flight or tasks)
    if who == "each":
        pool = concurrent.futures.ThreadPoolExecutor(workers)
        submit = lambda user: pool.submit(replace.acting_as(user, wait))  # noqa: E731
    else:
        pool = replace.IdentityExecutor(workers)
        submit = lambda user: pool.submit(user, wait)  # noqa: E731
    with pool:
        if who == "same":  # every worker has had this user before
            concurrent.futures.wait([submit(ALICE) for _ in range(64 * workers)])
        os.access(MARK, os.F_OK)
        futures = []
        for user in users:
            slots.acquire()
            futures.append(submit(user))
            futures[-1].add_done_callback(lambda _: slots.release())
        results = [future.result() for future in futures]
        os.access(MARK, os.F_OK)
    assert results == [user.uid for user in users]


if __name__ == "__main__":
    replace.setgroups([])
    task, *words = sys.argv[1:]
    if task in ("ratio", "limit"):
        if words[0] == "one":
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        workers, count, rounds = map(int, words[1:])
        print(json.dumps(ratios(workers - 1 if task == "limit" else None, workers, count, rounds)))
    elif task == "affinity":
        if words[0] == "one":
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print(json.dumps(affinity(*map(int, words[1:]))))
    else:
        changes(words[0], *map(int, words[1:]))
