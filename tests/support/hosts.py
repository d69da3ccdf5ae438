# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Several hosts on this machine. Each has its own network, mounts, processes, name, users and disk.

A host is a set of namespaces, and tests/programs/host.py is its process 1. A bridge in the namespace of one more
"host" connects them. The namespaces have no names: they end with process 1, which ends with the process that made it.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.builds import ROOT, in_namespaces, run, tool
from support.children import HANG, wait_until

#: The mounts of a host: its user database, and its disk, which has the same path on every host.
_MOUNTS = """
for file in passwd group; do mount --bind "$1/$file" "/etc/$file"; done
mount --bind "$1/disk" "$2"
if [ -d /run/nscd ]; then mount -t tmpfs none /run/nscd; fi
shift 2
exec "$@"
"""


class Process:
    """A process of a host."""

    def __init__(self, host: "Host", connection: socket.socket) -> None:
        connection.settimeout(None)  # the command may run for any time
        self._host, self._answers = host, connection.makefile("rb")
        connection.close()  # the file keeps it open
        self.pid = int(self._answers.readline())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process."""
        self._host.kill(self.pid, number)

    def wait(self) -> "int | None":
        """Wait for the end; return the status, or None if the host has ended, too."""
        with self._answers as answers:
            line = answers.readline()
        return int(line) if line else None


class Host:
    """One host, as every process of every host can use it. `folder` holds the files of all hosts."""

    def __init__(self, folder: Path, name: str, number: int) -> None:
        self.name, self.address = name, f"192.0.2.{number}"  # RFC 5737
        self.folder, self.log = folder / "hosts" / name, folder / "hosts" / name / "log"

    def _ask(self, **request: Any) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(HANG)
            connection.connect(str(self.folder / "socket"))
            connection.sendall(json.dumps(request).encode() + b"\n")
        except BaseException:
            connection.close()
            raise
        return connection

    def start(self, *words: object, env: "dict[str, str] | None" = None, log: "Path | None" = None) -> Process:
        """Start a command on the host, with the given variables and those of this process."""
        variables = {**os.environ, **(env or {})}
        return Process(self, self._ask(words=[*map(str, words)], env=variables, log=str(log or self.log)))

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process of the host, and wait until it is sent."""
        with self._ask(pid=pid, signal=number) as connection:
            connection.recv(1)

    def lose_power(self) -> None:
        """Cut the network, then kill all processes. No other host sees a connection close."""
        with self._ask(cut="eth0") as connection:
            connection.recv(1)

    def is_up(self) -> bool:
        """Whether the host runs."""
        try:
            self._ask(pid=1, signal=0).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def _namespaces(host: Host, *command: object) -> Iterator[int]:
    """Start process 1 of a host in new namespaces; yield its number here."""
    options = ("--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
    words = [*in_namespaces(*options), *command, sys.executable, ROOT / "tests" / "programs" / "host.py"]
    words += [host.name, host.folder / "socket"]
    with open(host.log, "ab") as log:
        process = subprocess.Popen([*map(str, words)], stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:

        def is_ready() -> bool:
            assert process.poll() is None, host.log.read_text()
            return host.is_up()

        wait_until(is_ready, f"{host.name} to start")
        with host._ask(pid=1, signal=0) as connection:
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        yield pid
    finally:
        process.kill()  # unshare(1); the kernel then kills process 1 (--kill-child), and with it the whole host
        process.wait()
        process.stdin.close()  # type: ignore[union-attr]
        wait_until(lambda: not host.is_up(), f"{host.name} to end")


def _ip(pid: int, *lines: str) -> None:
    """Run commands of ip(8) in the network of a process."""
    for line in lines:
        out = run(tool("nsenter", "enters namespaces"), "-t", pid, "-n", tool("ip", "virtual networks"), *line.split())
        if out.returncode and " add " in line:
            pytest.skip(f"needs a kernel with veth and bridges: `ip {line}` fails here: {out.stderr.strip()}")
        assert out.returncode == 0, (line, out.stderr)


@contextlib.contextmanager
def connected(folder: Path, users: "dict[str, tuple[list[str], list[str]]]") -> Iterator[list[Host]]:
    """Start hosts on one network: a name -> the lines of its passwd and group. Yield them.

    Each host's own disk is `folder`/disk; other folders are the same on every host. Only root can reach folder/hosts.
    """
    hosts = [Host(folder, name, number) for number, name in enumerate(users, start=1)]
    switch = Host(folder, "switch", 0)
    (folder / "hosts").mkdir(0o700)
    (folder / "disk").mkdir()
    for host in (switch, *hosts):
        host.folder.mkdir()
        host.log.touch()
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(_namespaces(switch))
        _ip(bridge, "link add name bridge0 type bridge", "link set bridge0 up")
        for host in hosts:
            (host.folder / "disk").mkdir(0o755)
            passwd, group = users[host.name]
            (host.folder / "passwd").write_text("\n".join(["root:x:0:0::/root:/bin/sh", *passwd, ""]))
            (host.folder / "group").write_text("\n".join(["root:x:0:", *group, ""]))
            pid = stack.enter_context(_namespaces(host, "sh", "-ec", _MOUNTS, "sh", host.folder, folder / "disk"))
            _ip(bridge, f"link add name {host.name} type veth peer name eth0 netns {pid}")
            _ip(bridge, f"link set {host.name} master bridge0 up")
            _ip(pid, "link set lo up", f"address add {host.address}/24 dev eth0", "link set eth0 up")
        yield hosts
