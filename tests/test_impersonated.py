# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonated(): the thread holds the identity only inside each next() and close()."""

import asyncio
import contextlib
import copy
import csv
import functools
import gc
import itertools
import os
import pickle
import re
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.builds import imported, needs_package, run
from support.children import (
    ALICE,
    BOB,
    HANG,
    IS_PYPY,
    LEVELS,
    ROOT_IDS,
    as_root,
    counts_references,
    ids,
    needs_root,
    raises_audit_events,
    wait_until,
    with_gil,
)

import replace
from replace import _impersonated, _native, impersonate, impersonated


class Body:
    """A response body as in WSGI: lazy, with close()."""

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


def test_impersonated_holds_the_identity_only_inside_next_and_close():
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


@counts_references
def test_impersonated_iterators_can_interleave_and_change_threads():
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
        del bob  # deleting the iterator closes the generator as the user
        assert second == [80002]
        assert next(alice, "closed") == "closed"
        assert ids() == ROOT_IDS

    as_root(body)


def test_impersonated_checks_its_arguments_at_once():
    with pytest.raises((replace.IdentityRefused, TypeError)):
        impersonated("alice", [])


@counts_references
def test_impersonated_deleted_in_asyncio_is_closed_as_the_user():
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


# ---- How an iterable ends: as its user, or not at all


class Record:
    """What an iterable did at its end, and what sys.unraisablehook got."""

    def __init__(self):
        self.ends, self.reports = [], []
        sys.unraisablehook = lambda problem: self.reports.append(str(problem.exc_value))

    def end(self):
        self.ends.append(replace.getfsuid())

    def lazily(self):
        try:
            while True:
                yield replace.getfsuid()
        finally:
            self.end()

    def started(self, identity=ALICE, **options):
        iterator = impersonated(identity, self.lazily(), **options)
        assert next(iterator) == identity.uid
        return iterator

    def settle(self):
        """Wait for threads that close iterators. Then nothing may be left that could still end."""
        wait_until(lambda: not _native.closing(False), "threads that close iterators")
        gc.collect()
        return self.ends


def in_greenlet(function):
    """Call the function where an entry is refused."""
    greenlet = imported("greenlet")
    return greenlet.greenlet(function).switch()


def in_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def drop(holder):
    """Drop the iterator in a list with one item."""
    holder.clear()


def test_refused_close_changes_nothing_and_can_be_repeated():
    def body():
        seen = Record()
        iterator = seen.started()
        with pytest.raises(replace.IdentityRefused, match="greenlets"):
            in_greenlet(iterator.close)
        assert seen.settle() == []
        assert next(iterator) == 80001
        in_thread(iterator.close)
        assert next(iterator, "closed") == "closed"
        del iterator
        assert (seen.settle(), seen.reports) == ([80001], [])

    as_root(body)


def test_iterator_dropped_where_entry_is_refused_is_closed_in_another_thread():
    def body():
        seen = Record()
        held = [seen.started()]
        in_greenlet(lambda: drop(held))
        assert (seen.settle(), seen.reports) == ([80001], [])
        held.append(seen.started())
        _native.alone(drop, (held,))  # as while os.setuid() of protect_os() runs
        assert (seen.settle(), seen.reports) == ([80001] * 2, [])
        assert ids() == ROOT_IDS

    as_root(body)


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
@pytest.mark.filterwarnings("ignore")
def test_iterator_dropped_under_replaced_threads_is_closed_in_a_real_one(library):
    needs_package(library)
    script = (
        "from {0} import {1}; {1}.{2}()\n"
        "import os, replace, {0}; {0}.sleep(0)\n"
        "def lazily():\n    try:\n        yield 1\n    finally:\n        os.write(1, b'%d\\n' % os.geteuid())\n"
        "generator = lazily(); next(generator)\n"
        "iterator = replace.impersonated(replace.Identity(80001, 80011), generator); del generator\n"
        "try: next(iterator)\nexcept replace.IdentityRefused: os.write(1, b'refused\\n')\n"
        "del iterator\n"
    ).format(library, *{"gevent": ("monkey", "patch_all"), "eventlet": ("patcher", "monkey_patch")}[library])
    needs_root()
    if replace.SCOPE != "thread":
        return
    out = run(sys.executable, "-Wignore", "-c", script, cwd="/")
    assert (out.stdout, out.stderr, out.returncode) == ("refused\n80001\n", "", 0)


class Chained:
    """An iterable that refers to its own iterator."""

    def __init__(self, seen):
        self.seen = seen
        self.iterator = impersonated(ALICE, self.items())

    def items(self):
        try:
            yield self
            yield self
        finally:
            self.seen.end()


@pytest.mark.parametrize("level", LEVELS)
def test_garbage_collector_never_ends_an_iterable(level):
    """Neither as the server nor as the user for which its thread acts."""

    def collect():
        with impersonate(BOB, level=level):
            gc.collect()

    def body():
        seen = Record()
        gc.disable()
        box = [seen.started()]
        box.append(box)  # the garbage collector frees the iterator
        del box
        collect()
        assert seen.settle() == [80001]

        chained = Chained(seen)
        iterator = chained.iterator
        next(iterator)
        del chained, iterator
        collect()
        gc.collect()
        assert (seen.settle(), seen.reports) == ([80001], []), "a cycle through an open iterator stays"
        (chained,) = (one for one in gc.get_objects() if isinstance(one, Chained))
        chained.iterator.close()
        alive = weakref.ref(chained)
        del chained
        gc.collect()
        assert (seen.settle(), alive()) == ([80001] * 2, None)

    as_root(body)


def test_iterator_dropped_under_another_identity_is_closed_as_its_own():
    def body():
        seen = Record()
        for level, inner in itertools.product(LEVELS, LEVELS):
            held = [seen.started(level=inner)]
            with impersonate(BOB, level=level):
                before = ids()
                drop(held)
                assert ids() == before
        assert (seen.settle(), seen.reports) == ([80001] * 16, [])

    as_root(body)


def fail():
    raise OSError("close failed")


class Closing:
    """An iterable whose iterator has its own close()."""

    def __init__(self, seen, close=lambda: None):
        self.seen, self.close_it = seen, close

    def __iter__(self):
        return Iterating(self)

    def close(self):
        self.seen.end()
        self.close_it()


class Iterating:
    def __init__(self, source):
        self.seen, self.source = source.seen, source

    def __next__(self):
        return 1

    def __iter__(self):
        return self

    def close(self):
        self.seen.end()
        raise ValueError("the iterator")


@counts_references
def test_iterable_is_closed_even_if_closing_its_iterator_fails():
    def body():
        seen = Record()
        iterator = impersonated(ALICE, Closing(seen))
        next(iterator)
        with pytest.raises(ValueError, match="the iterator"):
            iterator.close()
        iterator.close()
        assert seen.ends == [80001] * 2

        iterator = impersonated(ALICE, Closing(seen, fail))
        next(iterator)
        with pytest.raises(OSError, match="close failed") as caught:
            iterator.close()
        assert repr(caught.value.__context__) == "ValueError('the iterator')"
        assert seen.ends == [80001] * 4

        iterator = impersonated(ALICE, Closing(seen))
        next(iterator)
        del iterator
        assert (seen.ends, seen.reports) == ([80001] * 6, ["the iterator"])
        assert ids() == ROOT_IDS

    as_root(body)


PROGRAM = """
import ctypes, errno, gc, os, sys, threading
sys.path.insert(0, {tests!r})
import replace
from replace import impersonate, impersonated
from support.children import ALICE, BOB, install_filter

def note(text, write=os.write, geteuid=os.geteuid):
    write(1, f"{{text}} {{geteuid()}}\\n".encode())

class Deleted:
    def __del__(self, note=note):
        note("deleted as")

def lazily(inner, deleted=None, note=note):
    try:
        yield from inner
    finally:
        note("ended as")

veto = []

def hook(event, _, veto=veto):
    if event == "replace.enter" and veto:
        raise PermissionError("vetoed")

def report(problem, write=os.write):
    write(2, f"{{problem.exc_value}}\\n".encode())

def in_greenlet(function):
    return greenlet.greenlet(function).switch()

def drop():
    del globals()["iterator"]

sys.unraisablehook = report
sys.addaudithook(hook)
os.setgroups([])
deep = lazily(lazily([1, 2, 3], Deleted()))
iterator = impersonated(ALICE, map(lambda item, _=Deleted(): item, deep))
del deep
next(iterator)
"""


def outcome(script):
    """Run PROGRAM and the script; return its output, and the lines on stderr."""
    needs_root()
    if "in_greenlet" in script:
        needs_package("greenlet")
        script = f"import greenlet  # users perhaps cannot read it\n{script}"
    out = run(sys.executable, "-c", PROGRAM.format(tests=str(Path(__file__).parent)) + script, cwd="/")
    assert out.returncode == 0, out.stderr
    return out.stdout, out.stderr.splitlines()


#: Why nobody can close an iterator, and what the report says about it -> a script.
HOPELESS = {
    "no thread can start: can't start new thread": "for call in ('clone', 'clone3'):\n"
    "    install_filter(call, errno.EAGAIN)\nin_greenlet(drop)",
    "an audit hook has a veto: vetoed": "veto.append(1); drop()",
    "a filter forbids the change: Operation not permitted": "install_filter('setresuid', errno.EPERM); drop()",
    "the thread is tainted: tainted": "outer, inner = impersonate(BOB), impersonate(BOB)\n"
    "outer.__enter__(); inner.__enter__()\n"
    "try: outer.__exit__(None, None, None)\nexcept replace.ThreadTainted: pass\ndrop()",
    "the process has dropped root: Operation not permitted": "replace.drop_privileges(BOB); drop()",
    "greenlets switch under an identity: greenlets switch": "guard = impersonate(BOB); guard.__enter__()\n"
    "in_greenlet(drop); guard.__exit__(None, None, None)",
    "the child is another user for good: forked": "guard = impersonate(BOB); guard.__enter__(); child = os.fork()\n"
    "if child:\n    os.waitpid(child, 0); os._exit(0)\ndrop()",
    "the interpreter exits: vetoed": "veto.append(1); os.iterator = iterator; drop()",
}


@counts_references
@pytest.mark.per_thread
@pytest.mark.parametrize("reason", HOPELESS)
def test_iterable_that_nobody_can_close_is_reported_and_never_ends(reason):
    """Neither at once nor when the interpreter exits."""
    output, reports = outcome(HOPELESS[reason])
    assert output == ""
    assert len(reports) == 1, reports
    report = rf"impersonated map uid=80001 .*started> could not be closed .*{reason.split(': ')[1]}"
    if "exits" in reason:  # without the GIL, the names of the package are gone by then
        report += "|^the interpreter is shutting down, so no thread can start$"
    assert re.search(report, reports[0])


def test_list_that_nobody_can_release_is_not_reported():
    """It has not started, so no code of it is lost."""

    def body():
        seen = Record()
        held = [impersonated(ALICE, [Deleted(seen)])]
        os.setresuid(1000, 1000, 1000)
        drop(held)
        assert (seen.settle(), seen.reports) == ([], [])

    as_root(body)


#: Where an iterator is when the interpreter exits.
EXITS = {
    "a module": "os.iterator = iterator; drop()",
    "a reference cycle": "box = [iterator]; box.append(box); del box; drop()",
    "builtins": "import builtins; builtins.iterator = iterator; drop()",
    "an object of another thread": "local = threading.local(); local.iterator = iterator; drop()",
    "a function of atexit": "import atexit; atexit.register(lambda _: None, iterator); drop()",
}


@with_gil
@counts_references
@pytest.mark.per_thread
@pytest.mark.parametrize("place", EXITS)
def test_iterator_that_is_open_when_the_interpreter_exits_is_closed_as_the_user(place):
    output, reports = outcome(EXITS[place])
    assert sorted(output.splitlines()) == ["deleted as 80001"] * 2 + ["ended as 80001"] * 2
    assert reports == []


@counts_references
@pytest.mark.per_thread
def test_iterator_dropped_by_a_greenlet_during_exit_is_closed_before_the_exit():
    output, reports = outcome("import atexit; atexit.register(in_greenlet, drop)")
    if sys.version_info[:2] == (3, 12):  # no thread can start any more
        assert (output, len(reports)) == ("", 1)
    else:
        assert (len(output.splitlines()), set(output.split()[2::3]), reports) == (4, {"80001"}, [])


@pytest.mark.per_thread
def test_exit_does_not_wait_for_iterators_that_a_daemon_thread_drops_meanwhile():
    outcome(
        "def again():\n"
        "    while True:\n"
        "        held = [impersonated(ALICE, (item for item in [1, 2]))]\n"
        "        next(held[0])\n"
        "        in_greenlet(held.clear)\n"
        "for _ in range(4):\n    threading.Thread(target=again, daemon=True).start()\n"
        "import time; time.sleep(0.2)"
    )


@counts_references
@pytest.mark.per_thread
@pytest.mark.parametrize("started", [False, True])
def test_exit_waits_for_no_thread_whose_start_was_interrupted(started):
    def body():
        seen = Record()
        start = _impersonated.start_new_thread

        def interrupted(function, arguments):
            if started:
                start(function, arguments)
            raise KeyboardInterrupt

        _impersonated.start_new_thread = interrupted
        held = [seen.started()]
        in_greenlet(held.clear)
        assert set(seen.settle()) <= {80001}
        assert len(seen.reports) == 1

    as_root(body)


@pytest.mark.per_thread
def test_iterator_in_a_cycle_does_not_end_when_the_interpreter_exits():
    """The cycle: the generator's frame, its global variables, the iterator."""
    assert outcome("") == ("", [])


# ---- What the end of an iterable involves


class Deleted:
    """Records who deletes it."""

    def __init__(self, seen):
        self.seen = seen

    def __del__(self):
        self.seen.end()


#: Iterables without close(), and what ends with them.
LAZY = {
    "map": lambda seen: map(functools.partial(lambda _, item: item, Deleted(seen)), seen.lazily()),
    "filter": lambda seen: filter(None, seen.lazily()),
    "chain": lambda seen: itertools.chain(seen.lazily(), seen.lazily()),
    "islice of chain": lambda seen: itertools.islice(itertools.chain([1], seen.lazily()), 5),
    "zip": lambda seen: zip(seen.lazily(), seen.lazily(), strict=False),
    "list": lambda seen: [1, Deleted(seen)],
    "generator expression": lambda seen: (item for item in seen.lazily()),
    "yield from": lambda seen: (lambda inner: (yield from inner))(seen.lazily()),
    "nested": lambda seen: impersonated(ALICE, seen.lazily()),
}


@counts_references
@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("close", [True, False])
def test_what_an_iterable_holds_ends_as_the_user(kind, close):
    def body():
        seen = Record()
        iterator = impersonated(ALICE, LAZY[kind](seen))
        for _ in range(2):
            next(iterator, None)
        if close:
            iterator.close()
        else:
            del iterator
        assert set(seen.settle()) == {80001}
        assert seen.reports == []

    as_root(body)


def test_iterator_for_another_user_can_be_inside():
    def body():
        seen = Record()
        iterator = impersonated(BOB, impersonated(ALICE, seen.lazily()))
        assert next(iterator) == 80001
        in_greenlet(lambda held=[iterator]: drop(held))
        del iterator
        assert (seen.settle(), seen.reports) == ([80001], [])

    as_root(body)


@counts_references
def test_local_variables_of_a_failed_iterable_end_as_the_user():
    """The traceback of the exception would keep them. Those of the caller stay."""

    def failing(seen, cause):
        inner = seen.lazily()
        next(inner)
        helper = seen.lazily()
        next(helper)
        try:
            cause(inner)
        except ZeroDivisionError as error:
            raise ValueError("failed") from error
        yield

    def divide(inner):
        other = inner
        return other / 0 if isinstance(other, int) else 1 / 0

    def body():
        seen, mine = Record(), Record()
        try:
            kept = mine.lazily()
            next(kept)
            raise KeyError("handled by the caller")
        except KeyError as error:
            outer = error
            del kept
            with pytest.raises(ValueError, match="failed") as caught:
                next(impersonated(ALICE, failing(seen, divide)))
        assert seen.ends == [80001] * 2
        assert mine.ends == [0]
        assert caught.value.__cause__.__context__ is outer
        assert outer.__traceback__.tb_frame.f_locals["seen"] is seen
        seen.ends.clear()
        iterator = impersonated(ALICE, failing(seen, divide))
        try:
            next(iterator)
        except ValueError:
            assert seen.ends == [80001] * 2, "before the exception arrives"

    as_root(body)


def raising_inside(seen):
    """The frame of another generator that has ended."""

    def inner():
        local = seen.lazily()
        next(local)
        yield 1 / 0

    yield from inner()


def raising_without_attribute(seen):
    """AttributeError.obj is the object without the attribute."""
    yield Deleted(seen).missing


def raising_a_long_chain(seen):
    def fail():
        local = Deleted(seen)
        raise ValueError(local is None)

    chain = None
    for _ in range(1500):
        try:
            fail()
        except ValueError as error:
            error.__context__, chain = chain, error
    yield
    raise chain


def raising_a_group(seen):
    def fail():
        local = Deleted(seen)
        raise ValueError(local is None)

    try:
        fail()
    except ValueError as error:
        member = error
    yield
    raise ExceptionGroup("group", [member])  # noqa: F821  # since Python 3.11


#: A function -> the exception.
RAISING = {
    raising_inside: "division by zero",
    raising_without_attribute: "no attribute 'missing'",
    raising_a_long_chain: "False",
    raising_a_group: "group",
}


@counts_references
@pytest.mark.parametrize("raising", RAISING)
def test_objects_that_only_the_error_of_an_iterable_refers_to_end_as_the_user(raising):
    if raising is raising_a_group and sys.version_info < (3, 11):
        pytest.skip("needs groups of exceptions (Python 3.11)")

    def body():
        seen = Record()
        with pytest.raises(Exception, match=RAISING[raising]) as caught:
            list(impersonated(ALICE, raising(seen)))
        assert set(seen.ends) == {80001}
        del caught
        assert (set(seen.settle()), seen.reports) == ({80001}, [])

    as_root(body)


@raises_audit_events
def test_error_whose_frames_an_audit_hook_protects_is_kept():
    def failing(seen):
        inner = seen.lazily()
        next(inner)
        yield 1 / 0

    def body():
        def hook(event, arguments):
            if event == "object.__getattr__" and arguments[1] == "tb_frame":
                raise PermissionError("vetoed")

        seen = Record()
        sys.addaudithook(hook)
        with contextlib.suppress(ZeroDivisionError):
            next(impersonated(ALICE, failing(seen)))
        assert seen.settle() == []

    as_root(body)


def test_error_of_an_iterable_does_not_end_a_paused_generator():
    """The generator has caught the error and stored it."""

    def worker(errors):
        try:
            divide(0)
        except ZeroDivisionError as error:
            errors.append(error)
        yield 1
        yield 2

    def divide(number):
        return 1 / number

    def failing(errors):
        yield from ()
        raise errors[0]

    def body():
        errors = []
        paused = worker(errors)
        next(paused)
        with pytest.raises(ZeroDivisionError):
            next(impersonated(ALICE, failing(errors)))
        assert next(paused) == 2

    as_root(body)


@counts_references
def test_generator_that_cannot_be_closed_does_not_end_as_somebody_else():
    """It catches GeneratorExit, and another variable refers to it."""

    def stubborn(seen):
        while True:
            try:
                yield 1
            except GeneratorExit:
                seen.end()

    def body():
        seen = Record()
        generator = stubborn(seen)
        iterator = impersonated(ALICE, generator)
        next(iterator)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            iterator.close()
        del iterator, generator
        assert seen.settle() == [80001]
        assert "other objects refer to its iterator" in seen.reports.pop()

        iterator = impersonated(ALICE, stubborn(seen))
        next(iterator)
        del iterator
        assert set(seen.settle()) == {80001}

    as_root(body)


class Cyclic:
    """An iterator without close(), which its own generator refers to."""

    def __init__(self, seen, items):
        self.seen = seen
        self.lines = self.generate(items)

    def generate(self, items):
        try:
            yield from items
        finally:
            self.seen.end()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.lines)


@counts_references
def test_iterator_without_close_never_ends_as_somebody_else():
    def body():
        seen = Record()
        iterator = impersonated(ALICE, Cyclic(seen, [1]))
        assert list(iterator) == [1]
        iterator.close()
        assert (seen.settle(), seen.reports) == ([80001], [])

        for make in (lambda: Cyclic(seen, [1]), lambda: map(id, Cyclic(seen, [1]))):
            source = make()
            iterator = impersonated(ALICE, source)
            next(iterator)
            iterator.close()
            del source, iterator
            assert seen.settle() == [80001]
            assert "other objects refer to its iterator" in seen.reports.pop()
        assert seen.reports == []

    as_root(body)


OVER = {
    "map": lambda: map(str, [1]),
    "zip": lambda: zip([1], [2], strict=False),
    "list": lambda: iter([1]),
    "enumerate a generator": lambda: enumerate(n for n in [1]),
    "csv": lambda: csv.reader(["a,b"]),
    "re": lambda: re.finditer("a", "a"),
    "islice": lambda: itertools.islice([1, 2], 1),
    "chain": lambda: itertools.chain([1], (n for n in [])),
}


@pytest.mark.parametrize("make", OVER.values(), ids=OVER)
def test_iterator_of_python_is_released_at_its_end_although_a_variable_refers_to_it(make):
    def body():
        seen, source = Record(), make()
        for _ in range(2):  # the second time, it is at its end already
            list(impersonated(ALICE, source))
        assert (seen.settle(), seen.reports) == ([], [])

    as_root(body)


def test_paused_generator_in_an_iterator_at_its_end_never_ends_as_somebody_else():
    def body():
        seen = Record()
        source = zip(seen.lazily(), [1], strict=False)
        assert len(list(impersonated(ALICE, source))) == 1
        del source
        assert seen.settle() == []
        assert "other objects refer to its iterator" in seen.reports.pop()

    as_root(body)


class Limited(Cyclic):
    """Its generator is still paused when the iterator has come to its end."""

    left = 2

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return next(self.lines)


class NotClosing(Cyclic):
    def close(self):
        raise OSError("close failed")


@pytest.mark.parametrize("kind", [Limited, NotClosing])
def test_iterator_that_is_not_really_closed_never_ends_as_somebody_else(kind):
    def body():
        seen = Record()
        iterator = impersonated(ALICE, kind(seen, [1, 2, 3, 4]))
        assert list(itertools.islice(iterator, 3))[:2] == [1, 2]
        with contextlib.suppress(OSError):
            iterator.close()
        del iterator
        assert seen.settle() == []
        assert "other objects refer to its iterator" in seen.reports.pop()

    as_root(body)


@pytest.mark.parametrize("started", [False, True])
def test_iterator_around_100000_iterators_does_not_overflow_the_stack(started):
    def body():
        seen = Record()
        iterator = impersonated(ALICE, seen.lazily())
        for _ in range(100000):
            iterator = impersonated(ALICE, iterator)
        if started:
            with pytest.raises(RecursionError):
                next(iterator)
        with contextlib.suppress(RecursionError):
            iterator.close()
        del iterator
        assert set(seen.settle()) <= {80001}
        assert ids() == ROOT_IDS

    as_root(body)


@pytest.mark.parametrize(
    "wrap", [None, pytest.param(functools.partial(map, int), marks=counts_references)], ids=["generator", "map"]
)
def test_iterator_closed_during_next_ends_as_the_user(wrap):
    """If the end then fails, the report is made as the server."""

    def waiting(seen, inside, resume):
        try:
            inside.set()
            resume.wait(HANG)
            yield 1
            yield 2
        finally:
            seen.end()
            raise ValueError("at the end")

    def body():
        seen, reporters = Record(), []
        sys.unraisablehook = lambda problem: reporters.append((str(problem.exc_value), replace.getfsuid()))
        inside, resume = threading.Event(), threading.Event()
        generator = waiting(seen, inside, resume)
        iterator = impersonated(ALICE, wrap(generator) if wrap else generator)
        del generator
        with ThreadPoolExecutor(1) as pool:
            item = pool.submit(next, iterator)
            inside.wait(HANG)
            with contextlib.nullcontext() if wrap else pytest.raises(ValueError, match="already executing"):
                iterator.close()
            assert seen.ends == []
            resume.set()
            assert item.result() == 1
        assert next(iterator, "closed") == "closed"
        assert seen.settle() == [80001]
        assert reporters == [("at the end", 80001 if wrap else 0)]  # Python reports what the end of a map() raises

    as_root(body)


def test_iterator_can_be_closed_by_its_own_iterable():
    def body():
        seen = Record()

        def closing():
            try:
                with pytest.raises(ValueError, match="already executing"):
                    iterator.close()
                yield 1
            finally:
                seen.end()

        iterator = impersonated(ALICE, closing())
        assert list(iterator) == [1]
        assert (seen.ends, seen.reports) == ([80001], [])

    as_root(body)


def test_many_threads_can_use_and_close_iterators():
    def body():
        seen = Record()

        def work(iterator):
            with contextlib.suppress(ValueError):  # generator already executing
                next(iterator, None)
                iterator.close()

        with ThreadPoolExecutor(8) as pool:
            for _ in range(200):
                iterator = impersonated(ALICE, seen.lazily())
                next(iterator)
                list(pool.map(work, [iterator] * 4))
        del iterator
        assert (seen.settle(), seen.reports) == ([80001] * 200, [])

    as_root(body)


def test_return_value_of_a_generator_is_kept():
    def returning():
        yield 1
        return os.geteuid()

    def outer():
        return (yield from impersonated(ALICE, returning()))

    def body():
        generator = outer()
        assert next(generator) == 1
        with pytest.raises(StopIteration) as caught:
            next(generator)
        assert caught.value.value == 80001

    as_root(body)


async def stream():
    yield


@pytest.mark.parametrize("thing", [stream(), None, 5, len], ids=["asynchronous generator", "None", "int", "function"])
def test_object_that_is_not_iterable_is_refused_at_once(thing):
    with pytest.raises(TypeError, match=f"iterable should be iterable, not {type(thing).__name__}"):
        impersonated(ALICE, thing, allow_process=True)


def test_class_of_an_iterator_can_lose_its_next():
    class Source:
        def __iter__(self):
            return self

        def __next__(self):
            self.__class__ = type("Other", (), {})

    def body():
        iterator = impersonated(ALICE, Source())
        next(iterator)
        with pytest.raises(AttributeError if IS_PYPY else TypeError):
            next(iterator)

    as_root(body)


def test_copy_and_pickle_of_an_iterator_have_its_user():
    iterator = impersonated(ALICE, [1, 2], level="real", allow_process=True)
    text = "<replace.impersonated list uid=80001 gid=80011 level=real, not started>"
    for other in (iterator, copy.copy(iterator), pickle.loads(pickle.dumps(iterator))):
        assert repr(other) == text


def test_repr_shows_the_iterable_and_its_user():
    def body():
        seen = Record()
        iterator = impersonated(ALICE, seen.lazily())
        words = "<replace.impersonated generator Record.lazily uid=80001 gid=80011 level=shielded, "
        assert repr(iterator) == words + "not started>"
        next(iterator)
        assert repr(iterator) == words + "started>"
        iterator.close()
        assert repr(iterator) == "<replace.impersonated uid=80001 gid=80011 level=shielded, closed>"
        assert pickle.loads(pickle.dumps(iterator)).__reduce__()[1] == (ALICE, ())

    as_root(body)


@counts_references
def test_iterators_leak_no_memory():
    def use(seen):
        iterator = impersonated(ALICE, seen.lazily())
        next(iterator)
        with contextlib.suppress(replace.IdentityRefused):
            in_greenlet(iterator.close)
        in_greenlet(lambda held=[iterator]: drop(held))
        iterator.close()
        iterator = impersonated(ALICE, seen.lazily())
        next(iterator)
        del iterator
        with pytest.raises(TypeError):
            next(impersonated(ALICE, map(lambda: None, [1])))
        seen.ends.clear()

    def body():
        seen = Record()
        for count in (200, 2000):
            gc.collect()
            before = sys.getallocatedblocks()
            for _ in range(count):
                use(seen)
            gc.collect()
            grown = sys.getallocatedblocks() - before
        assert grown < count, f"{grown} blocks for {count} times"

    as_root(body)
