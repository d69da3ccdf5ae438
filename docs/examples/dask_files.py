# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run the tasks of four users on one Dask cluster. The tasks create files in the threads of two worker processes.

usage: python dask_files.py [FILES_PER_USER]   (default 25; as root, with `pip install distributed cryptography`)

docs/dask.md explains the program and the limits.
"""

import collections
import os
import sys
import tempfile

from distributed import Client, LocalCluster, WorkerPlugin

import replace

USERS = [replace.Identity(80000 + number, 90000 + number) for number in range(1, 5)]


class Protect(WorkerPlugin):
    """Call protect_os() in every worker, also in workers that start later."""

    def setup(self, worker):
        replace.protect_os()


def create(path):
    """Create a file. This runs as the user, in any thread of any worker."""
    with open(path, "x") as file:
        file.write("a user's\n")
    return os.getpid()


def cluster(folder):
    """Start two processes with four threads each.

    Anyone who can connect can run code as root, so the cluster uses TLS, even on the loopback interface.
    """
    return LocalCluster(
        processes=True,
        n_workers=2,
        threads_per_worker=4,
        host="127.0.0.1",
        security=True,  # only this process and its workers have the certificates
        local_directory=folder,  # spilled results are unpickled as root: no user may write here
        dashboard_address="127.0.0.1:0",
    )


def main():
    """Print one line for each user, and the conclusion."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("this program needs root and a build whose calls change one thread; see `libreplace report`")
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
            # pure=False: Dask must not answer with an earlier result. The user may have lost the right to read it.
            futures = [client.submit(task, path, pure=False) for path, (_, task) in tasks.items()]
            pids = client.gather(futures)
            client.run(replace.assert_clean)  # every thread of every worker has the server's ids again
        right = collections.Counter()
        for path, (user, _) in tasks.items():
            made = os.stat(path)
            right[user] += (made.st_uid, made.st_gid) == (user.uid, user.gid)
    print(f"{len(tasks)} files created in {len(set(pids))} processes")
    for user in USERS:
        print(f"user {user.uid}: {right[user]} of {files} files are the user's")
    print("Each task ran as its user, beside tasks of other users in the same processes. No thread is still switched.")


if __name__ == "__main__":
    main()
