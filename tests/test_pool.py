# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The pool when it is called at a bad moment: in a signal handler, in a finalizer, and at the interpreter's exit."""

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest
from support.children import ALICE, BOB, HANG, as_root, needs_root

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


def test_finalizer_that_submits_completes_its_future():
    def body():
        futures = []

        class Cycle:
            def __init__(self):
                self.itself = self

            def __del__(self):
                futures.append(pool.submit(BOB, int))

        with IdentityExecutor(2) as pool:
            for _ in range(2000):
                Cycle()
                pool.submit(ALICE, Cycle).result(HANG)
                if len(futures) > 1000:
                    break
            assert len(futures) > 100
            assert not wait(futures, HANG).not_done

    as_root(body)


def test_submit_everywhere_at_once_loses_no_task():
    """Threads, tasks, a signal handler and finalizers submit, cancel and shut down. The collector runs all the time.

    So finalizers also run while a new thread holds the locks of the module threading.
    """

    def body():
        users = [replace.Identity(80001 + n, 80011 + n) for n in range(5)]
        gc.set_threshold(50)
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


def script_output(code):
    """Run a script as root in a new interpreter, and return what it prints."""
    needs_root()
    prelude = "import os, sys, threading, time, replace\nalice = replace.Identity(80001, 80011)\n"
    command = [sys.executable, "-c", prelude + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=HANG, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(replace.SCOPE != "thread", reason="needs thread credentials")
class TestAtExit:
    """ThreadPoolExecutor does the same in each case."""

    def test_tasks_submitted_at_the_end_of_a_script_run(self):
        code = "pool = replace.IdentityExecutor(4)\nfor n in range(40): pool.submit(alice, print, 'ran', flush=True)\n"
        status, out, errors = script_output(code)
        assert (status, out.count("ran"), errors) == (0, 40, "")

    def test_tasks_that_wait_for_each_other_run(self):
        """The threads for all four exist when the script ends."""
        code = (
            "pool = replace.IdentityExecutor(4)\n"
            "barrier = threading.Barrier(4)\n"
            "for n in range(4): pool.submit(alice, lambda: (barrier.wait(60), print('ran', flush=True)))\n"
        )
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
        status, out, errors = script_output(code)
        assert (status, errors) == (0, "")
        assert "shutdown" in out

    def test_executor_made_in_a_destructor_is_refused(self):
        code = (
            "make = replace.IdentityExecutor\n"
            "class Late:\n"
            "    def __del__(self, make=make, alice=alice):\n"
            "        try: make(1).submit(alice, int).result(60)\n"
            "        except RuntimeError as error: print(error)\n"
            "late = Late()\n"
        )
        status, out, errors = script_output(code)
        assert (status, errors) == (0, "")
        assert "shutdown" in out
