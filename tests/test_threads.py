# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace threads PID` on real processes, with real identities and a real io_uring worker.

The command runs as a separate program and examines a child of the test.
"""

import ctypes
import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.builds import in_namespaces, run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LIBC,
    SHIELD,
    as_root,
    change_capabilities,
    in_child,
    needs_root,
    needs_true_ids,
    switched_elsewhere,
    wait_until,
)

import replace
from replace import ThreadCredentials, impersonate
from replace._proc import own_status

ALL_EQUAL = "no thread differs from the main thread"


def threads(*arguments, **kwargs):
    return run(sys.executable, "-m", "replace", "threads", *arguments, cwd="/", **kwargs)


def document(pid):
    out = threads(pid, "--json")
    assert out.returncode in (0, 1), out.stderr
    return json.loads(out.stdout)


def status(pid, tid):
    return Path(f"/proc/{pid}/task/{tid}/status").read_text()


def test_process_with_one_thread_has_no_marked_thread():
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            out = threads(child.pid)
        finally:
            child.kill()
    assert out.returncode == 0
    assert out.stdout.splitlines()[-1] == ALL_EQUAL
    (row,) = [line for line in out.stdout.splitlines() if line.strip().startswith(str(child.pid))]
    assert "*" not in row


def test_thread_that_holds_an_identity_is_marked():
    def body():
        with switched_elsewhere(ALICE, "shielded") as worker:
            out = threads(os.getpid())
            marked = [line.split() for line in out.stdout.splitlines()[1:] if line.startswith("*")]
            ((star, tid, *_, uids, gids, groups, effective, permitted),) = marked
            uid = replace.getresuid()[0]
            assert (star, int(tid), out.returncode) == ("*", worker.native_id, 1)
            assert uids.split("/")[1:] == ["80001", "0", "80001"]
            assert uids.split("/")[0] != str(uid)
            assert (gids, groups, effective) == ("80011/80011/0/80011", "80011,80021", "0")
            assert int(permitted, 16) == replace.thread_credentials()[0].permitted
            assert out.stdout.splitlines()[-1] == "1 of 2 threads differ from the main thread"
        out = threads(os.getpid())
        assert (out.returncode, out.stdout.splitlines()[-1]) == (0, ALL_EQUAL)

    as_root(body)


def test_threads_json_agrees_with_proc():
    def body():
        with switched_elsewhere(ALICE, "filesystem") as worker:
            found = document(os.getpid())
            assert list(found) == ["pid", "threads"]
            assert found["pid"] == os.getpid()
            assert [row["tid"] for row in found["threads"]] == [os.getpid(), worker.native_id]
            for row in found["threads"]:
                text = status(os.getpid(), row["tid"])
                fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
                assert list(row) == [
                    "tid", "name", "uids", "gids", "groups", "effective", "permitted", "differs", "kernel",
                ]  # fmt: skip
                assert row["name"] == fields["Name"]
                for name, field in (("uids", "Uid"), ("gids", "Gid"), ("groups", "Groups")):
                    assert row[name] == [int(word) for word in fields[field].split()]
                assert row["effective"] == int(fields["CapEff"], 16)
                assert row["permitted"] == int(fields["CapPrm"], 16)
            assert [(row["differs"], row["kernel"]) for row in found["threads"]] == [(False, False), (True, False)]
            assert found["threads"][1]["uids"] == [0, 0, 0, 80001]

    as_root(body)


def test_thread_that_differs_only_in_capabilities_is_marked():
    def body():
        stop, ready = threading.Event(), threading.Event()

        def work():
            change_capabilities(lambda sets: sets.__setitem__(slice(0, 6), [0] * 6))
            ready.set()
            stop.wait(HANG)

        worker = threading.Thread(target=work)
        worker.start()
        assert ready.wait(HANG)
        rows = document(os.getpid())["threads"]
        stop.set()
        worker.join()
        assert [row["differs"] for row in rows] == [False, True]
        assert rows[0]["uids"] == rows[1]["uids"]
        assert (rows[1]["effective"], rows[1]["permitted"]) == (0, 0)

    as_root(body)


def test_long_group_list_is_shortened_only_in_text():
    needs_root()

    def body():
        os.setgroups(range(90000, 90100))
        out = threads(os.getpid())
        assert "90000,90001,90002,90003,90004,90005,... (94 more)" in out.stdout
        assert "90006" not in out.stdout
        assert document(os.getpid())["threads"][0]["groups"] == list(range(90000, 90100))

    in_child(body)


def test_thread_id_is_accepted_for_its_process():
    def body():
        stop = threading.Event()
        worker = threading.Thread(target=stop.wait)
        worker.start()
        found = document(worker.native_id)
        mine = replace.thread_credentials(worker.native_id)
        stop.set()
        worker.join()
        assert found["pid"] == os.getpid()
        assert [row["tid"] for row in found["threads"]] == [os.getpid(), worker.native_id]
        assert [thread.tid for thread in mine] == [os.getpid(), worker.native_id]

    in_child(body)


#: A thread's name -> how the command shows it, and the value in its JSON. The kernel escapes line ends.
NAMES = {
    b"\x1b[2Jhidden": (r"\u001b[2Jhidden", "\x1b[2Jhidden"),
    b"a\nUid:\t0\r": (r"a\nUid:\u00090", r"a\nUid:" + "\t0"),
    "\x9b2J\x85".encode(): (r"\u009b2J", "\x9b2J"),
    "\u202eevil\u2066x".encode(): (r"\u202eevil\u2066x", "\u202eevil\u2066x"),
    b"\xff\x9b\xe2\x80": ("\ufffd", "\ufffd\ufffd\ufffd"),
    b"\x7f\x08": (r"\u007f", "\x7f\x08"),
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_thread_name_cannot_send_terminal_escapes(name):
    shown, value = NAMES[name]

    def body():
        assert LIBC.prctl(15, name, 0, 0, 0) == 0  # PR_SET_NAME
        out = threads(os.getpid())
        assert shown in out.stdout
        assert out.stdout.replace("\n", "").isprintable()
        assert len(out.stdout.splitlines()) == 5
        out = threads("--json", os.getpid())
        assert out.stdout.replace("\n", "").isprintable()
        assert json.loads(out.stdout)["threads"][0]["name"] == value

    in_child(body)


# ---- Errors: exit status 2


def failed(out, reason):
    assert (out.returncode, out.stdout) == (2, "")
    lines = [line for line in out.stderr.splitlines() if "your CPU L2 cache" not in line]  # PyPy warns without /proc
    assert len(lines) == 1
    assert lines[0].startswith("libreplace threads: ")
    assert reason in lines[0]


@pytest.mark.parametrize("pid", [2**22 + 1, 0, -1])
def test_unknown_process_exits_with_2(pid):
    failed(threads(pid), f"there is no process {pid}")


def test_process_that_ends_between_listing_and_reading_raises():
    """After the threads were listed, an audit hook kills the process when its first status file is opened."""

    def body():
        child = subprocess.Popen(["sleep", "60"])

        def end(event, arguments):
            if event == "open" and str(arguments[0]).startswith(f"/proc/{child.pid}/task/") and child.poll() is None:
                child.kill()
                child.wait(HANG)

        sys.addaudithook(end)
        with pytest.raises(ProcessLookupError) as caught:
            replace.thread_credentials(child.pid)
        assert caught.value.errno == errno.ESRCH
        assert child.returncode is not None

    in_child(body)


def test_thread_that_ends_between_listing_and_reading_is_left_out():
    def body():
        stop = threading.Event()
        worker = threading.Thread(target=stop.wait)
        worker.start()
        gone = []

        def end(event, arguments):
            if event == "open" and str(arguments[0]).startswith("/proc/") and not gone:
                gone.append(arguments[0])
                stop.set()
                worker.join()
                while os.path.exists(f"/proc/self/task/{worker.native_id}"):
                    time.sleep(0.001)

        sys.addaudithook(end)
        assert [thread.tid for thread in replace.thread_credentials()] == [os.getpid()]
        assert gone

    in_child(body)


def test_hidden_process_exits_with_2():
    """/proc is mounted with hidepid=1 (proc(5)), and the command has no CAP_SYS_PTRACE."""
    needs_root()
    command = (
        "mount -t proc -o hidepid=1,gid=80099 proc /proc && "
        'exec setpriv --inh-caps=-sys_ptrace --bounding-set=-sys_ptrace "$0" -m replace threads 1'
    )
    tool("setpriv", "drops a capability")
    failed(run(*in_namespaces("-m"), "sh", "-c", command, sys.executable, cwd="/"), "as root")


def test_missing_proc_exits_with_2():
    needs_root()
    command = 'mount -t tmpfs none /proc && exec "$0" -m replace threads 1'
    failed(run(*in_namespaces("-m"), "sh", "-c", command, sys.executable, cwd="/"), "no /proc")


def test_help_explains_the_exit_status():
    text = " ".join(threads("--help").stdout.split())
    assert (
        "0 every thread has the main thread's credentials 1 a thread differs from the main thread 2 the threads" in text
    )
    assert threads("alice").returncode == 2


# ---- io_uring


def set_up_ring():
    """Make a ring with a polling kernel thread (io_uring_setup(2)); return its descriptor, or -1 on failure."""
    parameters = (ctypes.c_uint32 * 30)()  # struct io_uring_params, 120 bytes
    parameters[2] = 2  # flags: IORING_SETUP_SQPOLL
    return LIBC.syscall(425, 4, parameters)


def test_io_uring_worker_keeps_the_identity_and_is_marked():
    """If io_uring is refused (sysctl io_uring_disabled, seccomp), the test uses made-up fields of a status file."""

    def body():
        with impersonate(ALICE):
            ring = set_up_ring()
        if ring < 0:
            assert ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)
            worker = ThreadCredentials(7, {**own_status(), "Name": "iou-sqp-6"})
            assert worker.of_io_uring
            assert repr(worker).startswith("<thread 7 (iou-sqp-6, of io_uring): uids")
            return "refused"
        wait_until(lambda: any(thread.of_io_uring for thread in replace.thread_credentials()), "the worker of io_uring")
        out = threads(os.getpid())
        assert out.returncode == 1
        main, worker = document(os.getpid())["threads"]
        assert re.fullmatch(r"iou-sqp-\d+", worker["name"])  # the number in the outermost PID namespace
        assert f"{worker['name']} (kernel, io_uring)" in out.stdout
        assert (main["kernel"], main["differs"]) == (False, False)
        assert (worker["kernel"], worker["differs"]) == (True, True)
        assert worker["uids"] == [SHIELD, 80001, 0, 80001]
        with pytest.raises(replace.ThreadsDiffer, match="of io_uring"):
            replace.assert_clean()
        os.close(ring)
        return "worked"

    seen = as_root(body)
    print(f"io_uring_setup: {seen}")
    assert seen in ("worked", "refused", None)


@pytest.mark.parametrize(
    ("name", "kernel"), [("iou-sqp-1", True), ("iou-wrk-1", True), ("iou-other", False), ("python", False)]
)
def test_io_uring_workers_are_recognized_by_name(name, kernel):
    thread = ThreadCredentials(7, {**own_status(), "Name": name})
    assert thread.of_io_uring is kernel
    assert ("of io_uring" in repr(thread)) is kernel


def test_thread_credentials_reads_this_and_another_process():
    needs_true_ids()
    mine = replace.thread_credentials()
    assert mine[0].tid == os.getpid()
    assert mine[0].uids[:2] == (os.getuid(), os.geteuid())
    (init,) = replace.thread_credentials(1)[:1]
    assert init.tid == 1
    with pytest.raises(FileNotFoundError):
        replace.thread_credentials(2**22 + 1)
    assert "main" not in repr(init)
    assert f"thread {init.tid} ({init.name})" in repr(init)


def test_repr_of_a_thread_shows_no_control_character():
    def look():
        LIBC.prctl(15, b"\x1b[2J\xff", 0, 0, 0)  # PR_SET_NAME
        own = threading.get_native_id()
        found.append(next(repr(one) for one in replace.thread_credentials() if one.tid == own))

    found = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert "\x1b" not in found[0]
    assert r"('\x1b[2J" in found[0]


def test_assert_clean_names_the_thread():
    def body():
        replace.assert_clean()
        with impersonate(ALICE):
            replace.assert_clean()  # other threads are compared with the main thread, but this process has none
        with (
            switched_elsewhere(BOB) as worker,
            pytest.raises(replace.ThreadsDiffer, match=f"thread {worker.native_id} .* 80002"),
        ):
            replace.assert_clean()

    as_root(body)
