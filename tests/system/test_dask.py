# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""acting_as with Dask, on a real cluster of two processes with four threads each (docs/dask.md).

A child process starts one cluster, runs all tasks and returns the results, because the cluster starts threads.
Each test checks one part of the results.
"""

import itertools
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import traceback

import pytest
from support.builds import ROOT, needs_package, run
from support.children import ALICE, BOB, HANG, as_root, needs_root

import replace
from replace import Identity, acting_as

EXAMPLES = ROOT / "docs" / "examples"
USERS = [Identity(81000 + number, 82000 + number, [83000 + number]) for number in range(4)]


# ---- Functions that run in the workers


def create(path):
    """Create a file, slowly enough that tasks overlap. Return the process, the thread and the times."""
    started = time.monotonic()
    with open(path, "x") as file:
        file.write(str(os.geteuid()))
        time.sleep(0.05)
    return (os.getpid(), threading.get_native_id(), started, time.monotonic())


def read(path):
    with open(path) as file:
        return file.read()


def write(path):
    with open(path, "w") as file:
        file.write("first")
    os.chmod(path, 0o644)
    return path


class PickleRecorder:
    """Records the effective uid at creation, pickling and unpickling."""

    def __init__(self):
        self.seen = [("made", os.geteuid())]

    def __getstate__(self):
        return [*self.seen, ("pickled", os.geteuid())]

    def __setstate__(self, seen):
        self.seen = [*seen, ("unpickled", os.geteuid())]


def receive(argument):
    return (os.geteuid(), argument.seen)


def secede():
    """Leave the pool. This thread then starts the thread that replaces it in the pool."""
    import distributed

    distributed.secede()


# ---- The process that uses the cluster


def connects(address, security):
    import distributed

    try:
        with distributed.Client(address, security=security, timeout=30):
            return True
    except OSError:
        return False


def outcome(function, *arguments):
    """Return the result or exception of a call, and the function names of the traceback."""
    try:
        return function(*arguments), []
    except Exception as error:
        return error, [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def run_cluster(folder, spill):
    """Run everything that needs the cluster. Only this child process imports Dask, which imports asyncio."""
    signal.alarm(240)  # ends this process if the cluster hangs
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    sys.path.append(str(EXAMPLES))  # workers inherit this path and can import dask_files
    import dask
    import dask_files
    import distributed

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # hides expected errors
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "critical"  # for the workers
    found = {}
    with dask_files.cluster(spill) as cluster, distributed.Client(cluster) as client:

        def submit(identity, function, *arguments, **options):
            return client.submit(acting_as(identity, function), *arguments, **{"pure": False, **options})

        jobs = [(user, f"{folder}/{user.uid}-{number}") for number in range(16) for user in USERS]
        ran = client.gather([submit(user, create, path) for user, path in jobs])
        made = [os.stat(path) for _, path in jobs]
        found["files"] = [(user, ran, (s.st_uid, s.st_gid)) for (user, _), ran, s in zip(jobs, ran, made, strict=True)]

        secret = f"{folder}/secret"
        with open(secret, "w") as file:
            file.write("alice's")
        os.chmod(secret, 0o600)
        os.chown(secret, ALICE.uid, ALICE.gid)
        found["allowed"] = submit(ALICE, read, secret).result(HANG)
        found["forbidden"] = [
            outcome(submit(BOB, read, path).result, 60) for path in (secret, "/etc/shadow", f"{folder}/none")
        ]
        # These tasks do not read the file of the cached result below, because Dask may still be releasing their keys.
        found["keys"] = [submit(user, read, "/etc/passwd", pure=True).key for user in (ALICE, ALICE, BOB)]
        found["keys of groups and level"] = [
            client.submit(acting_as(Identity(ALICE.uid, ALICE.gid), read, **options), secret).key
            for options in ({}, {"level": "real"})
        ]
        kept = submit(ALICE, read, secret, pure=True)
        found["cached"] = [kept.result(HANG)]
        os.chown(secret, 0, 0)
        found["cached"] += [outcome(submit(ALICE, read, secret, pure=pure).result, 60)[0] for pure in (True, False)]
        os.chown(secret, ALICE.uid, ALICE.gid)

        found["result"] = submit(ALICE, PickleRecorder).result(HANG).seen
        found["argument"] = submit(ALICE, receive, PickleRecorder()).result(HANG)
        graph = dask.delayed(acting_as(BOB, read), pure=False)(
            dask.delayed(acting_as(ALICE, write), pure=False)(f"{folder}/chain")
        )
        found["graph"] = (client.compute(graph).result(HANG), os.stat(f"{folder}/chain").st_uid)

        found["clean"] = client.run(replace.assert_clean)
        found["threads"] = client.run(lambda: len(replace.thread_credentials()))
        folders = client.run(lambda dask_worker: dask_worker.local_directory)
        found["spill"] = [(path, os.stat(path).st_uid, os.stat(path).st_mode & 0o777) for path in folders.values()]
        own = distributed.security.Security.temporary()
        address = cluster.scheduler_address
        found["connects"] = [
            connects(address, cluster.security), connects(address, own), connects(address.replace("tls:", "tcp:"), None)
        ]  # fmt: skip

        submit(ALICE, secede).result(HANG)
        found["seceded"] = outcome(client.run, replace.assert_clean)[0]
        client.restart(timeout=HANG)
        client.register_plugin(dask_files.Protect())
        found["protected"] = outcome(submit(ALICE, secede).result, 60)[0]
        found["clean again"] = client.run(replace.assert_clean)
    return found


@pytest.fixture(scope="module")
def found():
    needs_package("distributed", "cryptography")
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)  # pytest's own folders are closed to other users
        answer = as_root(run_cluster, f"{folder}/shared", f"{folder}/spill")
    if answer is None:
        pytest.skip("needs a build whose calls change one thread")
    return answer


def test_concurrent_tasks_create_files_owned_by_their_users(found):
    assert len(found["files"]) == 64
    assert all(owner == (user.uid, user.gid) for user, _, owner in found["files"])


def test_tasks_of_different_users_overlap_in_one_process(found):
    """If no tasks overlapped, the test of the owners would prove little."""
    assert len({ran[0] for _, ran, _ in found["files"]}) == 2
    overlaps = [
        (one, other)
        for (one, (pid, tid, start, end), _), (other, (pid2, tid2, start2, end2), _) in itertools.combinations(
            found["files"], 2
        )
        if pid == pid2 and tid != tid2 and one != other and start < end2 and start2 < end
    ]
    assert overlaps


def test_forbidden_read_raises_at_the_client_with_the_remote_traceback(found):
    assert found["allowed"] == "alice's"
    *forbidden, missing = found["forbidden"]
    for error, functions in forbidden:
        assert type(error) is PermissionError
        assert functions[-2:] == ["_eager", "read"], "the traceback ends with acting_as and the function in the worker"
    assert type(missing[0]) is FileNotFoundError


def test_cached_result_is_never_given_to_another_user(found):
    """Dask makes the key of a pure task from its function and arguments. The function includes the identity."""
    alice, again, bob = found["keys"]
    assert alice == again != bob
    assert len({alice, bob, *found["keys of groups and level"]}) == 4


def test_pure_task_returns_cached_data_after_permission_is_revoked(found):
    """Therefore docs/dask.md recommends pure=False: such a task runs again, and fails."""
    first, second, third = found["cached"]
    assert (first, second, type(third)) == ("alice's", "alice's", PermissionError)


def test_arguments_and_results_are_pickled_outside_the_identity(found):
    assert found["result"] == [("made", 80001), ("pickled", 0), ("unpickled", 0)]
    euid, seen = found["argument"]
    assert euid == 80001
    assert {uid for _, uid in seen} == {0}
    assert [event for event, _ in seen][-1] == "unpickled"


def test_graph_runs_tasks_of_two_users(found):
    assert found["graph"] == ("first", 80001)


def test_worker_threads_are_clean_after_the_tasks(found):
    assert list(found["clean"].values()) == [None, None]
    assert min(found["threads"].values()) > 4


def test_spill_folders_are_accessible_only_to_the_server(found):
    assert len({path for path, _, _ in found["spill"]}) == 2
    assert {(uid, mode) for _, uid, mode in found["spill"]} == {(0, 0o700)}


def test_client_without_the_cluster_certificate_cannot_connect(found):
    assert found["connects"] == [True, False, False]


def test_secede_inside_leaves_a_switched_thread_unless_protected(found):
    assert isinstance(found["seceded"], replace.ThreadsDiffer)
    assert "80001" in str(found["seceded"])
    assert isinstance(found["protected"], replace.IdentityRefused)
    assert list(found["clean again"].values()) == [None, None]


def test_dask_example_runs_without_warnings():
    needs_root()
    needs_package("distributed", "cryptography")
    # Dask adds its private scratch folders to sys.path, so ignore the warning about them.
    silent = ["-W", "error", "-W", "ignore:users cannot read:RuntimeWarning"]
    out = run(sys.executable, *silent, EXAMPLES / "dask_files.py", 5, cwd="/", timeout=HANG)
    # On a busy machine Dask may log that a worker's last heartbeat found no scheduler. That is no Python warning.
    assert out.returncode == 0, out.stderr
    assert "Warning" not in out.stderr
    assert out.stdout.count("5 of 5 files are the user's") == 4
