# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""run_as(): functions that run as another user in a worker thread, awaited in asyncio, trio and anyio."""

import asyncio
import contextvars
import functools
import gc
import logging
import os
import re
import signal
import sys
import sysconfig
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from support.builds import imported, needs_package, run
from support.children import ALICE, BOB, HANG, ROOT_IDS, as_root, counts_references, ids, needs_root, with_gil

import replace
from replace import IdentityRefused, acting_as, impersonate, run_as

#: Each runs an async function to its end.
LOOPS = {
    "asyncio": lambda main: asyncio.run(main()),
    "trio": lambda main: imported("trio").run(main),
    "anyio on asyncio": lambda main: imported("anyio").run(main, backend="asyncio"),
    "anyio on trio": lambda main: imported("anyio").run(main, backend=imported("trio").__name__),
}
each_loop = pytest.mark.parametrize("loop", LOOPS)
both_ways = pytest.mark.parametrize("pool", [False, True], ids=["loop's worker", "pool"])


def with_pool(pool, body, size=2):
    """Call body(options of run_as) as root in a child, with a pool or without. Afterwards, all threads are clean."""

    def child():
        if not pool:
            result = body({})
        else:
            with replace.IdentityExecutor(size) as executor:
                result = body({"executor": executor})
        replace.assert_clean()
        return result

    return as_root(child)


async def awaits():
    pass


class Blocked:
    """A function that runs in a worker until release(). It notes its effective uid at its start and at its end."""

    def __init__(self):
        self.started, self.released, self.ended, self.uids = *(threading.Event() for _ in range(3)), []

    def __call__(self):
        self.uids.append(os.geteuid())
        self.started.set()
        assert self.released.wait(HANG)
        self.uids.append(os.geteuid())
        self.ended.set()
        return "result"

    def release(self):
        self.released.set()

    def end(self):
        self.release()
        assert self.ended.wait(HANG)
        assert self.uids == [ALICE.uid] * 2


def started(blocked):
    """Wait in a thread until the function runs."""
    assert blocked.started.wait(HANG)


# ---- Every loop


@each_loop
@both_ways
def test_function_runs_as_the_user_outside_the_loop_thread(loop, pool):
    variable = contextvars.ContextVar("variable", default="the default")

    def work(word):
        return word, os.geteuid(), variable.get(), threading.get_ident()

    def fail():
        raise KeyError(os.geteuid())

    def body(options):
        async def main():
            variable.set("the caller's")
            for user in (ALICE, BOB):
                word, uid, value, thread = await run_as(user, work, "x", **options)
                assert (word, uid, value) == ("x", user.uid, "the default" if pool else "the caller's")
                assert thread != threading.get_ident()
            with pytest.raises(KeyError, match="80001"):
                await run_as(ALICE, fail, **options)
            with pytest.raises(TypeError, match="coroutine function"):
                await run_as(ALICE, awaits, **options)
            with pytest.raises(TypeError, match="<lambda>.* returned an object of type coroutine"):
                await run_as(ALICE, lambda: awaits(), **options)
            with pytest.raises(IdentityRefused, match="allow_root"):
                await run_as(replace.Identity(0, 0), work, "x", **options)
            return ids()

        return LOOPS[loop](main)

    assert with_pool(pool, body) in (ROOT_IDS, None)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@both_ways
def test_function_calls_back_into_the_loop(loop, pool):
    trio = imported("trio")

    async def in_loop():
        return os.geteuid(), threading.get_ident()

    def body(options):
        async def main():
            if loop == "trio":
                back = functools.partial(trio.from_thread.run, in_loop, trio_token=trio.lowlevel.current_trio_token())
            else:
                running = asyncio.get_running_loop()

                def back():
                    return asyncio.run_coroutine_threadsafe(in_loop(), running).result(HANG)

            assert await run_as(ALICE, lambda: (back(), os.geteuid()), **options) == (
                (0, threading.get_ident()),
                ALICE.uid,
            )

        LOOPS[loop](main)

    with_pool(pool, body)


@each_loop
@both_ways
def test_function_that_raises_stop_iteration_does_not_hang(loop, pool):
    """asyncio cannot store this exception. Before Python 3.12, it never resumes the awaiting task then."""

    def body(options):
        async def main():
            await run_as(ALICE, next, iter(()), **options)

        with pytest.raises(RuntimeError, match="raised StopIteration"):
            LOOPS[loop](main)

    with_pool(pool, body)


@each_loop
def test_options_apply_to_the_entry(loop):
    def body():
        async def main():
            assert await run_as(ALICE, os.getuid, level="real") == ALICE.uid
            assert await run_as(ALICE, os.getuid, level="effective") == 0
            assert await run_as(replace.Identity(0, 80011), os.getegid, allow_root=True) == 80011
            with pytest.raises(ValueError, match="level should be"):
                await run_as(ALICE, os.getuid, level="root")

        LOOPS[loop](main)

    as_root(body)


@each_loop
def test_run_as_is_refused_in_a_switched_thread(loop):
    def body():
        async def main():
            await run_as(BOB, os.geteuid)

        LOOPS[loop](awaits)  # imports its modules, which users perhaps cannot read
        with impersonate(ALICE), pytest.raises(IdentityRefused, match="new worker would inherit"):
            LOOPS[loop](main)

    as_root(body)


def test_run_as_refuses_a_worker_that_is_still_switched():
    """A worker that is still switched would run later tasks as that user, even tasks without an identity."""

    async def main():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        guard = impersonate(BOB)
        await asyncio.to_thread(guard.__enter__)
        with pytest.raises(IdentityRefused, match="this worker thread .* still holds an identity"):
            await run_as(ALICE, os.geteuid)
        await asyncio.to_thread(guard.__exit__, None, None, None)
        assert await run_as(ALICE, os.geteuid) == ALICE.uid

    as_root(lambda: asyncio.run(main()))


def test_run_as_refuses_a_worker_of_trio_that_is_still_switched():
    trio = imported("trio")

    async def main():
        guard = impersonate(BOB)
        await trio.to_thread.run_sync(guard.__enter__)
        with pytest.raises(IdentityRefused, match="this worker thread .* still holds an identity"):
            await run_as(ALICE, os.geteuid)
        await trio.to_thread.run_sync(guard.__exit__, None, None, None)
        assert await run_as(ALICE, os.geteuid) == ALICE.uid

    as_root(lambda: trio.run(main))


def test_run_as_is_refused_in_a_tainted_thread():
    async def main():
        guard = impersonate(BOB)
        await asyncio.to_thread(guard.__enter__)
        with pytest.raises(replace.ThreadTainted, match="entered in thread"):
            guard.__exit__(None, None, None)
        with pytest.raises(IdentityRefused, match="own thread is tainted"):
            await run_as(ALICE, os.geteuid)
        await asyncio.to_thread(guard.__exit__, None, None, None)

    as_root(lambda: asyncio.run(main()))


# ---- executor=


@each_loop
def test_executor_that_is_no_identity_executor_is_refused(loop):
    def body():
        with replace.IdentityExecutor(1) as pool, ThreadPoolExecutor(1) as threads:

            async def main():
                for executor in (threads, pool.bound(ALICE), 5):
                    with pytest.raises(TypeError, match="should be an IdentityExecutor, not .*acting_as"):
                        await run_as(ALICE, os.geteuid, executor=executor)

            LOOPS[loop](main)

    as_root(body)


@pytest.mark.parametrize(
    "option",
    [
        {"level": "shielded"},  # the default of impersonate(), too: the pool may have another level
        {"allow_root": True},
        {"allow_process": True},
        {"on_restore_failure": "abort"},
    ],
    ids=lambda option: next(iter(option)),
)
def test_option_of_the_pool_is_refused_together_with_executor(option):
    def body():
        with replace.IdentityExecutor(1, level="effective") as pool:

            async def main():
                with pytest.raises(TypeError, match=f"cannot change {next(iter(option))} of the executor"):
                    await run_as(ALICE, os.geteuid, executor=pool, **option)
                return await run_as(ALICE, os.getuid, executor=pool)

            return asyncio.run(main())

    assert as_root(body) in (0, None)  # level effective


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_executor_that_is_shut_down_cancels_a_waiting_task(loop):
    trio = imported("trio", "trio.lowlevel")

    def body(options):
        async def main():
            blocked, pool = Blocked(), options["executor"]
            pool.submit(ALICE, blocked)
            started(blocked)
            soon = (
                asyncio.get_running_loop().call_soon if loop == "asyncio" else trio.current_trio_token().run_sync_soon
            )
            soon(functools.partial(pool.shutdown, wait=False, cancel_futures=True))  # when this task waits
            with pytest.raises((asyncio.CancelledError, CancelledError)):
                await run_as(ALICE, os.geteuid, **options)
            blocked.end()
            with pytest.raises(RuntimeError, match="after shutdown"):
                await run_as(ALICE, os.geteuid, **options)

        LOOPS[loop](main)

    with_pool(True, body, size=1)


@with_gil
@counts_references
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_failed_task_of_a_pool_leaves_no_cycle(loop):
    """The collector could free the exception and what it refers to in a thread that acts for somebody else."""

    class Failure(Exception):
        pass

    def fail():
        raise Failure

    def body(options):
        async def main():
            try:
                await run_as(ALICE, fail, **options)
            except Failure as error:
                return weakref.ref(error)

        gc.disable()
        return LOOPS[loop](main)() is None

    assert with_pool(True, body) in (True, None)


# ---- Cancellation


@both_ways
def test_cancelled_task_of_asyncio_is_released_and_the_function_goes_on_as_the_user(pool):
    def body(options):
        async def main(abandon):
            blocked = Blocked()
            task = asyncio.create_task(run_as(ALICE, blocked, abandon_on_cancel=abandon, **options))
            await asyncio.to_thread(started, blocked)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not blocked.ended.is_set()
            blocked.end()

        for abandon in (False, True):
            asyncio.run(main(abandon))

    with_pool(pool, body)


@both_ways
def test_cancelled_task_of_trio_waits_for_the_function(pool):
    trio = imported("trio")

    def body(options):
        async def main():
            blocked, found = Blocked(), []

            async def work():
                with scope:
                    found.append(await run_as(ALICE, blocked, **options))
                    await trio.lowlevel.checkpoint()  # the scope is still cancelled
                    found.append("went on")

            async with trio.open_nursery() as nursery:
                scope = trio.CancelScope()
                nursery.start_soon(work)
                await trio.to_thread.run_sync(started, blocked)
                scope.cancel()
                for _ in range(5):
                    await trio.lowlevel.checkpoint()
                assert not found
                blocked.release()
            blocked.end()
            return found

        return trio.run(main)

    assert with_pool(pool, body) in (["result"], None)


@both_ways
def test_cancelled_task_of_trio_does_not_wait_with_abandon_on_cancel(pool):
    trio = imported("trio")

    def body(options):
        async def main():
            blocked = Blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(functools.partial(run_as, ALICE, blocked, abandon_on_cancel=True, **options))
                await trio.to_thread.run_sync(started, blocked)
                nursery.cancel_scope.cancel()
            assert not blocked.ended.is_set()
            blocked.end()
            for _ in range(5):  # the worker's report must not resume a task that has ended
                await trio.lowlevel.checkpoint()

        trio.run(main)

    with_pool(pool, body)


@each_loop
@pytest.mark.parametrize("abandon", [False, True])
def test_cancelled_task_that_waits_for_a_worker_is_not_run(loop, abandon):
    anyio = imported("anyio")

    def body(options):
        async def main():
            first, second = Blocked(), Blocked()
            async with anyio.create_task_group() as outer:
                outer.start_soon(functools.partial(run_as, ALICE, first, **options))
                await anyio.to_thread.run_sync(started, first)
                async with anyio.create_task_group() as inner:
                    inner.start_soon(functools.partial(run_as, ALICE, second, abandon_on_cancel=abandon, **options))
                    await anyio.wait_all_tasks_blocked()
                    inner.cancel_scope.cancel()
                first.end()
            assert await run_as(ALICE, os.geteuid, **options) == ALICE.uid
            assert not second.uids

        LOOPS[loop](main)

    with_pool(True, body, size=1)


@both_ways
def test_trio_task_that_is_cancelled_before_starts_nothing(pool):
    trio = imported("trio")

    def body(options):
        async def main():
            calls = []
            with trio.CancelScope() as scope:
                scope.cancel()
                await run_as(ALICE, calls.append, 1, **options)
            assert scope.cancelled_caught
            assert await run_as(ALICE, os.geteuid, **options) == ALICE.uid  # later in the same worker
            return calls

        return trio.run(main)

    assert with_pool(pool, body, size=1) in ([], None)


@both_ways
def test_function_never_starts_after_the_task_is_cancelled(pool):
    """trio gives the job to a thread. If the thread has not run yet, the function is not called, either."""
    if sysconfig.get_config_var("Py_GIL_DISABLED") == 1:
        pytest.skip("needs the GIL: without it, the function may have begun just before the task is cancelled")
    trio = imported("trio")

    def body(options):
        found = set()

        async def cancelled_soon():
            released = []
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    call = functools.partial(run_as, ALICE, lambda: found.add(len(released)), **options)
                    nursery.start_soon(functools.partial(call, abandon_on_cancel=True))
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            released.append(True)

        async def main():
            for _ in range(20):
                await cancelled_soon()
                await run_as(ALICE, os.geteuid, **options)

        trio.run(main)
        return found <= {0}

    assert with_pool(pool, body) in (True, None)


@both_ways
def test_run_as_is_a_checkpoint_of_trio(pool):
    trio = imported("trio")
    testing = imported("trio", "trio.testing")

    def body(options):
        async def main():
            with testing.assert_checkpoints():
                await run_as(ALICE, os.geteuid, **options)

        trio.run(main)

    with_pool(pool, body)


def test_worker_of_trio_counts_for_its_limiter():
    trio = imported("trio")

    def body():
        async def main():
            blocked = Blocked()
            limiter = trio.to_thread.current_default_thread_limiter()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_as, ALICE, blocked)
                while not blocked.started.is_set():
                    await trio.lowlevel.checkpoint()
                borrowed = limiter.borrowed_tokens
                blocked.release()
            return borrowed

        return trio.run(main)

    assert as_root(body) in (1, None)


@counts_references
def test_function_that_outlives_trio_ends_as_the_user_and_logs_nothing():
    trio = imported("trio")
    variable = contextvars.ContextVar("variable")

    class Destroyed:
        def __del__(self):
            destroyed.append(os.geteuid())

    destroyed = []

    def body(options):
        blocked, logged = Blocked(), []
        logging.getLogger("concurrent.futures").addFilter(logged.append)

        async def child():
            variable.set(Destroyed())
            await run_as(ALICE, blocked, abandon_on_cancel=True, **options)

        async def main():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
                await trio.to_thread.run_sync(started, blocked)
                nursery.cancel_scope.cancel()

        trio.run(main)
        blocked.end()
        options["executor"].shutdown()
        assert destroyed == [0]  # what the task had; not in the worker
        return logged

    assert with_pool(True, body) in ([], None)


@both_ways
def test_interrupt_of_trio_comes_after_the_function(pool):
    """As for trio.to_thread.run_sync(). The function ends as the user, and no thread keeps the identity."""
    trio = imported("trio")

    def body(options):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        blocked, found = Blocked(), []

        def interrupt():
            started(blocked)
            os.kill(os.getpid(), signal.SIGINT)
            blocked.release()

        async def main():
            found.append(await run_as(ALICE, blocked, **options))
            await trio.sleep_forever()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            trio.run(main)
        thread.join()
        blocked.end()
        return found

    assert with_pool(pool, body) in (["result"], None)


# ---- Which loop


@both_ways
def test_coroutine_without_a_loop_is_refused(pool):
    def body(options):
        with pytest.raises(IdentityRefused, match="tasks of asyncio and trio, also those of anyio, and none runs here"):
            run_as(ALICE, os.geteuid, **options).send(None)

    with_pool(pool, body)


def test_coroutine_that_a_callback_of_asyncio_drives_is_refused():
    def body():
        async def main():
            done = asyncio.get_running_loop().create_future()

            def callback():
                try:
                    run_as(ALICE, os.geteuid).send(None)
                except BaseException as error:
                    done.set_result(str(error))

            asyncio.get_running_loop().call_soon(callback)
            return await done

        return asyncio.run(main())

    found = as_root(body)
    assert found is None or "an asyncio event loop is running in this thread" in found


@both_ways
def test_trio_on_top_of_asyncio_uses_the_loop_of_each_task(pool):
    trio = imported("trio")

    def body(options):
        async def as_trio():
            assert await run_as(ALICE, os.geteuid, **options) == ALICE.uid
            with pytest.raises(IdentityRefused, match="a trio event loop"), impersonate(ALICE):
                pass
            return await trio.to_thread.run_sync(os.geteuid)

        async def as_asyncio():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            trio.lowlevel.start_guest_run(
                as_trio,
                run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                done_callback=done.set_result,
                host_uses_signal_set_wakeup_fd=True,
            )
            with pytest.raises(IdentityRefused, match="an asyncio event loop"), impersonate(ALICE):
                pass
            uids = await asyncio.gather(*(run_as(BOB, os.geteuid, **options) for _ in range(20)))
            return {*uids}, (await done).unwrap()

        return asyncio.run(as_asyncio())

    assert with_pool(pool, body) in (({BOB.uid}, 0), None)


@pytest.mark.parametrize("outer", ["asyncio", "trio"])
def test_task_of_one_loop_inside_a_task_of_another_is_refused(outer):
    imported("trio")

    def body():
        async def inside():
            with pytest.raises(IdentityRefused, match="one inside the other") as caught:
                await run_as(ALICE, os.geteuid)
            assert "asyncio.to_thread(acting_as(...))" in str(caught.value)
            assert "trio.to_thread.run_sync(acting_as(...))" in str(caught.value)

        async def main():
            LOOPS["trio" if outer == "asyncio" else "asyncio"](inside)

        LOOPS[outer](main)

    as_root(body)


# ---- What refusals name


REFUSALS = """
def refusals():
    alice = replace.Identity(80001, 80011)
    for attempt in (lambda: replace.impersonate(alice).__enter__(), lambda: replace.impersonate(alice).__aenter__(),
                    lambda: replace.popen_as(alice, ["true"]), lambda: replace.run_as(alice, len, "").send(None)):
        try:
            print(attempt())
        except (replace.IdentityRefused, TypeError) as error:
            print(str(error).replace("\\n", " "))
"""
REACTOR = """
from twisted.internet import reactor
def main(): refusals(); reactor.stop()
reactor.callWhenRunning(main)
reactor.run()
"""
#: A loop -> the package that it needs, and a program that calls refusals() in it. No task of asyncio runs then.
IN_LOOPS = {
    "asyncio": (
        "pytest",
        "import asyncio\nasync def main(): asyncio.get_running_loop().call_soon(refusals); await asyncio.sleep(0)\n"
        "asyncio.run(main())",
    ),
    "trio": ("trio", "import trio\nasync def main(): refusals()\ntrio.run(main)"),
    "trio before 0.29": (
        "trio",
        "import trio\nfor name in 'in_trio_run', 'in_trio_task': delattr(trio.lowlevel, name)\n"
        "with replace.impersonate(replace.Identity(80001, 80011)): pass\n"
        "async def main(): refusals()\ntrio.run(main)",
    ),
    "Twisted": ("twisted", REACTOR),
    "Twisted on asyncio": ("twisted", f"from twisted.internet import asyncioreactor as a\na.install()\n{REACTOR}"),
}


@pytest.mark.per_thread
@pytest.mark.parametrize("loop", IN_LOOPS)
def test_refusals_name_the_call_of_the_loop_that_runs(loop):
    needs_root()
    package, code = IN_LOOPS[loop]
    needs_package(package)
    out = run(sys.executable, "-Wignore", "-c", f"import replace\n{REFUSALS}\n{code}", cwd="/")
    entry, across_await, child, *runs = out.stdout.splitlines()
    assert not out.stderr
    as_user, in_thread = {
        "asyncio": ("`await run_as(...)`", "`await asyncio.to_thread(popen_as, ...)`"),
        "trio": ("`await run_as(...)`", "`await trio.to_thread.run_sync(popen_as, ...)`"),
        "Twisted": ("`deferToThread(acting_as(...))`", "`deferToThread(popen_as, ...)`"),
    }[loop.split()[0]]
    assert f"use {as_user}, or `acting_as(...)()`" in entry
    assert across_await == f"an identity cannot be held across await; use {as_user}"
    assert re.search(rf"is running in this thread, .*; use {re.escape(in_thread)}$", child)
    if not loop.startswith("trio"):  # there, run_as() works
        assert runs[0].endswith(
            f"use {as_user}" if "Twisted" in loop else "use `acting_as(...)` in a worker thread of your event loop"
        )


def test_acting_as_works_in_a_thread_of_trio():
    """A refusal names this call."""
    trio = imported("trio")

    async def main():
        return await trio.to_thread.run_sync(acting_as(ALICE, os.geteuid))

    assert as_root(lambda: trio.run(main)) in (ALICE.uid, None)
