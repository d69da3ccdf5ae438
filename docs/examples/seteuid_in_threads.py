# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""N threads create files as N users: with os.seteuid, as people write it, and with replace.impersonate.

usage: python seteuid_in_threads.py [THREADS [FILES EACH]]   (as root; 8 and 500)

Each way runs in a process of its own. Counted: operations that failed, and files that
belong to somebody else.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import replace


def as_people_write_it(uid, gid, create):
    """Become the user, work, come back: right in a process of one thread."""
    try:
        os.setegid(gid)
        os.seteuid(uid)
        return create()
    finally:
        os.seteuid(0)
        os.setegid(0)


def as_one_thread(uid, gid, create):
    """The same, for the calling thread alone."""
    with replace.impersonate(replace.Identity(uid, gid)):
        return create()


WAYS = {"os.seteuid": as_people_write_it, "replace.impersonate": as_one_thread}


def count(way, threads, files):
    """(operations that failed, files with a wrong owner) of threads * files."""
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
    """Print one line a way, and what they mean."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("needs root, and a build whose calls change one thread (`libreplace report`)")
    threads, files = (int(word) for word in (sys.argv[1:] + ["8", "500"][len(sys.argv) - 1 :]))
    print(f"{threads} threads create {files} files each, every thread as its own user")
    print(f"{'':22}{'operations':>12}{'failed':>10}{'wrong owner':>14}")
    for way in WAYS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            failed, wrong = process.submit(count, way, threads, files).result()
        print(f"{way:22}{threads * files:12}{failed:10}{wrong:14}", flush=True)
    print("os.seteuid changes every thread of the process, so a thread works as whoever called last.")


if __name__ == "__main__":
    main()
