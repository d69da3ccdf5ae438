# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Whose ids /proc shows: in PID namespaces, with hidden entries, with missing fields, and without /proc.

Every case is a real mount or namespace, which a child of the test makes. On kernels other than Linux, and on builds
whose calls change the whole process, threads cannot differ.
"""

import contextlib
import os
import sys
import threading

import pytest
from support.builds import run
from support.children import (
    ALICE,
    HANG,
    ROOT_IDS,
    become_server_without_root,
    change_capabilities,
    ids,
    switched_elsewhere,
)
from support.proc_mounts import (
    another_process,
    in_new_pid_namespace,
    in_private_mounts,
    link_only,
    mount,
    replace_file,
    start_pid_namespace,
)

import replace
from replace import Identity, IdentityExecutor, IdentityRefused, ThreadsDiffer, drop_privileges, impersonate

pytestmark = pytest.mark.per_thread

OTHER_NAMESPACE = "numbers of another PID namespace"


@contextlib.contextmanager
def clean_thread():
    """Keep a thread with the ids of the main thread during the block; yield it."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        yield thread
    finally:
        leave.set()
        thread.join()


def make_pool():
    """Make a pool in this thread. Return the uid of a task and the ids that a worker starts with, or the refusal."""
    started = []
    try:
        with IdentityExecutor(1, initializer=lambda: started.append(ids())) as pool:
            return pool.submit(ALICE, replace.getfsuid).result(), started[0]
    except IdentityRefused as error:
        return str(error)


POOL = (80001, ROOT_IDS)


def in_thread(function, inside=contextlib.nullcontext):
    """The result of a function in a thread that starts inside a block. The thread waits for the end of the block."""
    go, outcome = threading.Event(), []

    def work():
        go.wait(HANG)
        outcome.append(function())

    thread = threading.Thread(target=work)
    with inside():
        thread.start()
    go.set()
    thread.join()
    return outcome[0]


def under_alice():
    return impersonate(ALICE)


def check_truth():
    """Every function sees the threads of this process, and gives them the numbers that they have in this process."""
    with clean_thread() as thread:
        found = replace.thread_credentials()
        assert [one.tid for one in found] == [os.getpid(), thread.native_id]
        assert [one.uids for one in found] == [(0, 0, 0, 0)] * 2
        assert [one.tid for one in replace.thread_credentials(os.getpid())] == [os.getpid(), thread.native_id]
        replace.assert_clean()
    for level in ("shielded", "filesystem"):
        with switched_elsewhere(ALICE, level) as thread:
            with pytest.raises(ThreadsDiffer, match=f"thread {thread.native_id} .*80001") as caught:
                replace.assert_clean()
            assert [one.tid for one in caught.value.threads] == [thread.native_id]
    assert make_pool() == in_thread(make_pool) == POOL
    assert "ids differ from the main thread's (uids (" in in_thread(make_pool, under_alice)
    with clean_thread():
        drop_privileges(ALICE)
        assert [one.uids for one in replace.thread_credentials()] == [(80001,) * 4] * 2


def check_refusals(words):
    """Every function that compares threads is refused before anything changes. The main thread can make a pool."""
    with pytest.raises(IdentityRefused, match=words):
        replace.assert_clean()
    with clean_thread(), pytest.raises(IdentityRefused, match=words):
        drop_privileges(ALICE)
    assert ids() == ROOT_IDS
    for inside in (contextlib.nullcontext, under_alice):
        assert "the ids of the threads are unknown" in in_thread(make_pool, inside)
    assert make_pool() == POOL


# ---- PID namespaces


def test_proc_of_an_outer_pid_namespace_shows_this_process():
    in_new_pid_namespace(check_truth)


def test_other_processes_are_refused_in_an_outer_pid_namespace():
    """The number of a child of this process belongs to another process in this /proc, or to none."""

    def body():
        with another_process() as child:
            assert (os.getpid(), child) == (1, 2)
            for number in (child, 1, 2**22 + 1):
                with pytest.raises(IdentityRefused, match=OTHER_NAMESPACE):
                    Identity.of_process(number)
            for number in (child, 2**22 + 1):
                with pytest.raises(OSError, match=OTHER_NAMESPACE):
                    replace.thread_credentials(number)
                out = run(sys.executable, "-m", "replace", "threads", number, cwd="/")
                assert (out.returncode, out.stdout) == (2, "")
                assert OTHER_NAMESPACE in out.stderr
            mount("none", "/proc", "proc")
            assert [one.tid for one in replace.thread_credentials(child)] == [child]
            assert Identity.of_process(child) == Identity.of_process(1) == Identity(0, 0)

    in_new_pid_namespace(body)


def test_process_of_an_inner_pid_namespace_has_its_number_in_this_one():
    def body():
        inner = start_pid_namespace(lambda: None)
        assert [one.tid for one in replace.thread_credentials(inner)] == [inner]
        assert Identity.of_process(inner) == Identity(0, 0)

    in_private_mounts(body)


def test_proc_of_an_inner_pid_namespace_is_refused():
    """It has no entries for processes outside of its namespace, so /proc/self leads nowhere."""

    def body():
        with another_process(lambda: start_pid_namespace(lambda: mount("none", "/proc", "proc"))):
            assert os.listdir("/proc/1/task") == ["1"]
            check_refusals("/proc cannot be read")
            for number in (1, os.getpid()):
                with pytest.raises(IdentityRefused, match="/proc cannot be read"):
                    Identity.of_process(number)
                with pytest.raises(OSError, match="/proc/self/"):
                    replace.thread_credentials(number)

    in_private_mounts(body)


def test_server_with_only_capabilities_drops_in_an_outer_pid_namespace():
    """Other threads must have no capabilities. So the calling thread must be told from the others by its number."""

    def body():
        become_server_without_root()
        with clean_thread(), pytest.raises(IdentityRefused, match="has capabilities"):
            drop_privileges(ALICE)
        drop_privileges(ALICE)
        return ids()

    assert in_new_pid_namespace(body)[0] == (80001,) * 3


# ---- Hidden entries


def test_threads_are_found_without_thread_self(tmp_path):
    """As in kernels before Linux 3.17."""

    def body():
        link_only("self", tmp_path)
        assert os.path.exists("/proc/self/status")
        assert not os.path.exists("/proc/thread-self")
        check_truth()

    in_private_mounts(body)


def test_pool_needs_the_main_thread_in_an_outer_pid_namespace_without_thread_self(tmp_path):
    """The numbers in /proc/self/task are then those of other threads, if they exist."""

    def body():
        link_only("self", tmp_path)
        with switched_elsewhere(ALICE) as thread, pytest.raises(ThreadsDiffer, match=f"thread {thread.native_id} "):
            replace.assert_clean()
        for inside in (contextlib.nullcontext, under_alice):
            assert "the ids of the threads are unknown" in in_thread(make_pool, inside)
        assert make_pool() == POOL

    in_new_pid_namespace(body)


def test_self_that_leads_to_another_process_is_refused(tmp_path):
    def body():
        link_only(str(os.getppid()), tmp_path)
        check_refusals("does not show this process")
        with pytest.raises(OSError, match="does not show this process"):
            replace.thread_credentials()
        with pytest.raises(IdentityRefused, match=OTHER_NAMESPACE):
            Identity.of_process(os.getpid())

    in_private_mounts(body)


def test_missing_proc_is_refused():
    def body():
        mount("none", "/proc", "tmpfs")
        check_refusals("/proc cannot be read")

    in_private_mounts(body)


def test_own_threads_are_found_if_proc_hides_other_processes():
    """/proc is mounted with hidepid=2, and the process has no CAP_SYS_PTRACE."""

    def body():
        mount("none", "/proc", "proc", data="hidepid=2,gid=80099")
        change_capabilities(lambda sets: sets.__setitem__(slice(2), [bits & ~(1 << 19) for bits in sets[:2]]))
        for number in (1, os.getppid()):
            with pytest.raises(FileNotFoundError):
                replace.thread_credentials(number)
            with pytest.raises(ProcessLookupError, match="hidepid"):
                Identity.of_process(number)
        check_truth()

    in_private_mounts(body)


# ---- Missing fields


def change_status(change, scratch):
    """Change the text of the main thread's status file."""
    with open("/proc/self/status") as file:
        text = change(file.read())
    for path in ("/proc/self/status", "/proc/thread-self/status"):
        replace_file(path, text, scratch)


@pytest.mark.parametrize("field", ["Groups", "Uid", "Gid", "CapEff", "CapPrm"])
@pytest.mark.parametrize("how", ["missing", "wrong"])
def test_error_names_a_field_that_the_kernel_does_not_show(field, how, tmp_path):
    def change(text):
        lines = [line for line in text.splitlines(True) if not line.startswith(f"{field}:")]
        return "".join([*lines, *([f"{field}:\t0 0 ?\n"] if how == "wrong" else [])])

    def body():
        change_status(change, tmp_path)
        words = f"no field {field} as proc_pid_status"
        with pytest.raises(OSError, match=words):
            replace.thread_credentials()
        check_refusals(words)
        assert words in in_thread(make_pool)

    in_private_mounts(body)


@pytest.mark.parametrize("field", ["Tgid", "Pid"])
def test_error_names_a_missing_number(field, tmp_path):
    def body():
        change_status(lambda text: text.replace(f"\n{field}:", "\nX:"), tmp_path)
        with pytest.raises(OSError, match=f"no field {field} as"):
            replace.thread_credentials()
        with pytest.raises(IdentityRefused, match=f"no field {field} as"):
            replace.assert_clean()

    in_private_mounts(body)


def test_kernel_without_pid_namespaces_shows_this_process(tmp_path):
    """It shows no field NSpid. Nor does Linux before 4.1, in whose PID namespaces nobody can tell."""

    def body():
        change_status(lambda text: text.replace("\nNSpid:", "\nX:"), tmp_path)
        replace.assert_clean()
        assert replace.thread_credentials()[0].tid == os.getpid()
        assert in_thread(make_pool) == POOL
        assert Identity.of_process(os.getpid()) == Identity(0, 0)

    def inside():
        change_status(lambda text: text.replace("\nNSpid:", "\nX:"), tmp_path)
        with pytest.raises(IdentityRefused, match="does not show this process"):
            replace.assert_clean()
        assert "the ids of the threads are unknown" in in_thread(make_pool)
        with pytest.raises(IdentityRefused, match=OTHER_NAMESPACE):
            Identity.of_process(1)

    in_private_mounts(body)
    in_new_pid_namespace(inside)


def test_command_names_a_missing_field(tmp_path):
    def body():
        with another_process() as child:
            with open(f"/proc/{child}/status") as file:
                text = file.read().replace("\nGroups:", "\nX:")
            replace_file(f"/proc/{child}/task/{child}/status", text, tmp_path)
            out = run(sys.executable, "-m", "replace", "threads", child, cwd="/")
            assert (out.returncode, out.stdout) == (2, "")
            assert "no field Groups" in out.stderr

    in_private_mounts(body)
