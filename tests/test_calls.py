# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Calls that really switch ids: every live check of `libreplace verify`, and more."""

import ctypes
import errno
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from calls import SYSTEM_CALLS
from support.builds import run, tool
from support.children import HANG, in_child, needs_root, needs_true_ids
from support.syscalls import plain

import replace
from replace._cli import checks, switch_checks
from replace._cli.chosen_ids import choose, expected
from replace._cli.obstacles import Machine
from replace._proc import own_status

CHECKS = checks.all_checks(replace.report())
IDS, _ = choose()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_live_check_passes(check, tmp_path, folder):
    needs_root()
    tmp_path.chmod(0o777)
    in_child(check.run, Machine(IDS, folder, {}))


def test_every_setter_has_a_check():
    setters = {c["name"] for c in replace.report()["verdict"]["calls"] if c["kind"] == "setter"}
    assert setters == set(expected(IDS))
    assert setters <= {check.name for check in CHECKS}


def test_check_fails_if_its_claim_is_false(tmp_path, folder):
    """A check of the opposite claim must fail. This shows that verify can find a contradiction."""
    needs_root()
    tmp_path.chmod(0o777)
    wrong = "process" if replace.SCOPE == "thread" else "thread"
    with pytest.raises(AssertionError, match="main thread has"):
        in_child(switch_checks.change_ids, "seteuid", wrong, Machine(IDS, folder, {}))


def test_getters_agree_with_os():
    needs_true_ids()
    assert replace.getresuid() == os.getresuid()
    assert replace.getresgid() == os.getresgid()
    assert replace.getgroups() == os.getgroups()
    assert replace.getfsuid() == os.geteuid()
    assert replace.getfsgid() == os.getegid()


def test_setgroups_and_getgroups_handle_65536_groups():
    needs_root()

    def body():
        for count in (1024, 1025, 65536):
            replace.setgroups(range(count))
            assert replace.getgroups() == list(range(count))

    in_child(body)


def test_initgroups_agrees_with_getgrouplist():
    needs_root()

    def body(name, gid):
        replace.initgroups(name, gid)
        return sorted(set(replace.getgroups()))

    for name in ("root", "daemon", b"nobody", "no-such-user"):
        text = name if isinstance(name, str) else name.decode()
        assert in_child(body, name, 4711) == sorted(set(os.getgrouplist(text, 4711)))


def test_setfsuid_raises_if_the_kernel_ignores_it():
    needs_root()

    def body():
        replace.setresuid(80001, 80001, 80001)
        with pytest.raises(OSError, match="Operation not permitted") as caught:
            replace.setfsuid(0)
        assert caught.value.errno == errno.EPERM
        assert replace.getfsuid() == 80001

    in_child(body)


def test_errno_of_the_kernel_reaches_the_caller():
    needs_root()

    def body():
        replace.setresgid(80001, 80001, 80001)
        replace.setresuid(80001, 80001, 80001)
        for call in (replace.setuid, replace.seteuid, replace.setgid, replace.setegid):
            with pytest.raises(PermissionError):
                call(0)

    in_child(body)


def _switch_loop():
    """Return how often another Python thread ran during 10 000 calls."""
    ticks = 0
    stop = False

    def count():
        nonlocal ticks
        while not stop:
            ticks += 1
            time.sleep(0)  # releases the GIL; otherwise no other thread would run

    sys.setswitchinterval(1000)  # the other thread can run only if a call releases the GIL
    other = threading.Thread(target=count)
    other.start()
    while not ticks:
        time.sleep(0.001)
    before, call = ticks, replace.setresuid
    turns, last = 0, before
    for _ in range(10_000):
        call(-1, -1, -1)
        if ticks != last:
            turns, last = turns + 1, ticks
    stop = True
    sys.setswitchinterval(0.005)
    other.join()
    return turns


def test_only_the_syscall_back_end_keeps_the_gil():
    # The other thread does not always get a released GIL, so the test requires many turns, not all.
    sys_gil = getattr(sys, "_is_gil_enabled", lambda: True)
    if not sys_gil():
        pytest.skip("needs the GIL")
    turns = in_child(_switch_loop)
    if replace.report()["verdict"]["backend"] == "syscall":
        assert turns == 0
    else:
        assert turns > 100


SCRIPT = """
import replace
replace.getresuid(); replace.getresgid(); replace.getgroups(); replace.getfsuid(); replace.getfsgid()
import threading, time
def work():
    replace.setgroups([1, 2]); replace.initgroups("root", 0)
    replace.setfsgid(5); replace.setfsuid(5); replace.setfsuid(0); replace.setfsgid(0)
    replace.setegid(5); replace.setregid(0, 0); replace.setresgid(0, 0, 0); replace.setgid(0)
    replace.seteuid(5); replace.setresuid(0, 0, 0); replace.setreuid(0, 0); replace.setuid(0)
stop = threading.Event()
idle = threading.Thread(target=stop.wait); idle.start()
t = threading.Thread(target=work); t.start(); t.join(); stop.set()
"""


#: The calls by which libc signals its threads: glibc uses tgkill(2), musl uses tkill(2).
SIGNALS_A_THREAD = r"\btg?kill\n"


def test_strace_shows_raw_calls_and_no_signal_to_threads():
    needs_root()
    if replace.report()["verdict"]["backend"] != "syscall":
        calls = run(tool("strace", "counts system calls"), "-f", "-c", sys.executable, "-c", SCRIPT, cwd="/").stderr
        assert re.search(SIGNALS_A_THREAD, calls), "the calls of libc signal the other threads"
        return
    out = run(tool("strace", "counts system calls"), "-f", "-c", sys.executable, "-c", SCRIPT, cwd="/")
    assert out.returncode == 0, out.stderr
    assert not re.search(SIGNALS_A_THREAD, out.stderr)
    seen = {plain(line.split()[-1]) for line in out.stderr.splitlines() if line}
    assert set(SYSTEM_CALLS) <= seen


STALL = """
#include <unistd.h>
void stall(int ready, int go)
{
	if (vfork() == 0) {
		char c = 0;
		_exit(write(ready, &c, 1) != 1 || read(go, &c, 1) != 1);
	}
}
"""


def test_vfork_in_another_thread_does_not_delay_a_switch(tmp_path):
    """Another thread waits in vfork(). A call of libc waits for that thread; a raw call does not."""
    needs_root()
    compiler = [tool("cc", "compiles a call of vfork()"), "-w", "-shared", "-fPIC", "-x", "c", "-"]
    subprocess.run([*compiler, "-o", tmp_path / "stall.so"], input=STALL, text=True, check=True)

    def body():
        (is_stuck, ready), (go, let_go) = os.pipe(), os.pipe()
        library = ctypes.CDLL(tmp_path / "stall.so")
        stuck = threading.Thread(target=library.stall, args=(ready, go))
        stuck.start()
        os.read(is_stuck, 1)
        caller = threading.Thread(target=replace.setresuid, args=(-1, 80001, -1))
        caller.start()
        caller.join(HANG if replace.SCOPE == "thread" else 1)
        outcome = (caller.is_alive(), stuck.is_alive())
        os.write(let_go, b"x")
        caller.join()
        stuck.join()
        return outcome

    assert in_child(body) == (replace.SCOPE != "thread", True)


def test_status_belongs_to_the_calling_thread():
    assert own_status()["Pid"] == str(threading.get_native_id())
