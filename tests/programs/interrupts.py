# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Throws 10 000 interrupts at random moments, and checks that no thread stays switched.

usage: python tests/programs/interrupts.py [SCALE | naive]   (as root; SCALE 1 is 10 000)

The interrupts are KeyboardInterrupt in the main thread and PyThreadState_SetAsyncExc in a worker.  They hit
`with impersonate`, acting_as and run_as, at every level.  The except clause reads the thread's ids.  Prints one line of
JSON.  Exit status 1 if any ids were wrong.  `naive` tries a context manager written in Python instead; the program
must find its errors.  test_interrupts.py runs this program on each CPython.
"""

import asyncio
import ctypes
import json
import logging
import multiprocessing
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
#: None on PyPy, whose threads get only KeyboardInterrupt.
inject = getattr(getattr(ctypes, "pythonapi", None), "PyThreadState_SetAsyncExc", None)


class Stop(BaseException):
    """The exception that is thrown into a worker."""


def ids():
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def work():
    """Some work in Python."""
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
    """A context manager written in Python.  The program must find that it leaves threads switched."""

    def __enter__(self):
        replace.setresuid(-1, 80001, -1)

    def __exit__(self, *exception):
        replace.setresuid(-1, 0, -1)


def naive(level):
    with Naive():
        work()


class Thrower:
    """A thread that throws one interrupt, at a random moment, each time that it is armed.

    It throws nothing while it is not armed, so code that handles an interrupt does not meet a second one.
    `wanted` counts how often it was armed.  After each throw it sets `thrown` to that count.
    """

    def __init__(self, throw, within):
        self.throw, self.within, self.done, self.armed = throw, within, False, threading.Lock()
        self.wanted = self.thrown = 0
        self.armed.acquire()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.done:
            # With a timeout: CPython may not handle a signal until another thread asks for the GIL.
            if self.armed.acquire(timeout=0.005) and not self.done:
                number = self.wanted
                time.sleep(random.random() * self.within)
                self.throw()
                self.thrown = number

    def arm(self):
        self.wanted += 1
        if self.armed.locked():
            self.armed.release()  # a C function: an interrupt arrives before or after it

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.done = True
        self.thread.join()


def until_interrupted(thrower, body):
    """Run body until interrupted.  Not in hammer(): CPython 3.13 puts some jumps of a loop outside its try."""
    while True:
        thrower.arm()
        late = None
        while late is None or time.monotonic() < late:
            for level in LEVELS:
                body(level)
            if late is None and thrower.thrown == thrower.wanted:
                late = time.monotonic() + 0.1  # later it counts as lost, for example in a weak reference's callback


def hammer(throw, body, count, kind):
    """Run body while count interrupts arrive.  Returns (caught, wrong)."""
    base, caught, wrong = ids(), 0, 0
    with Thrower(throw, 0.0003) as thrower:
        while caught < count:
            try:
                until_interrupted(thrower, body)
            except kind:
                caught += 1
                if ids() != base:
                    wrong += 1
                    replace.setresuid(-1, 0, -1)
    return caught, wrong


def asynchronous(body, count):
    def worker():
        me = ctypes.c_ulong(threading.get_ident())
        return hammer(lambda: inject(me, ctypes.py_object(Stop)), body, count, Stop)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(worker).result()


def keyboard(body, count):
    return hammer(lambda: os.kill(os.getpid(), signal.SIGINT), body, count, KeyboardInterrupt)


def in_workers_of_asyncio(count):
    """Interrupt the worker of run_as().  Then another task in that worker reads the thread's ids."""
    target = []
    caught = wrong = 0

    def task():
        target[:] = [threading.get_ident()]
        thrower.arm()
        while target:  # until throw() takes the target; Stop arrives here, while the identity is left, or soon after
            work()

    def throw():
        if target:  # a task that an earlier interrupt ended has no target
            inject(ctypes.c_ulong(target.pop()), ctypes.py_object(Stop))

    async def main():
        nonlocal caught, wrong
        loop, base = asyncio.get_running_loop(), ids()
        loop.set_default_executor(ThreadPoolExecutor(1))
        while caught < count:
            for attempt in (lambda: replace.run_as(ALICE, task), lambda: loop.run_in_executor(None, ids)):
                try:
                    seen = await asyncio.wait_for(attempt(), 0.1)
                    wrong += seen is not None and seen != base
                except Stop:
                    caught += 1
                except asyncio.TimeoutError:  # it arrived between two tasks and ended the worker
                    loop.set_default_executor(ThreadPoolExecutor(1))
            wrong += ids() != base

    with Thrower(throw, 0.0002) as thrower:
        asyncio.run(main())
    return caught, wrong


def interrupted_loop(base):
    """In a child process: one KeyboardInterrupt while run_as() is awaited.

    Exit status: 0; 1 if the ids are wrong afterwards; 2 if the caller must try again.
    """

    async def main():
        threading.Timer(random.random() * 0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            await replace.run_as(ALICE, work)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        os._exit(ids() != base)
    except RuntimeError:  # CPython 3.10 raises it if the interrupt hits one of its locks
        os._exit(2 if ids() == base else 1)


def in_the_loop(count):
    """KeyboardInterrupt in the event loop's thread, each in a child: CPython 3.10's asyncio can hang after it."""
    base, caught, wrong = ids(), 0, 0
    while caught < count:
        child = multiprocessing.get_context("fork").Process(target=interrupted_loop, args=(base,))
        child.start()
        child.join(2)
        if child.exitcode is None:  # lost in a weak reference's callback, or asyncio hangs
            child.kill()
            child.join()
        elif child.exitcode != 2:
            caught += 1
            wrong += child.exitcode != 0
    return caught, wrong


def main():
    argument = sys.argv[1] if len(sys.argv) > 1 else "1"
    scale = 1.0 if argument == "naive" else float(argument)
    logging.disable()  # asyncio logs each worker that an interrupt ended
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
    if inject is None:  # PyPy: `with` is not safe there (docs/limits.md)
        plan = [row for row in plan if row[0] in ("acting_as, keyboard", "run_as, keyboard")]
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
