# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""acting_as(): functions that run as another user."""

import asyncio
import contextlib
import functools
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import ALICE, BOB, ROOT_IDS, as_root, ids

import replace
from replace import Identity, acting_as, impersonate, run_as


def get_euid():
    return os.geteuid()


def add(one, two=0, *, three=0):
    return (one + two + three, os.geteuid())


def fail():
    raise KeyError(os.geteuid())


# ---- acting_as


def test_acting_as_passes_arguments_results_and_exceptions():
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
        job = pickle.loads(pickle.dumps(acting_as(ALICE, get_euid, level="shielded")))
        assert repr(job) == repr(acting_as(ALICE, get_euid, level="shielded"))
        assert job() == 80001
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.apply(job)

    assert as_root(body) in (80001, None)


def chain_of_contexts(error):
    """Return an exception and its contexts. Fail if they form a cycle."""
    chain = []
    while error is not None:
        assert error not in chain, "a cycle"
        chain.append(error)
        error = error.__context__
    return chain


def raise_own(own, other):
    raise own


def raise_own_in_a_handler_of_the_other(own, other):
    try:
        raise other
    except ValueError:
        raise own  # noqa: B904


def raise_other_in_a_handler_of_own(own, other):
    try:
        raise own
    except ValueError:
        raise other  # noqa: B904


@pytest.mark.parametrize("function", [raise_own, raise_own_in_a_handler_of_the_other, raise_other_in_a_handler_of_own])
@pytest.mark.parametrize("way", ["acting_as", "with"])
def test_exceptions_of_audit_hooks_at_leave_never_form_a_cycle(function, way):
    def body():
        own, other = ValueError("own"), ValueError("other")

        def hook(event, arguments):
            if event == "replace.leave":
                raise own

        def attempt():
            with contextlib.ExitStack() as stack:  # it follows __context__ until that ends
                if way == "with":
                    stack.enter_context(impersonate(ALICE))
                    function(own, other)
                acting_as(ALICE, function)(own, other)

        sys.addaudithook(hook)
        with pytest.raises(ValueError, match="own") as caught:
            attempt()
        assert caught.value is own
        assert set(chain_of_contexts(own)) <= {own, other}
        assert (function is raise_own) == (own.__context__ is None)
        assert ids() == ROOT_IDS

    as_root(body)


def test_exception_of_the_function_is_the_context_of_one_from_leaving():
    def body():
        def change_ids_and_fail():
            replace.setresuid(-1, 0, -1)
            raise KeyError("own")

        with pytest.raises(replace.IdentityChanged) as caught:
            acting_as(ALICE, change_ids_and_fail)()
        assert isinstance(caught.value.__context__, KeyError)
        assert caught.value.__context__.__traceback__ is not None
        assert sys.exc_info() == (None, None, None)

    as_root(body)


def test_acting_as_can_be_nested_and_reused():
    def body():
        inner = acting_as(BOB, get_euid)
        outer = acting_as(ALICE, lambda: (get_euid(), inner(), get_euid()))
        assert [outer(), outer()] == [(80001, 80002, 80001)] * 2

    as_root(body)


def generates():
    yield os.geteuid()


async def awaits():
    return os.geteuid()


class Callable:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    "function",
    [generates, awaits, functools.partial(generates), Callable()],
    ids=["generator", "coroutine", "partial", "callable"],
)
def test_generator_and_coroutine_functions_are_refused_at_once(function):
    with pytest.raises(TypeError, match="generator or coroutine function"):
        acting_as(ALICE, function)


def test_lazy_result_is_refused():
    def body():
        for function in (lambda: generates(), lambda: awaits()):
            with pytest.raises(TypeError, match="its body would run later, as the server"):
                acting_as(ALICE, function)()

    as_root(body)


def test_acting_as_checks_arguments_before_the_call():
    for arguments, options, kind in (
        ((ALICE, 5), {}, TypeError),
        (("alice", get_euid), {}, TypeError),
        ((ALICE, get_euid), {"level": "root"}, ValueError),
        ((ALICE, get_euid), {"levels": "real"}, TypeError),
        ((ALICE, get_euid), {"on_restore_failure": "ignore", "allow_process": True}, ValueError),
        ((Identity(0, 5), get_euid), {"allow_process": True}, replace.IdentityRefused),
    ):
        with pytest.raises(kind):
            acting_as(*arguments, **options)


def test_leave_error_has_the_function_exception_as_context():
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


def test_lazy_result_is_closed_as_the_user():
    """The body of the lazy result began under the identity, so its cleanup must not run as the server."""
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
        with pytest.raises(TypeError, match="an object of type"):
            acting_as(ALICE, lazy)()
        return seen

    assert as_root(body) in ([ALICE.uid], None)


# ---- Options that do not exist


def map_with(identity, function, **options):
    with replace.IdentityExecutor(1) as pool:
        return pool.map(identity, function, [1], **options)


def submit_nothing(*arguments):
    raise AssertionError("the pool got a task")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("acting_as", acting_as),
        ("run_as", lambda *arguments, **options: asyncio.run(run_as(*arguments, **options))),
        pytest.param("map", map_with, marks=pytest.mark.per_thread),
    ],
    ids=["acting_as", "run_as", "map"],
)
def test_unknown_option_names_the_function_and_functools_partial(name, call, monkeypatch):
    monkeypatch.setattr(replace.IdentityExecutor, "submit", submit_nothing)
    advice = r"\(keyword arguments of the function: use functools.partial\)"
    with pytest.raises(TypeError, match=rf"^{name}\(\): unknown option 'encoding' {advice}$"):
        call(ALICE, open, encoding="utf-8")
    with pytest.raises(TypeError, match=rf"^{name}\(\): unknown options 'a', 'b' {advice}$"):
        call(ALICE, len, b=1, a=2)


def test_map_has_the_options_of_executor_map():
    def body():
        with replace.IdentityExecutor(1) as pool:
            assert list(pool.map(ALICE, len, ["one", "three"], timeout=60, chunksize=2)) == [3, 5]

    as_root(body)


# ---- Methods


class Reader:
    """A class with functions of several kinds, decorated or as they are."""

    def __init__(self, word):
        self.word = word

    @functools.partial(acting_as, ALICE, allow_process=True)
    def read(self, *more):
        """Reads."""
        return (self.word, *more, os.geteuid())

    @classmethod
    @functools.partial(acting_as, ALICE, allow_process=True)
    def make(cls, word):
        return (cls.__name__, word, os.geteuid())

    @staticmethod
    @functools.partial(acting_as, ALICE, allow_process=True)
    def plain(word):
        return (word, os.geteuid())

    static = acting_as(ALICE, staticmethod(add), allow_process=True)
    of_another = acting_as(ALICE, "another".upper, allow_process=True)
    builtin = acting_as(ALICE, len, allow_process=True)
    partial = acting_as(ALICE, functools.partial(int, "5"), allow_process=True)
    nested = acting_as(
        BOB, acting_as(ALICE, lambda self: (self.word, os.geteuid()), allow_process=True), allow_process=True
    )


def test_acting_as_is_a_method_if_its_function_would_be():
    def body():
        reader = Reader("word")
        assert reader.read(1) == Reader.read(reader, 1) == ("word", 1, 80001)
        assert reader.make("it") == Reader.make("it") == ("Reader", "it", 80001)
        assert reader.plain("it") == Reader.plain("it") == ("it", 80001)
        assert reader.static(1) == Reader.static(1) == (1, 80001)
        assert reader.of_another() == Reader.of_another() == "ANOTHER"
        assert reader.builtin([1]) == Reader.builtin([1]) == 1
        assert reader.nested() == ("word", 80001)

    as_root(body)


def test_bound_acting_as_keeps_options_and_metadata():
    reader = Reader("word")
    assert Reader.read is vars(Reader)["read"]
    assert reader.builtin is Reader.builtin
    assert (reader.read.__name__, reader.read.__doc__, reader.read.identity) == ("read", "Reads.", ALICE)
    assert "allow_process=True" in repr(reader.read)
    assert reader.read.__wrapped__.__self__ is reader


def test_bound_acting_as_can_be_pickled():
    def body():
        assert pickle.loads(pickle.dumps(Reader("word").read))(1) == ("word", 1, 80001)

    as_root(body)
