# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Puts load on the server of docs/examples/file_service.py: 64 users, 1000 connections at the same time.

usage: python tests/benchmarks/file_service.py [--quick]
(as root; two minutes, --quick some seconds)

Two servers run, one for each back end of replace.aio.Files, and the rounds alternate between them.  Every connection
always has one request under way.  The program checks each answer, and the content and the owner of each file that a
client stores.  Prints the table of docs/files.md.
"""

import argparse
import contextlib
import itertools
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import machine, needs_root
from _tables import markdown, short

import replace

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "file_service.py"
USERS, CONNECTIONS, SIZE = 64, 1000, 4096
IDENTITIES = [replace.Identity(90001 + number, 90101 + number) for number in range(USERS)]
HANG = 60  # seconds without any answer
numbers = itertools.count()


def contents(user):
    return f"file of user {user}\n".encode().ljust(SIZE, b"%d" % (user % 10))


def get(user):
    """Read the user's own file."""
    return [(b"GET %d/file\n" % user, b"OK %d\n" % SIZE + contents(user))]


def refused(user):
    """Try to read another user's file."""
    return [(b"GET %d/file\n" % ((user + 1) % USERS), b"ERR EACCES\n")]


def put(user):
    """Store a new file."""
    return [(b"PUT %d %d/new/%d\n" % (SIZE, user, next(numbers)), b"SEND\n"), (contents(user), b"OK 0\n")]


REQUESTS = {"GET, 4 KiB": get, "GET, refused": refused, "PUT, 4 KiB": put}


def lay_out(folder):
    folder.chmod(0o755)
    for user, identity in enumerate(IDENTITIES):
        home = folder / str(user)
        (home / "new").mkdir(parents=True)
        (home / "file").write_bytes(contents(user))
        for path in (home, home / "new", home / "file"):
            os.chown(path, identity.uid, identity.gid)
            path.chmod(0o700)


def check_new_files(folder):
    """Check the content and the owner of each stored file, and remove them.  Return how many there were."""
    count = 0
    for user, identity in enumerate(IDENTITIES):
        for path in (folder / str(user) / "new").iterdir():
            entry = path.lstat()
            assert (entry.st_uid, entry.st_gid) == (identity.uid, identity.gid), path
            assert path.read_bytes() == contents(user), path
            path.unlink()
            count += 1
    return count


class Connection:
    """A client's connection, and what it still has to send and to receive."""

    def __init__(self, address, user):
        self.user, self.steps, self.received = user, [], b""
        self.socket = socket.socket(socket.AF_UNIX)
        with replace.impersonate(IDENTITIES[user]):  # the server reads the ids of this moment
            self.socket.connect(address)

    def begin(self, steps):
        self.steps = steps
        self.socket.sendall(steps[0][0])

    def receive(self):
        """Read a part of the answer; return whether the request is done."""
        self.received += self.socket.recv(1 << 16)
        expected = self.steps[0][1]
        assert self.received, f"the server has disconnected a client of user {self.user}"
        assert expected.startswith(self.received), (self.user, self.steps[0], self.received[:100])
        if len(self.received) < len(expected):
            return False
        self.received = b""
        del self.steps[0]
        if self.steps:
            self.socket.sendall(self.steps[0][0])
        return not self.steps


class Server:
    """A running server and its clients."""

    def __init__(self, backend, folder, cleanup):
        self.folder, address = folder, str(folder.with_suffix(f".{backend}"))
        words = [sys.executable, EXAMPLE, address, folder, "--backend", backend, "--timeout", "3600"]
        process = subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, text=True)
        cleanup.callback(process.stdout.close)
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        self.pid = process.pid
        for line in process.stdout:
            if line.startswith("listening"):
                break
        else:
            raise RuntimeError(f"the server with the back end {backend} has ended")
        self.poll, self.connections = cleanup.enter_context(select.epoll()), {}
        for number in range(CONNECTIONS):
            one = Connection(address, number % USERS)
            cleanup.callback(one.socket.close)
            self.poll.register(one.socket, select.EPOLLIN)
            self.connections[one.socket.fileno()] = one

    def exchange(self, request, count):
        """Send `count` requests, one after the other on each connection, and check the answers."""
        left = count - len(self.connections)
        for one in self.connections.values():
            one.begin(request(one.user))
        while count:
            events = self.poll.poll(HANG)
            assert events, f"{count} requests have no answer"
            for descriptor, _ in events:
                one = self.connections[descriptor]
                if one.receive():
                    count -= 1
                    if left:
                        left -= 1
                        one.begin(request(one.user))

    def measure(self, request, count):
        """Return the wall time and the server's processor time of a request, in us."""
        clock = (~self.pid << 3) | 2  # clock_getcpuclockid(3): the processor time of that process
        cpu, started = time.clock_gettime(clock), time.perf_counter()
        self.exchange(request, count)
        seen = (time.perf_counter() - started) / count * 1e6, (time.clock_gettime(clock) - cpu) / count * 1e6
        assert check_new_files(self.folder) == (count if request is put else 0)
        return seen

    def threads(self):
        """Count the threads of the server's own code, without those of the kernel."""
        return len([thread for thread in replace.thread_credentials(self.pid) if not thread.of_io_uring])


def compare(servers, request, count, rounds):
    """Return {back end: (wall time, processor time)} for a request: medians of the rounds."""
    seen = {name: [] for name in servers}
    for turn in range(rounds + 1):
        for name in list(servers)[:: 1 if turn % 2 else -1]:
            seen[name].append(servers[name].measure(request, count))
    columns = {name: zip(*pairs[1:], strict=True) for name, pairs in seen.items()}
    return {name: [statistics.median(column) for column in pair] for name, pair in columns.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds")
    options = parser.parse_args()
    needs_root()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count, rounds = (5000, 1) if options.quick else (10_000, 15)
    rows = []
    with tempfile.TemporaryDirectory(prefix="libreplace-benchmark-") as name, contextlib.ExitStack() as cleanup:
        Path(name).chmod(0o755)
        servers = {}
        for backend in ("io_uring", "threads"):
            folder = Path(name, backend)
            folder.mkdir()
            lay_out(folder)
            servers[backend] = Server(backend, folder, cleanup)
        for what, request in REQUESTS.items():
            some = count // 5 if request is put else count
            for backend, (wall, cpu) in compare(servers, request, some, rounds).items():
                rows.append([what, backend, f"{1e6 / wall:.0f}", short(cpu), servers[backend].threads()])
                print(*rows[-1], file=sys.stderr, flush=True)
    print(markdown(["request", "back end", "requests per second", "processor time of one", "threads"], rows))
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
