# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Who destroys what a task leaves behind: its arguments, its local variables, its exception and its result."""

import contextvars
import decimal
import gc
import os
import sys
import threading
import weakref

import pytest
from support.children import ALICE, BOB, HANG, as_root, counts_references, wait_until, with_gil

from replace import IdentityExecutor


class Witness:
    """Its destructor notes the effective uid of its thread."""

    def __init__(self, seen):
        self.seen = seen

    def __del__(self):
        self.seen.append(os.geteuid())


def raise_with_local(thing, seen):
    local = Witness(seen)
    raise ValueError(local is not None)


def raise_in_except_block(thing, seen):
    try:
        raise_with_local(thing, seen)
    except ValueError as error:
        raise KeyError from error


def raise_with_cycle(thing, seen):
    local, problems = Witness(seen), []
    try:
        raise ValueError(local is not None)
    except ValueError as error:
        problems.append(error)  # a cycle: exception, traceback, frame, list, exception
        raise


def raise_in_generator(thing, seen):
    def generator(thing):
        local = Witness(seen)
        yield 1
        raise ValueError(local is not None)

    list(generator(thing))


def raise_without_attribute(thing, seen):
    Witness(seen).missing  # noqa: B018  # AttributeError.obj is the object


FAILING = [raise_with_local, raise_in_except_block, raise_with_cycle, raise_in_generator, raise_without_attribute]


#: Before Python 3.11, the caller of a function refers to the arguments until the function returns. So a fast worker is
#: not the last one that refers to them. There, the worker begins the task after submit() has returned.
KEEPS_ARGUMENTS = sys.version_info < (3, 11)


@with_gil
@counts_references
@pytest.mark.parametrize("function", FAILING)
@pytest.mark.parametrize("kept", ["future", "exception", "nothing"])
def test_arguments_and_locals_of_a_failed_task_are_destroyed_as_its_user(function, kept):
    def body():
        gc.disable()
        seen, keep = [], []
        with IdentityExecutor(1) as pool:
            for user in (ALICE, BOB, ALICE):
                gate = threading.Event()
                if KEEPS_ARGUMENTS:
                    pool.submit(user, gate.wait, HANG)
                future = pool.submit(user, function, Witness(seen), seen)
                gate.set()
                keep.append(future if kept == "future" else future.exception(HANG) if kept == "exception" else None)
                del future
                pool.submit(user, int).result(HANG)
        assert seen == [ALICE.uid] * 2 + [BOB.uid] * 2 + [ALICE.uid] * 2
        assert not any(isinstance(thing, Witness) for thing in gc.get_objects())

    as_root(body)


class Hostile(Exception):  # noqa: N818
    """Its attributes cannot be read."""

    __traceback__ = __cause__ = __context__ = property(lambda self: 1 / 0)


@with_gil
@counts_references
def test_task_completes_even_if_its_locals_cannot_be_destroyed():
    def fail(seen, error):
        local = Witness(seen)
        if local:
            raise error

    def body():
        seen, veto = [], []

        def hook(event, arguments):
            if veto and event == "object.__getattr__" and arguments[1] == "tb_frame":
                raise PermissionError("vetoed")

        sys.addaudithook(hook)
        with IdentityExecutor(1) as pool:
            assert isinstance(pool.submit(ALICE, fail, seen, Hostile()).exception(HANG), Hostile)
            assert seen == [ALICE.uid]
            veto.append(1)
            assert isinstance(pool.submit(ALICE, fail, seen, OSError()).exception(HANG), OSError)
        gc.collect()
        assert seen == [ALICE.uid], "not destroyed by somebody else"

    as_root(body)


@counts_references
def test_failed_tasks_leave_no_garbage():
    """Without the collector, each failed task frees its megabyte."""

    def fail(size):
        data = bytearray(size)
        raise ValueError(len(data))

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def body():
        gc.collect()
        gc.disable()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, fail, 1_000_000).exception(HANG)
            before = resident()
            for n in range(200):
                pool.submit((ALICE, BOB)[n % 2], fail, 1_000_000).exception(HANG)
            assert resident() - before < 50_000_000
            future = pool.submit(ALICE, fail, 1)
            future.exception(HANG)
            gone = weakref.ref(future)
            del future
            wait_until(lambda: gone() is None)

    as_root(body)


@with_gil
@counts_references
def test_arguments_of_a_cancelled_task_are_destroyed_as_its_user():
    def body():
        seen, gate = [], threading.Event()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, gate.wait, HANG)
            futures = [pool.submit(user, print, Witness(seen)) for user in (ALICE, BOB, ALICE)]
            assert all(future.cancel() for future in futures)
            gate.set()
            pool.submit(BOB, int).result(HANG)
        assert sorted(seen) == sorted([ALICE.uid, BOB.uid, ALICE.uid])

    as_root(body)


@with_gil
@counts_references
def test_arguments_are_destroyed_before_the_future_is_done():
    def body():
        seen = []
        with IdentityExecutor(1) as pool:
            for function in (repr, raise_in_except_block):
                gate = threading.Event()
                if KEEPS_ARGUMENTS:
                    pool.submit(ALICE, gate.wait, HANG)
                future = pool.submit(ALICE, function, Witness(seen))
                gate.set()
                future.exception(HANG)
                assert seen.pop() == ALICE.uid
                assert not seen

    as_root(body)


def test_destructor_that_becomes_root_does_not_affect_the_next_task():
    """Nobody keeps the future, so the worker destroys the result after its check."""

    class BecomesRoot:
        def __del__(self):
            from replace import setresuid

            setresuid(0, 0, 0)

    def body():
        gate = threading.Event()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, gate.wait, HANG)
            pool.submit(ALICE, BecomesRoot)
            after = pool.submit(ALICE, os.geteuid)
            gate.set()
            assert after.result(HANG) == ALICE.uid

    as_root(body)


@counts_references
def test_result_of_a_failed_entry_refers_to_no_future():
    """A future whose task could not enter is freed without the collector."""

    def body():
        gc.disable()
        os.setgroups([])
        with IdentityExecutor(1) as pool:

            def veto(event, args):
                if event == "replace.enter" and args[0] == BOB:
                    raise PermissionError

            sys.addaudithook(veto)
            future = pool.submit(BOB, int)
            assert isinstance(future.exception(HANG), PermissionError)
            gone = weakref.ref(future)
            del future
            wait_until(lambda: gone() is None)

    as_root(body)


def test_traceback_of_a_failed_task_still_shows_its_lines():
    import traceback

    def body():
        with IdentityExecutor(1) as pool:
            error = pool.submit(ALICE, raise_in_except_block, 1, []).exception(HANG)
        shown = "".join(traceback.format_exception(error))
        assert "raise ValueError(local is not None)" in shown
        assert "raise KeyError from error" in shown

    as_root(body)


def test_task_and_its_callbacks_have_a_context_of_their_own():
    def body():
        variable = contextvars.ContextVar("variable", default="none")
        seen = []

        def change(future=None):
            seen.append((variable.get(), decimal.getcontext().prec))
            variable.set("changed")
            decimal.getcontext().prec = 5

        def begin():
            variable.set("initializer")
            decimal.getcontext().prec = 7

        with IdentityExecutor(1, initializer=begin) as pool:
            for user in (ALICE, ALICE, BOB):
                gate = threading.Event()
                pool.submit(user, gate.wait, HANG)
                pool.submit(user, change).add_done_callback(change)
                gate.set()
        assert seen == [("initializer", 7), ("changed", 5)] * 3

    as_root(body)


@with_gil
@counts_references
@pytest.mark.parametrize("isolation", ["state", "thread"])
def test_arguments_of_a_cancelled_task_are_destroyed_as_its_user_in_a_new_worker(isolation):
    """Alice's worker ends before it can enter Bob's identity."""

    def body():
        seen, gate = [], threading.Event()
        with IdentityExecutor(1, isolation=isolation) as pool:
            pool.submit(ALICE, os.setpriority, os.PRIO_PROCESS, 0, 3)
            pool.submit(ALICE, gate.wait, HANG)
            assert pool.submit(BOB, print, Witness(seen)).cancel()
            gate.set()
            pool.submit(ALICE, int).result(HANG)
        assert seen == [BOB.uid]

    as_root(body)


@counts_references
def test_result_and_context_are_destroyed_before_the_thread_has_the_ids_of_the_server():
    """The task changed its ids, so its result is not used."""

    def body(callbacks):
        seen, gate, variable = [], threading.Event(), contextvars.ContextVar("variable")

        def change():
            gate.wait(HANG)
            variable.set(Witness(seen))
            from replace import setfsgid

            setfsgid(0)
            return Witness(seen)

        with IdentityExecutor(1) as pool:
            future = pool.submit(ALICE, change)
            if callbacks:
                future.add_done_callback(lambda future: seen.append(variable.get("none")))
            gate.set()
            assert future.exception(HANG) is not None
            pool.submit(BOB, int).result(HANG)
        assert seen == [ALICE.uid] * 2 + ["none"] * callbacks

    as_root(body, 0)
    as_root(body, 1)
