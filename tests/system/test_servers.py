# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""FTP and WebDAV of docs/servers.md. The page's command starts each server, and sixteen real clients use it at once."""

import base64
import contextlib
import errno
import ftplib
import hashlib
import http.client
import io
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package
from support.children import HANG, in_child
from support.servers import (
    IDS,
    NAMES,
    ROUNDS,
    STRANGER,
    TEAM,
    all_at_once,
    command,
    open_files,
    owner,
    server,
    users_file,
    wait_until_clean,
)

import replace

PAGE = (ROOT / "docs" / "servers.md").read_text()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["ftp_server.py", "webdav_server.py"])
def test_every_server_stops_cleanly(world, name, stop):
    words = {"ftp_server.py": ftp_command, "webdav_server.py": dav_command}[name](world)
    with server(world, words, stop) as (pid, _):
        assert wait_until_clean(pid) >= 0


def test_servers_page_blocks_are_in_the_examples():
    def lines(text):
        return "\n".join(map(str.strip, text.splitlines()))

    examples = [lines(path.read_text()) for path in (ROOT / "docs" / "examples").glob("*.py")]
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert blocks
    for block in blocks:
        assert any(lines(block) in example for example in examples), block


def test_open_file_reopens_through_proc_but_not_with_open_beneath(world):
    """The kernel checks no folder if a thread opens /proc/self/fd/N of its own process (docs/limits.md)."""

    def body():
        (world / "alice" / "private" / "draft").write_text("draft of alice")
        alice, bob = (replace.Identity(*IDS[name]) for name in NAMES[:2])
        with replace.impersonate(alice):
            os.chmod(world / "alice" / "private", 0o700)
            number = os.open(world / "alice" / "private" / "draft", os.O_RDONLY)
        top = os.open("/", os.O_PATH | os.O_DIRECTORY)  # even if the served folder contains /proc
        with replace.impersonate(bob):
            with pytest.raises(PermissionError):
                os.open(world / "alice" / "private" / "draft", os.O_RDONLY)
            assert Path(f"/proc/self/fd/{number}").read_text() == "draft of alice"
            with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
                replace.open_beneath(top, f"proc/self/fd/{number}", os.O_RDONLY)

    in_child(body)


# ---- FTP


def ftp_command(world):
    needs_package("pyftpdlib")
    return command("ftp_server.py", {"2121": 0, "ftp-users.txt": users_file(world, ""), "/srv/ftp": world})


def ftp_login(port, name):
    client = ftplib.FTP(timeout=HANG)
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


def test_ftp_serves_sixteen_users_at_once(world):

    def session(name, barrier):
        other = NAMES[NAMES.index(name) - 1]
        client = ftp_login(port, name)
        barrier.wait()
        for number in range(ROUNDS):
            data = os.urandom(100_000)
            client.storbinary(f"STOR file{number}", io.BytesIO(data))
            assert owner(world / name / f"file{number}") == IDS[name]
            read = []
            client.retrbinary(f"RETR /{name}/file{number}", read.append)
            assert b"".join(read) == data
            refused(client.retrbinary, f"RETR /{other}/secret", read.append)
            refused(client.storbinary, f"STOR /{other}/planted", io.BytesIO(data))
            refused(client.retrlines, f"LIST /{other}/private", read.append)
            refused(client.cwd, f"/{other}/private")
            for verb in ("MLST", "SIZE", "MDTM"):  # the answer must not reveal that the file exists
                refused(client.sendcmd, f"{verb} /{other}/private/hidden")
            refused(client.retrlines, f"LIST /{other}/private/hidden", read.append)
            refused(client.delete, f"/{other}/secret")
            client.mkd(f"folder{number}")
            assert owner(world / name / f"folder{number}") == IDS[name]
            client.rename(f"file{number}", f"folder{number}/renamed")
            assert client.nlst(f"folder{number}") == ["renamed"]
            shared = f"/shared/{name}{number}"
            if name == STRANGER:
                refused(client.storbinary, f"STOR {shared}", io.BytesIO(data))
                refused(client.retrbinary, "RETR /shared/notes", read.append)
            else:
                client.storbinary(f"STOR {shared}", io.BytesIO(data))
                assert owner(f"{world}{shared}") == (IDS[name][0], TEAM)
                client.retrlines("RETR /shared/notes", read.append)
                assert read[-1] == "notes of the team"
        return client

    with server(world, ftp_command(world)) as (pid, port):
        clients = all_at_once(session)
        assert wait_until_clean(pid) == len(NAMES), "each connected client has one thread"
        for client in clients:
            client.quit()
    assert not list(world.glob("*/planted"))


def test_ftp_append_clears_the_set_user_id_bit(world):
    """The kernel clears the bit unless root writes, so the server must write the data as the user."""
    with server(world, ftp_command(world)) as (_, port), ftp_login(port, "alice") as client:
        client.storbinary("STOR program", io.BytesIO(b"x"))
        client.sendcmd("SITE CHMOD 4755 program")
        assert stat.S_IMODE(os.stat(world / "alice" / "program").st_mode) == 0o4755
        client.storbinary("APPE program", io.BytesIO(b"y"))
        assert stat.S_IMODE(os.stat(world / "alice" / "program").st_mode) == 0o755


def test_ftp_commands_stay_below_the_served_folder(world):
    """The other FTP commands, for files inside and outside the folder."""
    outside = world.parent / f"{world.name}-outside"
    with server(world, ftp_command(world)) as (_, port), ftp_login(port, "alice") as client:
        client.storbinary("STOR file", io.BytesIO(b"12345"))
        client.storbinary("STOR file", io.BytesIO(b"X"), rest=2)
        assert (world / "alice" / "file").read_bytes() == b"12X45"
        client.storbinary("STOU", io.BytesIO(b"unique"))
        assert [path for path in (world / "alice").iterdir() if path.is_file() and path.read_bytes() == b"unique"]
        assert client.size("file") == 5
        client.sendcmd("SITE CHMOD 200 file")
        client.sendcmd("SITE CHMOD 600 file")  # although the user cannot read it
        client.sendcmd("SITE CHMOD 750 private")
        client.sendcmd("MFMT 20200101000000 file")
        assert client.sendcmd("MDTM file").endswith("20200101000000")
        assert stat.S_IMODE(os.stat(world / "alice" / "file").st_mode) == 0o600
        assert stat.S_IMODE(os.stat(world / "alice" / "private").st_mode) == 0o750
        (world / "alice" / "link").symlink_to(outside)
        assert dict(client.mlsd())["file"]["type"] == "file"
        client.cwd("private")
        assert client.pwd() == "/alice/private"
        client.cwd("/")
        for name in ("/../../../../tmp", f"/alice/link/{world.name}"):
            refused(client.cwd, name)
        refused(client.rename, "/alice/file", f"/alice/link/{world.name}")
        client.mkd("/alice/new")
        client.rmd("/alice/new")
        refused(client.rmd, "/alice/private")
        client.delete("/alice/link")


# Its authorizer switches as pyftpdlib's UnixAuthorizer does, which needs modules that Python 3.13 lacks (crypt, spwd).
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


def test_ftp_with_seteuid_in_threads_fails_or_gives_wrong_owners(world):
    """Control: with libc's process-wide calls, the same uploads fail or get a wrong owner."""
    needs_package("pyftpdlib")

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

    with server(world, [sys.executable, "-c", STOCK, users_file(world, str(world))], signal.SIGINT) as (_, port):
        failed, wrong = map(sum, zip(*all_at_once(session), strict=True))
    print(f"{failed} of {100 * len(NAMES)} uploads failed, {wrong} have a wrong owner")
    assert failed + wrong > 0


def test_ftp_with_seteuid_alone_lacks_groups_and_keeps_extra_rights(world):
    """Control, with one client: a team member cannot read the team's notes, but can list a file in a closed folder."""
    needs_package("pyftpdlib")
    with (
        server(world, [sys.executable, "-c", STOCK, users_file(world, str(world))], signal.SIGINT) as (_, port),
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
        super().__init__("127.0.0.1", int(port), timeout=HANG)
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{name}:word of {name}".encode()).decode()}

    def ask(self, method, path, body=None, **headers):
        answer = self.start(method, path, body, **headers)
        return answer.status, answer.read()

    def start(self, method, path, body=None, **headers):
        self.request(method, path, body, {**self.headers, **headers})
        return self.getresponse()


def dav_command(world):
    needs_package("cheroot", "wsgidav")
    return command("webdav_server.py", {"8080": 0, "dav-users.txt": users_file(world), "/srv/dav": world})


def test_webdav_serves_sixteen_users_at_once(world):
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
        assert wait_until_clean(pid) >= 10
        with contextlib.closing(Dav(port, "alice")) as client:
            assert client.ask("GET", "/alice/secret") == (200, b"secret of alice")
            assert client.ask("GET", "/alice/secret", Authorization="")[0] == 401
    for name in NAMES:
        assert (world / name / "secret").read_text() == f"secret of {name}"
    assert not list(world.glob("*/planted"))


def test_webdav_copies_moves_and_deletes_folders(world):
    home = world / "alice"
    with server(world, dav_command(world)) as (_, port), contextlib.closing(Dav(port, "alice")) as client:
        for folder in ("tree", "tree/below"):
            assert client.ask("MKCOL", f"/alice/{folder}")[0] == 201
        assert client.ask("PUT", "/alice/tree/below/file", b"data")[0] == 201
        assert client.ask("PUT", "/alice/tree/below/file", b"more")[0] == 204
        assert client.ask("COPY", "/alice/tree", Destination="/alice/copy")[0] == 201
        assert (home / "copy" / "below" / "file").read_bytes() == b"more"
        assert client.ask("MOVE", "/alice/copy", Destination="/alice/moved")[0] == 201
        assert client.ask("MOVE", "/alice/tree/below/file", Destination="/alice/moved/below/file")[0] == 204
        assert client.ask("GET", "/alice/moved/below/file", Range="bytes=1-2")[1] == b"or"
        os.mkfifo(home / "moved" / "fifo")
        (home / "moved" / "link").symlink_to(world / "bob")
        for name in (b"\xff", b"\x01", b"\n", b"\xef\xbf\xbf"):  # users can create such names in a shared folder
            Path(os.fsdecode(bytes(home / "moved") + b"/" + name)).touch()
        status, listing = client.ask("PROPFIND", "/alice/moved", Depth="infinity")
        assert (status, b"fifo" in listing, b"link" in listing) == (207, False, False)
        assert client.ask("DELETE", "/alice/moved")[0] == 204
        assert not (home / "moved").exists()
        assert (world / "bob" / "secret").exists()
        assert client.ask("DELETE", "/bob")[0] in (403, 207, 500)
        assert (world / "bob" / "secret").exists()


WRONG_USERS = {
    "root:word": "root has uid 0",
    "unknown:word": "error: .*no user has the name 'unknown'",
    "alice:": "alice has no password|is not name:password",
}


@pytest.mark.parametrize("line", WRONG_USERS)
@pytest.mark.parametrize("program", ["ftp", "webdav"])
def test_user_who_is_root_or_unknown_or_has_no_password_is_refused(world, program, line):
    words = ftp_command(world) if program == "ftp" else dav_command(world)
    (world / "users").write_text(f"{line}:/\n" if program == "ftp" else f"{line}\n")
    with pytest.raises(AssertionError, match=WRONG_USERS[line]):
        server(world, words).__enter__()


@pytest.mark.parametrize("program", ["ftp", "webdav"])
def test_users_file_that_others_can_read_is_refused(world, program):
    words = ftp_command(world) if program == "ftp" else dav_command(world)
    (world / "users").chmod(0o644)
    with pytest.raises(AssertionError, match="other users have rights"):
        server(world, words).__enter__()


def test_webdav_streams_a_body_while_other_users_are_served(world):
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
        # The server now waits for this client, because the socket is full. Other clients work; no thread is switched.
        for number in range(5):
            for name, client in clients.items():
                assert client.ask("PUT", f"/{name}/file{number}", b"x")[0] == 201
                assert owner(world / name / f"file{number}") == IDS[name]
                assert client.ask("GET", "/alice/large")[0] == 403
            assert f"{world}/alice/large" in open_files(pid)
            assert wait_until_clean(pid) >= 10
        while chunk := answer.read(1 << 20):
            digest.update(chunk)
        assert digest.digest() == hashlib.sha256(block * (size >> 20)).digest()
        with contextlib.closing(Dav(port, "alice")) as dropped:  # the server closes the generator as alice
            dropped.start("GET", "/alice/large").read(1000)
        deadline = time.monotonic() + HANG
        while f"{world}/alice/large" in open_files(pid):
            assert time.monotonic() < deadline, "the server must close the file"
            time.sleep(0.05)
        assert wait_until_clean(pid) >= 10
