# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Create files as N users in N threads, with os.seteuid and with replace.impersonate.

usage: python seteuid_in_threads.py [THREADS [FILES_PER_THREAD]]   (default 8 and 500; as root)

Each way runs in a separate process. The program counts failed operations, and files that belong to the wrong user.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import replace


def with_seteuid(uid, gid, create):
    """Switch to the user, call create(), and switch back. This is correct in a process with one thread."""
    try:
        os.setegid(gid)
        os.seteuid(uid)
        return create()
    finally:
        os.seteuid(0)
        os.setegid(0)


def with_impersonate(uid, gid, create):
    """Do the same for the calling thread only."""
    with replace.impersonate(replace.Identity(uid, gid)):
        return create()


WAYS = {"os.seteuid": with_seteuid, "replace.impersonate": with_impersonate}


def count(way, threads, files):
    """Run threads * files operations; return the numbers of failed operations and of files with a wrong owner."""
    together = threading.Barrier(threads)

    def work(number):
        uid, gid, failed, wrong = 80000 + number, 90000 + number, 0, 0
        together.wait()
        for turn in range(files):

            def create(path=f"{folder}/{number}-{turn}"):
                with open(path, "x") as file:
                    file.write(f"of {uid}\n")
                    return os.fstat(file.fileno())

            try:
                made = WAYS[way](uid, gid, create)
                wrong += (made.st_uid, made.st_gid) != (uid, gid)
            except OSError:
                failed += 1
        return failed, wrong

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        with ThreadPoolExecutor(threads) as pool:
            failed, wrong = zip(*pool.map(work, range(1, threads + 1)), strict=True)
    return sum(failed), sum(wrong)


def main():
    """Print one line for each way, and the conclusion."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("this program needs root and a build whose calls change one thread; see `libreplace report`")
    threads, files = (int(word) for word in (sys.argv[1:] + ["8", "500"][len(sys.argv) - 1 :]))
    print(f"{threads} threads create {files} files each, every thread as its own user")
    print(f"{'':22}{'operations':>12}{'failed':>10}{'wrong owner':>14}")
    for way in WAYS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            failed, wrong = process.submit(count, way, threads, files).result()
        print(f"{way:22}{threads * files:12}{failed:10}{wrong:14}", flush=True)
    print("os.seteuid changes all threads of the process, so a thread acts for the user that was set last.")


if __name__ == "__main__":
    main()
