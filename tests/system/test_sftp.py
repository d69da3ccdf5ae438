# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The server of docs/sftp.md. The page's command starts it; asyncssh's client and OpenSSH's sftp use it.

test_hostile.py attacks it, too.
"""

import asyncio
import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.adapters import Sftp
from support.builds import ROOT, needs_package, run, tool
from support.children import wait_until
from support.servers import (
    IDS,
    MEMBERS,
    TEAM,
    asyncssh_alone_command,
    open_files,
    owner,
    serve_all_users,
    server,
    sftp_command,
    wait_until_clean,
    wait_until_open,
)


@contextlib.contextmanager
def started(words, world, *args, **options):
    """Start a server; yield its process id and an adapter."""
    with server(world, words, *args, **options) as (pid, port), contextlib.closing(Sftp(port)) as adapter:
        yield pid, adapter


@pytest.fixture
def sftp(world):
    with started(sftp_command(world, world), world) as (_, adapter):
        yield adapter


def as_user(adapter, user, body):
    """Run body(session) with the user's session."""

    async def work():
        return await body(await adapter.session(user))

    return adapter.run(work())


def test_sixteen_users_use_the_server_at_once(world):
    with started(sftp_command(world, world), world) as (pid, adapter):
        serve_all_users(world, pid, adapter)
        assert wait_until_clean(pid, has_pool=True) > 0, "worker threads have served the users"
        for name in MEMBERS:
            assert adapter.write(name, f"shared/{name}".encode(), b"x")
            assert owner(world / "shared" / name) == (IDS[name][0], TEAM)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_server_stops_while_a_client_is_connected(world, stop):
    with started(sftp_command(world, world), world, stop) as (pid, adapter):
        assert adapter.read("alice", b"alice/secret") == b"secret of alice"
        os.kill(pid, stop)
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "the end")


def test_server_without_proc_does_not_start(world):
    """The server changes attributes by names in /proc. Somebody else could have made a folder with this name."""
    needs_package("asyncssh")
    program = "import os, sys; sys.path.insert(0, sys.argv[1]); import beneath; os.chroot(sys.argv[2])"
    program += "; beneath.Folder('/alice')"
    out = run(sys.executable, "-c", program, ROOT / "docs" / "examples", world, cwd="/")
    assert re.search(r"^FileNotFoundError: .*/proc/self/fd/", out.stderr, re.M), out


@pytest.mark.parametrize("fault", ["root", "unknown", "users", "host-key"])
def test_root_user_and_readable_secrets_are_refused(world, fault):
    words = sftp_command(world, world)
    messages = {"root": "root has uid 0", "unknown": "error: .*no user has the name 'unknown'"}
    if fault in messages:
        (world / "users").write_text(f"{fault}:word\n")
    else:
        (world / fault).chmod(0o644)
    with pytest.raises(AssertionError, match=messages.get(fault, "other users have rights")):
        server(world, words).__enter__()


def test_wrong_or_empty_password_and_unknown_user_are_refused(world):
    words = sftp_command(world, world)
    with open(world / "users", "a") as users:
        users.write("alice:\nbob::\n")  # these lines replace the others: the two users have no password
    with started(words, world) as (_, adapter):
        for name, word in (("alice", ""), ("bob", ""), ("carol", "no"), ("root", "word of root"), ("nobody", "")):
            with pytest.raises(adapter.asyncssh.PermissionDenied):
                adapter.run(adapter.login(name, password=word))
        assert adapter.read("carol", b"carol/secret") == b"secret of carol"


def test_session_belongs_to_the_user_whose_password_was_right(world, sftp):
    """The client first tries to log in as alice, and then as bob, on the same connection."""

    class Client(sftp.asyncssh.SSHClient):
        words = iter(["no", "word of bob"])

        def connection_made(self, connection):
            self.connection = connection

        def password_auth_requested(self):
            word = next(self.words)
            if word != "no":
                self.connection._username = "bob"
            return word

    async def make_folder():
        options = {"client_factory": Client, "password": None, "preferred_auth": "password"}
        connection = await sftp.login("alice", **options)
        session = await connection.start_sftp_client()
        with pytest.raises(sftp.asyncssh.SFTPError):
            await session.mkdir("alice/folder")
        await session.mkdir("bob/folder")

    sftp.run(make_folder())
    assert owner(world / "bob" / "folder") == IDS["bob"]


def test_openssh_client_uses_files_and_nothing_else(world):
    sftp, ssh, keygen = (tool(name, "is a client of the server") for name in ("sftp", "ssh", "ssh-keygen"))
    words = sftp_command(world, world)
    for name in ("key", "other"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", world / name], check=True)
    (world / "users").write_text(f"alice::{(world / 'key.pub').read_text()}")
    (world / "local").write_bytes(os.urandom(1 << 20))
    (world / "batch").write_text(f"""
        cd alice
        put {world}/local file
        mkdir folder
        rename file folder/renamed
        ln -s folder/renamed link
        ln folder/renamed hard
        chmod 640 hard
        get link {world}/back
        cp folder/renamed copied
        put -p {world}/local folder/renamed
        -get ../bob/secret {world}/stolen
        -get /proc/self/environ {world}/stolen
        ls -la
        df
        """)
    with server(world, words) as (pid, port):
        options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        options += ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", f"Port={port}"]
        own, other = (["-i", world / name] for name in ("key", "other"))
        out = run(sftp, *options, *own, "-b", world / "batch", "alice@127.0.0.1")
        assert out.returncode == 0, out.stderr
        assert re.search(r"^lrwxrwxrwx .* link$", out.stdout, re.M), out.stdout
        for name in ("back", "alice/copied"):
            assert (world / name).read_bytes() == (world / "local").read_bytes()
        assert not (world / "stolen").exists()
        for name in ("folder", "folder/renamed", "link"):
            assert owner(world / "alice" / name) == IDS["alice"]
        for before, after in (
            (own, ["id"]),
            (own, ["scp", "-f", "/alice"]),
            ([*own, "-tt"], []),
            ([*own, "-s"], ["netconf"]),
            ([*own, "-W", f"127.0.0.1:{port}"], []),
            ([*own, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], []),
            ([*other, "-s"], ["sftp"]),
        ):
            out = run(ssh, "-n", *options, *before, "alice@127.0.0.1", *after)
            assert (out.returncode, out.stdout) == (255, ""), (before, after, out)
        wait_until_clean(pid, has_pool=True)


def test_what_a_user_makes_belongs_to_the_user(world, sftp):
    async def body(session):
        await session.mkdir(b"alice/folder")
        await session.symlink(b"/etc/passwd", b"alice/link")
        async with session.open(b"alice/\xff\n", "wb") as file:
            await file.write(b"x")
        await session.link(b"alice/\xff\n", b"alice/hard")
        assert await session.readlink(b"alice/link") == b"/etc/passwd"
        return await session.listdir(b"alice")

    assert {b"folder", b"link", b"\xff\n", b"hard"} < set(as_user(sftp, "alice", body))
    for name in (b"folder", b"link", b"\xff\n"):
        assert owner(os.fsencode(world) + b"/alice/" + name) == IDS["alice"]
    assert sftp.read("alice", b"alice/link") is None


def test_attributes_of_own_files_can_change_and_others_cannot(world, sftp):
    own = world / "alice" / "own"
    own.touch()
    own.chmod(0o200)  # the user cannot read it
    os.chown(own, *IDS["alice"])

    async def count_refused(session, path, uid, gid):
        refused = 0
        for ask in (
            session.chmod(path, 0o600),
            session.utime(path, (1, 2)),
            session.truncate(path, 100),
            session.chown(path, uid, gid),
        ):
            try:
                await ask
            except sftp.asyncssh.SFTPError:
                refused += 1
        return refused

    assert as_user(sftp, "alice", lambda session: count_refused(session, b"alice/own", IDS["alice"][0], TEAM)) == 0
    entry = own.stat()
    assert (stat.S_IMODE(entry.st_mode), entry.st_size, entry.st_gid) == (0o600, 100, TEAM)
    assert as_user(sftp, "alice", lambda session: count_refused(session, b"alice/own", *IDS["bob"])) == 1
    before = (world / "bob" / "secret").stat()
    assert as_user(sftp, "alice", lambda session: count_refused(session, b"bob/secret", *IDS["alice"])) == 4
    assert (world / "bob" / "secret").stat() == before

    async def change_open(session):
        async with session.open(b"alice/own", "r+b") as file:
            await file.write(b"12345")
            await file.truncate(3)
            await file.chmod(0o640)
            await file.fsync()
            assert (await file.statvfs()).bsize > 0
            return await file.stat()

    attrs = as_user(sftp, "alice", change_open)
    assert (attrs.size, attrs.permissions, attrs.uid) == (3, stat.S_IFREG | 0o640, IDS["alice"][0])


def test_written_data_clears_the_set_user_id_bit(world, sftp):
    """The kernel clears the bit unless root writes, so the server must write the data as the user."""
    program = world / "alice" / "program"
    assert sftp.write("alice", b"alice/program", b"x")
    as_user(sftp, "alice", lambda session: session.chmod(b"alice/program", 0o4755))
    assert stat.S_IMODE(program.stat().st_mode) == 0o4755

    async def append(session):
        async with session.open(b"alice/program", "ab") as file:
            await file.write(b"y")

    as_user(sftp, "alice", append)
    assert (program.read_bytes(), stat.S_IMODE(program.stat().st_mode)) == (b"xy", 0o755)


def test_rename_replaces_a_file_only_if_the_client_asks_for_it(world, sftp):
    for name in ("old", "new"):
        assert sftp.write("alice", f"alice/{name}".encode(), name.encode())

    async def body(session):
        with pytest.raises(sftp.asyncssh.SFTPError, match="exists"):
            await session.rename(b"alice/old", b"alice/new")
        await session.rename(b"alice/old", b"alice/moved")
        await session.posix_rename(b"alice/moved", b"alice/new")
        assert (await session.statvfs(b"alice")).bsize > 0

    as_user(sftp, "alice", body)
    assert (world / "alice" / "new").read_bytes() == b"old"


def test_no_request_follows_a_name_out_of_the_folder(world):
    served, outside = world / "alice", world / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    for path, mode in ((outside, 0o777), (outside / "file", 0o666)):
        path.chmod(mode)
    (served / "out").symlink_to(outside)
    (served / "file").symlink_to(outside / "file")
    before = (outside / "file").stat()

    async def body(session):
        for path in (b"/out/file", b"/file", b"/../outside/file", f"{outside}/file".encode()):
            up = path + b"/.."
            for ask in (
                session.open(path, "rb").__aenter__(),
                session.open(path, "ab").__aenter__(),
                session.stat(path),
                session.statvfs(path),
                session.chmod(path, 0o777),
                session.utime(path, (0, 0)),
                session.truncate(path, 0),
                session.readdir(os.path.dirname(path) if path.count(b"/") > 1 else path),
                session.mkdir(os.path.dirname(path) + b"/new" if path.count(b"/") > 1 else up + b"/new"),
                session.remove(path) if path.count(b"/") > 1 else session.remove(up + b"/file"),
                session.posix_rename(b"/secret", up + b"/new"),
                session.posix_rename(b"/secret", b"/out/new"),
                session.rename(b"/secret", b"/out/new"),
                session.posix_rename(b"/out/file", b"/new"),
                session.link(b"/secret", b"/out/new"),
                session.link(b"/out/file", b"/new"),
                session.symlink(b"x", b"/out/new"),
            ):
                with pytest.raises(adapter.asyncssh.SFTPError):
                    await ask

    with started(sftp_command(world, served), world) as (_, adapter):
        as_user(adapter, "alice", body)
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").stat() == before
    assert (served / "secret").exists()


def test_folder_with_many_names_and_odd_times_is_listed(world, sftp):
    names = {f"name{number}".encode() for number in range(300)}
    for name in names:
        (world / "alice" / os.fsdecode(name)).touch()
    os.utime(world / "alice" / "name0", (-(2**30), 2**33))  # version 3 of SFTP has 32 bits
    assert names < sftp.list("alice", b"alice")
    (world / "listed").mkdir()
    (world / "listed" / "file").touch()
    (world / "listed").chmod(0o744)  # others may list it, but not enter it
    assert sftp.list("alice", b"listed") == {b"file"}


# ---- asyncssh's own methods

LATER = """
import os, sys
import asyncssh

sys.path.insert(0, sys.argv[1])
for name in ("clone", "_clone"):
    setattr(asyncssh.SFTPServer, name, lambda self, path: os.open(path, os.O_RDONLY))
names = [name for name in dir(asyncssh.SFTPServer) if callable(getattr(asyncssh.SFTPServer, name))]
import sftp_files

assert sftp_files.INHERITED | sftp_files.OVERRIDDEN <= set(names)
assert not sftp_files.NEW & set(names)
for name in names:
    method = getattr(sftp_files.ClientFiles, name)
    if not name.startswith("__") and method.__name__ == "refused":
        try:
            method(None, b"/")
        except asyncssh.SFTPOpUnsupported:
            print(name)
"""


def test_method_of_a_later_asyncssh_is_refused():
    """It would open a path with the server's rights. If this list changes, look at the new method."""
    needs_package("asyncssh")
    out = run(sys.executable, "-c", LATER, ROOT / "docs" / "examples", cwd="/")
    assert out.returncode == 0, out.stderr
    known = ["_clone", "_to_sftpname", "clone", "lock", "lsetstat", "map_path", "open56", "reverse_map_path", "unlock"]
    assert out.stdout.split() == known


def test_asyncssh_alone_serves_every_file_with_the_rights_of_root(world):
    """Control: the methods run with the ids of the process, and chroot= follows links."""
    (world / "alice" / "link").symlink_to(world / "bob" / "secret")  # as well /etc/shadow
    for folder in (world, world / "alice"):
        with started(asyncssh_alone_command(world, folder), world, status=-signal.SIGTERM) as (_, adapter):
            if folder == world:
                assert adapter.read("alice", b"bob/secret") == b"secret of bob"
                assert adapter.write("alice", b"bob/planted", b"x")
            else:
                assert adapter.read("alice", b"link") == b"secret of bob"
    assert owner(world / "bob" / "planted") == (0, 0)


# ---- Clients that ask for too much


def memory(pid):
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(kib) << 10


@pytest.mark.parametrize("window", [1 << 16, 1 << 31], ids=["small window", "large window"])
def test_answers_wait_until_the_client_reads(world, window):
    """A client asks for 256 MiB and reads nothing. The window says how much the server may send."""
    with open(world / "alice" / "large", "wb") as file:
        file.truncate(1 << 24)
    with started(sftp_command(world, world), world) as (pid, adapter):
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        before = memory(pid)
        stream = adapter.run(adapter.stream("alice", b"alice/large", "rb", window))
        adapter.run(stream.ask(1 << 24, repeat=16))
        for _ in range(50):  # the server works meanwhile
            assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        assert memory(pid) - before < 64 << 20
        assert stream.recv(1 << 16) == bytes(1 << 16)


def test_names_wait_until_the_client_reads(world):
    """A client asks for 50 MB of normalized names, which need no worker thread, and reads nothing."""
    with started(sftp_command(world, world), world) as (pid, adapter):
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        before = memory(pid)
        stream = adapter.run(adapter.stream("alice", b"alice/secret", "rb", 1 << 16))

        async def ask():
            handler = stream._file._handler
            handler._writer.channel._init_recv_window = 0  # the client never opens its window again
            names = [handler.realpath(b"n" * 100_000) for _ in range(500)]
            asyncio.gather(*names, return_exceptions=True)

        adapter.run(ask())
        for _ in range(50):  # the server works meanwhile
            assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        assert memory(pid) - before < 20 << 20


def test_files_sessions_and_logins_are_limited(world):
    with started(sftp_command(world, world), world) as (_, adapter):

        async def open_many(session):
            files = [await session.open(b"alice/secret", "rb").__aenter__() for _ in range(500)]
            with pytest.raises(adapter.asyncssh.SFTPFailure, match="Too many"):
                await session.open(b"alice/new", "wb").__aenter__()
            with pytest.raises(adapter.asyncssh.SFTPFailure, match="Too many"):
                await session.readdir(b"alice")
            other = await (await adapter.login("alice")).start_sftp_client()
            with pytest.raises(adapter.asyncssh.SFTPFailure, match="Too many"):
                await other.open(b"alice/secret", "rb").__aenter__()
            await files.pop().close()
            assert b"secret" in await session.listdir(b"alice")

        async def connect_often():
            """Two connections and two sessions are there."""
            for _ in range(98):
                connection = await adapter.login("alice")
            for _ in range(98):
                await connection.start_sftp_client()
            with pytest.raises(adapter.asyncssh.Error):
                await connection.start_sftp_client()
            await connection.wait_closed()
            await adapter.login("alice")
            with contextlib.suppress(adapter.asyncssh.Error):
                await (await adapter.login("alice")).wait_closed()

        as_user(adapter, "alice", open_many)
        assert not (world / "alice" / "new").exists()
        adapter.run(connect_often())
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        *_, last = (adapter.begin_line("bob") for _ in range(101))
        with contextlib.suppress(ConnectionError):
            while last.recv(1000):
                pass
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"


LEASE = """
import fcntl, os, signal, sys

path, uid, gid = sys.argv[1], *map(int, sys.argv[2:])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
signal.signal(signal.SIGIO, lambda *_: print("somebody waits", flush=True))
lease = os.open(path, os.O_RDONLY)
fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print("leased", flush=True)
while True:
    signal.pause()
"""


@contextlib.contextmanager
def leased(path, user):
    """A process of the user holds a lease on the file: calls that change the file wait until the process ends."""
    words = [sys.executable, "-c", LEASE, path, *map(str, IDS[user])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            assert process.stdout.readline() == "leased\n"
            yield process
        finally:
            process.kill()


def test_user_whose_file_does_not_answer_does_not_block_others(world, sftp):
    """Alice's requests hang in more sessions than the server has workers. Then she disconnects."""
    path = world / "alice" / "leased"
    path.write_text("content")
    os.chown(path, *IDS["alice"])

    async def hang():
        connection = await sftp.login("alice")
        sessions = [await connection.start_sftp_client() for _ in range(100)]
        for session in sessions:
            asyncio.ensure_future(sftp._try("alice", session.truncate(b"/alice/leased", 0)))
        await asyncio.sleep(0)  # the tasks send their requests
        return connection

    async def start_session():
        return await (await sftp.login("alice")).start_sftp_client()

    def starts():
        with contextlib.suppress(sftp.asyncssh.Error, ConnectionError):  # the server may end the connection at once
            return sftp.run(start_session())

    with leased(path, "alice") as process:
        connection = sftp.run(hang())
        assert process.stdout.readline() == "somebody waits\n"
        for _ in range(20):
            assert sftp.read("bob", b"bob/secret") == b"secret of bob"
        sftp.run(sftp.disconnect(connection))
        assert not starts(), "the requests of the lost sessions have not ended"
        assert sftp.read("bob", b"bob/secret") == b"secret of bob"
    wait_until(starts, "the end of the requests")
    assert path.read_text() == ""


def test_copy_ends_when_its_client_has_gone(world):
    """This copy never comes to the end of the file, because it makes the file longer."""
    copy = world / "alice" / "copy"
    with started(sftp_command(world, world), world) as (pid, adapter):

        async def start(session):
            file = await session.open(b"alice/copy", "w+b").__aenter__()
            await file.write(bytes(1 << 20))
            asyncio.gather(session.remote_copy(file, file, 0, 0, 1 << 19), return_exceptions=True)

        as_user(adapter, "alice", start)
        wait_until_open(pid, str(copy))
        wait_until(lambda: copy.stat().st_size > 4 << 20, "the copy")
        adapter.close()
        wait_until(lambda: str(copy) not in open_files(pid), "the server to close the file")
        wait_until_clean(pid, has_pool=True)


def test_listing_ends_when_its_client_has_gone(world):
    for number in range(300):
        (world / "alice" / f"name{number}").touch()
    with started(sftp_command(world, world), world) as (pid, adapter):

        async def start(session):
            names, _ = await session._handler.readdir(await session._handler.opendir(b"alice"))
            assert 0 < len(names) < 300

        as_user(adapter, "alice", start)
        wait_until_open(pid, str(world / "alice"))
        adapter.close()
        wait_until(lambda: str(world / "alice") not in open_files(pid), "the server to close the folder")


def test_sftp_page_blocks_are_in_the_example():
    def lines(text):
        return "\n".join(map(str.strip, text.splitlines()))

    examples = "".join((ROOT / "docs" / "examples" / f"sftp_{name}.py").read_text() for name in ("server", "files"))
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "sftp.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        assert lines(block) in lines(examples), block


def test_benchmark_measures_the_program_and_asyncssh_alone(world):
    """docs/sftp.md has the figures of a full run."""
    out = run(sys.executable, ROOT / "tests" / "benchmarks" / "sftp.py", "1", "32", cwd="/")
    assert out.returncode == 0, out.stderr
    assert re.findall(r"^(\w+)", out.stdout, re.M) == ["stat", "read"]
