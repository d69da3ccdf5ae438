# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Functions that the benchmarks share: times, ratios, and facts about the machine.

The programs are identity.py and compare.py.
"""

import os
import platform
import statistics
import time

import replace

ALICE = replace.Identity(80001, 80011, [80011, 80021])


def needs_root():
    if os.geteuid() != 0:
        raise SystemExit("run this program as root: it switches real ids")


def timed(body, count):
    """Return the seconds that body(count) takes."""
    started = time.perf_counter()
    body(count)
    return time.perf_counter() - started


def ratio(ours, theirs, count=40, rounds=1001):
    """Return the median of ours / theirs, and the microseconds for one of ours and one of theirs.

    Each round measures both and gives one ratio, so a machine that becomes slower between rounds does not change the
    result. A short round is often over before another program interrupts it.
    """
    pairs = []
    for turn in range(rounds + 5):
        seen = {}
        for body in (ours, theirs) if turn % 2 else (theirs, ours):
            seen[body] = timed(body, count) / count * 1e6
        pairs.append((seen[ours] / seen[theirs], seen[ours], seen[theirs]))
    return tuple(statistics.median(column) for column in zip(*pairs[5:], strict=True))  # the first five warm up


def machine():
    """Facts about this machine, and the date."""
    return {
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
