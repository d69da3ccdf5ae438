# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""An identity across yield or await is refused, with every library. The check looks at the frame that enters."""

import asyncio
import contextlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import needs_package, run
from support.children import ALICE, BOB, ROOT_IDS, as_root, ids, needs_root

import replace
from replace import acting_as, impersonate, impersonated


def start(thing):
    """Run the generator, the coroutine or the asynchronous generator until it enters."""
    if hasattr(thing, "__anext__"):
        thing = thing.__anext__()
    if hasattr(thing, "__next__"):
        next(thing)
    else:
        with contextlib.suppress(StopIteration):
            thing.send(None)


#: Generator and coroutine bodies of each kind that enter directly, not in a called function.  G is a guard.
BODIES = {
    "generator": "def body():\n    with impersonate(ALICE):\n        yield",
    "coroutine": "async def body():\n    with impersonate(ALICE):\n        pass",
    "asynchronous generator": "async def body():\n    with impersonate(ALICE):\n        yield",
    "generator in a class": "class A:\n    def f(self):\n        with impersonate(ALICE): yield\nbody = A().f",
    "contextmanager": "import contextlib\n@contextlib.contextmanager\ndef help():\n"
    "    with impersonate(ALICE): yield\ndef body():\n    with help(): pass\n    yield",
    "asynccontextmanager": "import contextlib\n@contextlib.asynccontextmanager\nasync def help():\n"
    "    with impersonate(ALICE): yield\nasync def body():\n    async with help(): pass",
    "ExitStack in a generator": "import contextlib\ndef body():\n    with contextlib.ExitStack() as stack:\n"
    "        stack.enter_context(impersonate(ALICE))\n        yield",
    "ExitStack in a coroutine": "import contextlib\nasync def body():\n    with contextlib.ExitStack() as stack:\n"
    "        stack.enter_context(impersonate(ALICE))",
    "AsyncExitStack": "import contextlib\nasync def body():\n    async with contextlib.AsyncExitStack() as stack:\n"
    "        stack.enter_context(impersonate(ALICE))",
    "subclass of ExitStack": "import contextlib\nclass Mine(contextlib.ExitStack): pass\ndef body():\n"
    "    with Mine() as stack:\n        stack.enter_context(impersonate(ALICE))\n        yield",
    "methodcaller": "import operator\ndef body():\n"
    "    operator.methodcaller('__enter__')(impersonate(ALICE))\n    yield",
    "map": "def body():\n    list(map(type(G).__enter__, [impersonate(ALICE)]))\n    yield",
    "partial": "import functools\ndef body():\n"
    "    functools.partial(type(G).__enter__, impersonate(ALICE))()\n    yield",
    "generator expression": "def body():\n    return (1 for one in (impersonate(ALICE),) if one.__enter__())",
}


@pytest.mark.parametrize("kind", BODIES)
def test_generator_or_coroutine_cannot_enter(kind):
    def body():
        names = {"impersonate": impersonate, "ALICE": ALICE, "G": impersonate(ALICE)}
        exec(BODIES[kind], names)
        with pytest.raises(replace.IdentityRefused, match=r"run_as|across_yield=True") as caught:
            start(names["body"]())
        assert caught.value.state == "unchanged"
        assert ids() == ROOT_IDS
        replace.assert_clean()

    as_root(body)


@pytest.mark.parametrize("options", [{}, {"across_yield": False}])
def test_refusal_in_generator_or_coroutine_names_alternatives(options):
    def generator():
        with impersonate(ALICE, **options):
            yield

    async def coroutine():
        with impersonate(ALICE, **options):
            pass

    def body():
        with pytest.raises(replace.IdentityRefused, match=r"impersonated\(.*acting_as\(.*across_yield=True"):
            next(generator())
        with pytest.raises(replace.IdentityRefused, match=r"run_as\(.*acting_as\("):
            coroutine().send(None)

    as_root(body)


def test_across_yield_lets_a_context_manager_helper_enter():
    @contextlib.contextmanager
    def helper(user):
        with impersonate(user, across_yield=True):
            yield os.geteuid()

    def body():
        with helper(ALICE) as found, helper(BOB) as inner:
            assert (found, inner, os.geteuid()) == (80001, 80002, 80002)
        assert ids() == ROOT_IDS

    as_root(body)


def test_plain_function_can_enter_inside_generators_and_coroutines():
    def plain():
        with impersonate(ALICE), contextlib.ExitStack() as stack:
            stack.enter_context(impersonate(BOB))
            return os.geteuid()

    def generator():
        yield plain()

    async def coroutine():
        return plain()

    def body():
        assert list(generator()) == [80002]
        with pytest.raises(StopIteration) as caught:
            coroutine().send(None)
        assert caught.value.value == 80002
        assert ids() == ROOT_IDS

    as_root(body)


def test_acting_as_and_impersonated_work_in_generators_and_coroutines():
    def items():
        for _ in range(2):
            yield os.geteuid()

    def generator():
        yield acting_as(ALICE, os.geteuid)()
        yield os.geteuid()
        yield from impersonated(BOB, items())
        yield os.geteuid()

    async def coroutine():
        return [acting_as(ALICE, os.geteuid)(), *impersonated(BOB, items())]

    def body():
        assert list(generator()) == [80001, 0, 80002, 80002, 0]
        with pytest.raises(StopIteration) as caught:
            coroutine().send(None)
        assert caught.value.value == [80001, 80002, 80002]
        assert ids() == ROOT_IDS

    as_root(body)


def test_fastapi_dependency_with_yield_cannot_enter():
    """FastAPI runs the parts before and after the yield in any free thread."""

    def dependency(user):
        with impersonate(user):
            yield user

    def body():
        refused = []
        with ThreadPoolExecutor(4) as pool:
            for number in range(15):
                held = dependency((ALICE, BOB)[number % 2])
                problem = pool.submit(next, held).exception()
                refused.append(isinstance(problem, replace.IdentityRefused))
                assert pool.submit(os.geteuid).result() == 0
        assert refused == [True] * 15
        replace.assert_clean()

    as_root(body)


# ---- Event loops


def test_acting_as_works_in_the_event_loop_thread():
    seen = []

    async def watch():
        for _ in range(200):
            seen.append(os.geteuid())
            await asyncio.sleep(0)

    async def work():
        found = []
        for user in (ALICE, BOB) * 50:
            found.append(acting_as(user, os.geteuid)())
            await asyncio.sleep(0)
        return found

    async def main():
        return (await asyncio.gather(work(), watch()))[0]

    def body():
        assert asyncio.run(main()) == [80001, 80002] * 50
        assert set(seen) == {0}
        assert ids() == ROOT_IDS

    as_root(body)


def test_acting_as_refuses_lazy_results_in_the_event_loop_thread():
    closed = []

    def items():
        try:
            yield
        finally:
            closed.append(os.geteuid())

    def started():
        held = items()
        next(held)
        return held

    async def coroutine():
        closed.append("never")

    async def main():
        for function in (items, coroutine):
            with pytest.raises(TypeError, match="generator or coroutine function"):
                acting_as(ALICE, function)
        with pytest.raises(TypeError, match="lazy"):
            acting_as(ALICE, started)()
        with pytest.raises(TypeError, match="lazy"):
            acting_as(ALICE, lambda: coroutine())()
        assert closed == [80001], "the result is closed as the user"

    as_root(lambda: asyncio.run(main()))


def test_with_statement_is_refused_in_the_event_loop_thread():
    def plain():
        with impersonate(ALICE):
            raise AssertionError("entered")

    async def main():
        with pytest.raises(replace.IdentityRefused, match=r"asyncio.*run_as.*acting_as"):
            plain()

    as_root(lambda: asyncio.run(main()))


def run_with(module, code):
    """Run the code in a separate process; return its output."""
    needs_root()
    needs_package(module)  # imported only in the child, because eventlet changes the process that imports it
    out = run(sys.executable, "-Wignore", "-c", code, cwd="/")
    assert (out.returncode, out.stderr) == (0, "")
    return out.stdout


EVENTLET = """
import eventlet, os, replace
user, seen = replace.Identity(80001, 80001), []
def other():
    for _ in range(20):
        seen.append(os.geteuid())
        eventlet.sleep(0)
def held():
    with replace.impersonate(user):
        for _ in range(5):
            eventlet.sleep(0)
started = eventlet.spawn(other)
eventlet.sleep(0)
"""


@pytest.mark.per_thread
def test_eventlet_in_the_main_greenlet_is_refused():
    out = run_with(
        "eventlet",
        EVENTLET
        + "for enter in (held, replace.acting_as(user, held), replace.acting_as(user, os.geteuid)):\n"
        + "    try: enter()\n    except replace.IdentityRefused as error: print(error)\n"
        + "started.wait(); print(set(seen))",
    )
    *refused, seen = out.splitlines()
    assert len(refused) == 3
    assert all("greenlets switch" in line for line in refused)
    assert seen == "{0}"


@pytest.mark.per_thread
def test_eventlet_in_a_green_thread_is_refused():
    out = run_with(
        "eventlet",
        EVENTLET + "def tried():\n    try: held()\n    except replace.IdentityRefused as error: print(error)\n"
        "eventlet.spawn(tried).wait()\n",
    )
    assert "greenlets switch" in out


@pytest.mark.per_thread
def test_thread_without_eventlet_hub_can_enter():
    """Another thread has a hub, but this thread has none."""
    out = run_with(
        "eventlet",
        EVENTLET + "import threading\nfound = []\n"
        "from eventlet import patcher\nthread = patcher.original('threading').Thread(\n"
        "    target=lambda: found.append(replace.acting_as(user, os.geteuid)()))\n"
        "thread.start(); thread.join(); print(found)",
    )
    assert out == "[80001]\n"


@pytest.mark.per_thread
def test_twisted_inline_callbacks_and_reactor_are_refused():
    out = run_with(
        "twisted",
        """
import os, replace
from twisted.internet import defer, reactor, threads
user = replace.Identity(80001, 80001)

def plain():
    with replace.impersonate(user):
        return os.geteuid()

@defer.inlineCallbacks
def inline():
    with replace.impersonate(user):
        yield defer.succeed(None)

@defer.inlineCallbacks
def main():
    try:
        yield inline()
    except replace.IdentityRefused as error:
        print(error)
    try:
        plain()
    except replace.IdentityRefused as error:
        print(error)
    print(replace.acting_as(user, os.geteuid)(), os.geteuid())
    print((yield threads.deferToThread(replace.acting_as(user, os.geteuid))), os.geteuid())
    reactor.stop()

try:
    inline().addErrback(lambda failure: print("not running:", failure.value))
except replace.IdentityRefused as error:
    print("not running:", error)
print(plain())
reactor.callWhenRunning(main)
reactor.run()
print(plain())
""",
    )
    before, outside, inline, plain, in_reactor, in_thread, after = out.splitlines()
    assert "across_yield=True" in before
    assert "Twisted reactor" in inline
    assert "Twisted reactor" in plain
    assert (outside, in_reactor, in_thread, after) == ("80001", "80001 0", "80001 0", "80001")
