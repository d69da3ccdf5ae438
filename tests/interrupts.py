# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""10 000 interrupts at random moments: is the thread ever left switched, or more than it was?

usage: python tests/interrupts.py [SCALE | naive]   (as root; SCALE 1 is 10 000)

KeyboardInterrupt in the main thread and PyThreadState_SetAsyncExc in a worker, over
`with impersonate`, acting_as and run_as, in every level.  After each one, already in the
except clause, the thread's ids are read.  Prints one line of JSON; exit status 1 if any was
wrong.  `naive` tries a context manager written in Python instead, which must be caught.
test_interrupts.py runs it on each CPython.
"""

import asyncio
import ctypes
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import replace

ALICE = replace.Identity(80001, 80011, [80021])
LEVELS = ("effective", "shielded", "real", "filesystem")
inject = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Stop(BaseException):
    """What is thrown into a worker."""


def ids():
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def work():
    """A little of what a server does."""
    return sum(number for number in range(5))


def held(level):
    with replace.impersonate(ALICE, level=level):
        work()


def nested(level):
    with replace.impersonate(ALICE, level=level), replace.impersonate(replace.Identity(80002, 80012), level=level):
        work()


def called(level):
    replace.acting_as(ALICE, work, level=level)()


class Naive:
    """A context manager as one would write it in Python: what the test must be able to catch."""

    def __enter__(self):
        replace.setresuid(-1, 80001, -1)

    def __exit__(self, *exception):
        replace.setresuid(-1, 0, -1)


def naive(level):
    with Naive():
        work()


def hammer(body, count, kind):
    """Run body all the time until count interrupts were caught; (caught, wrong)."""
    base, caught, wrong = ids(), 0, 0
    while caught < count:
        try:
            try:
                while True:
                    for level in LEVELS:
                        body(level)
            except kind:
                caught += 1
                if ids() != base:
                    wrong += 1
                    replace.setresuid(-1, 0, -1)
        except kind:  # a second one, in the clause above
            caught += 1
    return caught, wrong


def from_another_thread(throw, body, count, kind):
    """hammer() here, with a thread beside it that calls throw() at random moments."""
    done = threading.Event()

    def thrower():
        while not done.is_set():
            time.sleep(random.random() * 0.0003)
            throw()

    beside = threading.Thread(target=thrower)
    beside.start()
    while True:
        try:
            result = hammer(body, count, kind)
            break
        except kind:
            continue
    while True:
        try:
            done.set()
            beside.join()
            time.sleep(0.01)  # the last one
            return result
        except kind:
            continue


def asynchronous(body, count):
    answer = []

    def worker():
        me = ctypes.c_ulong(threading.get_ident())
        answer.append(from_another_thread(lambda: inject(me, ctypes.py_object(Stop)), body, count, Stop))

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    return answer[0]


def keyboard(body, count):
    return from_another_thread(lambda: os.kill(os.getpid(), signal.SIGINT), body, count, KeyboardInterrupt)


def in_workers_of_asyncio(count):
    """Into the worker while run_as() is at work in it; then another task of that worker says what it is."""
    target, done = [], threading.Event()
    caught = wrong = 0

    def task():
        target[:] = [threading.get_ident()]
        for _ in range(300):
            work()
        target.clear()

    def thrower():
        while not done.is_set():
            time.sleep(random.random() * 0.0002)
            for ident in target[:]:
                inject(ctypes.c_ulong(ident), ctypes.py_object(Stop))
                target.clear()

    async def main():
        nonlocal caught, wrong
        loop, base = asyncio.get_running_loop(), ids()
        loop.set_default_executor(ThreadPoolExecutor(1))
        while caught < count:
            for attempt in (lambda: replace.run_as(ALICE, task), lambda: loop.run_in_executor(None, ids)):
                try:
                    seen = await asyncio.wait_for(attempt(), 0.5)
                    wrong += seen is not None and seen != base
                except Stop:
                    caught += 1
                except asyncio.TimeoutError:  # it arrived between two tasks and ended the worker
                    loop.set_default_executor(ThreadPoolExecutor(1))
                target.clear()
            wrong += ids() != base

    beside = threading.Thread(target=thrower)
    beside.start()
    asyncio.run(main())
    done.set()
    beside.join()
    return caught, wrong


def in_the_loop(count):
    """KeyboardInterrupt in the thread of the loop while run_as() is awaited."""
    base, caught, wrong = ids(), 0, 0

    async def main():
        timer = threading.Timer(random.random() * 0.01, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        while True:
            await replace.run_as(ALICE, work)

    for _ in range(count):
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            caught += 1
        wrong += ids() != base
    return caught, wrong


def main():
    argument = sys.argv[1] if len(sys.argv) > 1 else "1"
    scale = 1.0 if argument == "naive" else float(argument)
    logging.disable()  # asyncio tells of workers that an interrupt ended
    replace.setgroups([])
    sys.setswitchinterval(1e-5)
    plan = [
        ("with, asynchronous", asynchronous, (held,), 2500),
        ("with nested, asynchronous", asynchronous, (nested,), 1500),
        ("acting_as, asynchronous", asynchronous, (called,), 2000),
        ("with, keyboard", keyboard, (held,), 1500),
        ("acting_as, keyboard", keyboard, (called,), 1500),
        ("run_as, asynchronous", in_workers_of_asyncio, (), 900),
        ("run_as, keyboard", in_the_loop, (), 100),
    ]
    if argument == "naive":
        plan = [("naive", asynchronous, (naive,), 1000)]
    results = {}
    for name, run, arguments, count in plan:
        caught, wrong = run(*arguments, max(1, int(count * scale)))
        results[name] = {"caught": caught, "wrong": wrong}
    total = {key: sum(result[key] for result in results.values()) for key in ("caught", "wrong")}
    replace.assert_clean()
    print(json.dumps({"python": sys.version.split()[0], **total, "cases": results}))
    return 1 if total["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
