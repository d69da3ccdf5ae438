# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The client of the Dask cluster of tests/system/test_dask_hosts.py. It runs on node1 and writes what it has seen.

usage: python dask_client.py FOLDER
"""

import contextlib
import faulthandler
import itertools
import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask_hosts
import distributed
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface, SpecCluster
from support.children import HANG, wait_until
from support.hosts import Host

import replace
from replace import Account, Identity, acting_as

# ---- Functions that run in the workers. They are part of __main__, so Dask sends their code.


def create(folder):
    """Create a file, slowly enough that tasks overlap. Its name is new in each run of the task."""
    path = f"{folder}/{uuid.uuid4().hex}"
    with open(path, "x") as file:
        file.write(socket.gethostname())
        time.sleep(0.05)
    return path


def create_and_wait(folder, go):
    """Create a file that says which process runs this task, then wait for the file `go`."""
    path = create(folder)
    with open(f"{path}.process", "x") as file:
        json.dump([socket.gethostname(), os.getpid()], file)
    while not os.path.exists(go):
        time.sleep(0.02)
    return path


def read(path):
    with open(path) as file:
        return file.read()


def secede():
    """Leave the pool as the user. This thread would then start the thread that replaces it in the pool."""
    distributed.secede()


def secede_first(account, function, *args):
    """Leave the pool as the server, then act as the user."""
    distributed.secede()
    return dask_hosts.as_account(account, function, *args)


def start_thread():
    """Start a thread as the user: it would inherit the identity."""
    threading.Thread(target=int).start()


def living_threads(dask_worker):
    """Return how many threads of the worker's pool run, and how many Dask believes to have."""
    threads = dask_worker.executors["default"]._threads
    return sum(thread.is_alive() for thread in threads), len(threads)


def owner(path):
    return os.stat(path).st_uid


def look_up_here(name, function, *args):
    """Look the user up on the worker: the ids are those of this machine."""
    return acting_as(Identity.from_user(name), function)(*args)


def listening():
    """Return the addresses and ports on which this host listens (proc_net_tcp(5))."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A":  # TCP_LISTEN
            address, port = local.split(":")
            found.append((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return sorted(set(found))


# ---- The cluster: the scheduler that runs already, and workers on the hosts that are up


class Started(ProcessInterface):
    """The scheduler, which the test has started."""

    def __init__(self, address):
        super().__init__()
        self.address = address


class OnHost(ProcessInterface):
    """Start a worker with the command of the page, on the host that its number chooses."""

    def __init__(self, scheduler, name, hosts, words):
        super().__init__()
        self.name, self.hosts, self.words = name, hosts, words

    async def start(self):
        host = self.hosts[self.name % len(self.hosts)]
        if not host.is_up():
            host = self.hosts[0]
        log = host.folder.parent / f"{host.name}-worker-{self.name}.log"
        self.process = host.start(*self.words, "--name", self.name, log=log)
        self.status = Status.running

    async def close(self):
        with contextlib.suppress(OSError):  # the host, too, may have ended
            self.process.kill(signal.SIGTERM)
        await super().close()


def wait_slowly(holds, event):
    """Wait until a condition holds. Each check asks other processes, and they need the processor."""
    wait_until(lambda: holds() or time.sleep(0.1), event)


def outcome(future):
    """Return the exception of a task, or None."""
    return future.exception(HANG)


class Story:
    """What happens on the cluster, in order. Each method returns what the test checks."""

    def __init__(self, folder, cluster, client, hosts, plan):
        self.folder, self.cluster, self.client, self.hosts = folder, cluster, client, hosts
        self.compare, self.worker, self.threads = plan["compare"], plan["worker"], plan["threads"]
        self.addresses = {host.name: host.address for host in hosts}
        self.accounts = {name: Account.lookup(name) for name in ("alice", "bob", "carol", "dave", "erin")}

    def workers(self):
        """Return the workers: {host name: [address, ...]}."""
        names = {address: name for name, address in self.addresses.items()}
        found = {name: [] for name in self.addresses}
        # Not client.scheduler_info(): another thread of Dask may replace its answer by one without workers.
        for address in self.client.sync(self.client.scheduler.identity, n_workers=-1)["workers"]:
            found[names[address.split("//")[1].split(":")[0]]].append(address)
        return found

    def wait_for(self, count):
        """Wait until each host that is up has as many workers as `count` says."""
        wait_slowly(lambda: [len(found) for found in self.workers().values()] == count, f"{count} workers")

    def submit(self, function, *args, on=None):
        """Submit a task, also for the workers of one host only."""
        options = {"workers": [self.addresses[on]]} if on else {}
        return self.client.submit(function, *args, pure=False, **options)

    def task(self, name, function, *args, on=None):
        """Submit a task of a user."""
        return self.submit(dask_hosts.as_account, self.accounts[name], function, *args, on=on)

    def owners(self, paths):
        return {(entry.st_uid, entry.st_gid) for entry in map(os.stat, paths)}

    def clean(self):
        """Return what assert_clean() says on each worker."""
        return list(self.client.run(replace.assert_clean).values())

    def run_many(self, names=("alice", "erin"), count=12):
        """Run tasks of several users at once on all workers. Return the owners of each user's files, and the hosts."""
        jobs = [(name, self.task(name, create, self.folder / "shared" / name)) for _ in range(count) for name in names]
        done = [(name, future.result(HANG)) for name, future in jobs]
        owners = {name: self.owners(path for owner, path in done if owner == name) for name in names}
        return owners, {Path(path).read_text() for _, path in done}

    def users(self):
        """Each user on each host: the exception or the owners of the file, and whether the worker goes on."""
        before = self.client.run(os.getpid)
        shared = self.folder / "shared"
        cases = list(itertools.product(self.accounts, self.addresses))
        futures = [self.task(name, create, shared / name, on=host) for name, host in cases]
        tasks = {
            case: outcome(future) or (Path(future.result()).read_text(), *self.owners([future.result()]))
            for case, future in zip(cases, futures, strict=True)
        }
        different = dask_hosts.differences(self.client, self.accounts.values())
        return {
            "tasks": tasks,
            "after": self.run_many(),
            "same processes": self.client.run(os.getpid) == before,
            "clean": self.clean(),
            "differences": {host: different[address] for host, (address,) in self.workers().items()},
        }

    def numbers(self):
        """What happens without the comparison: on node3, carol's number belongs to mallory."""
        carol, disk = self.accounts["carol"], self.folder / "disk"
        name = (look_up_here, "carol", create, disk / "open")
        return {
            "number": self.submit(acting_as(carol.identity, read), disk / "mallory", on="node3").result(HANG),
            "compared": outcome(self.task("carol", read, disk / "mallory", on="node3")),
            "local owners": {
                host: self.submit(owner, self.submit(*name, on=host).result(HANG), on=host).result(HANG)
                for host in self.addresses
            },
            "missing": outcome(self.submit(look_up_here, "bob", create, disk / "open", on="node2")),
        }

    def seceding(self):
        """Leave the pool as a user, which is refused, and as the server."""
        alice, shared = self.accounts["alice"], self.folder / "shared" / "alice"
        before = self.client.run(living_threads)
        futures = [self.submit(secede_first, alice, create, shared, on=host) for host in self.addresses]
        owners = self.owners(self.client.gather(futures))
        refused = outcome(self.task("alice", secede, on="node3"))
        after = self.run_many()
        (broken,) = self.workers()["node3"]
        living = (before[broken], self.client.run(living_threads)[broken])
        clean = self.clean()
        self.client.restart_workers([broken], timeout=HANG)
        self.wait_for([1, 1, 1])
        return {
            "as the server": owners,
            "refused": refused,
            "after": after,
            "clean": clean,
            "living threads": (*living, self.client.run(living_threads)),
            "protected": self.protected(),
        }

    def protected(self):
        """Try to start a thread as a user on each host."""
        return [outcome(self.task("alice", start_thread, on=host)) for host, found in self.workers().items() if found]

    def runs(self, folder):
        """Return the host, the process and the path of the file of each run of a long task."""
        found = []
        for path in (self.folder / folder).glob("*/*.process"):
            with contextlib.suppress(ValueError):  # it is being written
                found.append((*json.loads(path.read_text()), path))
        return found

    def finish(self, folder, futures, before):
        """Let long tasks end. Return the owners of each user's files, and how many runs there were, and are."""
        (self.folder / folder / "go").touch()
        self.client.gather(futures)
        files = {place.name: list(place.iterdir()) for place in (self.folder / folder).iterdir() if place.is_dir()}
        owners = {name: self.owners(paths) for name, paths in files.items() if paths}
        return {"owners": owners, "runs": (before, len(self.runs(folder))), "clean": self.clean()}

    def killed(self):
        """SIGKILL for the worker of node2, while it runs tasks of two users."""
        place = self.folder / "killed"
        old = dict(self.client.run(os.getpid))
        (address,) = self.workers()["node2"]
        names = ("alice", "erin")
        futures = [self.task(name, create_and_wait, place / name, place / "go", on="node2") for name in names]
        wait_slowly(lambda: len(self.runs("killed")) == 2, "two long tasks")
        ((host, pid),) = {(host, pid) for host, pid, _ in self.runs("killed")}
        self.hosts[1].kill(pid)
        after = self.run_many()
        wait_slowly(lambda: len(self.runs("killed")) == 4, "the second run of two long tasks")
        self.wait_for([1, 1, 1])
        new = self.client.run(os.getpid)
        return {
            **self.finish("killed", futures, 2),
            "first": (host, pid == old[address]),
            "same processes": [new.get(worker) == pid for worker, pid in old.items()],
            "after": after,
            "again": self.run_many(),
            "protected": self.protected(),
        }

    def program(self):
        """Run the program of the page that compares the users of all workers."""
        started = {}
        for number, names in enumerate(("alice", "alice bob")):
            log = self.folder / "hosts" / f"compare-{number}.log"
            started[names] = (self.hosts[0].start(*self.compare, *names.split(), log=log), log)
        return {names: (process.wait(), log.read_text()) for names, (process, log) in started.items()}

    def unprotected(self):
        """Start a worker whose preload module cannot be imported; return its status."""
        env = {"DASK_DISTRIBUTED__WORKER__PRELOAD": '["no_such_module"]'}
        return self.hosts[0].start(*self.worker, env=env).wait()

    def intruders(self):
        """Let node3 connect to each port that other hosts can reach, with other certificates and with its own."""
        workers = {host.address: found for host, found in zip(self.hosts, self.workers().values(), strict=True)}
        ports = {address: self.client.run(listening, workers=found)[found[0]] for address, found in workers.items()}
        targets = [(a, port) for a, found in ports.items() for own, port in found if not own.startswith("127.")]
        program = Path(__file__).with_name("dask_intruder.py")
        result, log = self.folder / "hosts" / "intruder", self.folder / "hosts" / "intruder.log"
        words = (sys.executable, program, self.folder, result, json.dumps(targets))
        assert self.hosts[2].start(*words, log=log).wait() == 0
        return {"ports": ports, **json.loads(result.read_text())}

    def adaptive(self):
        """Let Dask start workers as needed. Then node2 loses its power, while it runs tasks of two users."""
        names, place = ("alice", "erin"), self.folder / "off"
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"})
        self.cluster.adapt(minimum=0, maximum=3, interval="500ms", wait_count=2, target_duration="1ms")
        self.wait_for([0, 0, 0])
        # More tasks than threads. Half of them leave the pool, so that Dask starts more threads.
        futures = [self.task(name, create_and_wait, place / name, place / "go") for _ in range(5) for name in names]
        futures += [
            self.submit(secede_first, self.accounts[name], create, self.folder / "shared" / name)
            for _ in range(10)
            for name in names
        ]
        self.wait_for([1, 1, 1])
        wait_slowly(lambda: len(self.runs("off")) == 3 * self.threads, "long tasks in all threads")
        before = self.runs("off")
        self.hosts[1].lose_power()
        wait_slowly(lambda: not self.workers()["node2"], "Dask to miss node2")
        wait_slowly(lambda: sum(map(len, self.workers().values())) == 3, "another worker")
        last = {host: len(found) for host, found in self.workers().items()}
        self.cluster.adapt(minimum=3, maximum=3)  # from now on, none ends
        return {
            **self.finish("off", futures, len(before)),
            "on node2": [host for host, _, _ in before].count("node2"),
            "last": last,
            "again": self.run_many(),
            "protected": self.protected(),
        }

    def everything(self):
        """Return the owners of all files that tasks of each user have created on the shared file system."""
        return {place.name: self.owners(place.iterdir()) for place in (self.folder / "shared").iterdir()}


def main():
    faulthandler.dump_traceback_later(4 * HANG, exit=True)  # if the cluster hangs
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "hosts" / "plan").read_text())
    hosts = [Host(folder, name, number) for number, name in enumerate(plan["hosts"], start=1)]
    found = {}
    dask.config.set({"distributed.deploy.lost-worker-timeout": HANG})  # only the nanny replaces a lost worker
    worker = {"cls": OnHost, "options": {"hosts": hosts, "words": plan["worker"]}}
    with (
        SpecCluster(scheduler={"cls": Started, "options": {"address": plan["scheduler"]}}, worker=worker) as cluster,
        distributed.Client(plan["scheduler"]) as client,
    ):
        story = Story(folder, cluster, client, hosts, plan)
        cluster.scale(3)
        story.wait_for([1, 1, 1])
        with ThreadPoolExecutor() as pool:  # the steps of a row at once
            for steps in (
                [story.users], [story.numbers], [story.seceding], [story.killed],
                [story.program, story.unprotected, story.intruders], [story.adaptive], [story.everything],
            ):  # fmt: skip
                started = time.monotonic()
                for step, result in zip(steps, pool.map(lambda step: step(), steps), strict=True):
                    found[step.__name__] = result
                print(*found, round(time.monotonic() - started, 1), "s", flush=True)
    (folder / "hosts" / "found").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
