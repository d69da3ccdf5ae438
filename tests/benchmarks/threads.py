# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The cost of one switch in a process of 1, 8, 64, 512 and 1000 threads; ratios in one run.

usage: python tests/benchmarks/threads.py   (as root)

"ours" is replace.setresuid, "libc" os.setresuid; both set and unset the effective id in
one thread while the others wait.  The median of 7 rounds, against the same with 1 thread.
"""

import os
import statistics
import threading
import time

from _measure import needs_root

import replace


def cost(call, count):
    """Seconds for one call, the median of 7 rounds."""
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for _ in range(count // 2):
            call(-1, 80001, -1)
            call(-1, 0, -1)
        rounds.append((time.perf_counter() - started) / count)
    return statistics.median(rounds)


def main():
    """Print one line a number of threads."""
    needs_root()
    stop, idle, base = threading.Event(), [], {}
    threading.stack_size(256 * 1024)
    print(f"{'threads':>8}{'ours':>12}{'ratio':>8}{'libc':>12}{'ratio':>8}")
    for threads in (1, 8, 64, 512, 1000):
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


if __name__ == "__main__":
    main()
