# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures what a request costs under web frameworks, with and without the identity of its user.

usage: python tests/benchmarks/frameworks.py [--quick]
(as root; two minutes, --quick some seconds)

One server for each framework answers the same requests of sixteen users in several ways: read a file of 4 KiB that only
its user may read.  The bare framework reads it as root, the other ways as the user.  The rounds alternate between the
ways.  Prints the table of docs/speed.md to standard output.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _measure import machine, needs_root
from _tables import markdown, short

HERE = Path(__file__).resolve().parent
USERS, CONNECTIONS, SIZE = 16, 4, 4096
#: The ways to read the file as the user, for each framework.
WAYS = {
    "Flask, cheroot": ["AsClient"],
    "Flask, gunicorn": ["AsClient"],
    "Django, gunicorn": ["AsClient"],
    "FastAPI, uvicorn": ["run_as", "run_as-in-a-pool"],
}


class Server:
    """A running server of _servers.py, with connections to it."""

    def __init__(self, framework, folder, cleanup):
        words = [sys.executable, HERE / "_servers.py", framework, folder, str(USERS)]
        process = subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, text=True)
        cleanup.callback(process.stdout.close)
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        port = int(process.stdout.readline())
        self.clients = cleanup.enter_context(ThreadPoolExecutor(CONNECTIONS))
        self.connections = [
            cleanup.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(CONNECTIONS)
        ]
        for connection in self.connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask(self.connections[0], "bare", 0)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.pid = int(children[0]) if children else process.pid  # gunicorn's worker

    def ask(self, connection, way, number):
        """Send one request and check the answer."""
        connection.sendall(f"GET /{way}/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(contents(number)):
            part = connection.recv(1 << 16)
            assert part, answer
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 "), answer

    def measure(self, way, count):
        """Send `count` requests over the connections.  Return the time and the server's processor time, in us each."""

        def client(connection, first):
            for number in range(first, count, CONNECTIONS):
                self.ask(connection, way, number % USERS)

        clock = (~self.pid << 3) | 2  # clock_getcpuclockid(3): the processor time of that process
        cpu, started = time.clock_gettime(clock), time.perf_counter()
        list(self.clients.map(client, self.connections, range(CONNECTIONS)))
        return (time.perf_counter() - started) / count * 1e6, (time.clock_gettime(clock) - cpu) / count * 1e6


def contents(number):
    """The file of a user."""
    return f"file of user {number}\n".encode().ljust(SIZE, b"%d" % (number % 10))


def lay_out(folder):
    folder.chmod(0o755)
    for number in range(USERS):
        home = folder / str(number)
        home.mkdir()
        (home / "file").write_bytes(contents(number))
        for path in (home, home / "file"):
            os.chown(path, 90001 + number, 90101 + number)
            path.chmod(0o700)


def compare(framework, folder, count, rounds):
    """Return a row for each way: medians of the rounds."""
    seen = {way: [] for way in ("bare", *WAYS[framework])}
    with contextlib.ExitStack() as cleanup:
        server = Server(framework, folder, cleanup)
        for turn in range(rounds + 1):
            for way in list(seen)[:: 1 if turn % 2 else -1]:
                seen[way].append(server.measure(way, count))
    bare = seen.pop("bare")[1:]  # the first round warms up
    return [row(framework, way, pairs[1:], bare) for way, pairs in seen.items()]


def row(framework, way, ours, bare):
    return {
        "framework": framework,
        "way": way,
        "bare": statistics.median(us for us, _ in bare),
        "user": statistics.median(us for us, _ in ours),
        "ratio": statistics.median(one[0] / other[0] for one, other in zip(ours, bare, strict=True)),
        "cpu": statistics.median(one[1] - other[1] for one, other in zip(ours, bare, strict=True)),
    }


def table(rows):
    head = ["framework", "bare", "as the user", "with", "ratio", "processor time added"]
    cells = [
        [one["framework"], short(one["bare"]), short(one["user"]), one["way"], f"{one['ratio']:.2f}", short(one["cpu"])]
        for one in rows
    ]
    return markdown(head, cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds")
    options = parser.parse_args()
    needs_root()
    count, rounds = (160, 3) if options.quick else (1600, 15)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        for framework in WAYS:
            rows += compare(framework, folder, count, rounds)
            print(f"{framework}: {rows[-1]['ratio']:.2f}", file=sys.stderr, flush=True)
    print(table(rows))
    print("\n" + ", ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
