# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/examples/file_service.py, started by the command of docs/servers.md, with each back end of replace.aio.Files."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP, SIGTERM

import pytest
from support import servers
from support.adapters import FileService, receive_all
from support.builds import ROOT, tool
from support.children import HANG, in_child, wait_until
from support.mounted import mount
from support.servers import (
    IDS,
    MEMBERS,
    NAMES,
    TEAM,
    file_service_command,
    open_files,
    owner,
    server,
    wait_until_clean,
    wait_until_open,
)

import replace
import replace.aio


@pytest.fixture(params=["io_uring", "threads"])
def backend(request):
    async def open_and_close():
        async with replace.aio.Files(backend=request.param):
            pass

    if replace.SCOPE == "thread":
        try:
            asyncio.run(open_and_close())
        except OSError as error:
            pytest.skip(f"needs io_uring ({error.strerror}); try sysctl kernel.io_uring_disabled=0")
    return request.param


@contextlib.contextmanager
def service(world, backend, *options):
    """Start the server; yield its process id and an adapter."""
    words = [*file_service_command(world, world, backend), *options]
    with server(world, words) as (pid, address), contextlib.closing(FileService(address)) as adapter:
        yield pid, adapter


def wait_until_closed(pid, folder):
    """Wait until the server has no file below the folder open."""
    wait_until(lambda: not [path for path in open_files(pid) if path.startswith(str(folder))], "the files to be closed")


def test_block_of_the_page_is_in_the_example():
    page = (ROOT / "docs" / "files.md").read_text()
    (block,) = re.findall(r"^ *```python\n( *def in_memory.*?)^ *```$", page, re.M | re.S)
    assert textwrap.dedent(block) in (ROOT / "docs" / "examples" / "file_service.py").read_text()


@pytest.mark.parametrize("stop", [SIGTERM, SIGINT], ids=lambda number: number.name)
def test_service_stops_cleanly(world, backend, stop):
    (world / "alice" / "large").write_bytes(bytes(8 << 20))
    words = file_service_command(world, world, backend)
    with contextlib.ExitStack() as clients, server(world, words, stop) as (pid, address):
        adapter = clients.enter_context(contextlib.closing(FileService(address)))
        adapter.connect("bob")
        adapter.begin_line("bob")
        adapter.begin("bob", b"alice/large")
        adapter.begin_write("bob", b"bob/file")
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        assert wait_until_clean(pid, has_pool=True) >= 0
        # The server stops while these clients are connected.


def test_service_serves_sixteen_users_at_once(world, backend):
    seen, done = set(), threading.Event()

    def watch(pid):
        """Read the ids of all threads repeatedly. Only workers may switch, never the thread of the event loop."""
        while not done.is_set():
            for thread in replace.thread_credentials(pid):
                seen.add((thread.tid == pid, thread.ids))

    with server(world, file_service_command(world, world, backend)) as (pid, address):
        (loop, *_) = replace.thread_credentials(pid)
        watcher = threading.Thread(target=watch, args=(pid,))
        clients = [
            subprocess.Popen(
                [sys.executable, ROOT / "tests" / "support" / "file_client.py", address, world, name],
                stdin=subprocess.DEVNULL,
            )
            for name in NAMES
        ]
        watcher.start()
        try:
            assert [client.wait(HANG) for client in clients] == [0] * len(NAMES)
        finally:
            done.set()
            watcher.join()
            for client in clients:
                client.kill()
        assert {ids for main, ids in seen if main} == {loop.ids}
        assert {ids for main, ids in seen if not main} > {loop.ids}, "workers must be seen with users' ids"
        assert wait_until_clean(pid, has_pool=True) > 0

        def as_root():
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(address)
                client.sendall(b"GET alice/secret\n")
                return client.recv(100)

        assert in_child(as_root) == b"ERR EPERM\n"
    for name in MEMBERS:
        assert owner(world / "shared" / f"{name}0") == (IDS[name][0], TEAM)
    assert not list(world.glob("*/planted"))


@pytest.mark.parametrize("filtered", [False, True], ids=["plain", "filtered"])
def test_service_says_which_back_end_it_uses(world, backend, filtered):
    """Without `--backend`, it is io_uring, unless the machine has none or a filter forbids it."""
    words = file_service_command(world, world)
    del words[-2:]
    if filtered:
        odd_machine = str(ROOT / "tests" / "support" / "odd_machine.py")
        words = [sys.executable, odd_machine, "filter", "io_uring_setup", "EPERM", *words]
    with server(world, words) as (_, address), contextlib.closing(FileService(address)) as adapter:
        used = "threads" if filtered else "io_uring"
        if backend == "io_uring":  # this machine has it
            assert f"files are opened by {used}\n" in (world / "log").read_text()
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        assert adapter.read("bob", b"alice/secret") is None


def test_user_whose_file_server_hangs_does_not_stop_others(world, backend):
    """More requests of alice hang than the server has workers. They are answered when her file server goes on.

    Her clients have several groups, as with newgrp(1), and she is still one user.
    """
    place, remote = world / "place", world / "alice" / "remote"
    (place / "files").mkdir(parents=True)
    (place / "files" / "file").write_bytes(b"from afar")
    for name in ("passwd", "group"):
        shutil.copy(world / name, place)
    remote.mkdir()
    os.chown(remote, *IDS["alice"])
    # The program looks up the groups of the asking thread, and refuses those that io_uring starts.
    changes = (("replace.Identity.of_process(thread)", "replace.Identity(uid, gid)"),)
    with (
        mount(place, place / "files", over=remote, changes=changes) as (file_server, _),
        service(world, backend) as (_, adapter),
    ):
        assert adapter.read("alice", b"alice/remote/file") == b"from afar"
        os.kill(file_server, SIGSTOP)
        try:
            waiting = []
            for number in range(50):
                identity = replace.Identity(IDS["alice"][0], TEAM + number % 5)
                waiting.append(adapter.begin(identity, b"alice/remote/file"))
            for _ in range(3):
                assert adapter.read("bob", b"bob/secret") == b"secret of bob"
                assert adapter.write("bob", b"bob/file", b"x")
                assert adapter.list("bob", b"bob/private") == {b"hidden"}
        finally:
            os.kill(file_server, SIGCONT)
        for client in waiting:
            assert client.makefile("rb").read(len(b"OK 9\nfrom afar")) == b"OK 9\nfrom afar"


@pytest.mark.parametrize("place", ["tmpfs", "disk"])
def test_file_that_is_not_in_memory_is_read_by_a_worker(backend, place, monkeypatch):
    """The kernel cannot say of a file on a tmpfs whether a read waits."""
    if place == "tmpfs":
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    with servers.world() as world:
        data = os.urandom(300_000)
        (world / "alice" / "large").write_bytes(data)
        with open(world / "alice" / "large", "rb") as file, service(world, backend) as (pid, adapter):
            for _ in range(3):
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                assert adapter.read("bob", b"alice/large") == data
            (world / "alice" / "empty").touch()
            assert adapter.read("bob", b"alice/empty") == b""
            wait_until_closed(pid, world / "alice")


@pytest.mark.parametrize("is_deleted", [False, True])
def test_deleted_file_is_closed_by_a_worker(world, backend, is_deleted, tmp_path):
    """This close() frees the blocks of the file, which can take seconds."""
    strace, log = tool("strace", "shows which thread closes a file"), tmp_path / "log"
    path = world / "alice" / "large"
    path.write_bytes(bytes(1 << 20))
    with service(world, backend) as (pid, adapter):
        client = adapter.begin("bob", b"alice/large")
        number = wait_until_open(pid, str(path))
        words = [strace, "-f", "-e", "trace=close", "-o", log, "-p", str(pid)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            try:
                assert "attached" in tracer.stderr.readline()
                if is_deleted:
                    path.unlink()
                client.close()
                closes = re.compile(rf"^(\d+) +close\({number}\) += 0$", re.M)
                wait_until(lambda: closes.search(log.read_text()), "the file to be closed")
            finally:
                tracer.terminate()
        (thread,) = closes.findall(log.read_text())
        assert (int(thread) != pid) == is_deleted


def test_client_with_many_requests_at_once_does_not_stop_others(world, backend, tmp_path):
    """The answers alternate, although the files of both clients are in memory and the server waits for nobody."""
    strace, log = tool("strace", "shows in which order the server answers"), tmp_path / "log"
    names = {"alice": b"alice/secret", "bob": b"bob/secret"}
    with service(world, backend) as (pid, adapter):
        clients = {name: adapter.connect(name) for name in names}
        for name, client in clients.items():
            client.sendall(b"GET %s\n" % names[name])
            assert client.recv(100).endswith(name.encode())
        words = [strace, "-e", "trace=sendto", "-o", log, "-p", str(pid)]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            try:
                assert "attached" in tracer.stderr.readline()
                os.kill(pid, SIGSTOP)
                wait_until(lambda: re.search(r"\) [Tt] ", Path(f"/proc/{pid}/stat").read_text()), "the server to stop")
                for name, client in clients.items():
                    client.sendall(b"GET %s\n" % names[name] * 20)
                os.kill(pid, SIGCONT)
                answers = re.compile(r'"OK .*secret of (\w+)"')
                wait_until(lambda: len(answers.findall(log.read_text())) == 40, "the server to answer")
            finally:
                os.kill(pid, SIGCONT)
                tracer.terminate()
        order = answers.findall(log.read_text())
        assert order not in ([*["alice"] * 20, *["bob"] * 20], [*["bob"] * 20, *["alice"] * 20])


def test_connections_of_one_user_are_limited(world, backend):
    with service(world, backend) as (_, adapter):
        clients = [adapter.connect("alice") for _ in range(100)]
        with adapter.connect("alice") as client:
            assert receive_all(client) == b"ERR EAGAIN\n"
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        for client in clients:
            client.sendall(b"GET alice/secret\n")
            assert client.recv(100) == b"OK 15\nsecret of alice"
        clients.pop().close()
        wait_until(lambda: adapter.read("alice", b"alice/secret"), "the server to notice that a client has gone")


def test_client_without_progress_is_disconnected(world, backend):
    (world / "alice" / "large").write_bytes(bytes(8 << 20))
    with service(world, backend, "--timeout", "1") as (pid, adapter):
        silent, half_a_line = (adapter.connect("alice") for _ in range(2))
        half_a_line.sendall(b"GET alice/sec")
        adapter.begin("alice", b"alice/large")  # nobody reads the answer
        adapter.begin_write("alice", b"alice/upload")
        for client in (silent, half_a_line):
            assert receive_all(client) == b""
        wait_until_closed(pid, world / "alice")
        assert adapter.read("alice", b"alice/secret") == b"secret of alice"


def test_request_that_is_cut_off_changes_nothing(world, backend):
    """A connection that breaks in the middle of a line leaves a shorter path, which may be that of another file."""
    with service(world, backend) as (_, adapter):
        for line in (b"PUT 0 alice/secret", b"GET alice/secret"):  # of alice/secret2
            with adapter.connect("alice") as client:
                client.sendall(line)
                client.shutdown(socket.SHUT_WR)
                assert receive_all(client) == b""
        assert adapter.read("alice", b"alice/secret") == b"secret of alice"


def test_client_that_has_sent_all_and_reads_nothing_is_disconnected(world, backend):
    """The answers have many sizes. Of some, the last part is still in the server when the request is over."""

    def sockets():
        return len([path for path in open_files(pid) if path.startswith("socket:")])

    with service(world, backend, "--timeout", "1") as (pid, adapter):
        before = sockets()
        for size in range(50_000, 550_000, 20_000):
            (world / "alice" / f"file{size}").write_bytes(bytes(size))
            client = adapter.begin("alice", f"alice/file{size}".encode())
            client.shutdown(socket.SHUT_WR)
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"  # now the server has accepted all of them
        wait_until(lambda: sockets() == before, "the server to close its connections")


def test_list_of_very_many_names_is_refused(backend, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")  # creates files fast
    with servers.world() as world:
        (world / "alice" / "many").mkdir()
        for number in range(4200):
            (world / "alice" / "many" / f"{number:0250}").touch()
        with service(world, backend) as (_, adapter):
            assert adapter.list("heidi", b"alice") == {b"many", b"private", b"secret"}
            assert adapter.begin("alice", b"alice/many", b"LIST ").recv(100) == b"ERR EFBIG\n"
