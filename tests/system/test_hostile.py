# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A hostile client attacks the servers of docs/start-python.md and of docs/examples/ (support/hostile.py).

No answer may contain a secret, and no file of another user may change. Other clients must not wait.
No thread may keep an identity, and the server must stop cleanly.
"""

import contextlib
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT

import pytest
from support import hostile, servers
from support.adapters import Adapter, Dav, FastApi, FileService, Ftp, Sftp, Tutorial, Web
from support.builds import ROOT, needs_package
from support.children import HANG, wait_until
from support.hostile import ATTACKER, BYSTANDER, LARGE, MANY, NOTES, OWNER, PLAIN, PLANTED, SECRET, Attack, Home
from support.mounted import Mounted, mount
from support.servers import IDS, command, open_files, owner, users_file, wait_until_clean, wait_until_open

import replace

#: cheroot ends a connection after this time without progress. The default makes these tests longer.
IDLE = ("--timeout", "3")
TUTORIAL = (ROOT / "docs" / "start-python.md").read_text()


def start_ftp(world):
    needs_package("pyftpdlib")
    words = {"2121": 0, "ftp-users.txt": users_file(world, ""), "/srv/ftp": world / "served"}
    return servers.server(world, command("ftp_server.py", words))


def start_webdav(world):
    needs_package("cheroot", "wsgidav")
    words = {"8080": 0, "dav-users.txt": users_file(world), "/srv/dav": world / "served"}
    return servers.server(world, [*command("webdav_server.py", words), *IDLE])


def start_flask(world):
    needs_package("cheroot", "flask")
    words = {"8080": 0, "flask-users.txt": users_file(world), "/srv/flask": world / "served"}
    return servers.server(world, [*command("flask_server.py", words), *IDLE])


def start_sftp(world):
    return servers.server(world, servers.sftp_command(world, world / "served"))


def start_fastapi(world):
    needs_package("fastapi", "uvicorn")
    words = {"8080": 0, "web-users.txt": users_file(world), "/srv/web": world / "served"}
    return servers.server(world, command("fastapi_server.py", words))


def start_file_service(world):
    return servers.server(world, servers.file_service_command(world, world / "served"))


def start_file_service_with_threads(world):
    return servers.server(world, servers.file_service_command(world, world / "served", "threads"))


def start_fuse_mount(world):
    return mount(world, world / "served")


def start_threaded_server(world, change=("", "")):
    (program,) = re.findall(r"```python\n(import os, shutil, socketserver.*?)```", TUTORIAL, re.S)
    assert change[0] in program
    words = [sys.executable, "-c", program.replace(*change), str(world / "socket"), str(world / "served")]
    return servers.server(world, words, SIGINT, socket=world / "socket", status=-SIGINT)


def start_careless(world):
    """The control: the tutorial's threaded server without open_beneath(). Path attacks on it succeed."""
    opens = "replace.open_beneath(folder, path, os.O_RDONLY)", "os.open(os.fsencode(sys.argv[2]) + b'/' + path, 0)"
    return start_threaded_server(world, opens)


def start_async_server(world):
    (program,) = re.findall(r"```python\n(import asyncio, os, sys.*?)```", TUTORIAL, re.S)
    words = [sys.executable, "-c", program, str(world / "socket"), str(world / "served")]
    return servers.server(world, words, SIGINT, socket=world / "socket", status=-SIGINT)


class AsyncTutorial(Tutorial):
    """The tutorial's asyncio server. Its threads serve many connections."""

    starts_threads = False


SERVERS = {
    "ftp": (start_ftp, Ftp),
    "webdav": (start_webdav, Dav),
    "flask": (start_flask, Web),
    "sftp": (start_sftp, Sftp),
    "fastapi": (start_fastapi, FastApi),
    "file_service": (start_file_service, FileService),
    "file_service_threads": (start_file_service_with_threads, FileService),
    "fuse_mount": (start_fuse_mount, Mounted),
    "threaded_server": (start_threaded_server, Tutorial),
    "async_server": (start_async_server, AsyncTutorial),
}
CONTROL = (start_careless, Tutorial)


def only_if(ability):
    """Run a test only with the servers whose adapter has this ability."""
    names = [name for name, (_, adapter) in SERVERS.items() if getattr(adapter, ability)]
    return pytest.mark.parametrize("stage", names, indirect=True)


class Stage:
    """A running server, the folder that it serves, and an adapter that sends requests."""

    def __init__(self, world: Path, pid: int, adapter: Adapter) -> None:
        self.world, self.pid, self.adapter = world, pid, adapter
        self.home = Home(world)
        self._count = 0

    def check_ordinary_requests(self) -> None:
        """Check that ordinary requests of other clients get the right answers."""
        ask, self._count = self.adapter, self._count + 1
        assert ask.read(BYSTANDER, f"{OWNER}/notes".encode()) == NOTES
        assert ask.read(BYSTANDER, b"public") == NOTES
        assert ask.read(OWNER, f"{OWNER}/closed/small".encode()) == SECRET + b" small"
        assert ask.read(BYSTANDER, f"{OWNER}/closed/small".encode()) is None
        if ask.writes:
            name, data = f"{BYSTANDER}/file{self._count}", str(self._count).encode()
            assert ask.write(BYSTANDER, name.encode(), data)
            assert owner(self.world / "served" / name) == IDS[BYSTANDER]
            assert ask.read(BYSTANDER, name.encode()) == data
        if ask.lists:
            names = ask.list(OWNER, f"{OWNER}/closed".encode()) or set()
            assert names - {b"upload"} == {b"draft", b"small", b"writable", SECRET}

    def attack(self, attack: Attack) -> None:
        """Send every kind of request for one name and check the answers."""
        ask, found = self.adapter, self.adapter.read(ATTACKER, attack.path)
        is_list = ask.reads_folders and {*(found or b"").splitlines()} <= hostile.listable(self.world)
        if found and found not in (*attack.allowed, PLANTED) and not is_list:
            # not an assertion, because pytest takes long to explain one with so much data
            raise AssertionError(f"{attack.name}: read {found[:100]!r}")
        if ask.lists and not ask.reads_folders:
            names = ask.list(ATTACKER, attack.path) or set()
            assert names <= hostile.listable(self.world), f"{attack.name}: listed {names}"
        if attack.write:
            if ask.writes:
                ask.write(ATTACKER, attack.path, PLANTED)
            for answer in ask.others(ATTACKER, attack.path):
                assert SECRET not in answer, f"{attack.name}: {answer[:100]!r}"
        assert SECRET not in b"".join(ask.refusals), f"{attack.name}: {ask.refusals}"
        ask.refusals.clear()

    def memory(self) -> int:
        """Return the server's memory in bytes."""
        (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{self.pid}/status").read_text(), re.M)
        return int(kib) << 10


@contextlib.contextmanager
def staged(start, adapter):
    with servers.world() as world:
        hostile.lay_out(world)
        users_file(world)
        before = hostile.snapshot(world)
        with contextlib.ExitStack() as clients, start(world) as (pid, address):
            # This limit stops reads from endless devices. Each thread's stack takes 8 MiB of this limit.
            resource.prlimit(pid, resource.RLIMIT_DATA, (4 << 30, 4 << 30))
            stage = Stage(world, pid, clients.enter_context(contextlib.closing(adapter(address))))
            stage.check_ordinary_requests()
            yield stage
            stage.check_ordinary_requests()
            terminal = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4]
            assert terminal == "0", "the server now has a controlling terminal"
            wait_until_clean(pid, stage.adapter.has_pool)
            # The server stops while clients are still connected.
        assert hostile.snapshot(world) == before


@pytest.fixture(params=SERVERS)
def stage(request, monkeypatch):
    monkeypatch.setenv("LIBREPLACE_TEST_SECRET", SECRET.decode())  # attacks read it from /proc/self/environ
    with staged(*SERVERS[request.param]) as stage:
        yield stage


@pytest.fixture
def short_idle(monkeypatch):
    """For tests in which ordinary requests wait until cheroot ends the attacker's connections."""
    monkeypatch.setattr(sys.modules[__name__], "IDLE", ("--timeout", "1"))


def test_attacks_find_the_secrets_of_a_careless_server():
    """Control: this server impersonates its clients, but does not use open_beneath()."""
    found = []
    with staged(*CONTROL) as stage:
        path = f"{OWNER}/closed/draft"
        stage.adapter.begin(OWNER, path.encode())
        number = wait_until_open(stage.pid, f"{stage.world}/served/{path}")
        for attack in hostile.attacks(stage.world, stage.pid, [number]):
            try:
                stage.attack(attack)
            except AssertionError:
                found.append(attack.name)
    for target in (f"/proc/self/fd/{number}", f"/dev/fd/{number}", "outside/secret"):
        for kind in ("up", "link", "link to the root", "link to its folder"):
            assert f"{target}, {kind}" in found
    assert "/etc/passwd, link" in found
    assert "up, many dots" in found
    assert not [name for name in found if name.startswith(("private", "closed", "notes"))], "permissions protect these"


@only_if("resolves")
def test_no_file_name_gives_extra_access(stage):
    """During the attacks, another user slowly downloads two files from a closed folder and uploads one into it."""
    paths = [f"{OWNER}/closed/{name}" for name in ("draft", "writable")]
    slow = [stage.adapter.begin(OWNER, path.encode()) for path in paths]
    if stage.adapter.writes:
        paths.append(f"{OWNER}/closed/upload")
        upload = stage.adapter.begin_write(OWNER, paths[-1].encode())
    numbers = [wait_until_open(stage.pid, f"{stage.world}/served/{path}") for path in paths]
    for number, attack in enumerate(hostile.attacks(stage.world, stage.pid, numbers)):
        stage.attack(attack)
        if number % 100 == 0:
            stage.check_ordinary_requests()
        if number % 20 == 0:
            for connection in slow:  # cheroot ends a connection without progress
                assert connection.recv(1 << 16)
            if stage.adapter.writes:
                upload.sendall(bytes(1000))
    for path in paths:
        assert f"{stage.world}/served/{path}" in open_files(stage.pid), "the server must keep the file open"
    stage.adapter.close()  # otherwise the server's stop waits for these clients
    (stage.world / "served" / OWNER / "closed" / "upload").unlink(missing_ok=True)


@contextlib.contextmanager
def swapping(world):
    """Change the targets of the names hostile.SWAPPED during the block."""
    served = world / "served"
    with subprocess.Popen([sys.executable, hostile.__file__, served], stdout=subprocess.PIPE, text=True) as swapper:
        try:
            assert swapper.stdout.readline() == "swapping\n"
            yield
        finally:
            swapper.kill()
    with contextlib.suppress(FileNotFoundError):  # the swapper may have left this folder outside: move it back
        (world / "outside" / "drop" / "inner").rename(served / ATTACKER / "left")


def test_plain_open_of_a_swapped_name_reads_both_files():
    """Control: a careless server would read the secret."""
    with servers.world() as world:
        hostile.lay_out(world)
        with swapping(world):
            for path in hostile.SWAPPED:
                seen = set()
                deadline = time.monotonic() + HANG
                while not {True, False} <= seen:
                    assert time.monotonic() < deadline, path
                    if data := hostile.try_swapped(world / "served", path):
                        seen.add(SECRET in data)


def test_name_swapped_during_resolution_gives_no_extra_access(stage):
    with swapping(stage.world):
        for _ in range(100):
            for path in hostile.SWAPPED if stage.adapter.resolves else hostile.SWAPPED[:-1]:
                stage.attack(Attack(f"{path[:20]!r} swapped", path, (PLAIN,)))
                if stage.adapter.writes:
                    stage.adapter.write(ATTACKER, path, PLANTED)
        stage.check_ordinary_requests()


def test_fifos_do_not_block_other_clients(stage):
    with hostile.fifos(stage.home) as names, contextlib.ExitStack() as waiting:
        for name in names:
            waiting.enter_context(stage.adapter.begin(ATTACKER, name))
        stage.check_ordinary_requests()
        for name in names[:3]:
            stage.attack(Attack("a FIFO", name, write=True))
    stage.check_ordinary_requests()


def test_devices_and_sockets_are_not_served(stage):
    for name, path in hostile.special_files(stage.home):
        stage.attack(Attack(name, path, write=True))
        stage.check_ordinary_requests()


@pytest.mark.usefixtures("short_idle")
def test_clients_that_never_read_do_not_block_other_clients(stage):
    """The clients are still connected when the server is stopped."""
    before, path = stage.memory(), f"{OWNER}/closed/draft"
    stage.adapter.begin(OWNER, path.encode())
    wait_until_open(stage.pid, f"{stage.world}/served/{path}")
    for _ in range(MANY - 1):
        stage.adapter.begin(OWNER, path.encode())
    stage.check_ordinary_requests()
    grown = stage.memory() - before
    assert grown < MANY * LARGE / 2, f"{grown >> 20} MiB more: the server keeps a whole file for each client"


def test_clients_that_disconnect_early_leave_no_open_files(stage):
    for _ in range(MANY):
        with stage.adapter.begin(OWNER, f"{OWNER}/closed/draft".encode()) as connection:
            assert connection.recv(1000)
        stage.adapter.begin(OWNER, f"{OWNER}/closed/draft".encode()).close()
        if stage.adapter.writes:
            stage.adapter.begin_write(ATTACKER, f"{ATTACKER}/half".encode()).close()
        if stage.adapter.lines:
            with stage.adapter.begin_line(ATTACKER) as connection:
                connection.sendall(b"half a line")
    stage.check_ordinary_requests()
    stage.adapter.close()
    wait_until(lambda: not any("/served/" in path for path in open_files(stage.pid)), "the server to close the files")
    if stage.adapter.starts_threads:
        wait_until(lambda: len(replace.thread_credentials(stage.pid)) == 1, "the threads to end")


@only_if("lines")
@pytest.mark.usefixtures("short_idle")
def test_endless_line_uses_little_memory(stage):
    """Many clients send half a line and wait. One sends a line that never ends."""
    before = stage.memory()
    for _ in range(MANY):
        stage.adapter.begin_line(ATTACKER).sendall(b"half a line")
    with stage.adapter.begin_line(ATTACKER) as connection, contextlib.suppress(ConnectionError, TimeoutError):
        connection.settimeout(2)  # the server may also stop reading
        for _ in range(1500):
            connection.sendall(b"n" * (1 << 16))
    grown = stage.memory() - before
    assert grown < 50 << 20, f"{grown >> 20} MiB more"
    stage.check_ordinary_requests()
    stage.adapter.close()
