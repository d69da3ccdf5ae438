# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""acting_as, run_as, impersonated; what is audited and logged."""

import asyncio
import contextvars
import functools
import multiprocessing
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import ALICE, BOB, as_root, ids

import replace
from replace import Identity, _native, acting_as, impersonate, impersonated, run_as

ROOT_IDS = ((0, 0, 0), (0, 0, 0), [], 0, 0)


def who():
    return os.geteuid()


def add(one, two=0, *, three=0):
    return (one + two + three, os.geteuid())


def fail():
    raise KeyError(os.geteuid())


# ---- acting_as


def test_acting_as_hands_on_arguments_results_and_exceptions():
    def body():
        assert acting_as(ALICE, add)(1, two=2, three=3) == (6, 80001)
        with pytest.raises(KeyError, match="80001"):
            acting_as(ALICE, fail, level="real")()
        assert ids() == ROOT_IDS
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(acting_as(BOB, add), [1, 2])) == [(1, 80002), (2, 80002)]

    as_root(body)


def test_acting_as_is_picklable_and_runs_in_another_process():
    def body():
        job = pickle.loads(pickle.dumps(acting_as(ALICE, who, level="shielded")))
        assert repr(job) == repr(acting_as(ALICE, who, level="shielded"))
        assert job() == 80001
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.apply(job)

    assert as_root(body) in (80001, None)


def test_acting_as_nests_and_is_used_again():
    def body():
        inner = acting_as(BOB, who)
        outer = acting_as(ALICE, lambda: (who(), inner(), who()))
        assert [outer(), outer()] == [(80001, 80002, 80001)] * 2

    as_root(body)


def generates():
    yield os.geteuid()


async def awaits():
    return os.geteuid()


class Callable:
    def __call__(self):
        yield 1


@pytest.mark.parametrize("function", [generates, awaits, functools.partial(generates), Callable()], ids=str)
def test_lazy_functions_are_refused_at_once(function):
    with pytest.raises(TypeError, match="generator or coroutine function"):
        acting_as(ALICE, function)


def test_a_lazy_result_is_refused_and_closed():
    def body():
        for function in (lambda: generates(), lambda: awaits()):
            with pytest.raises(TypeError, match="its body would run as the server"):
                acting_as(ALICE, function)()

    as_root(body)


def test_wrong_arguments_are_found_before_the_call():
    for arguments, options, kind in (
        ((ALICE, 5), {}, TypeError),
        (("alice", who), {}, TypeError),
        ((ALICE, who), {"level": "root"}, ValueError),
        ((ALICE, who), {"levels": "real"}, TypeError),
        ((ALICE, who), {"on_restore_failure": "ignore", "allow_process": True}, ValueError),
        ((Identity(0, 5), who), {"allow_process": True}, replace.IdentityRefused),
    ):
        with pytest.raises(kind):
            acting_as(*arguments, **options)


def test_a_failed_leave_has_the_functions_exception_as_its_context():
    def body():
        def tamper():
            os.seteuid(0)
            raise KeyError("own")

        with pytest.raises(replace.IdentityChanged) as caught:
            acting_as(ALICE, tamper)()
        assert isinstance(caught.value.__context__, KeyError)
        with pytest.raises(replace.IdentityChanged) as caught, impersonate(ALICE):
            tamper()
        assert isinstance(caught.value.__context__, KeyError)
        assert ids() == ROOT_IDS

    as_root(body)


# ---- run_as


def test_run_as_never_runs_on_the_loops_thread():
    variable = contextvars.ContextVar("variable")

    def work(word):
        return (word, os.geteuid(), variable.get(), threading.get_ident())

    def body():
        async def main():
            variable.set("handed on")
            answers = await asyncio.gather(*(run_as(user, work, "x", level="real") for user in (ALICE, BOB)))
            with pytest.raises(KeyError):
                await run_as(ALICE, fail)
            with pytest.raises(TypeError):
                await run_as(ALICE, awaits)
            return answers, threading.get_ident()

        answers, loop = asyncio.run(main())
        assert [answer[:3] for answer in answers] == [("x", 80001, "handed on"), ("x", 80002, "handed on")]
        assert loop not in [answer[3] for answer in answers]
        replace.assert_clean()

    as_root(body)


def test_run_as_is_refused_where_its_workers_would_inherit():
    def body():
        with impersonate(ALICE), pytest.raises(replace.IdentityRefused, match="new worker would inherit"):
            asyncio.run(run_as(BOB, who))

    as_root(body)


# ---- impersonated


class Body:
    """A response body as WSGI has it: lazy, with close()."""

    def __init__(self):
        self.seen, self.left = [], 3

    def __iter__(self):
        self.seen.append(("iter", os.geteuid()))
        return self

    def __next__(self):
        self.seen.append(("next", os.geteuid()))
        self.left -= 1
        if not self.left:
            raise StopIteration
        return self.left

    def close(self):
        self.seen.append(("close", os.geteuid()))


def test_impersonated_holds_the_identity_inside_next_and_close_alone():
    def body():
        source = Body()
        items = impersonated(ALICE, source)
        for item in items:
            assert item in (1, 2)
            assert os.geteuid() == 0
        items.close()
        items.close()
        assert source.seen == [("iter", 80001), *[("next", 80001)] * 3, ("close", 80001)]

    as_root(body)


def test_impersonated_generators_interleave_and_change_threads():
    def lazily(note):
        try:
            while True:
                yield os.geteuid()
        finally:
            note.append(os.geteuid())

    def body():
        first, second = [], []
        alice, bob = impersonated(ALICE, lazily(first)), impersonated(BOB, lazily(second))
        assert [next(alice), next(bob), next(alice), next(bob)] == [80001, 80002] * 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(next, alice).result() == 80001
            pool.submit(alice.close).result()
        assert first == [80001]
        del bob  # closed when it is collected, as the user
        assert second == [80002]
        assert next(alice, "closed") == "closed"
        assert ids() == ROOT_IDS

    as_root(body)


def test_impersonated_checks_at_once():
    with pytest.raises((replace.IdentityRefused, TypeError)):
        impersonated("alice", [])


# ---- Audit events


def test_audit_events_and_the_veto():
    def body():
        seen, veto = [], []

        def hook(event, arguments):
            if event.startswith("replace."):
                seen.append((event, arguments[0], *arguments[1:], os.geteuid()))
                if veto:
                    raise RuntimeError("no")

        sys.addaudithook(hook)
        with impersonate(ALICE, level="shielded"):
            pass
        level = _native.LEVELS["shielded"]
        assert seen == [("replace.enter", ALICE, level, 0), ("replace.leave", ALICE, level, 0)]
        veto.append(True)
        with pytest.raises(RuntimeError, match="no"), impersonate(ALICE):
            raise AssertionError("entered")
        assert ids() == ROOT_IDS
        with pytest.raises(RuntimeError, match="no"):
            replace.drop_privileges(ALICE)
        assert ids() == ROOT_IDS
        veto.clear()
        replace.drop_privileges(ALICE)
        assert seen[-1][:2] == ("replace.drop", ALICE)

    as_root(body)


def test_a_lazy_result_is_closed_as_the_user():
    """Its body has begun inside: what is left of it does not run as the server."""
    seen = []

    def lazy():
        def items():
            try:
                yield 1
            finally:
                seen.append(os.geteuid())

        iterator = items()
        next(iterator)
        return iterator

    def body():
        with pytest.raises(TypeError, match="something lazy"):
            acting_as(ALICE, lazy)()
        return seen

    assert as_root(body) in ([ALICE.uid], None)


def test_impersonated_dropped_where_an_event_loop_runs_is_closed_as_the_user():
    def body():
        seen, closed = [], threading.Event()

        def items():
            try:
                yield 1
                yield 2
            finally:
                seen.append(os.geteuid())
                closed.set()

        async def main():
            iterator = impersonated(ALICE, items())
            assert await asyncio.to_thread(next, iterator) == 1
            del iterator
            assert await asyncio.to_thread(closed.wait, 10)

        asyncio.run(main())
        return seen

    assert as_root(body) in ([ALICE.uid], None)
