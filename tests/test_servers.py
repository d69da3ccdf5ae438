# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The servers of docs/servers.md, each started by the page's own command and asked by eight real clients at once.

The users are in files that nss_wrapper shows to the server: it looks them up as it would any, and nothing is
added to this machine's.
"""

import base64
import contextlib
import ftplib
import hashlib
import http.client
import io
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, in_child, needs_root

import replace

NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
MEMBERS, STRANGER, TEAM = NAMES[:-1], "heidi", 80300
IDS = {name: (80101 + number, 80201 + number) for number, name in enumerate(NAMES)}
ROUNDS = 12
PAGE = (ROOT / "docs" / "servers.md").read_text()


@pytest.fixture
def world():
    """A folder with a home and a secret for each user, and one for the team; `world/NAME` as the database has it."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs a build with per-thread calls")
    with tempfile.TemporaryDirectory(prefix="libreplace-servers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        group = [f"{name}:x:{gid}:" for name, (_, gid) in IDS.items()] + [f"team:x:{TEAM}:{','.join(MEMBERS)}"]
        passwd = [f"{name}:x:{uid}:{gid}::{folder}/{name}:/bin/sh" for name, (uid, gid) in IDS.items()]
        (folder / "passwd").write_text("\n".join(["root:x:0:0::/root:/bin/sh", *passwd, ""]))
        (folder / "group").write_text("\n".join(["root:x:0:", *group, ""]))
        for name, (uid, gid) in IDS.items():
            for path in (folder / name, folder / name / "private"):
                path.mkdir()
            (folder / name / "secret").write_text(f"secret of {name}")
            (folder / name / "secret").chmod(0o600)
            (folder / name / "private").chmod(0o700)
            (folder / name / "private" / "hidden").touch()
            for path in (folder / name, folder / name / "secret", folder / name / "private"):
                os.chown(path, uid, gid)
        (folder / "shared").mkdir()
        (folder / "shared" / "notes").write_text("notes of the team")
        os.chown(folder / "shared" / "notes", 0, TEAM)
        (folder / "shared" / "notes").chmod(0o640)
        os.chown(folder / "shared", 0, TEAM)
        (folder / "shared").chmod(0o2770)
        yield folder


def nss_wrapper():
    for folder in ("/usr/lib", *map(str, Path("/usr/lib").glob("*-linux-gnu"))):
        if os.path.exists(f"{folder}/libnss_wrapper.so"):
            return f"{folder}/libnss_wrapper.so"
    return pytest.skip("needs nss_wrapper (Debian: libnss-wrapper)")


@contextlib.contextmanager
def server(world, words):
    """Start it; yields its process id and the last word of the line that it prints when it listens."""
    database = {"NSS_WRAPPER_PASSWD": f"{world}/passwd", "NSS_WRAPPER_GROUP": f"{world}/group"}
    with open(world / "log", "w") as log:
        process = subprocess.Popen(
            words,
            env={**os.environ, "LD_PRELOAD": nss_wrapper(), **database},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while not (line := re.search(r"^listening on .*?(\S+)$", (world / "log").read_text(), re.M)):
            assert process.poll() is None, (world / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process.pid, line[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, (world / "log").read_text()
    finally:
        process.kill()
        process.wait()


def command(program, replaced):
    """The page's command for that program, with the words replaced that are this machine's."""
    (line,) = re.findall(rf"^python3 docs/examples/{program} .*$", PAGE, re.M)
    replaced = {"python3": sys.executable, f"docs/examples/{program}": f"{ROOT}/docs/examples/{program}", **replaced}
    words = shlex.split(line)
    assert not set(replaced) - set(words)
    return [str(replaced.get(word, word)) for word in words]


def users_file(world, home=""):
    path = world / "users"
    path.touch(0o600)
    path.write_text("".join(f"{name}:word of {name}{home and f':{world}/{name}'}\n" for name in NAMES))
    return path


def all_at_once(function):
    """function(name, barrier) for each user, in a thread each; the barrier is passed by all of them together."""
    barrier = threading.Barrier(len(NAMES), timeout=60)

    def one(name):
        try:
            return function(name, barrier)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(NAMES)) as pool:
        return list(pool.map(one, NAMES))


def owner(path):
    entry = os.lstat(path)
    return entry.st_uid, entry.st_gid


def clean(pid):
    """Every thread is root, without capabilities lost or groups gained; returns how many there are."""
    main, *others = replace.thread_credentials(pid)
    assert main.uids == main.gids == (0, 0, 0, 0)
    for thread in others:
        assert thread.ids == main.ids, thread
        assert thread.effective == main.effective
    return len(others)


def test_the_page_shows_what_is_in_the_examples():
    def lines(text):
        return "\n".join(map(str.strip, text.splitlines()))

    examples = [lines(path.read_text()) for path in (ROOT / "docs" / "examples").glob("*.py")]
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert blocks
    for block in blocks:
        assert any(lines(block) in example for example in examples), block


# ---- FTP


def ftp_command(world):
    return command("ftp_server.py", {"2121": 0, "ftp-users.txt": users_file(world, "home")})


def ftp_login(port, name):
    client = ftplib.FTP(timeout=30)
    try:
        client.connect("127.0.0.1", int(port))
        client.login(name, f"word of {name}")
    except BaseException:
        client.close()
        raise
    return client


def refused(function, *arguments):
    with pytest.raises(ftplib.error_perm, match="^550 "):
        function(*arguments)


def test_ftp_eight_users_at_once(world):

    def session(name, barrier):
        other = NAMES[NAMES.index(name) - 1]
        client = ftp_login(port, name)
        barrier.wait()
        for number in range(ROUNDS):
            data = os.urandom(100_000)
            client.storbinary(f"STOR file{number}", io.BytesIO(data))
            assert owner(world / name / f"file{number}") == IDS[name]
            read = []
            client.retrbinary(f"RETR {world}/{name}/file{number}", read.append)
            assert b"".join(read) == data
            refused(client.retrbinary, f"RETR {world}/{other}/secret", read.append)
            refused(client.storbinary, f"STOR {world}/{other}/planted", io.BytesIO(data))
            refused(client.retrlines, f"LIST {world}/{other}/private", read.append)
            refused(client.cwd, f"{world}/{other}/private")
            for verb in ("MLST", "SIZE", "MDTM"):  # of what is in there, not even that it is there
                refused(client.sendcmd, f"{verb} {world}/{other}/private/hidden")
            refused(client.retrlines, f"LIST {world}/{other}/private/hidden", read.append)
            refused(client.delete, f"{world}/{other}/secret")
            client.mkd(f"folder{number}")
            assert owner(world / name / f"folder{number}") == IDS[name]
            client.rename(f"file{number}", f"folder{number}/renamed")
            assert client.nlst(f"folder{number}") == ["renamed"]
            shared = f"{world}/shared/{name}{number}"
            if name == STRANGER:
                refused(client.storbinary, f"STOR {shared}", io.BytesIO(data))
                refused(client.retrbinary, f"RETR {world}/shared/notes", read.append)
            else:
                client.storbinary(f"STOR {shared}", io.BytesIO(data))
                assert owner(shared) == (IDS[name][0], TEAM)
                client.retrlines(f"RETR {world}/shared/notes", read.append)
                assert read[-1] == "notes of the team"
        return client

    with server(world, ftp_command(world)) as (pid, port):
        clients = all_at_once(session)
        assert clean(pid) == len(NAMES), "a thread a client, and they are still connected"
        for client in clients:
            client.quit()
    assert not list(world.glob("*/planted"))


def test_ftp_appending_takes_the_set_uid_bit_away(world):
    """The kernel does so unless root writes: so the data is written as the user, and not only the file opened."""
    with server(world, ftp_command(world)) as (_, port), ftp_login(port, "alice") as client:
        client.storbinary("STOR program", io.BytesIO(b"x"))
        client.sendcmd("SITE CHMOD 4755 program")
        assert stat.S_IMODE(os.stat(world / "alice" / "program").st_mode) == 0o4755
        client.storbinary("APPE program", io.BytesIO(b"y"))
        assert stat.S_IMODE(os.stat(world / "alice" / "program").st_mode) == 0o755


# What pyftpdlib's UnixAuthorizer does; the class itself is gone where Python has no crypt and spwd (3.13).
STOCK = """
import os, pwd, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import UnixFilesystem
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

class Stock(DummyAuthorizer):
    def impersonate_user(self, username, password):
        pwdstruct = pwd.getpwnam(username)
        os.setegid(pwdstruct.pw_gid)
        os.seteuid(pwdstruct.pw_uid)

    def terminate_impersonation(self, username):
        os.setegid(0)
        os.seteuid(0)

FTPHandler.authorizer, FTPHandler.abstracted_fs = Stock(), UnixFilesystem
for line in open(sys.argv[1]):
    FTPHandler.authorizer.add_user(*line.rstrip().split(":"), perm="elradfmwMT")
with ThreadedFTPServer(("127.0.0.1", 0), FTPHandler) as server:
    print("listening on port", server.address[1], flush=True)
    server.serve_forever()
"""


def test_ftp_with_seteuid_in_threads_goes_wrong(world):
    """The control: the same uploads, with libc's process-wide calls, fail or get a wrong owner."""

    def session(name, barrier):
        failed = wrong = 0
        barrier.wait()
        for number in range(100):
            try:
                with ftp_login(port, name) as client:
                    client.storbinary(f"STOR file{number}", io.BytesIO(b"x"))
                wrong += owner(world / name / f"file{number}") != IDS[name]
            except (ftplib.Error, EOFError, OSError):
                failed += 1
        return failed, wrong

    with server(world, [sys.executable, "-c", STOCK, users_file(world, "home")]) as (_, port):
        failed, wrong = map(sum, zip(*all_at_once(session), strict=True))
    print(f"{failed} of {100 * len(NAMES)} uploads failed, {wrong} have a wrong owner")
    assert failed + wrong > 0


def test_ftp_with_seteuid_alone_has_no_groups_and_too_many_rights(world):
    """One client of the control: the team's notes are closed to a member, and a closed folder is not."""
    with (
        server(world, [sys.executable, "-c", STOCK, users_file(world, "home")]) as (_, port),
        ftp_login(port, "alice") as client,
    ):
        refused(client.retrlines, f"RETR {world}/shared/notes", print)
        refused(client.retrlines, f"LIST {world}/bob/private", print)
        lines = []
        client.retrlines(f"LIST {world}/bob/private/hidden", lines.append)
    assert [line.split()[-1] for line in lines] == ["hidden"]


# ---- WebDAV


class Dav(http.client.HTTPConnection):
    def __init__(self, port, name):
        super().__init__("127.0.0.1", int(port), timeout=30)
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{name}:word of {name}".encode()).decode()}

    def ask(self, method, path, body=None, **headers):
        answer = self.start(method, path, body, **headers)
        return answer.status, answer.read()

    def start(self, method, path, body=None, **headers):
        self.request(method, path, body, {**self.headers, **headers})
        return self.getresponse()


def dav_command(world):
    return command("webdav_server.py", {"8080": 0, "dav-users.txt": users_file(world), "/srv/dav": world})


def test_webdav_eight_users_at_once(world):
    def session(name, barrier):
        with contextlib.closing(Dav(port, name)) as client:
            rounds(client, name, NAMES[NAMES.index(name) - 1], barrier)

    def rounds(client, name, other, barrier):
        barrier.wait()
        for number in range(ROUNDS):
            data = os.urandom(100_000)
            assert client.ask("MKCOL", f"/{name}/folder{number}")[0] == 201
            assert client.ask("PUT", f"/{name}/folder{number}/file", data)[0] == 201
            for path in (f"folder{number}", f"folder{number}/file"):
                assert owner(world / name / path) == IDS[name]
            assert client.ask("GET", f"/{name}/folder{number}/file") == (200, data)
            status, listing = client.ask("PROPFIND", f"/{name}/", Depth="1")
            assert (status, f"/{name}/folder{number}/".encode() in listing) == (207, True)
            assert client.ask("COPY", f"/{name}/folder{number}/file", Destination=f"/{name}/copy{number}")[0] == 201
            assert owner(world / name / f"copy{number}") == IDS[name]
            assert client.ask("DELETE", f"/{name}/folder{number}")[0] == 204
            assert not (world / name / f"folder{number}").exists()
            for method, path in (
                ("GET", f"/{other}/secret"),
                ("PUT", f"/{other}/secret"),
                ("PUT", f"/{other}/planted"),
                ("MKCOL", f"/{other}/planted"),
                ("DELETE", f"/{other}/secret"),
                ("PROPFIND", f"/{other}/private/"),
                ("GET", f"/{other}/private/hidden"),
                ("GET", "/users"),
            ):
                status, answer = client.ask(method, path, b"planted" if method == "PUT" else None)
                assert status in (403, 404, 500), (method, path, status)
                assert b"secret of" not in answer
                assert b"word of" not in answer
            status, answer = client.ask("GET", "/shared/notes")
            assert (status, answer == b"notes of the team") == ((404, False) if name == STRANGER else (200, True))
            status, _ = client.ask("PUT", f"/shared/{name}{number}", data)
            if name == STRANGER:
                assert status in (403, 404, 409)
            else:
                assert status == 201
                assert owner(world / "shared" / f"{name}{number}") == (IDS[name][0], TEAM)

    with server(world, dav_command(world)) as (pid, port):
        all_at_once(session)
        assert clean(pid) >= 10
        with contextlib.closing(Dav(port, "alice")) as client:
            assert client.ask("GET", "/alice/secret") == (200, b"secret of alice")
            assert client.ask("GET", "/alice/secret", Authorization="")[0] == 401
    for name in NAMES:
        assert (world / name / "secret").read_text() == f"secret of {name}"
    assert not list(world.glob("*/planted"))


@pytest.mark.parametrize("fault", ["root", "mode"])
@pytest.mark.parametrize("program", ["ftp", "webdav"])
def test_root_and_a_readable_users_file_are_refused(world, program, fault):
    words = ftp_command(world) if program == "ftp" else dav_command(world)
    users = world / "users"
    if fault == "root":
        users.write_text(users.read_text() + ("root:word:/\n" if program == "ftp" else "root:word\n"))
    else:
        users.chmod(0o644)
    with pytest.raises(AssertionError, match={"root": "root has uid 0", "mode": "nobody else"}[fault]):
        server(world, words).__enter__()


def open_files(pid):
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(link))
    return found


def test_webdav_a_body_is_sent_lazily_while_others_switch(world):
    size = 64 << 20
    block = os.urandom(1 << 20)
    with open(world / "alice" / "large", "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
    os.chown(world / "alice" / "large", *IDS["alice"])
    os.chmod(world / "alice" / "large", 0o600)
    with server(world, dav_command(world)) as (pid, port), contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(contextlib.closing(Dav(port, name))) for name in NAMES}
        answer = clients.pop("alice").start("GET", "/alice/large")
        digest = hashlib.sha256(answer.read(1000))
        # The server waits for this client now, its socket being full; the others go on, and nobody is anybody.
        for number in range(5):
            for name, client in clients.items():
                assert client.ask("PUT", f"/{name}/file{number}", b"x")[0] == 201
                assert owner(world / name / f"file{number}") == IDS[name]
                assert client.ask("GET", "/alice/large")[0] == 403
            assert f"{world}/alice/large" in open_files(pid)
            assert clean(pid) >= 10
        while chunk := answer.read(1 << 20):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(block * (size >> 20)).digest()
        with contextlib.closing(Dav(port, "alice")) as dropped:  # hangs up: the generator is closed, as alice
            dropped.start("GET", "/alice/large").read(1000)
        deadline = time.monotonic() + 20
        while f"{world}/alice/large" in open_files(pid):
            assert time.monotonic() < deadline, "the file is still open"
            time.sleep(0.05)
        assert clean(pid) >= 10


# ---- The file service


def file_client(address, world, name):
    """What a client sees, that is this user from its first breath: counts of what was right."""
    replace.drop_privileges(replace.Identity(*IDS[name]))
    other = NAMES[NAMES.index(name) - 1]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(address)
    stream = connection.makefile("rwb")

    def ask(line, body=b""):
        stream.write(line.encode() + b"\n")
        stream.flush()
        answer = stream.readline()
        if answer == b"SEND\n":
            stream.write(body)
            stream.flush()
            answer = stream.readline()
        word, _, value = answer.strip().partition(b" ")
        return stream.read(int(value)) if word == b"OK" else value.decode()

    for number in range(ROUNDS):
        data = os.urandom(200_000)
        assert ask(f"PUT {len(data)} {world}/{name}/file{number}", data) == b""
        assert owner(world / name / f"file{number}") == IDS[name]
        assert ask(f"GET {world}/{name}/file{number}") == data
        assert f"file{number}".encode() in ask(f"LIST {world}/{name}").split(b"\n")
        assert ask(f"GET {world}/{other}/secret") == "EACCES"
        assert ask(f"PUT 7 {world}/{other}/planted", b"planted") == "EACCES"
        assert ask(f"LIST {world}/{other}/private") == "EACCES"
        assert ask(f"GET {world}/users") == "ENOENT"
        assert ask("GET secret") == ask("BREW /coffee") == ask("PUT many /x") == ask("GET /dev/null") == "EINVAL"
        assert ask(f"GET {world}") == "EISDIR"
        shared = f"{world}/shared/{name}{number}"
        if name == STRANGER:
            assert ask(f"GET {world}/shared/notes") == ask(f"PUT 1 {shared}", b"x") == "EACCES"
        else:  # by the group database; this process itself has no groups
            assert ask(f"GET {world}/shared/notes") == b"notes of the team"
            assert ask(f"PUT 1 {shared}", b"x") == b""
    return name


def test_file_service_eight_users_at_once(world):
    words = command("file_service.py", {"/run/files.socket": world / "socket"})
    seen, done = set(), threading.Event()

    def watch(pid):
        """The loop's thread, as often as can be: other threads are somebody else meanwhile, it never is."""
        while not done.is_set():
            for thread in replace.thread_credentials(pid):
                seen.add((thread.tid == pid, thread.ids))

    with server(world, words) as (pid, address):
        (loop,) = replace.thread_credentials(pid)
        watcher = threading.Thread(target=watch, args=(pid,))
        clients = [
            subprocess.Popen([sys.executable, __file__, address, str(world), name], stdin=subprocess.DEVNULL)
            for name in NAMES
        ]
        watcher.start()
        try:
            assert [client.wait(120) for client in clients] == [0] * len(NAMES)
        finally:
            done.set()
            watcher.join()
            for client in clients:
                client.kill()
        assert {ids for main, ids in seen if main} == {loop.ids}
        assert {ids for main, ids in seen if not main} > {loop.ids}, "workers were seen as users"
        assert clean(pid) > 0

        def as_root():
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(address)
                client.sendall(f"GET {world}/alice/secret\n".encode())
                return client.recv(100)

        assert in_child(as_root) == b"ERR EPERM\n"
    for name in MEMBERS:
        assert owner(world / "shared" / f"{name}0") == (IDS[name][0], TEAM)
    assert not list(world.glob("*/planted"))


if __name__ == "__main__":
    file_client(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
