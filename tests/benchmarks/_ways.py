# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures one way to act as a user and come back.

usage: python tests/benchmarks/_ways.py switch WAY THREADS BUSY SECONDS | identities COUNT | workers COUNT

Prints one JSON object.  compare.py runs this program once for each cell, so that the threads, workers and ids of one
way cannot affect the next.
"""

import concurrent.futures
import ctypes
import functools
import json
import multiprocessing
import os
import platform
import statistics
import sys
import threading
import time
import tracemalloc

from _measure import ALICE

import replace

GROUPS = list(ALICE.groups)
FORK = multiprocessing.get_context("fork")
ENDS = []  # functions to call when the cell is done


def with_impersonate():
    impersonate, alice = replace.impersonate, ALICE

    def once(body):
        with impersonate(alice):
            return body()

    return once


def with_os():
    """The usual way: every thread of the process changes, so a lock lets one thread in."""
    lock = threading.Lock()

    def once(body):
        with lock:
            os.setgroups(GROUPS)
            try:
                os.setresgid(ALICE.gid, ALICE.gid, -1)
                os.setresuid(-1, ALICE.uid, -1)
                return body()
            finally:
                os.setresuid(-1, 0, -1)
                os.setresgid(0, 0, -1)
                os.setgroups([])

    return once


def with_ctypes():
    """Raw system calls.  The result is not verified."""
    # asm/unistd_64.h and asm-generic/unistd.h: setgroups, setresgid, setresuid
    setgroups, setresgid, setresuid = {"x86_64": (116, 119, 117), "aarch64": (159, 149, 147)}[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    array, none = (ctypes.c_uint32 * len(GROUPS))(*GROUPS), (ctypes.c_uint32 * 0)()

    def call(*arguments):
        if libc.syscall(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "syscall")

    def once(body):
        call(setgroups, len(GROUPS), array)
        try:
            call(setresgid, ALICE.gid, ALICE.gid, -1)
            call(setresuid, -1, ALICE.uid, -1)
            return body()
        finally:
            call(setresuid, -1, 0, -1)
            call(setresgid, 0, 0, -1)
            call(setgroups, 0, none)

    return once


def with_pyprctl():
    """cap_set_ids() sets real, effective and saved ids.  It keeps the permitted capabilities, which allow the way back.

    It leaves the effective set empty both times, so the last step restores the set from before.
    """
    import pyprctl

    def once(body):
        before = pyprctl.CapState.get_current()
        pyprctl.cap_set_ids(uid=ALICE.uid, gid=ALICE.gid, groups=GROUPS)
        try:
            return body()
        finally:
            pyprctl.cap_set_ids(uid=0, gid=0, groups=[])
            before.set_current()

    return once


def serve(pipe, identity):
    replace.drop_privileges(identity)
    while True:
        pipe.send(pipe.recv()())


def worker(identity):
    """Start a child that becomes the user for good.  Returns (process, our end of its pipe)."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=serve, args=(theirs, identity), daemon=True)
    process.start()
    return process, ours


def with_a_worker():
    _, pipe = worker(ALICE)

    def once(body):
        pipe.send(body)
        return pipe.recv()

    return once


def with_a_pool():
    pool = concurrent.futures.ProcessPoolExecutor(1, FORK, replace.drop_privileges, (ALICE,))
    pool.submit(nothing).result()
    ENDS.append(pool.shutdown)
    return lambda body: pool.submit(body).result()


WAYS = {
    "impersonate": with_impersonate,
    "os": with_os,
    "ctypes": with_ctypes,
    "pyprctl": with_pyprctl,
    "worker": with_a_worker,
    "pool": with_a_pool,
}


def nothing():
    pass


def current_ids():
    return [os.geteuid(), os.getegid(), sorted(os.getgroups())]


def euid_of(path):
    with open(path) as status:
        return next(int(line.split()[2]) for line in status if line.startswith("Uid:"))


def per_operation(once, seconds):
    """Return (microseconds for one operation, number of operations)."""
    once(nothing)
    count, started = 0, time.perf_counter()
    while True:
        once(nothing)
        count += 1
        used = time.perf_counter() - started
        if used >= seconds:
            return used / count * 1e6, count


def switch(way, threads, busy, seconds):
    """Measure one cell: this way, in a process of `threads` threads.  `busy` of them run Python, the others wait."""
    replace.setgroups([])
    once = WAYS[way]()  # before the threads: it may fork
    stop, others, loops = threading.Event(), [], []

    def loop():
        number = 0
        while not loops:
            number += 1

    threading.stack_size(256 * 1024)
    for _ in range(threads - 1 - busy):
        others.append(threading.Thread(target=stop.wait))
        others[-1].start()
    changed = None
    assert once(current_ids) == [ALICE.uid, ALICE.gid, GROUPS]
    if others:
        path = f"/proc/{os.getpid()}/task/{others[0].native_id}/status"
        changed = once(functools.partial(euid_of, path)) != 0
    for _ in range(busy):
        others.append(threading.Thread(target=loop))
        others[-1].start()
    us, count = per_operation(once, seconds)
    assert current_ids() == [0, 0, []]
    stop.set()
    loops.append(True)
    for thread in others:
        thread.join()
    for end in ENDS:
        end()
    return {"us": us, "count": count, "others_changed": changed}


def kilobytes(*fields, pid="self"):
    """The sum of these fields of smaps_rollup, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        values = {line.split(":")[0]: line.split()[1] for line in rollup if "kB" in line}
    return 1024 * sum(int(values[field]) for field in fields)


def identities(count):
    """Measure `count` identities of 16 groups: the bytes that Python allocates, and by which the process grows."""

    def make():
        return [replace.Identity(100000 + n, 100000 + n, range(n * 16, n * 16 + 16)[::-1]) for n in range(1, count + 1)]

    before = kilobytes("Private_Clean", "Private_Dirty")
    kept = make()
    grown = kilobytes("Private_Clean", "Private_Dirty") - before
    tracemalloc.start()
    again = make()
    traced, _ = tracemalloc.get_traced_memory()
    assert kept == again
    return {"count": count, "traced": traced, "grown": grown}


def workers(count):
    """Measure `count` worker processes: the bytes of each after one task, and the time to start one."""
    replace.setgroups([])
    started, each = time.perf_counter(), []
    for n in range(count):
        each.append(worker(replace.Identity(80001 + n, 80011 + n)))
        each[-1][1].send(current_ids)
        assert each[-1][1].recv() == [80001 + n, 80011 + n, []]
    start = (time.perf_counter() - started) / count
    uss = [kilobytes("Private_Clean", "Private_Dirty", pid=process.pid) for process, _ in each]
    pss = [kilobytes("Pss", pid=process.pid) for process, _ in each]
    return {"count": count, "uss": statistics.mean(uss), "pss": statistics.mean(pss), "start_ms": start * 1e3}


if __name__ == "__main__":
    task, *words = sys.argv[1:]
    if task == "switch":
        result = switch(words[0], int(words[1]), int(words[2]), float(words[3]))
    else:
        result = {"identities": identities, "workers": workers}[task](int(words[0]))
    print(json.dumps(result))
