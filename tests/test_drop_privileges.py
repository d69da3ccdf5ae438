# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges() changes every thread permanently, or no thread. tests/c/drop_privileges.c has the cases in C."""

import ast
import contextlib
import errno
import os
import pickle
import random
import re
import resource
import sys
import tempfile
import threading

import pytest
from support import odd_machine
from support.builds import in_namespaces, run
from support.children import (
    ALICE,
    BOB,
    HANG,
    LIBC,
    ROOT_IDS,
    as_plain_root,
    as_root,
    become_server_without_root,
    call_number,
    change_capabilities,
    held_elsewhere,
    ids,
    in_child,
    install_filter,
    needs_own_threads,
    needs_root,
    needs_user_namespace,
    switched_elsewhere,
)
from support.credentials import KEEP_CAPS, NO_SETUID_FIXUP, become, from_status, look, random_credentials
from support.rings import ASYNC, NOP, OPENAT, SQPOLL, Ring

import replace
from replace import Identity, drop_privileges, impersonate

IDS_OF_ALICE = ((80001,) * 3, (80011,) * 3, [80011, 80021], 80001, 80011)


@pytest.fixture(autouse=True)
def every_thread_can_drop():
    needs_own_threads()


# ---- drop_privileges


def test_drop_changes_every_thread_permanently():
    def body():
        leave, seen = threading.Event(), []

        def work():
            leave.wait(HANG)
            seen.append(ids())

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        drop_privileges(ALICE)
        leave.set()
        for thread in threads:
            thread.join()
        assert seen == [IDS_OF_ALICE] * 5
        assert ids() == IDS_OF_ALICE
        assert all(t.effective == t.permitted == 0 for t in replace.thread_credentials())
        for call in (lambda: os.setuid(0), lambda: replace.setresuid(0, 0, 0), lambda: replace.setgroups([0])):
            with pytest.raises(PermissionError):
                call()
        drop_privileges(ALICE)  # a second drop to the same user succeeds
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(BOB)
        assert caught.value.state == "unchanged"
        assert "end the process" not in str(caught.value)
        assert ids() == IDS_OF_ALICE

    as_plain_root(body)


def test_drop_works_with_65536_groups():
    needs_root()

    def body():
        replace.drop_privileges(Identity(80001, 80011, range(100_000, 100_000 + 65536)))
        return os.getresuid(), len(os.getgroups())

    assert in_child(body) == ((80001,) * 3, 65536)


def test_drop_is_refused_while_a_thread_is_switched():
    def body():
        with impersonate(BOB), pytest.raises(replace.IdentityRefused, match="1 thread holds an identity"):
            drop_privileges(ALICE)
        with switched_elsewhere(BOB), pytest.raises(replace.IdentityRefused, match="1 thread holds an identity"):
            drop_privileges(ALICE)
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE

    as_root(body)


def test_drop_is_refused_if_the_ids_of_threads_differ():
    def body():
        leave, inside = threading.Event(), threading.Event()

        def work():
            replace.setresuid(80003, 80003, 80003)  # not through a guard
            inside.set()
            leave.wait(HANG)

        worker = threading.Thread(target=work)
        worker.start()
        inside.wait()
        with pytest.raises(replace.ThreadsDiffer, match="80003"):
            drop_privileges(ALICE)
        leave.set()
        worker.join()
        assert os.geteuid() == 0

    as_root(body)


def test_drop_refuses_root_and_wrong_types():
    with pytest.raises(replace.IdentityRefused, match="allow_root"):
        drop_privileges(Identity(0, 1))
    with pytest.raises(TypeError, match="should be Identity"):
        drop_privileges("alice")


def test_failed_drop_is_rolled_back():
    """Root without CAP_SETUID: setgroups and setgid succeed, then setuid fails."""

    def body():
        change_capabilities(lambda sets: sets.__setitem__(slice(2), [bits & ~(1 << 7) for bits in sets[:2]]))
        before = ids()
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(ALICE)
        assert (caught.value.errno, caught.value.step) == (errno.EPERM, "setting the uid")
        assert caught.value.state == "rolled back"
        assert ids() == before

    as_plain_root(body)


def test_drop_of_a_server_with_only_capabilities_needs_one_thread():
    def body():
        become_server_without_root()
        leave = threading.Event()
        worker = threading.Thread(target=leave.wait)
        worker.start()
        with pytest.raises(replace.IdentityRefused, match="capabilities, which only it can drop"):
            drop_privileges(ALICE)
        assert os.geteuid() == 1000
        leave.set()
        worker.join()
        while len(replace.thread_credentials()) > 1:
            pass
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE
        assert replace.thread_credentials()[0].permitted == 0

    as_plain_root(body)


@contextlib.contextmanager
def prepared(prepare):
    """Call a function when the block begins."""
    prepare()
    yield


def change_own_id_capabilities(sets):
    sets[0] &= ~(1 << 7)  # CAP_SETUID, effective


def test_drop_is_refused_if_only_some_threads_may_change_ids():
    """libc's call would succeed in one thread and fail in the other, and libc would abort the process."""

    def body():
        with (
            held_elsewhere(prepared(lambda: change_capabilities(change_own_id_capabilities))) as worker,
            pytest.raises(replace.ThreadsDiffer, match="capabilities") as caught,
        ):
            drop_privileges(ALICE)
        assert [thread.tid for thread in caught.value.threads] == [worker.native_id]
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE

    as_plain_root(body)


@pytest.mark.parametrize("bit", [2, 4], ids=["NO_SETUID_FIXUP", "KEEP_CAPS"])
def test_drop_with_securebits_that_keep_capabilities_needs_one_thread(bit):
    """Otherwise the other threads would stay capable, and nobody could change that."""

    def body():
        assert LIBC.prctl(28, 1 << bit, 0, 0, 0) == 0  # PR_SET_SECUREBITS
        with (
            held_elsewhere(contextlib.nullcontext()),
            pytest.raises(replace.IdentityRefused, match="capabilities, which only it can drop"),
        ):
            drop_privileges(ALICE)
        assert os.getresuid() == (0, 0, 0)
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE
        assert replace.thread_credentials()[0].permitted == 0

    as_plain_root(body)


def test_thread_that_did_not_change_is_found():
    """A filter answers the thread's setresuid() with success. Nobody but the kernel knows that it is still root."""

    def body():
        call_number("setresuid")
        with held_elsewhere(prepared(lambda: install_filter("setresuid", 0))) as worker:
            before = threads()
            with pytest.raises(replace.DropFailed, match="has not become the user") as caught:
                drop_privileges(ALICE)
            assert (caught.value.step, caught.value.state) == ("verifying", "rolled back")
            assert f"<thread {worker.native_id} " in str(caught.value)
            assert threads() == before

    as_plain_root(body)


def test_call_that_only_reports_success_is_found():
    def body():
        install_filter("setresgid", 0)
        with pytest.raises(replace.DropFailed, match="the calling thread has not become the user") as caught:
            drop_privileges(ALICE)
        assert caught.value.state == "rolled back"
        assert os.getresuid() == (0, 0, 0)

    as_plain_root(body)


def test_threads_that_have_just_ended_do_not_matter():
    """The kernel still lists some of them, with the ids of BOB."""

    def body():
        def work():
            replace.setresuid(80002, 80002, 80002)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drop_privileges(ALICE)
        return ids()

    if replace.SCOPE == "thread":
        assert [as_root(body) for _ in range(30)] == [IDS_OF_ALICE] * 30 or os.geteuid() != 0


# ---- Capabilities and keyrings that would stay


def threads():
    """Return ids and capability sets of all threads of this process, from /proc."""
    found = {}
    for tid in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{tid}/status", "rb") as file:
            found[tid] = from_status(file.read())
    return found


def set_securebits(bits):
    assert LIBC.prctl(28, bits, 0, 0, 0) == 0  # PR_SET_SECUREBITS


@pytest.mark.parametrize("uids", [(0, 0, 0), (1000, 0, 0), (0, 0, 1000)], ids=str)
def test_thread_that_would_keep_its_capabilities_is_found_before_the_drop(uids):
    """Nobody can read the securebits of another thread. It shows them when the effective uid changes."""

    def body():
        os.setresuid(*uids)
        with held_elsewhere(prepared(lambda: set_securebits(NO_SETUID_FIXUP))) as worker:
            before = threads()
            with pytest.raises(replace.DropFailed, match="would keep capabilities; clear its securebits") as caught:
                drop_privileges(ALICE)
            assert (caught.value.step, caught.value.state) == ("checking capabilities", "rolled back")
            assert f"<thread {worker.native_id} " in str(caught.value)
            assert threads() == before
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE

    as_plain_root(body)


def test_thread_with_keepcaps_is_named_after_the_drop():
    """Nothing shows this bit before the last step. So the process has no way back, and the exception says so."""

    def body():
        with held_elsewhere(prepared(lambda: set_securebits(KEEP_CAPS))) as worker:
            with pytest.raises(replace.DropFailed, match="has not become the user") as caught:
                drop_privileges(ALICE)
            assert (caught.value.step, caught.value.state) == ("verifying", "tainted")
            assert (pickle.loads(pickle.dumps(caught.value)).hint, caught.value.hint) == ("end the process",) * 2
            assert f"<thread {worker.native_id} " in str(caught.value)
            for one in threads().values():
                assert one[:3] == ((80001,) * 4, (80011,) * 4, (80011, 80021))
                assert one.effective == 0

    as_plain_root(body)


def test_drop_is_refused_if_another_thread_has_inheritable_capabilities():
    """A file with inheritable capabilities would give them to the user's program."""

    def body():
        def prepare():
            change_capabilities(lambda sets: sets.__setitem__(2, 1 << 13))  # CAP_NET_RAW

        with held_elsewhere(prepared(prepare)) as worker:
            before = threads()
            with pytest.raises(
                replace.IdentityRefused, match="which only it can drop, also inheritable ones"
            ) as caught:
                drop_privileges(ALICE)
            assert f"<thread {worker.native_id} " in str(caught.value)
            assert threads() == before
        change_capabilities(lambda sets: sets.__setitem__(2, 1 << 13))
        drop_privileges(ALICE)  # the calling thread drops its own
        assert look().inheritable == 0

    as_plain_root(body)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_drop_from_random_capabilities(elsewhere):
    """Either nothing changed, or no thread has a capability. Only KEEP_CAPS of another thread cannot be seen before."""
    choose = random.Random(1)

    def body(start, bits_elsewhere):
        manager = prepared(lambda: set_securebits(bits_elsewhere)) if elsewhere else contextlib.nullcontext()
        with contextlib.ExitStack() as stack:
            if elsewhere:
                stack.enter_context(held_elsewhere(manager))
            become(start)
            before = threads()
            try:
                drop_privileges(ALICE)
            except (replace.IdentityRefused, replace.ThreadsDiffer):
                assert threads() == before
                return "refused"
            except replace.DropFailed as error:
                if error.state != "tainted":
                    assert threads() == before
                return error.state
            for one in threads().values():
                assert one[:3] == ((80001,) * 4, (80011,) * 4, (80011, 80021))
                assert one.permitted | one.effective | one.inheritable | one.ambient == 0
            for call in (lambda: os.setuid(0), lambda: os.setresuid(-1, 0, -1), lambda: os.setgroups([])):
                with pytest.raises(PermissionError):
                    call()
            return "dropped"

    needs_root()
    results = {}
    for _ in range(10 if elsewhere else 150):  # a thread in the way is waited for
        start = random_credentials(choose, look(), (0, 80001, 1000), (0, 80011, 1000))
        bits = choose.choice([0, 0, NO_SETUID_FIXUP, KEEP_CAPS])
        if elsewhere and choose.random() < 0.7:
            start = look()._replace(securebits=start.securebits)
        result = in_child(body, start, bits)
        assert result != "tainted" or (elsewhere and bits == KEEP_CAPS), (start, bits)
        results[result] = results.get(result, 0) + 1
    assert results["dropped"] > 0, results
    assert results["refused" if elsewhere else "unchanged"] > 0, results


def test_drop_of_root_needs_no_capset():
    """The kernel drops the capabilities of root. A filter refuses capset(2), after which there is no way back."""

    def body():
        install_filter("capset", errno.EPERM)
        drop_privileges(ALICE)
        assert look().permitted == 0
        return ids()

    assert as_plain_root(body) == IDS_OF_ALICE


def session_keyring():
    """Return the serial number of the session keyring of the calling thread: keyctl(2), KEYCTL_GET_KEYRING_ID."""
    serial = LIBC.syscall(call_number("keyctl"), 0, -3, 0)
    if serial < 0:
        pytest.skip("needs keyctl(2)")
    return serial


def test_session_keyring_of_root_does_not_stay():
    def body():
        root = session_keyring()
        drop_privileges(ALICE)
        mine = session_keyring()
        assert mine != root
        drop_privileges(ALICE)  # nothing to drop
        assert session_keyring() == mine

    session_keyring()
    as_plain_root(body)


def test_drop_is_rolled_back_if_the_keyring_is_full():
    def body():
        install_filter("keyctl", errno.EDQUOT)
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(ALICE)
        assert (caught.value.step, caught.value.state) == ("joining a new session keyring", "rolled back")
        assert ids() == ROOT_IDS

    session_keyring()
    as_plain_root(body)


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_drop_needs_no_keyrings(error):
    def body():
        install_filter("keyctl", error)
        drop_privileges(ALICE)
        return ids()

    session_keyring()
    assert as_plain_root(body) == IDS_OF_ALICE


# ---- io_uring


def refused_for_io_uring():
    with pytest.raises(replace.IdentityRefused, match="io_uring") as caught:
        drop_privileges(ALICE)
    assert os.getresuid() == (0, 0, 0)
    return str(caught.value)


def test_drop_is_refused_while_a_ring_can_act_as_root(root_file):
    def body():
        ring = Ring()
        root = ring.register_personality()
        refused_for_io_uring()
        drop_privileges(ALICE, allow_io_uring=True)
        assert ids() == IDS_OF_ALICE
        with pytest.raises(PermissionError):
            os.open(root_file, os.O_RDONLY)
        assert ring.do(OPENAT, path=os.fsencode(root_file)) == -errno.EACCES
        return ring.do(OPENAT, path=os.fsencode(root_file), personality=root)  # the reason

    assert as_plain_root(body) >= 0


def test_drop_is_refused_while_an_idle_worker_of_io_uring_lives():
    """The ring is only mapped. Its worker keeps the ids of root, and waits for work."""

    def body():
        ring = Ring()
        assert ring.do(NOP, ASYNC) == 0
        ring.close_descriptors()
        assert "iou-wrk-" in refused_for_io_uring()
        drop_privileges(ALICE, allow_io_uring=True)
        assert ids() == IDS_OF_ALICE
        return [thread.uids[0] for thread in replace.thread_credentials() if thread.of_io_uring]

    assert as_plain_root(body) == [0]


def test_drop_is_refused_while_a_submitting_thread_of_io_uring_lives():
    def body():
        ring = Ring(SQPOLL)
        ring.close_descriptors()
        assert "iou-sqp-" in refused_for_io_uring()

    as_plain_root(body)


def test_drop_is_refused_if_one_thread_alone_has_the_ring():
    def body():
        def prepare():
            assert LIBC.unshare(0x400) == 0  # CLONE_FILES: its own table of descriptors
            rings.append(Ring())

        rings = []
        with held_elsewhere(prepared(prepare)) as worker:
            for fd in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):
                    assert "io_uring" not in os.readlink(f"/proc/self/fd/{fd}")
            assert f"<thread {worker.native_id} " in refused_for_io_uring()

    as_plain_root(body)


@pytest.mark.parametrize("flags", [0, SQPOLL])
def test_closed_ring_does_not_matter(flags):
    """The kernel ends the threads of a closed ring a little later."""

    def body():
        ring = Ring(flags)
        ring.register_personality()
        if not flags:
            assert ring.do(NOP, ASYNC) == 0
        ring.close()
        drop_privileges(ALICE)
        return ids()

    assert as_plain_root(body) == IDS_OF_ALICE


# ---- User namespaces

#: A container's usual map, and a group outside of it
MAP, HIDDEN = "0 100000 65536", 7777


def in_container(body, groups):
    """Run body() as uid 0 in a user namespace, and return its result. It has groups that may not be mapped there."""
    needs_root()
    needs_user_namespace()

    def child(writer):
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.write(writer, repr(body()).encode())
        os._exit(0)

    def outside():
        os.setgroups(groups)
        reader, writer = os.pipe()
        odd_machine._in_new_user_namespace(lambda: child(writer), lambda pid: odd_machine._write_maps(pid, MAP, MAP))
        return os.read(reader, 4096).decode()

    return ast.literal_eval(in_child(outside))


def drop_to_nobody(gid=65534):
    try:
        replace.drop_privileges(Identity(65534, gid, [65534]))
    except replace.DropFailed as error:
        return error.step, error.state
    return os.getresuid()


def test_hidden_group_does_not_survive_a_drop():
    """The kernel shows the hidden group as 65534, so it looks as if the groups were right already."""
    needs_root()
    with tempfile.NamedTemporaryFile() as file:
        os.chown(file.name, 0, HIDDEN)
        os.chmod(file.name, 0o640)

        def seen():
            return os.getgroups(), os.access(file.name, os.R_OK)

        def body():
            return seen(), drop_to_nobody(), seen()

        assert in_container(body, [HIDDEN]) == (([65534], True), (65534,) * 3, ([65534], False))


@pytest.mark.parametrize(("groups", "state"), [([100005], "rolled back"), ([HIDDEN], "tainted")])
def test_roll_back_that_loses_a_hidden_group_taints(groups, state):
    """gid 70000 is not mapped, so the drop fails after setgroups()."""
    assert in_container(lambda: drop_to_nobody(70000), groups) == ("setting the gid", state)


def test_user_with_a_hidden_group_has_not_dropped_yet():
    """A process without privileges that has the right numbers may still have a group that is hidden."""

    def body():
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        return drop_to_nobody()

    assert in_container(body, [HIDDEN]) == ("setgroups", "unchanged")


# ---- /proc


DROP = """
import os, threading, replace
def drop():
    try:
        replace.drop_privileges(replace.Identity(80001, 80011))
        print("dropped", os.getresuid())
    except (replace.IdentityRefused, replace.ThreadsDiffer) as error:
        print(type(error).__name__, os.getresuid(), error)
"""


def unshared(flags, command, script):
    needs_root()
    words = ["sh", "-c", command.format(f'exec {sys.executable} -c "$0"'), script]
    out = run(*in_namespaces(*flags), *words, cwd="/")
    return out.stdout + out.stderr


def test_drop_without_proc_is_refused():
    needs_root()
    script = (
        "import replace\ntry: replace.drop_privileges(replace.Identity(80001, 80011))\n"
        "except replace.IdentityRefused as error: print(error)\n"
    )
    command = f'mount -t tmpfs none /proc && exec {sys.executable} -c "$0"'
    out = run(*in_namespaces("-m"), "sh", "-c", command, script, cwd="/")
    assert "/proc cannot be read" in out.stdout, out.stderr


def test_drop_without_a_free_descriptor_says_so():
    def body():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        for call in (replace.assert_clean, lambda: drop_privileges(ALICE)):
            reason = re.escape(os.strerror(errno.EMFILE))
            with pytest.raises(replace.IdentityRefused, match=f"{reason}.*try again later") as caught:
                call()
            assert caught.value.errno == errno.EMFILE
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        drop_privileges(ALICE)

    as_root(body)


def test_drop_in_another_pid_namespace_than_that_of_proc():
    """/proc/self is this process, under other numbers than its own."""
    out = unshared(["--pid", "--fork"], "{}; true", DROP + "drop()")
    assert out == "dropped (80001, 80001, 80001)\n"


def test_thread_that_differs_is_found_in_another_pid_namespace():
    script = """
worker = threading.Thread(target=lambda: (replace.setresuid(5, 5, 5), met.wait(), met.wait()))
met = threading.Barrier(2)
worker.start()
met.wait()
drop()
met.wait()
"""
    if replace.SCOPE == "thread":
        out = unshared(["--pid", "--fork"], "{}; true", DROP + script)
        assert out.startswith("ThreadsDiffer (0, 0, 0)"), out


def test_drop_is_refused_if_proc_does_not_know_the_process():
    """A /proc of an inner pid namespace has no /proc/self for a process outside."""
    out = unshared(["-m"], "unshare --pid --fork mount -t proc none /proc && {}", DROP + "drop()")
    assert out.startswith("IdentityRefused (0, 0, 0) /proc cannot be read (No such file or directory)"), out


def test_drop_is_refused_if_proc_is_not_the_kernels():
    fake = "mount -t tmpfs none /mnt && mkdir -p /mnt/self/task/1 && cp /proc/self/st* /mnt/self/task/1/"
    out = unshared(["-m"], fake + " && mount --bind /mnt /proc && {}", DROP + "drop()")
    assert out.startswith("IdentityRefused (0, 0, 0) /proc "), out


def test_drop_is_refused_if_proc_shows_another_process():
    """A bind mount puts the folder of the parent process in the place of this one's."""
    script = "import os; os.system(f'mount --bind /proc/{os.getppid()} /proc/{os.getpid()}')\n" + DROP + "drop()"
    out = unshared(["-m"], "{}; true", script)
    assert out.startswith("IdentityRefused (0, 0, 0) /proc "), out
