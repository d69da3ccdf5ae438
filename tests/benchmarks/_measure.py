# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the benchmarks share: ratios measured in turn, rows with limits, and on what machine.

Not a program: see identity.py and compare.py beside it.
"""

import os
import platform
import statistics
import time

import replace

ALICE = replace.Identity(80001, 80011, [80011, 80021])


def needs_root():
    if os.geteuid() != 0:
        raise SystemExit("needs root: real ids are switched")


def timed(body, count):
    """Seconds that body(count) takes."""
    started = time.perf_counter()
    body(count)
    return time.perf_counter() - started


def ratio(ours, theirs, count=400, rounds=101):
    """(the median of ours / theirs, microseconds of one of ours and of theirs), each round measuring both in turn.

    Of each round its own ratio: a machine that changes its pace between rounds does not change that.
    """
    pairs = []
    for turn in range(rounds + 5):
        seen = {}
        for body in (ours, theirs) if turn % 2 else (theirs, ours):
            seen[body] = timed(body, count) / count * 1e6
        pairs.append((seen[ours] / seen[theirs], seen[ours], seen[theirs]))
    return tuple(statistics.median(column) for column in zip(*pairs[5:], strict=True))  # the first ones warm up


def machine():
    """Where and when this was measured."""
    return {
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
