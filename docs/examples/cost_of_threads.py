# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measure the cost of one setresuid call in a process with 1, 8, 64 and 512 threads.

usage: python cost_of_threads.py [THREADS ...]   (as root)

"ours" is replace.setresuid and "libc" is os.setresuid. Each sets and resets the effective user ID in one thread
while the other threads wait. The program prints the median of 7 rounds, and the ratio to the median with the first
number of threads.
"""

import os
import statistics
import sys
import threading
import time

import replace


def cost(call, count):
    """The seconds that one call takes: the median of 7 rounds."""
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(count // 2):
            call(-1, 80001, -1)
            call(-1, 0, -1)
        rounds.append((time.perf_counter() - started) / count)
    return statistics.median(rounds)


def main():
    """Print one line for each number of threads, and the conclusion."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("this program needs root and a build whose calls change one thread; see `libreplace report`")
    stop, idle, base = threading.Event(), [], {}
    threading.stack_size(256 * 1024)
    print(f"{'threads':>8}{'ours':>12}{'ratio':>8}{'libc':>12}{'ratio':>8}")
    for threads in [int(word) for word in sys.argv[1:]] or [1, 8, 64, 512]:
        while len(idle) < threads - 1:
            idle.append(threading.Thread(target=stop.wait))
            idle[-1].start()
        ours, libc = cost(replace.setresuid, 4000), cost(os.setresuid, 4000 if threads == 1 else 40)
        base = base or {"ours": ours, "libc": libc}
        print(
            f"{threads:8}{ours * 1e6:9.2f} us{ours / base['ours']:8.2f}{libc * 1e6:9.1f} us{libc / base['libc']:8.1f}",
            flush=True,
        )
    stop.set()
    for thread in idle:
        thread.join()
    print("libc makes every thread do the call and waits for all of them. The kernel needs only one call.")


if __name__ == "__main__":
    main()
