# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Dask: the tasks of four users create files at once, in the threads of two worker processes.

usage: python dask_files.py [FILES EACH]   (as root, with `pip install distributed cryptography`; 25)

The page about it, with the limits: docs/dask.md.
"""

import collections
import os
import sys
import tempfile

from distributed import Client, LocalCluster, WorkerPlugin

import replace

USERS = [replace.Identity(80000 + number, 90000 + number) for number in range(1, 5)]


class Protect(WorkerPlugin):
    """In every worker, also one that is started later: nothing is started by a thread that holds an identity."""

    def setup(self, worker):
        replace.protect_os()


def create(path):
    """Runs as the user, in some thread of some worker."""
    with open(path, "x") as file:
        file.write("a user's\n")
    return os.getpid()


def cluster(folder):
    """Two processes of four threads. Whoever can connect runs code as root: so TLS, on the loopback interface, too."""
    return LocalCluster(
        processes=True,
        n_workers=2,
        threads_per_worker=4,
        host="127.0.0.1",
        security=True,  # certificates that only this process and its workers have
        local_directory=folder,  # results are spilled there and unpickled as root: a folder of the server's own
        dashboard_address="127.0.0.1:0",
    )


def main():
    """Print one line a user, and what they mean."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("needs root, and a build whose calls change one thread (`libreplace report`)")
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with tempfile.TemporaryDirectory() as spill, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        with cluster(spill) as workers, Client(workers) as client:
            client.register_plugin(Protect())
            tasks = {
                f"{folder}/{user.uid}-{number}": (user, replace.acting_as(user, create))
                for number in range(files)
                for user in USERS
            }
            # pure=False: a result is never taken from an earlier task, whose user might by now be forbidden it
            futures = [client.submit(task, path, pure=False) for path, (_, task) in tasks.items()]
            pids = client.gather(futures)
            client.run(replace.assert_clean)  # every thread of every worker is the server again
        right = collections.Counter()
        for path, (user, _) in tasks.items():
            made = os.stat(path)
            right[user] += (made.st_uid, made.st_gid) == (user.uid, user.gid)
    print(f"{len(tasks)} files created in {len(set(pids))} processes")
    for user in USERS:
        print(f"user {user.uid}: {right[user]} of {files} files are the user's")
    print("Each task ran as its user, beside the others in the same processes; no thread is left switched.")


if __name__ == "__main__":
    main()
