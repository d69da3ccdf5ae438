# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What libc's broadcast does to other threads, and ours does not: wake-ups lost, sleeps interrupted, ids that bleed."""

import json
import os

import pytest
from support.builds import run
from support.children import needs_root

THREADS = [0, 1, 2, 4, 8, 32]
OPERATIONS = 300


@pytest.fixture
def program(faults):
    """lost_wakeup, from the same build of the C library as the faults."""
    needs_root()
    if os.uname().machine != "x86_64":
        pytest.skip("needs x86_64: a filter of its system call numbers")

    def call(*arguments):
        out = run(faults.with_name("lost_wakeup"), *arguments, cwd="/")
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    return call


@pytest.mark.parametrize("threads", THREADS)
def test_per_thread_calls_lose_no_wake_up(program, threads):
    seen = program("ours", OPERATIONS, threads)
    assert (seen["ok"], seen["lost"], seen["denied"]) == (OPERATIONS, 0, 0)


def test_libc_calls_lose_wake_ups(program):
    seen = [program("libc", OPERATIONS, threads) for threads in THREADS]
    assert all(one["ok"] + one["lost"] == OPERATIONS for one in seen)
    assert all(one["lost"] == one["denied"] for one in seen), "each loss is a permission that was denied"
    assert seen[-1]["lost"] > OPERATIONS / 10, seen
    assert seen[-1]["lost"] > seen[0]["lost"], "the more threads, the longer the window"


@pytest.mark.parametrize("mode", ["ours", "libc"])
def test_current_kernel_loses_no_wake_up(program, mode):
    assert program(mode, OPERATIONS, 8, "native")["lost"] == 0


def test_only_libc_calls_interrupt_sleeps_and_leak_ids(program):
    ours, libcs = (program("bleed", mode, 5000) for mode in ("ours", "libc"))
    assert (ours["poll_eintr"], ours["sleep_eintr"], ours["wrong"]) == (0, 0, 0)
    assert libcs["poll_eintr"] > 1000
    assert libcs["sleep_eintr"] > 1000
    assert libcs["wrong"] > libcs["readings"] / 100
    assert ours["readings"] > 1000
