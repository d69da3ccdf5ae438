# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures requests to the server of docs/examples/sftp_server.py.  docs/sftp.md has the figures.

usage: python tests/benchmarks/sftp.py [ROUNDS COUNT]   (as root; needs asyncssh, pytest and nss_wrapper; a minute)

Sixteen users with one session each send requests at the same time.  Each row compares the example with asyncssh's own
SFTP server, which serves them as root.  Both run at the same time, and take turns in 51 rounds of 320 requests.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from _measure import needs_root, ratio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import servers
from support.adapters import Sftp


async def read(session, path):
    async with session.open(path, "rb") as file:
        return await file.read(1 << 12)


REQUESTS = {"stat": lambda session, path: session.stat(path), "read": read}


def requests(adapter, request):
    """Return a function that sends that many requests, as all users at once."""

    async def user(name, count):
        session = await adapter.session(name)
        for _ in range(count):
            await request(session, f"{name}/secret".encode())

    async def users(count):
        await asyncio.gather(*(user(name, count // len(servers.NAMES)) for name in servers.NAMES))

    return lambda count: adapter.run(users(count))


def main(rounds=51, count=320):
    """Print the table."""
    needs_root()
    commands = [
        (servers.sftp_command, {}),
        (servers.asyncssh_alone_command, {"status": -signal.SIGTERM}),
    ]
    with contextlib.ExitStack() as stack:
        adapters = []
        for command, options in commands:
            world = stack.enter_context(servers.world())
            _, port = stack.enter_context(servers.server(world, command(world, world), **options))
            adapters.append(stack.enter_context(contextlib.closing(Sftp(port))))
        for name, request in REQUESTS.items():
            value, *times = ratio(*(requests(adapter, request) for adapter in adapters), count, rounds)
            print(f"{name:6}{value:5.2f}   {times[0]:5.0f} us : {times[1]:4.0f} us", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
