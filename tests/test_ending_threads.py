# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""assert_clean() ignores threads that are ending, and finds every other thread that differs.

The kernel lists a thread for some time after join() has returned. Here, such threads have inherited an identity.
"""

import ctypes
import os
import threading
from pathlib import Path

import pytest
from support.children import ALICE, BOB, LIBC, as_root, call_number, held_elsewhere, switched_elsewhere, wait_until

import replace
from replace import ThreadsDiffer, impersonate


def start_c_thread(function, argument):
    """Start a thread that runs a function of libc. Python does not know the thread. Return its pthread_t."""
    thread = ctypes.c_ulong()
    assert LIBC.pthread_create(ctypes.byref(thread), None, function, argument) == 0
    return thread


def test_joined_threads_are_not_reported():
    def body():
        for level in ("shielded", "filesystem") * 500:
            go = threading.Event()
            thread = threading.Thread(target=go.wait)
            with impersonate(ALICE, level=level):
                thread.start()
            go.set()
            thread.join()
            replace.assert_clean()

    as_root(body)


def test_joined_c_threads_are_not_reported():
    def body():
        for _ in range(500):
            with impersonate(ALICE):
                thread = start_c_thread(LIBC.usleep, ctypes.c_void_p(0))
            assert LIBC.pthread_join(thread, None) == 0
            replace.assert_clean()

    as_root(body)


def test_thread_that_ends_soon_is_awaited():
    """A thread of a C library looks like one that has not reached its last system call yet."""

    def body():
        with impersonate(ALICE):
            thread = start_c_thread(LIBC.usleep, ctypes.c_void_p(100_000))
        replace.assert_clean()
        assert len(replace.thread_credentials()) == 1
        assert LIBC.pthread_join(thread, None) == 0

    as_root(body)


def test_c_thread_that_stays_is_found():
    def body():
        semaphore = (ctypes.c_char * 64)()
        assert LIBC.sem_init(semaphore, 0, 0) == 0
        with impersonate(ALICE):
            thread = start_c_thread(LIBC.sem_wait, semaphore)
        with pytest.raises(ThreadsDiffer, match="80001") as caught:
            replace.assert_clean()
        assert len(caught.value.threads) == 1
        assert LIBC.sem_post(semaphore) == 0
        assert LIBC.pthread_join(thread, None) == 0
        replace.assert_clean()

    as_root(body)


def test_thread_that_differs_is_always_found():
    """Other such threads end at the same time. Python knows the thread that stays, so nobody waits for its end."""

    def body():
        for _ in range(300):
            with impersonate(ALICE):
                ending = threading.Thread(target=int)
                ending.start()
            with switched_elsewhere(BOB) as thread:
                ending.join()
                with pytest.raises(ThreadsDiffer, match=f"thread {thread.native_id} .*80002"):
                    replace.assert_clean()

    as_root(body)


def test_ended_main_thread_is_not_compared():
    """A main thread that ends before the others keeps its entry in /proc. It has ended as another user."""

    def work(reader):
        while os.read(reader, 1):
            pass
        wait_until(lambda: "zombie" in Path("/proc/self/status").read_text(), "the end of the main thread")
        replace.assert_clean()
        with switched_elsewhere(BOB) as thread, pytest.raises(ThreadsDiffer, match=f"thread {thread.native_id} "):
            replace.assert_clean()

    def body():
        child = os.fork()
        if child == 0:
            reader, writer = os.pipe()

            def to_its_end():
                try:
                    work(reader)
                    os._exit(7)
                finally:
                    os._exit(1)

            threading.Thread(target=to_its_end).start()
            replace.setresuid(80001, 80001, 80001)
            os.close(writer)
            LIBC.syscall(call_number("exit"), 0)  # exit(2) ends one thread
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    as_root(body)


# ---- A tainted thread


def taint():
    """Leave two identities in the wrong order."""
    outer, inner = impersonate(ALICE), impersonate(BOB)
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(replace.ThreadTainted):
        outer.__exit__(None, None, None)


def test_tainted_thread_is_not_clean():
    def check():
        replace.assert_clean()
        taint()
        with pytest.raises(ThreadsDiffer, match="the calling thread is tainted") as caught:
            replace.assert_clean()
        assert [thread.tid for thread in caught.value.threads] == [threading.get_native_id()]

    def body():
        outcome = []

        def work():
            check()
            outcome.append("checked")

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert outcome == ["checked"]
        replace.assert_clean()
        check()  # the main thread, whose ids are the ones that others are compared with

    as_root(body)


def test_main_thread_whose_guard_another_thread_tried_to_leave_is_not_clean():
    """No other thread could tell: they are compared with the main thread."""

    def body():
        outcome = []

        def leave():
            try:
                guard.__exit__(None, None, None)
            except replace.ThreadTainted as error:
                outcome.append(error)

        guard = impersonate(ALICE)
        guard.__enter__()
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
        assert len(outcome) == 1
        with pytest.raises(ThreadsDiffer, match="the calling thread is tainted") as caught:
            replace.assert_clean()
        assert [one.uids[1] for one in caught.value.threads] == [80001]
        guard.__exit__(None, None, None)
        replace.assert_clean()

    as_root(body)


def test_thread_that_an_incomplete_list_leaves_out_is_found():
    """If a thread ends meanwhile, the kernel's list may have it and leave out another. It rarely does, so this does."""

    def body():
        def incomplete(folder):
            names = whole(folder)
            calls.append(folder)
            return ["0" if name == str(worker.native_id) else name for name in names] if len(calls) < 3 else names

        whole, os.listdir, calls = os.listdir, incomplete, []
        with held_elsewhere(impersonate(ALICE)) as worker:
            with pytest.raises(ThreadsDiffer, match="80001"):
                replace.assert_clean()
            assert len(calls) == 3

    as_root(body)
