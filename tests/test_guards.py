# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Try the hazards of per-thread credentials, as an attacker or a careless caller would."""

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import imported, in_namespaces, run
from support.children import (
    ALICE,
    BOB,
    IS_PYPY,
    LEVELS,
    LIBC,
    ROOT_IDS,
    SHIELD,
    InChild,
    as_root,
    call_in_other_thread,
    call_number,
    change_capabilities,
    counts_references,
    fork,
    ids,
    needs_own_threads,
    needs_root,
    switched_elsewhere,
    wait_until,
    with_gil,
)

import replace
from replace import Identity, _native, impersonate

PR_SET_SECUREBITS, PR_SET_KEEPCAPS, PR_CAP_AMBIENT = 28, 8, 47
CAP_DAC_OVERRIDE, CAP_SETGID, CAP_SETUID = 1, 6, 7


def in_thread(function, *arguments):
    """Call function in a new thread; return its result or raise its exception."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def ids_of_a_child_that_tries_root(program):
    """Start a child that tries to become root; return the ids that it has afterwards."""
    return subprocess.check_output([program], text=True, cwd="/").strip()


# ---- Generators, greenlets, event loops


def test_entry_is_refused_in_a_greenlet():
    greenlet = imported("greenlet")

    def body():
        def work():
            with impersonate(ALICE):
                raise AssertionError("entered")

        with pytest.raises(replace.IdentityRefused, match="greenlets"):
            greenlet.greenlet(work).switch()
        with impersonate(ALICE):  # the main greenlet, and no hub: a plain thread
            assert os.geteuid() == 80001
        assert ids() == ROOT_IDS

    as_root(body)


def test_leaving_in_wrong_order_from_a_greenlet_taints_the_thread(root_file):
    """The main greenlet enters two guards. Another greenlet leaves the outer one first and must not become root."""
    greenlet = imported("greenlet")

    def body():
        first, second = impersonate(ALICE), impersonate(BOB)
        first.__enter__()
        second.__enter__()
        with pytest.raises(replace.ThreadTainted, match="leaving in the wrong order"):
            greenlet.greenlet(lambda: first.__exit__(None, None, None)).switch()
        assert os.geteuid() == 80002
        with pytest.raises(PermissionError):
            os.open(root_file, os.O_RDONLY)

    as_root(body)


def test_entry_is_refused_under_a_gevent_hub():
    imported("gevent")
    if replace.SCOPE != "thread":
        return
    script = (
        "import gevent, replace\ngevent.sleep(0)\n"
        "try: replace.impersonate(replace.Identity(80001, 80001)).__enter__()\n"
        "except replace.IdentityRefused as error: print(error)\n"
    )
    out = run(sys.executable, "-c", script, cwd="/")
    assert "greenlets switch in this thread" in out.stdout, out.stderr


def test_entry_is_refused_in_trio():
    trio = imported("trio")

    def body():
        async def main():
            with pytest.raises(replace.IdentityRefused, match="trio"), impersonate(ALICE):
                raise AssertionError("entered")
            return await trio.to_thread.run_sync(replace.acting_as(ALICE, os.geteuid))

        return trio.run(main)

    assert as_root(body) in (80001, None)


def test_other_asyncio_tasks_never_see_the_identity():
    def body():
        seen = set()

        async def watch():
            for _ in range(200):
                seen.add(os.geteuid())
                await asyncio.sleep(0)

        async def serve():
            return [await replace.run_as(ALICE, os.geteuid) for _ in range(50)]

        async def main():
            return (await asyncio.gather(serve(), watch()))[0]

        assert asyncio.run(main()) == [80001] * 50
        return seen

    assert as_root(body) in ({0}, None)


# ---- Threads and children


def test_assert_clean_finds_a_thread_started_inside():
    def body():
        before = len(replace.thread_credentials())
        with impersonate(ALICE):
            pool = ThreadPoolExecutor(1)
            assert pool.submit(os.geteuid).result() == 80001
        with pytest.raises(replace.ThreadsDiffer, match="80001") as caught:
            replace.assert_clean()
        (thread,) = caught.value.threads
        assert thread.uids == (SHIELD, 80001, 0, 80001)
        pool.shutdown()
        wait_until(lambda: len(replace.thread_credentials()) == before, "the end of the thread (join() does not wait)")
        replace.assert_clean()

    as_root(body)


def test_thread_started_inside_gains_no_rights_by_impersonate(root_file):
    def body():
        def work():
            before = ids()
            with impersonate(BOB):
                assert os.geteuid() == 80002
                with pytest.raises(PermissionError):
                    os.open(root_file, os.O_RDONLY)
            with pytest.raises(PermissionError):
                os.open(root_file, os.O_RDONLY)
            return ids() == before

        with impersonate(ALICE), ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result()

    as_root(body)


#: level -> ids of an exec child that has tried to become root (docs/levels.md)
EXEC = {
    "effective": "(0, 0, 0)",
    "shielded": "(4294967293, 80001, 80001)",
    "real": "(80001, 80001, 80001)",
    "filesystem": "(0, 0, 0)",
}
if IS_PYPY:  # its subprocess calls fork(2), and a forked child is the user for good
    EXEC = dict.fromkeys(EXEC, EXEC["real"])


def test_exec_child_cannot_become_root_at_the_default_level(regain):
    def body():
        with impersonate(ALICE):
            return ids_of_a_child_that_tries_root(regain)

    assert as_root(body) in (EXEC["shielded"], None)


@pytest.mark.parametrize("level", LEVELS)
def test_exec_child_can_become_root_only_at_the_documented_levels(level, regain):
    def body():
        with impersonate(ALICE, level=level):
            return ids_of_a_child_that_tries_root(regain)

    assert as_root(body) in (EXEC[level], None)


def test_signal_handlers_of_the_server_do_not_run_in_a_forked_child():
    """The user may send signals to the child. A handler would write to the pipe that wakes the server's event loop."""

    def body():
        reader, writer = os.pipe2(os.O_NONBLOCK)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(writer)
        with impersonate(ALICE):
            child = os.fork()
            if child == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(1)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert os.read(reader, 1) == bytes([signal.SIGTERM]), "the handler of the server still works"

    as_root(body)


#: What a thread, or another one with libc's calls, may change inside an identity
CHANGES_INSIDE = {
    "nothing": lambda: None,
    "fs uid": lambda: replace.setfsuid(0),
    "fs gid": lambda: (replace.seteuid(0), replace.setfsgid(0)),
    "libc's seteuid": lambda: in_thread(LIBC.seteuid, 0),
    "groups": lambda: (replace.seteuid(0), replace.setgroups([0])),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("change", CHANGES_INSIDE.values(), ids=CHANGES_INSIDE)
def test_forked_child_cannot_become_root(level, change):
    def body():
        with contextlib.suppress(replace.IdentityChanged), impersonate(ALICE, level=level):
            change()
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                answer = [ids()]
                for call in (lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([]), lambda: os.setegid(0)):
                    try:
                        call()
                        answer.append("root again")
                    except PermissionError:
                        answer.append("no")
                answer.append(replace.thread_credentials()[0].permitted)
                os.write(writer, repr(answer).encode())
                os._exit(0)
            os.close(writer)
            with open(reader) as pipe:
                answer = eval(pipe.read())
            os.waitpid(child, 0)
        assert ids() == ROOT_IDS
        return answer

    user = ((80001,) * 3, (80011,) * 3, [80011, 80021], 80001, 80011)
    assert as_root(body) in ([user, "no", "no", "no", 0], None)


def test_leaving_in_a_forked_child_raises():
    def body():
        reader, writer = os.pipe()
        try:
            with impersonate(ALICE):
                child = os.fork()
        except replace.ForkedUnderIdentity as error:
            os.write(writer, f"{error.state} {os.getresuid()}".encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return text

    assert as_root(body) in ("the user for good (80001, 80001, 80001)", None)


def test_forked_child_is_clean_if_another_thread_is_switched():
    needs_own_threads()

    def body():
        with switched_elsewhere(ALICE):
            assert _native.active() == 1
            child = fork()
            if child == 0:
                good = _native.active() == 0 and ids() == ROOT_IDS
                with impersonate(BOB):
                    good = good and os.geteuid() == 80002
                replace.drop_privileges(BOB)
                os._exit(0 if good and os.getresuid() == (80002,) * 3 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert _native.active() == 0

    as_root(body)


@pytest.mark.parametrize(("level", "may"), [("effective", 0), ("shielded", 0), ("real", 1), ("filesystem", 0)])
def test_user_can_signal_the_server_only_at_level_real(level, may):
    """tgkill(server, worker, 0): the permission check of SIGKILL without the signal (kernel/signal.c)."""
    needs_own_threads()

    def body():
        with switched_elsewhere(ALICE, level) as worker:
            server, child = os.getpid(), fork()
            if child == 0:
                replace.drop_privileges(ALICE)
                os._exit(int(LIBC.syscall(call_number("tgkill"), server, worker.native_id, 0) == 0))
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert as_root(body) in (may, None)


@pytest.mark.parametrize(
    ("level", "access", "peer", "signalled"),
    [
        ("effective", True, 80001, True),
        ("shielded", False, 80001, False),
        ("real", False, 80001, False),
        ("filesystem", True, 0, True),
    ],
)
def test_access_peer_credentials_and_sigio_depend_on_the_level(level, access, peer, signalled, root_file):
    def body():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
        reader, writer = os.pipe()
        with impersonate(ALICE, level=level):
            may = os.access(root_file, os.R_OK)
            one, _ = pair = socket.socketpair()
            seen = struct.unpack("iII", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
            fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | os.O_ASYNC)
        for end in pair:
            end.close()
        os.write(writer, b"x")  # after this call, the kernel has sent the signal or will not send it
        return may, seen, signal.SIGIO in signal.sigpending()

    assert as_root(body) in ((access, peer, signalled), None)


# ---- Calls of libc in another thread


@pytest.mark.per_thread
@pytest.mark.parametrize("threads", [0, 1], ids=["no other thread", "another thread"])
def test_libc_setgroups_in_another_thread_fails_or_ends_the_process_without_protect_os(threads):
    """The thread that makes the call is root, but the switched thread cannot follow. glibc aborts.

    musl changes the other threads first. If the switched thread is the first one, nothing changes. If another thread
    has changed before it, musl kills the process.
    """

    def call():
        leave = threading.Event()
        others = [threading.Thread(target=leave.wait) for _ in range(threads)]
        for other in others:
            other.start()
        try:
            os.setgroups([7])
        finally:
            leave.set()
            for other in others:
                other.join()

    killed = f"{-signal.SIGKILL}|" if threads else ""  # nothing promises in which order musl changes threads
    expected = {"glibc": str(-signal.SIGABRT), "musl": f"{killed}not permitted"}
    if text := expected.get(replace.report()["verdict"]["libc"]):
        with pytest.raises((InChild, PermissionError), match=text):
            call_in_other_thread(call, protect=False)


def test_libc_seteuid_in_another_thread_raises_on_leaving():
    if replace.SCOPE == "thread":
        with pytest.raises(replace.IdentityChanged) as caught:
            call_in_other_thread(lambda: os.seteuid(0), protect=False)
        assert caught.value.state == "restored"


# ---- Capabilities and groups


def test_groups_of_root_are_removed_inside(tmp_path, folder):
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_text("of the group root")
    secret.chmod(0o640)

    def body():
        replace.setgroups([0, 4, 27])
        with impersonate(Identity(80001, 80011)):
            assert replace.getgroups() == []
            with pytest.raises(PermissionError):
                os.open("secret", os.O_RDONLY, dir_fd=folder)
        assert replace.getgroups() == [0, 4, 27]

    as_root(body)


def without_root(ambient, root_file):
    """Make this process a server of uid 1000 with CAP_SETUID, CAP_SETGID and CAP_DAC_OVERRIDE."""
    bits = 1 << CAP_SETUID | 1 << CAP_SETGID | 1 << CAP_DAC_OVERRIDE
    assert LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    replace.setresgid(1000, 1000, 1000)
    replace.setresuid(1000, 1000, 1000)
    new = [bits, bits, bits if ambient else 0, 0, 0, 0]
    change_capabilities(lambda sets: sets.__setitem__(slice(6), new))
    for bit in (CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE) if ambient else ():
        assert LIBC.prctl(PR_CAP_AMBIENT, 2, bit, 0, 0) == 0
    os.close(os.open(root_file, os.O_RDONLY))


@pytest.mark.parametrize("ambient", [True, False], ids=["ambient", "permitted"])
@pytest.mark.parametrize("level", LEVELS)
def test_server_with_only_capabilities_loses_them_inside(level, ambient, regain, root_file):
    def body():
        without_root(ambient, root_file)
        before, caps = ids(), replace.thread_credentials()[0].effective
        with impersonate(ALICE, level=level):
            assert (replace.getfsuid(), replace.getgroups()) == (80001, [80011, 80021])
            with pytest.raises(PermissionError):
                os.open(root_file, os.O_RDONLY)
            assert replace.thread_credentials()[0].effective == 0
            assert "0, 0)" not in ids_of_a_child_that_tries_root(regain)
            with impersonate(BOB, level=level), pytest.raises(PermissionError):
                os.open(root_file, os.O_RDONLY)
        assert ids() == before
        assert replace.thread_credentials()[0].effective == caps
        os.close(os.open(root_file, os.O_RDONLY))
        child = replace.popen_as(BOB, [regain], stdout=subprocess.PIPE, cwd="/")
        assert child.communicate()[0].strip() == b"(80002, 80002, 80002)"

    as_root(body)


def test_exec_child_does_not_inherit_ambient_capabilities(regain):
    """A root server with ambient capabilities: the child of a shielded thread must not get them."""

    def body():
        change_capabilities(lambda sets: sets.__setitem__(2, sets[1]))
        assert LIBC.prctl(PR_CAP_AMBIENT, 2, CAP_SETUID, 0, 0) == 0
        with impersonate(ALICE, level="shielded"):
            assert ids_of_a_child_that_tries_root(regain) == EXEC["shielded"]
        assert LIBC.prctl(PR_CAP_AMBIENT, 1, CAP_SETUID, 0, 0) == 1, "leaving restores the ambient capability"

    as_root(body)


def test_leaving_does_not_enlarge_a_reduced_effective_set():
    def body():
        change_capabilities(lambda sets: sets.__setitem__(slice(0, 4, 3), [1 << CAP_SETUID | 1 << CAP_SETGID, 0]))
        with impersonate(ALICE):
            pass
        return replace.thread_credentials()[0].effective

    assert as_root(body) in (1 << CAP_SETUID | 1 << CAP_SETGID, None)


# ---- End of threads, interpreters and users


def test_end_of_a_switched_thread_does_not_change_other_threads():
    def body():
        kept, errors = [], []
        sys.unraisablehook = lambda problem: errors.append(problem.exc_value)

        def work():
            kept.append(impersonate(ALICE))
            kept[0].__enter__()
            assert _native.active() == 1

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        wait_until(lambda: not _native.active(), "the end of the thread (join() does not wait)")
        kept.clear()  # another thread deletes the guard: that reports an error and changes nothing
        gc.collect()
        assert (ids(), _native.tainted()) == (ROOT_IDS, False)
        (error,) = errors
        assert (type(error), error.state) == (replace.IdentityError, "unchanged")

    as_root(body)


def test_interpreter_shutdown_while_switched_is_silent():
    needs_root()
    if replace.SCOPE != "thread":
        return
    script = (
        "import atexit, os, threading, replace\nalice = replace.Identity(80001, 80011)\n"
        "held = replace.impersonate(alice); held.__enter__()\n"
        "atexit.register(lambda: print('atexit', os.geteuid()))\n"
    )
    # With musl, Python 3.13 sometimes crashes at exit if any daemon thread waits, also without this package.
    if replace.report()["verdict"]["libc"] != "musl" or sys.version_info >= (3, 14):
        script += (
            "inside = threading.Event()\n"
            "def work():\n    with replace.impersonate(alice): inside.set(); threading.Event().wait()\n"
            "threading.Thread(target=work, daemon=True).start(); inside.wait()\n"
        )
    out = run(sys.executable, "-c", script, cwd="/")
    assert (out.returncode, out.stdout, out.stderr) == (0, "atexit 80001\n", "")


def test_on_restore_failure_abort_ends_the_process():
    def body():
        with impersonate(ALICE, on_restore_failure="abort"):
            LIBC.syscall(call_number("setresuid"), 80001, 80001, 80001)  # setresuid: no privileged id remains

    if replace.SCOPE == "thread":
        with pytest.raises(InChild, match=str(-signal.SIGABRT)):
            as_root(body)


def test_thread_that_cannot_restore_its_ids_is_tainted():
    def body():
        with pytest.raises(replace.ThreadTainted, match="end this thread") as caught, impersonate(ALICE):
            LIBC.syscall(call_number("setresuid"), 80001, 80001, 80001)
        assert caught.value.state == "tainted"
        with pytest.raises(replace.ThreadTainted):
            impersonate(BOB).__enter__()
        with pytest.raises(replace.IdentityRefused, match="1 thread"):
            replace.drop_privileges(ALICE)

    as_root(body)


def test_identity_of_a_deleted_user_still_works(tmp_path):
    """An identity consists of numbers, so it still works. Only a new lookup reports the missing user."""
    needs_root()
    if replace.SCOPE != "thread":
        return
    passwd = tmp_path / "passwd"
    with open("/etc/passwd") as file:
        passwd.write_text(file.read() + "eve:x:80077:80078::/:/bin/sh\n")
    script = (
        "import os, replace\neve = replace.Identity.from_user('eve')\n"
        f"open({str(passwd)!r}, 'w').write('root:x:0:0::/:/bin/sh\\n')\n"
        "with replace.impersonate(eve): print(os.geteuid(), os.getegid())\n"
        "try: replace.Identity.from_user('eve')\nexcept KeyError as error: print(error)\n"
    )
    command = f'mount --bind {passwd} /etc/passwd && exec {sys.executable} -c "$0"'
    out = run(*in_namespaces("-m"), "sh", "-c", command, script, cwd="/")
    assert out.stdout == "80077 80078\n\"no user has the name 'eve'\"\n", out.stderr


@pytest.mark.parametrize("level", LEVELS)
def test_setfsuid_inside_is_found_by_check_and_by_leaving(level):
    def body():
        for checks in (False, True):
            guard = impersonate(ALICE, level=level)
            guard.__enter__()
            assert guard.check()
            replace.setfsuid(0)
            assert not checks or not guard.check()
            with pytest.raises(replace.IdentityChanged) as caught:
                guard.__exit__(None, None, None)
            assert (ids(), caught.value.state) == (ROOT_IDS, "restored")

    as_root(body)


# ---- Restoring root, and guards used by other threads


def test_thread_can_leave_its_guard_after_another_thread_tried():
    def body():
        events = []
        sys.addaudithook(lambda event, args: events.append(event) if event == "replace.leave" else None)
        guard = impersonate(ALICE)
        guard.__enter__()
        with pytest.raises(replace.ThreadTainted):
            in_thread(guard.__exit__, None, None, None)
        assert ids()[0] == (SHIELD, ALICE.uid, 0), "another thread cannot leave the guard"
        assert _native.tainted()
        guard.__exit__(None, None, None)
        assert (ids(), _native.depth(), _native.tainted()) == (ROOT_IDS, 0, False)
        assert len(events) == 1, "each leave by the guard's thread raises one audit event"

    as_root(body)


def test_guard_of_an_ended_thread_does_not_taint_the_thread_that_deletes_it():
    """A new thread may get the ident of the ended one, and its thread-local memory."""

    def body():
        sys.unraisablehook = lambda problem: None
        kept, outcome = [], []

        def enter():
            kept.append((impersonate(ALICE), threading.get_ident()))
            kept[0][0].__enter__()

        def delete():
            if kept[0][1] == threading.get_ident():
                kept.clear()
                outcome.append(_native.tainted())
                with impersonate(BOB):
                    pass

        in_thread(enter)
        for _ in range(100):
            in_thread(delete)
            if not kept:
                break
        assert outcome in ([False], [])

    as_root(body)


def test_check_finds_that_another_thread_tried_to_leave():
    def body():
        guard = impersonate(ALICE)
        guard.__enter__()
        with pytest.raises(replace.ThreadTainted):
            in_thread(guard.__exit__, None, None, None)
        assert not guard.check()
        with pytest.raises(replace.IdentityError, match="another thread tried to leave") as caught:
            guard.__exit__(None, None, None)
        assert (caught.value.state, ids(), _native.tainted()) == ("restored", ROOT_IDS, False)

    as_root(body)


def orphan_by_exit(guard):
    with pytest.raises(replace.ThreadTainted):
        in_thread(guard.pop().__exit__, None, None, None)


def orphan_by_deletion(guard):
    in_thread(guard.clear)


def orphan_by_closed_generator(guard):
    guard.clear()

    def generator():
        with impersonate(ALICE, across_yield=True):
            yield

    running = generator()
    next(running)
    with pytest.raises(replace.ThreadTainted):
        in_thread(running.close)


@pytest.mark.parametrize(
    "orphan",
    [
        orphan_by_exit,
        pytest.param(orphan_by_deletion, marks=[with_gil, counts_references]),
        orphan_by_closed_generator,
    ],
)
def test_thread_whose_guard_another_thread_left_is_tainted(orphan):
    """Nobody can leave the guard any more. The thread keeps the identity, and learns of it when it enters or checks."""

    def body():
        sys.unraisablehook = lambda problem: None
        guard = [impersonate(ALICE)]
        if orphan is not orphan_by_closed_generator:
            guard[0].__enter__()
        orphan(guard)
        gc.collect()
        assert ids()[0] == (SHIELD, ALICE.uid, 0)
        assert (_native.tainted(), _native.depth(), _native.active()) == (True, 1, 1)
        with pytest.raises(replace.ThreadTainted, match="another thread"):
            impersonate(BOB).__enter__()
        with pytest.raises(replace.IdentityRefused):
            replace.drop_privileges(BOB)
        assert in_thread(_native.tainted) is False
        child = os.fork()
        if child == 0:  # the memory of the guard is still there
            os._exit(ids() != ((ALICE.uid,) * 3, (ALICE.gid,) * 3, list(ALICE.groups), ALICE.uid, ALICE.gid))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    as_root(body)


@pytest.mark.parametrize("base", [(0, 0, 1000), (1000, 0, 1000), (1000, 0, 0)])
@pytest.mark.parametrize("level", LEVELS)
def test_entry_is_refused_if_the_thread_could_not_restore_root(base, level):
    """With these ids some levels could not restore root. They refuse the entry and change nothing."""

    def body():
        replace.setresuid(*base)
        before, refusal = ids(), None
        try:
            with impersonate(ALICE, level=level):
                assert ids() != before
        except replace.IdentityError as problem:
            refusal = (problem.state, problem.step)
        assert refusal in (None, ("unchanged", "checking that the thread could return"))
        assert (ids(), _native.tainted()) == (before, False)

    as_root(body)


def test_forked_child_cannot_enter_again():
    def body():
        with impersonate(Identity(0, 0), allow_root=True):
            child = os.fork()
            if child == 0:
                try:
                    with impersonate(ALICE):
                        os._exit(1)
                except replace.ForkedUnderIdentity as problem:
                    os._exit(0 if problem.state == "the user for good" and ids()[0] == (0, 0, 0) else 2)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert as_root(body) in (0, None)


def test_entry_works_while_an_event_loop_module_is_being_imported():
    """A module that is being imported has no attributes yet, and runs no event loop."""

    def body():
        import types

        for name in ("asyncio", "trio", "trio.lowlevel", "greenlet", "gevent._hub_local", "eventlet.hubs"):
            sys.modules[name] = types.ModuleType(name)
        for name in ("twisted.internet.reactor", "twisted.python.threadable"):
            sys.modules[name] = types.ModuleType(name)
        with impersonate(ALICE):
            assert ids()[0] == (SHIELD, ALICE.uid, 0)

    as_root(body)
