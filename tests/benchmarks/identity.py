# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures what it costs to enter and leave an identity.  Each figure is a ratio of two times in one run.

usage: python tests/benchmarks/identity.py   (as root; needs a C compiler, meson and ninja)

The program measures the two sides of a ratio one after the other, in 1001 rounds (start-up: 101).  The figure is the
median of the rounds' ratios.  For 1024 threads, it measures one thread before and after them, and compares the medians.
Exit status 1 if a figure is above its limit.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

from _measure import ALICE, needs_root, ratio, timed

import replace

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS, COUNT = 101, 400


def built(folder):
    """Build loops.c with the C library of this source.  Returns the extension module."""
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([*meson, "setup", f"{folder}/b", ROOT, "-Dpython=false", "-Dtests=false"], env=environment, **quiet)
    subprocess.run([*meson, "compile", "-C", f"{folder}/b"], env=environment, **quiet)
    includes = [sysconfig.get_path("include"), ROOT / "replace/core", f"{folder}/b/replace/core"]
    command = ["cc", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE"]
    command += [f"-I{path}" for path in includes]
    source = Path(__file__).with_name("loops.c")
    subprocess.run(
        [*command, "-o", f"{folder}/loops.so", source, f"{folder}/b/replace/libreplace.a", "-pthread"], check=True
    )
    spec = importlib.util.spec_from_file_location("loops", f"{folder}/loops.so")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_impersonate(count):
    impersonate, who = replace.impersonate, ALICE
    for _ in range(count):
        with impersonate(who):
            pass


def one_by_one(count):
    setgroups, setresgid, setresuid = replace.setgroups, replace.setresgid, replace.setresuid
    groups, none = [80011, 80021], []
    for _ in range(count):
        setgroups(groups)
        setresgid(80011, 80011, -1)
        setresuid(-1, 80001, -1)
        setresuid(-1, 0, -1)
        setresgid(0, 0, -1)
        setgroups(none)


def two(count):
    setresuid = replace.setresuid
    for _ in range(count):
        setresuid(-1, 80001, -1)
        setresuid(-1, 0, -1)


def hand_offs(body):
    """Count how often one of 4 busy Python threads ran during 2000 calls of body(1)."""
    ticks, stop = [0], []

    def busy():
        while not stop:
            ticks[0] += 1
            time.sleep(0)  # releases the GIL; otherwise no other thread would run

    sys.setswitchinterval(1000)  # 1000 s: another thread runs only if the GIL is released
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not ticks[0]:
        time.sleep(0.001)
    turns, last = 0, ticks[0]
    for _ in range(2000):
        body(1)
        turns += ticks[0] != last
        last = ticks[0]
    stop.append(True)
    sys.setswitchinterval(0.005)
    for thread in threads:
        thread.join()
    return turns


def with_threads(count):
    """Return the cost of `with impersonate` in a process of `count` threads, divided by the cost with one thread."""
    stop, idle = threading.Event(), []
    threading.stack_size(256 * 1024)
    alone = [timed(with_impersonate, COUNT) for _ in range(ROUNDS)]
    for _ in range(count - 1):
        idle.append(threading.Thread(target=stop.wait))
        idle[-1].start()
    crowded = [timed(with_impersonate, COUNT) for _ in range(ROUNDS)]
    stop.set()
    for thread in idle:
        thread.join()
    alone += [timed(with_impersonate, COUNT) for _ in range(ROUNDS)]
    return statistics.median(crowded) / statistics.median(alone)


def start_up(module):
    command = [sys.executable, "-c", f"import {module}"]
    return lambda count: [subprocess.run(command, check=True, cwd="/") for _ in range(count)]


def main():
    """Print the table.  Returns the exit status."""
    needs_root()
    replace.setgroups([])
    with tempfile.TemporaryDirectory() as folder:
        loops = built(folder)
    replace.setgroups(ALICE.groups)
    replace.setresgid(ALICE.gid, ALICE.gid, 0)
    uid_only = replace.impersonate(ALICE)
    with uid_only:
        pass
    replace.setresgid(0, 0, 0)
    replace.setgroups([])
    rows = []

    def row(what, value, limit, detail=""):
        rows.append(value <= limit)
        print(f"{what:76}{value:8.3f}{limit:8.2f}  {'ok' if rows[-1] else 'ABOVE'}  {detail}", flush=True)

    def compare(what, ours, theirs, limit, **how):
        value, a, b = ratio(ours, theirs, **how)
        row(what, value, limit, f"{a:.2f} us : {b:.2f} us")

    print(f"{'':76}{'seen':>8}{'limit':>8}")
    compare(
        "with impersonate(x): pass, compared with the same enter and leave in C",
        with_impersonate,
        loops.enter_and_leave,
        1.12,
    )
    compare("with impersonate(x): pass, compared with six bare system calls in C", with_impersonate, loops.six, 1.75)
    compare(
        "the same enter and leave in C, compared with six bare system calls", loops.enter_and_leave, loops.six, 1.65
    )
    compare("six single calls from Python, compared with the bare C calls", one_by_one, loops.six, 1.10)
    compare("two setresuid calls from Python, compared with the bare C calls", two, loops.two, 1.10)
    ours, theirs = hand_offs(with_impersonate), hand_offs(loops.six)
    row(
        "GIL hand-offs in 2000 switches with 4 busy threads, more than a C extension",
        ours - theirs,
        0,
        f"{ours} : {theirs}",
    )
    row("with impersonate(x): pass in a process of 1024 threads, compared with 1", with_threads(1024), 1.25)
    row("system calls that change credentials, if only the uid differs", uid_only.changes, 2)
    compare(
        "python -c 'import replace', compared with 'import _cffi_backend'",
        start_up("replace"),
        start_up("_cffi_backend"),
        1.5,
        count=1,
        rounds=101,
    )
    return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
