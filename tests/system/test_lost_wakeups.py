# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""libc's id changes interrupt sleeps and show wrong ids in other threads, and glibc's lose wake-ups.

Per-thread calls do not.
"""

import json

import pytest
from support.builds import run
from support.children import needs_root
from verdict import decide

THREADS = [0, 1, 2, 4, 8, 32]
OPERATIONS = 300


@pytest.fixture
def program(faults):
    """A function that runs the program lost_wakeup, which is in the same build as the program faults."""
    needs_root()
    path = faults.with_name("lost_wakeup")
    if not path.exists():
        pytest.skip("needs x86_64, and <linux/seccomp.h> for the C compiler (Alpine: linux-headers)")

    def call(*arguments):
        out = run(path, *arguments, cwd="/")
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    return call


@pytest.mark.parametrize("threads", THREADS)
def test_per_thread_calls_lose_no_wake_up(program, threads):
    """The program applies the rule by which Linux before 2.6.35 permitted signals."""
    seen = program("ours", OPERATIONS, threads)
    assert (seen["ok"], seen["lost"], seen["denied"]) == (OPERATIONS, 0, 0)


def test_only_glibc_s_calls_lose_wake_ups(program, faults):
    """The program applies the rule by which Linux before 2.6.35 permitted signals."""
    seen = [program("libc", OPERATIONS, threads) for threads in THREADS]
    assert all(one["ok"] + one["lost"] == OPERATIONS for one in seen)
    assert all(one["lost"] == one["denied"] for one in seen), "each lost wake-up is a signal that the rule denied"
    if decide(json.loads((faults.parents[2] / "detect" / "answers.json").read_text())).libc == "musl":
        assert [one["lost"] for one in seen] == [0] * len(THREADS)  # it holds all threads until all have changed
        return
    assert seen[-1]["lost"] > OPERATIONS / 10, seen


@pytest.mark.parametrize("mode", ["ours", "libc"])
def test_current_kernel_loses_no_wake_up(program, mode):
    """Newer kernels permit all signals between threads of one process."""
    assert program(mode, OPERATIONS, 8, "native")["lost"] == 0


def test_only_libc_calls_interrupt_sleeps_and_leak_ids(program):
    ours, libc = (program("bleed", mode, 5000) for mode in ("ours", "libc"))
    assert (ours["poll_eintr"], ours["sleep_eintr"], ours["wrong"]) == (0, 0, 0)
    assert libc["poll_eintr"] > 1000
    assert libc["sleep_eintr"] > 1000
    assert libc["wrong"] > libc["readings"] / 100
    assert ours["readings"] > 1000
