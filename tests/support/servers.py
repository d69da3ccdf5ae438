# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Set up the tests of servers: sixteen users and their files, a running server, and clients that start together.

nss_wrapper shows the users to the server from files, so the user database of this machine does not change.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import replace
from support.builds import ROOT, imported, run
from support.children import HANG, SHIELD, needs_root, wait_until

NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "ivan", "judy", "kate", "leo", "mallory", "nina"]
NAMES += ["oscar", "peggy", "heidi"]
MEMBERS, STRANGER, TEAM = NAMES[:-1], NAMES[-1], 80300
IDS = {name: (80101 + number, 80201 + number) for number, name in enumerate(NAMES)}
ROUNDS = 12
PAGES = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))


@contextlib.contextmanager
def world() -> Iterator[Path]:
    """Yield a folder with each user's home and secret, the team's folder, and the files of the user database."""
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


def nss_wrapper() -> str:
    """Return the path of the library that shows other users to a process."""
    for folder in ("/usr/lib", *map(str, Path("/usr/lib").glob("*-linux-gnu"))):
        if os.path.exists(f"{folder}/libnss_wrapper.so"):
            return f"{folder}/libnss_wrapper.so"
    pytest.skip("needs nss_wrapper (Debian: libnss-wrapper)")


def with_users(folder: Path, passwd: list[str], group: list[str], code: str) -> str:
    """Run a Python program that sees only these users and groups; return its output. It may import from tests/."""
    (folder / "passwd").write_text("".join(f"{line}\n" for line in passwd))
    (folder / "group").write_text("".join(f"{line}\n" for line in group))
    database = {"NSS_WRAPPER_PASSWD": f"{folder}/passwd", "NSS_WRAPPER_GROUP": f"{folder}/group"}
    env = {"LD_PRELOAD": nss_wrapper(), "PYTHONPATH": str(ROOT / "tests"), **database}
    out = run(sys.executable, "-c", code, env=env, cwd="/")
    assert out.returncode == 0, out.stderr
    return out.stdout


@contextlib.contextmanager
def server(
    world: Path,
    words: list[str],
    stop: signal.Signals = signal.SIGTERM,
    *,
    socket: Path | None = None,
    status: int = 0,
    env: dict[str, str] | None = None,
    ready: str = r"^(?:listening|mounted) on .*?(\S+)$",
) -> Iterator[tuple[int, str]]:
    """Start a server; yield its process id and its address: the group in `ready`, which matches a line that it prints.

    If `socket` is given, the server prints nothing and is ready when every user may connect to that socket. After the
    block, the signal `stop` must end the server with `status`.
    """
    database = {"NSS_WRAPPER_PASSWD": f"{world}/passwd", "NSS_WRAPPER_GROUP": f"{world}/group"}
    with open(world / "log", "w") as log:
        process = subprocess.Popen(
            words,
            env={**os.environ, "LD_PRELOAD": nss_wrapper(), **database, **(env or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Like a service. A terminal that the server opens can then become its controlling terminal.
            start_new_session=True,
        )

    def address() -> str | None:
        if socket:
            return str(socket) if socket.exists() and socket.stat().st_mode & 0o777 == 0o666 else None
        line = re.search(ready, (world / "log").read_text(), re.M)
        return line and line[1]

    try:
        deadline = time.monotonic() + HANG
        while not (found := address()):
            assert process.poll() is None, (world / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process.pid, found
        process.send_signal(stop)
        assert process.wait(HANG) == status, (world / "log").read_text()
    finally:
        process.kill()
        process.wait()


def open_files(pid: int) -> dict[str, str]:
    """Return the paths that a process has open, and their descriptors."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[os.readlink(link)] = link.name
    return found


def wait_until_open(pid: int, path: str) -> str:
    """Wait until a process has opened the file; return the descriptor."""
    found: dict[str, str] = {}

    def is_open() -> bool:
        found.update(open_files(pid))
        return path in found

    wait_until(is_open, f"process {pid} to open {path}")
    return found[path]


def command(program: str, replaced: dict[str, object], start: str = "python3 docs/examples/") -> list[str]:
    """Return a command of docs/, which begins so. `replaced` maps words of it to those of this machine."""
    (line,) = re.findall(rf"^{start}{program} .*$", PAGES, re.M)
    first, *words = shlex.split(line)
    assert not set(replaced) - set(words)
    words = [str(replaced.get(word, word)) for word in words]
    words = [f"{ROOT}/{word}" if word.startswith("docs/examples") else word for word in words]
    return [sys.executable, *(() if first in ("python", "python3") else ("-m", first)), *words]


def users_file(world: Path, homes: str | None = None) -> Path:
    """Make the file of users, passwords and, if `homes` is given, home folders for a server."""
    path = world / "users"
    path.touch(0o600)
    lines = [f"{name}:word of {name}" + ("" if homes is None else f":{homes}/{name}") for name in NAMES]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def file_service_command(world: Path, folder: Path, backend: str = "auto") -> list[str]:
    """Return the command that starts docs/examples/file_service.py."""
    words: dict[str, object] = {"/run/files.socket": world / "socket", "/srv/files": folder}
    return [*command("file_service.py", words), "--backend", backend]


def _host_key(world: Path) -> Path:
    key = world / "host-key"
    key.touch(0o600)
    key.write_bytes(imported("asyncssh").generate_private_key("ssh-ed25519").export_private_key())
    return key


def sftp_command(world: Path, folder: Path) -> list[str]:
    """Return the command that starts docs/examples/sftp_server.py, with a new host key."""
    key = _host_key(world)
    words = {"8022": 0, "host-key": key, "sftp-users.txt": users_file(world), "/srv/sftp": folder}
    return command("sftp_server.py", words)


ASYNCSSH_ALONE = """
import asyncio, sys
import asyncssh

class Server(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return password == f"word of {username}"

async def main():
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[sys.argv[1]],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=sys.argv[2]),
    )
    print("listening on", server.get_port(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def asyncssh_alone_command(world: Path, folder: Path) -> list[str]:
    """Return the command that starts asyncssh's own SFTP server, which runs everything as root."""
    return [sys.executable, "-c", ASYNCSSH_ALONE, str(_host_key(world)), str(folder)]


def all_at_once(function: Callable[[str, threading.Barrier], Any]) -> list[Any]:
    """Call function(name, barrier) for each user in a separate thread; all of them pass the barrier together."""
    barrier = threading.Barrier(len(NAMES), timeout=HANG)

    def one(name: str) -> Any:
        try:
            return function(name, barrier)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(len(NAMES)) as pool:
        return list(pool.map(one, NAMES))


def owner(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the uid and the gid of a file."""
    entry = os.lstat(path)
    return entry.st_uid, entry.st_gid


def wait_until_clean(pid: int, has_pool: bool = False) -> int:
    """Wait until every thread is root with the main thread's capabilities; return the number of other threads.

    A thread may need a moment: a client can receive the last byte before the server's thread leaves the identity.
    The workers of an IdentityExecutor keep an identity, so with `has_pool` a thread may also be exactly one user, with
    all or some of this user's groups.
    """
    users = {
        ((SHIELD, uid, 0, uid), (gid, gid, 0, gid)): {gid, TEAM} if name in MEMBERS else {gid}
        for name, (uid, gid) in (IDS.items() if has_pool else ())
    }

    def is_user(thread: replace.ThreadCredentials) -> bool:
        ids = thread.uids, thread.gids
        return ids in users and {*thread.groups} <= users[ids] and not thread.effective

    deadline = time.monotonic() + HANG
    while True:
        main, *others = replace.thread_credentials(pid)
        assert main.uids == main.gids == (0, 0, 0, 0)
        differ = [thread for thread in others if (thread.ids, thread.effective) != (main.ids, main.effective)]
        differ = [thread for thread in differ if not is_user(thread)]
        if not differ:
            return len(others)
        assert time.monotonic() < deadline, differ
        time.sleep(0.01)


def serve_all_users(world: Path, pid: int, adapter: Any) -> None:
    """Let all users use a server at once, and check owners, forbidden files, the team's file, and then its threads.

    The server serves the folder `world`. `adapter` is an Adapter of support/adapters.py.
    """

    def session(name: str, barrier: threading.Barrier) -> None:
        other = NAMES[NAMES.index(name) - 1]
        barrier.wait()
        for number in range(ROUNDS):
            path, data = f"{name}/file{number}", os.urandom(10_000)
            if adapter.writes:
                assert adapter.write(name, path.encode(), data)
                assert owner(world / path) == IDS[name]
                assert adapter.read(name, path.encode()) == data
                assert not adapter.write(name, f"{other}/planted".encode(), data)
            assert adapter.read(name, f"{name}/secret".encode()) == f"secret of {name}".encode()
            assert adapter.read(name, f"{other}/secret".encode()) is None
            assert adapter.read(name, b"shared/notes") == (None if name == STRANGER else b"notes of the team")
            if adapter.lists:
                assert adapter.list(name, f"{name}/private".encode()) == {b"hidden"}
                assert adapter.list(name, f"{other}/private".encode()) is None

    all_at_once(session)
    assert not list(world.glob("*/planted"))
    wait_until_clean(pid, adapter.has_pool)
