# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The pool when it is called at a bad moment: in a signal handler, in a finalizer, and at the interpreter's exit."""

import contextlib
import gc
import linecache
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from concurrent.futures.thread import BrokenThreadPool

import pytest
from support.children import (
    ALICE,
    BOB,
    HANG,
    as_root,
    collect_often,
    counts_references,
    has_reentrant_queue,
    needs_root,
    throw,
    throws,
    wait_until,
)

import replace
from replace import IdentityExecutor

#: Tests that take the main thread's time stop after this number of events.
ENOUGH = 3000


class Handler:
    """Calls a function in a handler of SIGALRM, which comes as often as the system allows."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.handle)
        signal.setitimer(signal.ITIMER_REAL, 0.00002)
        return self

    def __exit__(self, *exception):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def handle(self, number, frame):
        self.calls += 1
        self.function()
        signal.setitimer(signal.ITIMER_REAL, 0.00002)


@has_reentrant_queue
@pytest.mark.parametrize("workers", [1, 3])
def test_submit_in_a_signal_handler_completes_every_future(workers):
    def body():
        futures = []
        with IdentityExecutor(workers) as pool:
            users = [ALICE, BOB, replace.Identity(80003, 80013)]

            def submit():
                futures.append(pool.submit(users[len(futures) % 3], int))

            with Handler(submit) as handler:
                for _ in range(1_000_000):
                    submit()
                    if handler.calls >= ENOUGH or len(futures) > 100_000:
                        break
            assert not wait(futures, HANG).not_done
        assert {future.exception() for future in futures} == {None}

    as_root(body)


@has_reentrant_queue
def test_submit_and_shutdown_in_a_signal_handler_never_hang():
    """The handler interrupts submit() at all its places, and waits for the end of the pool."""

    def body():
        for round in range(60):
            pool = IdentityExecutor(1 + round % 3)
            futures = []

            def submit_until_refused(pool=pool, futures=futures):
                while True:
                    futures.append(pool.submit((ALICE, BOB)[len(futures) % 2], int))

            def stop(pool=pool, cancel=round % 2 == 1):
                pool.shutdown(wait=True, cancel_futures=cancel)

            with Handler(stop), pytest.raises(RuntimeError, match="after shutdown"):
                submit_until_refused()
            pool.shutdown()
            assert not wait(futures, HANG).not_done

    as_root(body)


@has_reentrant_queue
def test_finalizer_that_submits_completes_its_future():
    def body():
        futures = []

        class Cycle:
            def __init__(self):
                self.itself = self

            def __del__(self):
                futures.append(pool.submit(BOB, int))

        with IdentityExecutor(2) as pool:
            for number in range(2000):
                Cycle()
                pool.submit(ALICE, Cycle).result(HANG)
                if number > 1000 and not futures:  # without the GIL, the collector seldom runs by itself
                    gc.collect()
                if len(futures) > 1000:
                    break
            assert len(futures) > 100
            assert not wait(futures, HANG).not_done

    as_root(body)


@has_reentrant_queue
def test_submit_everywhere_at_once_loses_no_task():
    """Threads, tasks, a signal handler and finalizers submit, cancel and shut down. The collector runs all the time.

    So finalizers also run while a new thread holds the locks of the module threading.
    """

    def body():
        users = [replace.Identity(80001 + n, 80011 + n) for n in range(5)]
        collect_often(50)
        wrong = []
        for round in range(20):
            pool, futures, choose = IdentityExecutor(1 + round % 4), [], random.Random(round)

            def check(uid, more):
                if os.geteuid() != uid:
                    wrong.append((uid, os.geteuid()))
                if more < 0.1:
                    submit()
                if more > 0.95:
                    raise ValueError

            def submit(choose=choose, pool=pool, futures=futures, check=check):
                user = choose.choice(users)
                with contextlib.suppress(RuntimeError):  # after the shutdown
                    futures.append(pool.submit(user, check, user.uid, choose.random()))
                    if choose.random() < 0.05:
                        futures[-1].cancel()

            class Cycle:
                def __init__(self):
                    self.itself = self

                def __del__(self, submit=submit):
                    submit()

            def submit_often(choose=choose, submit=submit, Cycle=Cycle):
                for _ in range(100):
                    submit()
                    if choose.random() < 0.2:
                        Cycle()

            with Handler(submit):
                threads = [threading.Thread(target=submit_often) for _ in range(3)]
                for thread in threads:
                    thread.start()
                submit_often()
                pool.shutdown(wait=round % 2 == 0, cancel_futures=round % 5 == 0)
                for thread in threads:
                    thread.join()
            pool.shutdown()
            assert not wait(list(futures), HANG).not_done
            assert not pool._pool.workers
            assert not pool._pool.inbox
        assert wrong == []

    as_root(body)


def test_shutdown_cancels_while_workers_take_tasks():
    def body():
        users = [replace.Identity(80001 + n, 80011) for n in range(2000)]
        sys.setswitchinterval(1e-6)
        for _ in range(12):
            gate, pool = threading.Event(), IdentityExecutor(4)
            futures = [pool.submit(user, gate.wait) for user in users]
            gate.set()
            pool.shutdown(cancel_futures=True)
            assert not wait(futures, HANG).not_done

    as_root(body)


def test_interrupted_constructor_leaves_no_thread():
    """The interrupt comes at each line of the constructor, and while it waits for the supervisor."""
    names = ("_executor.py", "_pool.py")

    def body():
        def interrupt_line(number):
            def trace(frame, event, argument):
                nonlocal number
                if event == "line" and os.path.basename(frame.f_code.co_filename) in names:
                    number -= 1
                    if number == 0:
                        sys.settrace(None)
                        raise KeyboardInterrupt
                return trace

            return trace

        lines, pool = 0, None
        while pool is None:
            lines += 1
            sys.settrace(interrupt_line(lines))
            with contextlib.suppress(KeyboardInterrupt):
                pool = IdentityExecutor(1)
            sys.settrace(None)
            if pool is not None:
                pool.shutdown()
            wait_until(lambda: threading.active_count() == 1)
        assert lines > 30
        start = threading.Thread.start

        def start_late(thread):
            """Like an interrupt in start() before the new thread has set its ident."""
            threading.Timer.start = start
            threading.Timer(0.01, start, [thread]).start()
            raise KeyboardInterrupt

        threading.Thread.start = start_late
        with pytest.raises(KeyboardInterrupt):
            IdentityExecutor(1)
        threading.Thread.start = start
        wait_until(lambda: threading.active_count() == 1)

    as_root(body)


class Thrown(BaseException):
    pass


def test_exception_thrown_into_the_supervisor_leaves_no_task_waiting():
    """It comes at each line of the methods that the supervisor calls. In the worst case, the tasks fail."""

    def body():
        lines = 0

        def interrupt_line(number):
            def trace(frame, event, argument):
                nonlocal number
                if os.path.basename(frame.f_code.co_filename) != "_pool.py" or "supervisor" not in current().name:
                    return None
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                # The interpreter raises such an exception not between a with block and __exit__().
                if event == "line" and frame.f_code.co_name != "supervise" and not line.startswith("with "):
                    number -= 1
                    if number == 0:
                        sys.settrace(None)
                        places.append(frame.f_code.co_name)
                        raise Thrown
                return trace

            return trace

        current = threading.current_thread
        threading.excepthook = lambda arguments: None
        logging.getLogger("replace").disabled = True
        places = []
        while len(places) == lines:
            lines += 1
            threading.settrace(interrupt_line(lines))
            try:
                pool = IdentityExecutor(1, isolation="thread")
            except Thrown:
                assert places[-1] == "try_options"
                continue
            finally:
                threading.settrace(None)
            futures = []
            with contextlib.suppress(BrokenThreadPool):
                for user in (ALICE, BOB, ALICE):
                    futures.append(pool.submit(user, os.geteuid))
            pool.shutdown()
            assert not wait(futures, HANG).not_done
            for future in futures:
                if places[-1] == "step" and future.exception() is not None:  # before its try statement
                    assert isinstance(future.exception(), BrokenThreadPool)
                else:
                    assert future.result() in (ALICE.uid, BOB.uid)
        assert lines > 50

    as_root(body)


@throws
def test_waiting_tasks_fail_if_the_supervisor_ends():
    """An exception that the supervisor cannot handle, such as one from its log handler."""

    def body():
        def fail(record):
            raise Thrown

        logging.getLogger("replace").addFilter(fail)
        threading.excepthook = lambda arguments: None
        gate, pool = threading.Event(), IdentityExecutor(1, isolation="thread")
        begun = pool.submit(ALICE, gate.wait, HANG)
        late = pool.submit(BOB, int)
        throw(pool._pool.supervisor.ident, Thrown)
        pool._pool.orders.put(None)
        pool._pool.supervisor.join(HANG)
        assert isinstance(late.exception(HANG), BrokenThreadPool)
        with pytest.raises(BrokenThreadPool):
            pool.submit(BOB, int)
        gate.set()
        assert begun.result(HANG)
        pool.shutdown()

    as_root(body)


def test_worker_whose_thread_does_not_end_delays_no_other_worker():
    """A destructor of a thread-local variable waits."""

    def body():
        local, gate = threading.local(), threading.Event()

        class Waits:
            def __del__(self):
                gate.wait(HANG)

        with IdentityExecutor(1, isolation="thread") as pool:
            pool.submit(ALICE, setattr, local, "waits", Waits()).result(HANG)
            for user in (BOB, ALICE, BOB):
                assert pool.submit(user, os.geteuid).result(HANG) == user.uid
            assert not gate.is_set()
            gate.set()

    as_root(body)


def test_new_worker_starts_when_the_thread_of_the_last_one_has_ended():
    """The system permits no more threads than the pool has."""

    def body():
        def start(thread):
            if sum(name.startswith("workers_") for name in (t.name for t in threading.enumerate())) > 1:
                raise RuntimeError("can't start new thread")
            start_thread(thread)

        start_thread, threading.Thread.start = threading.Thread.start, start
        local = threading.local()

        class Slow:
            def __del__(self):
                time.sleep(0.05)

        with IdentityExecutor(1, "workers", isolation="thread") as pool:
            for user in (ALICE, BOB, ALICE):
                pool.submit(user, lambda: setattr(local, "slow", Slow())).result(HANG)

    as_root(body)


def test_stack_of_a_replaced_worker_is_freed_at_once():
    """A 32-bit process has no address space for the stacks of hundreds of workers that have ended."""

    def body():
        def size():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[0]) * resource.getpagesize()

        stack, workers = 8 << 20, 100
        threading.stack_size(stack)
        gc.disable()  # it would free some of them
        with IdentityExecutor(1, isolation="thread") as pool:
            before = size()
            for user in (ALICE, BOB) * (workers // 2):
                pool.submit(user, os.geteuid).result(HANG)
            grown = size() - before
            assert pool.stats().retired >= workers - 1
        assert grown < stack * workers / 2, grown

    as_root(body)


def script_output(code):
    """Run a script as root in a new interpreter, and return what it prints."""
    needs_root()
    prelude = "import os, sys, threading, time, replace\nalice = replace.Identity(80001, 80011)\n"
    command = [sys.executable, "-c", prelude + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=HANG, check=False)
    return done.returncode, done.stdout, done.stderr


class TestAtExit:
    """ThreadPoolExecutor does the same in each case."""

    def test_tasks_submitted_at_the_end_of_a_script_run(self):
        code = "pool = replace.IdentityExecutor(4)\nfor n in range(40): pool.submit(alice, print, 'ran', flush=True)\n"
        if replace.SCOPE != "thread":
            return
        status, out, errors = script_output(code)
        assert (status, out.count("ran"), errors) == (0, 40, "")

    def test_tasks_that_wait_for_each_other_run(self):
        """The threads for all four exist when the script ends."""
        code = (
            "pool = replace.IdentityExecutor(4)\n"
            "barrier = threading.Barrier(4)\n"
            "for n in range(4): pool.submit(alice, lambda: (barrier.wait(60), print('ran', flush=True)))\n"
        )
        if replace.SCOPE != "thread":
            return
        status, out, errors = script_output(code)
        assert (status, out.count("ran"), errors) == (0, 4, "")

    def test_submit_of_a_task_is_refused(self):
        code = (
            "pool = replace.IdentityExecutor(1)\n"
            "def late():\n"
            "    try:\n"
            "        while True: pool.submit(alice, int); time.sleep(0.01)\n"
            "    except RuntimeError as error: print(error)\n"
            "pool.submit(alice, late)\n"
        )
        if replace.SCOPE != "thread":
            return
        assert script_output(code) == (0, "cannot schedule new futures after interpreter shutdown\n", "")

    @pytest.mark.parametrize("imported", [True, False])
    def test_executor_made_in_an_exit_function_is_refused(self, imported):
        code = (
            f"{'replace.IdentityExecutor' if imported else ''}\n"
            "import atexit\n"
            "def late():\n"
            "    try: replace.IdentityExecutor(1).submit(alice, int).result(60)\n"
            "    except RuntimeError as error: print(error)\n"
            "atexit.register(late)\n"
        )
        if replace.SCOPE != "thread":
            return
        status, out, errors = script_output(code)
        assert (status, errors) == (0, "")
        assert "shutdown" in out

    @counts_references
    def test_executor_made_in_a_destructor_is_refused(self):
        code = (
            "make = replace.IdentityExecutor\n"
            "class Late:\n"
            "    def __del__(self, make=make, alice=alice):\n"
            "        try: make(1).submit(alice, int).result(60)\n"
            "        except RuntimeError as error: print(error)\n"
            "late = Late()\n"
        )
        if replace.SCOPE != "thread":
            return
        status, out, errors = script_output(code)
        assert (status, errors) == (0, "")
        assert "shutdown" in out
