# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures all ways to act as a user, side by side in one run.

usage: python tests/benchmarks/compare.py [--quick] [--json FILE] [--plots FOLDER] [--from FILE]
(as root; 4 minutes, --quick half a minute; strace counts the system calls; --plots needs matplotlib)

Prints the tables of docs/speed.md to standard output, and progress to standard error.  --from measures nothing: it
makes the tables and plots from the JSON of an earlier run.  Exit status 1 if a limit is exceeded.
"""

import argparse
import importlib.util
import itertools
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import machine, needs_root
from _tables import among, kind, tables

import replace

HERE = Path(__file__).resolve().parent
WAYS = ["impersonate", "os", "ctypes", "pyprctl", "worker", "pool"]
THREADS, QUICK_THREADS = [1, 8, 64, 512, 1024], [1, 8, 64]
BUSY = 4
#: The time of a task, compared with ThreadPoolExecutor.
LIMITS = {"one at a time": 1.25, "burst": 1.5}
# For strace -e trace=/REGEX: the calls that change credentials, on every architecture, and the calls of access(2).
SETTERS = r"set(re|res|fs)?[ug]id(32)?|setgroups(32)?"
MARKS = r"access|faccessat2?"


def child(program, *words, before=()):
    """Run a program of this folder to its end.  Returns its output."""
    command = [*before, sys.executable, HERE / program, *map(str, words)]
    return subprocess.run(command, cwd="/", stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout


def progress(text):
    print(text, file=sys.stderr, flush=True)


def switches(counts, seconds, rounds):
    """Return one row for each way, number of threads and load: the median, lowest and highest of the rounds.

    Each round measures every cell once.  If the machine becomes slower, that affects all cells alike.
    """
    ways, left_out = list(WAYS), {}
    if importlib.util.find_spec("pyprctl") is None:
        ways.remove("pyprctl")
        left_out["pyprctl"] = "not installed (PyPI: pyprctl)"
    cells = {(way, max(threads, 1 + busy), busy): [] for way in ways for busy in (0, BUSY) for threads in counts}
    for turn in range(rounds):
        for cell, seen in cells.items():
            seen.append(json.loads(child("_ways.py", "switch", *cell, seconds)))
            progress(f"{turn + 1}/{rounds}: {cell[0]}, {cell[1]} threads, {cell[2]} busy: {seen[-1]['us']:.1f} us")
    rows = []
    for (way, threads, busy), seen in cells.items():
        us = [each["us"] for each in seen]
        count, changed = sum(each["count"] for each in seen), seen[0]["others_changed"]
        row = {"us": statistics.median(us), "low": min(us), "high": max(us), "count": count, "others_changed": changed}
        rows.append({"way": way, "threads": threads, "busy": busy, **row})
    return rows, left_out


def changes(who, workers, in_flight, tasks):
    """Count the system calls that change credentials, of all tasks, in all threads."""
    with tempfile.NamedTemporaryFile("r", prefix="libreplace-strace-") as log:
        strace = ["strace", "-f", "--seccomp-bpf", "-o", log.name, "-e", f"trace=/^({SETTERS}|{MARKS})$"]
        child("_executor.py", "changes", who, workers, in_flight, tasks, before=strace)
        lines = log.read().splitlines()
    first, last = (n for n, line in enumerate(lines) if "/libreplace-benchmark-mark" in line)
    # setfsuid(-1) and setfsgid(-1) change nothing; they read the ids
    calls = sum(bool(re.match(rf"\d+ +({SETTERS})\((?!-1\))", line)) for line in lines[first:last])
    progress(f"executor, {who}, {workers} workers, {in_flight or 'all'} in flight: {calls} changes in {tasks} tasks")
    return {"who": who, "workers": workers, "in_flight": in_flight, "tasks": tasks, "changes": calls}


def executor(count, rounds, tasks):
    """Return the ratios, and the counts if strace is installed."""
    found = {"ratios": [], "changes": []}
    for cores, workers in itertools.product(("one", "all"), (1, 8)):
        answer = json.loads(child("_executor.py", "ratio", cores, workers, count, rounds))
        for how, (value, ours, theirs) in answer.items():
            row = {"how": how, "cores": cores, "workers": workers, "ratio": value, "ours": ours, "theirs": theirs}
            found["ratios"].append(row)
            progress(f"executor, one user, {kind(row)}: {value:.3f} ({ours:.1f} us : {theirs:.1f} us)")
    if not shutil.which("strace"):
        progress("changes are not counted; install strace to count them")
        return found
    for case in (("same", 1, 1), ("same", 8, 1), ("same", 8, 0), ("random", 8, 0), ("random", 8, 16), ("random", 8, 8)):
        found["changes"].append(changes(*case, tasks))
    found["changes"].append(changes("each", 8, 0, tasks))
    return found


def limits(found):
    """Return the limits: what, the value seen, the limit, and whether the value is a time."""
    rows = [
        ["10 000 identities of 16 groups: MB that Python allocates", found["identities"]["traced"] / 1e6, 10, False]
    ]
    rows += [
        ["10 000 identities of 16 groups: MB that the process grows by", found["identities"]["grown"] / 1e6, 10, False]
    ]
    for row in found["executor"]["ratios"]:
        if row["cores"] == "one":  # with several cores the result is random (_executor.py)
            rows.append([f"time of a task of the same user, {kind(row)}", row["ratio"], LIMITS[row["how"]], True])
    each = {row["tasks"]: row["changes"] for row in found["executor"]["changes"] if row["who"] == "each"}
    for row in found["executor"]["changes"]:
        if row["who"] == "same":
            rows.append([f"changes, tasks of the same user, {among(row)}", row["changes"], 0, False])
        elif row["who"] == "random":  # fewer changes than with one entry for each task
            rows.append([f"changes, tasks of 64 users, {among(row)}", row["changes"], each[row["tasks"]] - 1, False])
    return [{"what": what, "seen": seen, "limit": limit, "timed": timed} for what, seen, limit, timed in rows]


def measure(quick):
    needs_root()
    if replace.SCOPE != "thread":
        raise SystemExit(
            "calls change the whole process, so there is nothing to compare; build with -Dcredentials=syscall"
        )
    started = time.monotonic()
    rows, left_out = switches(QUICK_THREADS if quick else THREADS, *((0.15, 1) if quick else (0.35, 5)))
    found = {"machine": machine(), "quick": quick, "switches": rows, "left_out": left_out}
    found["identities"] = json.loads(child("_ways.py", "identities", 10000))
    found["workers"] = json.loads(child("_ways.py", "workers", 8 if quick else 64))
    found["executor"] = executor(*((100, 11, 300) if quick else (200, 101, 2000)))
    found["limits"] = limits(found)
    progress(f"{time.monotonic() - started:.0f} s")
    return found


def main():
    """Measure or read, then print and plot.  Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer threads and shorter measurements")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to this file")
    parser.add_argument(
        "--plots", metavar="FOLDER", type=Path, help="draw the plots into this folder (needs matplotlib)"
    )
    parser.add_argument(
        "--from", metavar="FILE", type=Path, dest="earlier", help="measure nothing; read the JSON of an earlier run"
    )
    options = parser.parse_args()
    if options.plots and importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("--plots needs matplotlib; install it, or this project's extra 'plots'")
    found = json.loads(options.earlier.read_text()) if options.earlier else measure(options.quick)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print("\n\n".join(tables(found).values()))
    if options.plots:
        import _plots

        _plots.draw(found, options.plots)
    return 1 if any(row["seen"] > row["limit"] for row in found["limits"]) else 0


if __name__ == "__main__":
    sys.exit(main())
