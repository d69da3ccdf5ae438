# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""IdentityExecutor: the identities of its workers, how often they switch, and when a worker is replaced."""

import asyncio
import contextlib
import errno
import gc
import linecache
import logging
import os
import random
import resource
import sys
import threading
import time
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures.thread import BrokenThreadPool

import pytest
from support.builds import run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LEVELS,
    LIBC,
    SHIELD,
    as_root,
    change_capabilities,
    count_idle,
    counts_references,
    held_elsewhere,
    ids,
    in_child,
    needs_root,
    throw,
    throws,
    wait_until,
)

import replace
import replace.aio
from replace import Identity, IdentityExecutor, _native, impersonate

entered = []
kept = []


def count_entries():
    sys.addaudithook(lambda event, args: entered.append(args[0]) if event == "replace.enter" else None)


def thread_id():
    return threading.get_native_id()


def with_fault(folder, fault, code):
    """Run code while strace makes some system calls fail."""
    strace = [tool("strace", "injects faults"), "-f", "-o", folder / "log", "-e", f"inject={fault}"]
    return run(*strace, sys.executable, "-c", code, cwd="/")


@pytest.mark.parametrize("level", LEVELS)
def test_tasks_run_as_their_identity(level):
    def body():
        expected = {}
        for user in (ALICE, BOB):
            with impersonate(user, level=level):
                expected[user] = ids()
        with IdentityExecutor(3, level=level) as pool:
            futures = [(user, pool.submit(user, ids)) for user in (ALICE, BOB) * 30]
            assert all(future.result() == expected[user] for user, future in futures)
            assert list(pool.map(ALICE, lambda a, b: (a + b, ids()), [1, 2], [3, 4])) == [
                (4, expected[ALICE]),
                (6, expected[ALICE]),
            ]
        replace.assert_clean()

    as_root(body)


def test_next_task_of_the_same_user_needs_no_switch():
    def body():
        count_entries()
        with IdentityExecutor(1) as pool:
            for _ in range(100):
                pool.submit(ALICE, thread_id).result()
            assert len(entered) == 1
            equal = Identity(ALICE.uid, ALICE.gid, ALICE.groups)
            pool.submit(equal, thread_id).result()
            assert len(entered) == 1

    as_root(body)


def test_task_goes_to_the_idle_worker_of_its_user():
    def body():
        count_entries()
        with IdentityExecutor(2) as pool:
            both = threading.Barrier(2)
            first = {user: pool.submit(user, lambda: (both.wait(HANG), thread_id())[1]) for user in (ALICE, BOB)}
            homes = {user: future.result() for user, future in first.items()}
            for _ in range(50):
                wait_until(lambda: count_idle(pool) == 2)
                for user in random.sample([ALICE, BOB], 2):
                    assert pool.submit(user, thread_id).result() == homes[user]
            assert len(entered) == 2

    as_root(body)


def test_users_take_turns_in_a_backlog():
    def body():
        order, gate = [], threading.Event()
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, gate.wait, 10)
            for number in range(300):
                pool.submit(ALICE, order.append, number)
            pool.submit(BOB, order.append, "bob")
            gate.set()
        assert order.index("bob") <= 33
        assert [one for one in order if one != "bob"] == list(range(300)), "the tasks of one user run in order"

    as_root(body)


def test_backlog_of_many_users_needs_fewer_switches_than_tasks():
    def body():
        count_entries()
        users = [Identity(80100 + n, 80100 + n) for n in range(64)]
        with IdentityExecutor(8) as pool:
            futures = [(user, pool.submit(user, os.geteuid)) for user in random.choices(users, k=4000)]
            assert all(future.result() == user.uid for user, future in futures)
        assert len(entered) < 2000

    as_root(body)


def test_worker_that_became_root_is_replaced():
    def become_root():
        replace.setresuid(-1, 0, -1)
        return thread_id()

    def body():
        with IdentityExecutor(1) as pool:
            before = pool.submit(ALICE, thread_id).result()
            with pytest.raises(replace.IdentityChanged) as caught:
                pool.submit(ALICE, become_root).result()
            assert caught.value.state == "restored"
            assert pool.submit(ALICE, lambda: (ids(), thread_id() != before)).result()[1]
            assert pool.submit(ALICE, ids).result()[0] == (SHIELD, ALICE.uid, 0)

    as_root(body)


def test_worker_that_regained_capabilities_is_replaced(root_file):
    def take_back():
        change_capabilities(lambda sets: sets.__setitem__(0, sets[1]))
        os.close(os.open(root_file, os.O_RDONLY))  # the capabilities work

    def body():
        with IdentityExecutor(1) as pool:
            before = pool.submit(ALICE, thread_id).result()
            with pytest.raises(replace.CapabilitiesRemain):
                pool.submit(ALICE, take_back).result()
            with pytest.raises(PermissionError):
                pool.submit(ALICE, os.open, root_file, os.O_RDONLY).result()
            assert pool.submit(ALICE, thread_id).result() != before

    as_root(body)


def test_worker_is_replaced_if_a_task_leaves_a_guard_open():
    def keep():
        guard = impersonate(BOB)
        guard.__enter__()
        kept.append(guard)

    def body():
        with IdentityExecutor(1) as pool:
            before = pool.submit(ALICE, thread_id).result()
            with pytest.raises(replace.ThreadTainted):
                pool.submit(ALICE, keep).result()
            assert pool.submit(ALICE, ids).result()[0] == (SHIELD, ALICE.uid, 0)
            assert pool.submit(ALICE, thread_id).result() != before

    as_root(body)


def test_exception_of_the_task_is_the_context_of_identity_changed():
    def both():
        replace.setresuid(-1, 0, -1)
        raise KeyError("mine")

    def body():
        with IdentityExecutor(1) as pool:
            problem = pool.submit(ALICE, both).exception()
            assert isinstance(problem, replace.IdentityChanged)
            assert isinstance(problem.__context__, KeyError)

    as_root(body)


def test_done_callback_that_becomes_root_does_not_affect_the_next_task(root_file):
    def body():
        gate = threading.Event()
        with IdentityExecutor(1) as pool:
            first = pool.submit(ALICE, gate.wait, 10)
            first.add_done_callback(lambda _: replace.setresuid(-1, 0, -1))
            second = pool.submit(ALICE, lambda: (ids()[0], open(root_file).close()))
            gate.set()
            with pytest.raises(PermissionError):
                second.result(HANG)
            assert pool.submit(ALICE, ids).result()[0] == (SHIELD, ALICE.uid, 0)

    as_root(body)


def test_done_callback_runs_as_the_user_or_the_server():
    """After a result or an exception of the function, it runs as the user; after an IdentityError, as the server."""

    def fail():
        raise KeyError

    def body():
        seen = []

        def outcome(pool, function):
            gate = threading.Event()
            future = pool.submit(ALICE, lambda: (gate.wait(HANG), function()))
            future.add_done_callback(lambda future: seen.append((type(future.exception()), os.getresuid())))
            gate.set()
            return future

        with IdentityExecutor(1) as pool:
            wait([outcome(pool, function) for function in (int, fail, lambda: replace.setresuid(-1, 0, -1))])
        assert seen == [
            (type(None), (SHIELD, ALICE.uid, 0)),
            (KeyError, (SHIELD, ALICE.uid, 0)),
            (replace.IdentityChanged, (0, 0, 0)),
        ]

    as_root(body)


def test_libc_seteuid_does_not_make_the_next_task_root(root_file):
    """seteuid(0) of libc makes the idle workers root, but no task may run as root."""

    def body():
        with IdentityExecutor(2) as pool:
            both = threading.Barrier(2)
            wait([pool.submit(user, both.wait, HANG) for user in (ALICE, BOB)])
            wait_until(lambda: count_idle(pool) == 2)
            assert LIBC.seteuid(0) == 0
            euids = {thread.uids[1] for thread in replace.thread_credentials()}
            assert euids == {0}, "libc has made the idle workers root"
            for user in (ALICE, BOB) * 4:
                assert pool.submit(user, ids).result()[0] == (SHIELD, user.uid, 0)
                with pytest.raises(PermissionError):
                    pool.submit(user, os.open, root_file, os.O_RDONLY).result()

    as_root(body)


@pytest.mark.parametrize("level", LEVELS)
def test_setfsuid_in_a_task_fails_the_task_and_spares_the_next_one(level, root_file):
    def body():
        with IdentityExecutor(1, level=level) as pool:
            with pytest.raises(replace.IdentityChanged):
                pool.submit(ALICE, replace.setfsuid, 0).result()
            assert pool.submit(ALICE, replace.getfsuid).result() == ALICE.uid
            with pytest.raises(PermissionError):
                pool.submit(ALICE, os.open, root_file, os.O_RDONLY).result()

    as_root(body)


def test_workers_start_with_the_ids_of_the_server():
    def body():
        seen, base = [], ids()
        with IdentityExecutor(4, initializer=lambda: seen.append(ids())) as pool:
            gate = threading.Barrier(5)
            with impersonate(BOB):
                futures = [pool.submit(ALICE, lambda: (gate.wait(HANG), ids())[1]) for _ in range(4)]
                gate.wait(HANG)
            assert {future.result()[0] for future in futures} == {(SHIELD, ALICE.uid, 0)}
        assert seen == [base] * 4
        replace.assert_clean()

    as_root(body)


@counts_references
def test_initializer_that_leaves_the_worker_switched_breaks_the_pool():
    def body():
        with IdentityExecutor(2, initializer=lambda: kept.append(impersonate(BOB).__enter__())) as pool:
            pool.submit(ALICE, int).result()  # deleting the guard restores the ids
        guards = [impersonate(BOB) for _ in range(2)]
        with IdentityExecutor(1, initializer=lambda: guards[0].__enter__()) as pool:
            problem = pool.submit(ALICE, int).exception(HANG)
            assert isinstance(problem, BrokenThreadPool)
            assert isinstance(problem.__cause__, replace.IdentityRefused)

    as_root(body)


def test_switched_thread_cannot_create_a_pool():
    def body():
        with impersonate(ALICE), pytest.raises(replace.IdentityRefused, match="workers would inherit"):
            IdentityExecutor(1)
        assert threading.active_count() == 1

    as_root(body)


def test_thread_started_under_an_identity_cannot_create_a_pool():
    """The thread holds no identity, but has inherited the ids of the user."""

    def body():
        go, outcome = threading.Event(), []

        def make():
            go.wait(HANG)
            try:
                IdentityExecutor(1)
            except replace.IdentityRefused as problem:
                outcome.append(str(problem))

        thread = threading.Thread(target=make)
        with impersonate(ALICE):
            thread.start()
        go.set()
        thread.join()
        assert "this thread's ids differ from the main thread's (uids (" in outcome[0]

    as_root(body)


def test_thread_that_the_main_thread_started_under_an_identity_cannot_create_a_pool():
    """While the main thread holds the identity, the ids of the two threads do not differ."""

    def body():
        outcome = []

        def make():
            try:
                with IdentityExecutor(1) as pool:
                    outcome.append(pool.submit(BOB, ids).result())
            except replace.IdentityRefused as problem:
                outcome.append(str(problem))

        for level in LEVELS:
            for inside in (contextlib.nullcontext(), impersonate(ALICE, level=level)):
                with inside:
                    thread = threading.Thread(target=make)
                    thread.start()
                    thread.join()
            free, refused = outcome[-2:]
            assert free[0][1] == BOB.uid
            assert refused.startswith("the main thread holds an identity")
        assert len(outcome) == 2 * len(LEVELS)

    as_root(body)


def test_pool_can_be_created_while_another_pool_holds_identities():
    def body():
        def make():
            with IdentityExecutor(1) as pool:
                return pool.submit(BOB, replace.getfsuid).result()

        with IdentityExecutor(1) as other, ThreadPoolExecutor(1) as threads:
            other.submit(ALICE, ids).result()
            assert (make(), threads.submit(make).result()) == (BOB.uid, BOB.uid)

    as_root(body)


def test_idle_worker_takes_a_task_while_another_worker_starts():
    def body():
        order, gate, slow = [], threading.Event(), threading.Event()
        starts = iter([lambda: None, lambda: slow.wait(HANG)])
        with IdentityExecutor(2, initializer=lambda: next(starts)()) as pool:
            begun = threading.Event()
            pool.submit(ALICE, lambda: (begun.set(), gate.wait(HANG)))
            assert begun.wait(HANG)
            first = pool.submit(ALICE, order.append, 1)  # a second worker is started for it
            gate.set()
            first.result(HANG)
            pool.submit(ALICE, order.append, 2).result(HANG)
            assert order == [1, 2]
            assert not slow.is_set()
            slow.set()

    as_root(body)


def test_cancelled_task_is_done_if_no_worker_starts():
    def body():
        gate = threading.Event()

        def begin():
            gate.wait(HANG)
            raise ValueError

        with IdentityExecutor(1, initializer=begin) as pool:
            future = pool.submit(ALICE, int)
            assert future.cancel()
            gate.set()
        assert wait([future], HANG).done == {future}

    as_root(body)


def test_executor_refuses_bad_arguments_at_once():
    def generator():
        yield 1

    async def stream():
        yield 1

    def body():
        for arguments, kind in (
            ({"max_workers": 0}, ValueError),
            ({"initializer": 3}, TypeError),
            ({"level": "some"}, ValueError),
            ({"max_per_identity": 0}, ValueError),
            ({"max_per_identity": -1}, ValueError),
            ({"max_per_identity": True}, TypeError),
            ({"max_per_identity": 2.0}, TypeError),
            ({"max_per_identity": "2"}, TypeError),
        ):
            with pytest.raises(kind):
                IdentityExecutor(**arguments)
        with IdentityExecutor(1) as pool:
            with pytest.raises(TypeError, match="should be Identity, not int"):
                pool.submit(80001, os.getpid)
            with pytest.raises(TypeError, match="callable"):
                pool.submit(ALICE, 3)
            with pytest.raises(TypeError, match="should be Identity"):
                pool.bound("alice")
            for lazy in (generator, stream, asyncio.sleep):
                with pytest.raises(TypeError, match="generator or coroutine"):
                    pool.submit(ALICE, lazy)
            for lazy, kind in ((generator, "generator"), (stream, "async_generator")):
                with pytest.raises(TypeError, match=rf"returned an object of type {kind}:"):
                    pool.submit(ALICE, lambda lazy=lazy: lazy()).result()
            with pytest.raises(replace.IdentityRefused, match="allow_root=True"):
                pool.submit(Identity(80001, 80011, [0]), os.getpid)
            assert threading.active_count() == 3  # the main thread, the supervisor and one worker
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(ALICE, os.getpid)
        with IdentityExecutor(1, allow_root=True) as pool:
            assert pool.submit(Identity(0, 0), os.geteuid).result() == 0

    as_root(body)


def test_process_wide_build_cannot_create_a_pool():
    if replace.SCOPE != "thread":
        for make in (IdentityExecutor, replace.aio.Files):
            with pytest.raises(replace.IdentityRefused, match="-Dcredentials=syscall"):
                make()


def test_failed_switch_is_the_exception_of_the_task():
    """In a server without privileges each task fails with EPERM, and the pool still works."""

    def body():
        os.setresuid(80001, 80001, 80001)
        with IdentityExecutor(2) as pool:
            problems = [pool.submit(BOB, os.getpid).exception() for _ in range(3)]
            assert [problem.errno for problem in problems] == [errno.EPERM] * 3
            assert {problem.state for problem in problems} <= {"unchanged", "rolled back"}

    as_root(body)


def test_exception_of_a_task_has_its_traceback():
    def fails_here():
        raise LookupError("gone")

    def body():
        with IdentityExecutor(1) as pool:
            problem = pool.submit(ALICE, fails_here).exception()
        assert "in fails_here" in "".join(traceback.format_exception(problem))

    as_root(body)


def test_pool_does_not_keep_results_and_arguments():
    class Thing:
        pass

    def body():
        thing = Thing()
        gone = weakref.ref(thing)
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, lambda one: one, thing).result()
            del thing
            pool.submit(ALICE, os.getpid).result()
            gc.collect()
            assert gone() is None

    as_root(body)


class Stop(BaseException):
    """The exception that tests throw into a worker."""


@throws
def test_exception_thrown_into_a_task_is_its_outcome():
    def body():
        with IdentityExecutor(1) as pool:
            for _ in range(200):
                started: list[threading.Thread] = []

                def turn(started=started):
                    started.append(threading.current_thread())
                    while True:
                        pass

                future = pool.submit(ALICE, turn)
                while not started:
                    time.sleep(0)
                assert throw(started[0].ident, Stop)
                assert isinstance(future.exception(HANG), Stop)
                assert pool.submit(BOB, ids).result(HANG)[0] == (SHIELD, BOB.uid, 0)

    as_root(body)


@throws
def test_exception_thrown_into_an_idle_worker_loses_no_task():
    def body():
        with IdentityExecutor(1) as pool:
            for round in range(200):
                user = (ALICE, BOB)[round % 2]
                thread = pool.submit(user, threading.current_thread).result(HANG)
                wait_until(lambda: count_idle(pool) == 1)
                assert throw(thread.ident, Stop)
                seen, after = pool.submit(user, lambda: (ids(), threading.current_thread())).result(HANG)
                assert seen[0] == (SHIELD, user.uid, 0)
                assert after is not thread
        replace.assert_clean()

    as_root(body)


def test_private_fs_gives_each_task_the_directory_and_umask_of_the_pool():
    def body(folder):
        os.umask(0o027)
        os.chmod(folder, 0o755)
        os.makedirs(f"{folder}/alice", 0o700)
        os.chown(f"{folder}/alice", ALICE.uid, ALICE.gid)
        os.chdir(folder)

        def move():
            os.chdir("alice")
            return os.umask(0o077), os.getcwd()

        with IdentityExecutor(1, private_fs=True) as pool:
            for _ in range(3):
                assert pool.submit(ALICE, move).result() == (0o027, f"{folder}/alice")
                assert os.getcwd() == folder
                assert pool.submit(ALICE, os.getcwd).result() == folder
                assert pool.submit(ALICE, move).result()[0] == 0o027
                assert pool.submit(BOB, os.getcwd).result() == folder
        assert (os.umask(0o022), os.getcwd()) == (0o027, folder)

        def replace_directory():
            os.rename(f"{folder}/alice/pool", f"{folder}/alice/old")
            os.mkdir(f"{folder}/alice/pool")
            os.chdir(f"{folder}/alice/pool")

        os.mkdir("alice/pool", 0o755)
        os.chmod("alice", 0o755)
        os.chdir("alice/pool")
        with IdentityExecutor(1, private_fs=True) as pool:
            pool.submit(ALICE, replace_directory).result()
            for user in (ALICE, BOB):
                found = pool.submit(user, os.getcwd).result()
                assert found == f"{folder}/alice/old", "the pool keeps the directory, not its name"
        os.chdir(folder)
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, move).result()
            assert os.getcwd() == f"{folder}/alice", "without private_fs the process changes its directory"

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        as_root(body, os.path.realpath(folder))


def test_private_fs_is_refused_in_the_main_thread():
    from replace import _native

    with pytest.raises(OSError, match="Invalid argument" if sys.platform == "linux" else None):
        in_child(_native.private_fs)


def test_pool_raises_if_private_fs_is_forbidden(tmp_path):
    """If unshare() fails, as in many containers, the constructor raises and leaves no thread."""
    needs_root()
    if replace.SCOPE != "thread":
        return
    code = (
        "import replace, threading\n"
        "try: replace.IdentityExecutor(2, private_fs=True)\n"
        "except OSError as problem: print(problem.errno, threading.active_count())\n"
    )
    out = with_fault(tmp_path, "unshare:error=EPERM", code)
    assert out.stdout.split() == [str(errno.EPERM), "1"], out.stderr


def test_pool_is_refused_in_a_forked_child():
    def child(pool):
        with pytest.raises(RuntimeError, match="forked"):
            pool.submit(ALICE, os.getpid)
        pool.shutdown()
        return True

    def body():
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, os.getpid).result()
            with held_elsewhere(pool._pool.lock):
                assert in_child(child, pool), "even if a thread held the lock during the fork"
            assert pool.submit(ALICE, os.geteuid).result() == ALICE.uid

    as_root(body)


def test_bound_executor_works_with_asyncio():
    async def main(pool):
        loop = asyncio.get_running_loop()
        views = {user: pool.bound(user) for user in (ALICE, BOB)}
        jobs = [(user, loop.run_in_executor(views[user], os.geteuid)) for user in (ALICE, BOB) * 20]
        assert [await job for _, job in jobs] == [user.uid for user, _ in jobs]
        assert os.geteuid() == 0

    def body():
        with IdentityExecutor(2) as pool:
            asyncio.run(main(pool))
            with pool.bound(ALICE) as view:
                pass
            assert view.submit(os.geteuid).result() == ALICE.uid, "leaving the view does not shut down the pool"

    as_root(body)


def test_drop_is_refused_until_the_pool_is_shut_down():
    def body():
        pool = IdentityExecutor(1)
        pool.submit(ALICE, os.getpid).result()
        with pytest.raises(replace.IdentityRefused):
            replace.drop_privileges(BOB)
        pool.shutdown()
        replace.drop_privileges(BOB)
        assert os.getresuid() == (BOB.uid,) * 3

    as_root(body)


def test_shutdown_in_a_worker_raises_instead_of_waiting():
    def body():
        with IdentityExecutor(1) as pool, pytest.raises(RuntimeError, match="its own end"):
            pool.submit(ALICE, pool.shutdown).result(HANG)

    as_root(body)


def unused_uid():
    """Return a uid without other processes, because RLIMIT_NPROC counts all threads of a user."""
    return 1_000_000 + os.getpid()


def test_pool_breaks_if_no_worker_can_start():
    """RLIMIT_NPROC allows only the supervisor: a task fails at once instead of waiting."""

    def body():
        os.setresuid(*[unused_uid()] * 3)
        resource.setrlimit(resource.RLIMIT_NPROC, (2, 2))
        pool = IdentityExecutor(2)
        assert isinstance(pool.submit(ALICE, int).exception(HANG), BrokenThreadPool)
        with pytest.raises(BrokenThreadPool, match="a worker could not start"):
            pool.submit(ALICE, int)
        pool.shutdown()

    as_root(body)


def allow_limit_on_threads():
    """Keep only CAP_SETGID and CAP_SETUID, because root may start more threads than RLIMIT_NPROC permits."""
    both = 1 << 6 | 1 << 7
    assert LIBC.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setresuid(*[unused_uid()] * 3)
    change_capabilities(lambda sets: sets.__setitem__(slice(0, 6), [both, both, 0, 0, 0, 0]))


def test_pool_works_with_fewer_threads_than_requested():
    """The kernel allows one worker of four. This worker serves all users."""

    def body():
        allow_limit_on_threads()
        with IdentityExecutor(4) as pool:
            pool.submit(ALICE, int).result(HANG)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 20))
            for user in (ALICE, BOB) * 3:
                assert pool.submit(user, os.geteuid).result(HANG) == user.uid
                wait_until(lambda: count_idle(pool) == 1)
            assert len(pool._pool.workers) == 1
            resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))
            both_at_once = threading.Barrier(2)
            futures = [pool.submit(user, both_at_once.wait, HANG) for user in (ALICE, BOB)]
            assert sorted(future.result(HANG) for future in futures) == [0, 1], "a second worker starts when allowed"

    as_root(body)


@pytest.mark.parametrize("limit", [None, 2])
def test_idle_workers_of_others_serve_a_user_if_no_thread_can_start(limit):
    def body():
        allow_limit_on_threads()
        with IdentityExecutor(4, max_per_identity=limit) as pool:
            both_at_once = threading.Barrier(2)
            futures = [pool.submit(user, both_at_once.wait, HANG) for user in (ALICE, BOB)]
            assert not wait(futures, HANG).not_done
            wait_until(lambda: count_idle(pool) == 2)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 20))
            for number in range(6):
                carol = Identity(80100 + number, 80100)
                assert pool.submit(carol, os.geteuid).result(HANG) == carol.uid

    as_root(body)


@pytest.mark.parametrize("handler", [True, False])
def test_worker_logs_changed_ids_after_it_has_left_the_identity(handler, capfd):
    """A libc call made an idle worker root. No task waits for this worker, so the error can only be logged."""

    def body():
        seen = []

        class Handler(logging.Handler):
            def emit(self, record):
                seen.append((record.levelname, os.geteuid(), _native.depth()))

        if handler:
            logging.getLogger("replace").addHandler(Handler())
        with IdentityExecutor(1) as pool:
            assert pool.submit(ALICE, os.geteuid).result() == ALICE.uid
            os.seteuid(0)
            assert pool.submit(BOB, os.geteuid).result() == BOB.uid
        return seen

    assert as_root(body) in ([("WARNING", 0, 0)] if handler else [], None)
    assert capfd.readouterr().err == "", "nothing is printed without a handler"


class Interrupt(BaseException):
    pass


def raise_at(line, where):
    """Return a trace function that raises Interrupt at one line, and a list with the number of remaining lines.

    `where` selects the code. `with` lines are skipped: at the end of a block no handler runs before the lock is free.
    """
    left = [line]

    def trace(frame, event, argument):
        code = frame.f_code
        if not where(code):
            return None
        if event == "line" and "with " not in linecache.getline(code.co_filename, frame.f_lineno):
            left[0] -= 1
            if left[0] == -1:
                raise Interrupt
        return trace

    return trace, left


def interrupted(line, function):
    """Call function and raise Interrupt at the given line of the pool's files; return whether that line was reached."""
    trace, left = raise_at(
        line, lambda code: code.co_filename.endswith(("_pool.py", "_turns.py", "_worker.py", "_executor.py"))
    )
    sys.settrace(trace)
    try:
        function()
    except Interrupt:
        pass
    finally:
        sys.settrace(None)
    return left[0] < 0


def test_pool_works_after_two_interrupts_in_submit():
    def body():
        first, reached = 0, True
        while reached:
            second, again = 0, True
            while again:
                with IdentityExecutor(2) as pool:
                    pool.submit(ALICE, os.geteuid).result(HANG)
                    wait_until(lambda pool=pool: count_idle(pool) == 1)
                    reached = interrupted(first, lambda pool=pool: pool.submit(BOB, os.geteuid))
                    again = interrupted(second, lambda pool=pool: pool.submit(ALICE, os.geteuid))
                    for user in (ALICE, BOB):
                        assert pool.submit(user, os.geteuid).result(HANG) == user.uid
                assert next(pool._pool.names) <= 4, "too many workers started"
                second += 1
            first += 1
        assert first > 10, "submit() has more than ten lines"

    as_root(body)


def test_exception_thrown_into_a_worker_ends_at_most_one_task():
    def body():
        names, line, reached, ended = ("take", "run", "leave_identity"), 0, True, 0
        while reached:
            trace, left = raise_at(
                line, lambda code: code.co_filename.endswith(("_pool.py", "_worker.py")) and code.co_name in names
            )
            threading.settrace(trace)
            with IdentityExecutor(1) as pool:
                tasks = [pool.submit(ALICE, os.geteuid), pool.submit(ALICE, os.geteuid), pool.submit(BOB, os.geteuid)]
                tasks[1].cancel()
                wait(tasks, HANG)
                threading.settrace(None)
                outcomes = ["cancelled" if task.cancelled() else task.exception(HANG) for task in tasks]
                assert sum(isinstance(outcome, Interrupt) for outcome in outcomes) <= 1, outcomes
            ended += any(isinstance(outcome, Interrupt) for outcome in outcomes)
            assert next(pool._pool.names) <= 2, "too many workers started"
            assert not _native.tainted()
            line, reached = line + 1, left[0] < 0
        assert line > 40
        assert ended > 5
        replace.assert_clean()

    as_root(body)
