# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Mount a folder with docs/examples/fuse_mount.py, and use the mount as different users (an adapter for hostile.py)."""

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import replace
from support.adapters import OWN, Adapter
from support.builds import ROOT, needs_package, tool
from support.children import LIBC
from support.hostile import PLANTED
from support.servers import IDS, MEMBERS, TEAM, command, server

#: For the example, for a copy of it elsewhere, and for machines that have libfuse 2, too.
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "docs" / "examples"), "FUSE_LIBRARY_NAME": "fuse3"}


def needs_fuse() -> None:
    """Skip the test if this machine has no FUSE, and say what is missing."""
    needs_package("mfusepy")
    tool("fusermount3", "comes with libfuse3")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"needs /dev/fuse ({error.strerror})")


def is_mounted(point: str) -> bool:
    """Return whether something is mounted there. os.path.ismount() asks the file system, which refuses root."""
    return f" {point} " in Path("/proc/self/mounts").read_text()


@contextlib.contextmanager
def mount(
    world: Path,
    folder: Path,
    stop: signal.Signals = signal.SIGTERM,
    *,
    over: Path | None = None,
    changes: tuple[tuple[str, str], ...] = (),
) -> Iterator[tuple[int, str]]:
    """Mount the folder with docs/examples/fuse_mount.py; yield its process id and the mount point.

    The mount point is `over`, or a new folder. `changes` are pairs of texts: in a copy of the program, the second text
    replaces the first.
    """
    needs_fuse()
    with tempfile.TemporaryDirectory(prefix="libreplace-mount-") as new:
        os.chmod(new, 0o755)
        point = str(over or new)
        words = command("fuse_mount.py", {"/srv/files": folder, "/mnt/files": point})
        program = Path(words[1]).read_text()
        for old, changed in changes:
            assert old in program, old
            program = program.replace(old, changed)
        if changes:
            words[1] = str(world / "fuse_mount.py")
            Path(words[1]).write_text(program)
        try:
            with server(world, words, stop, env=ENVIRONMENT) as found:
                yield found
            assert not is_mounted(point)
        finally:
            LIBC.umount2(point.encode(), 2)  # MNT_DETACH; it fails if the server has unmounted


class Stream:
    """A file that a user has open, with the methods of a connection. Without a descriptor, it is at its end."""

    def __init__(self, identity: replace.Identity, descriptor: int | None) -> None:
        self._identity, self._descriptor = identity, descriptor

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recv(self, size: int) -> bytes:
        with replace.impersonate(self._identity):
            return b"" if self._descriptor is None else os.read(self._descriptor, size)

    def sendall(self, data: bytes) -> None:
        with replace.impersonate(self._identity):
            while self._descriptor is not None and data:
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Mounted(Adapter):
    """docs/examples/fuse_mount.py. The client's kernel follows ".." and links, but here none that leaves the mount."""

    lines = resolves = False

    def identity(self, user: str) -> replace.Identity:
        return replace.Identity(*IDS[user], [TEAM] if user in MEMBERS else [])

    def _try(self, user: str, path: bytes, flags: int, function: Callable[[int], Any]) -> Any:
        """Open a path below the mount as the user; return function(descriptor), or None if that is refused."""
        with replace.impersonate(self.identity(user)), contextlib.ExitStack() as stack:
            try:
                top = os.open(self.address, os.O_PATH | os.O_DIRECTORY)
                stack.callback(os.close, top)
                name = path.lstrip(b"/") or b"."
                descriptor = replace.open_beneath(top, name, flags | os.O_NONBLOCK, 0o666)
                stack.callback(os.close, descriptor)
                return function(descriptor)
            except (OSError, ValueError) as error:
                self.record_refusal(user, str(error))
                return None

    def read(self, user: str, path: bytes) -> bytes | None:
        def content(descriptor: int) -> bytes:
            return b"".join(iter(lambda: os.read(descriptor, 1 << 17), b""))

        return cast("bytes | None", self._try(user, path, os.O_RDONLY, content))

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        names = self._try(user, path, os.O_RDONLY | os.O_DIRECTORY, os.listdir)
        return None if names is None else set(map(os.fsencode, names))

    def write(self, user: str, path: bytes, data: bytes) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return bool(self._try(user, path, flags, lambda descriptor: os.write(descriptor, data)) == len(data))

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        parent, _, name = path.rstrip(b"/").rpartition(b"/")
        spare, taken = (f"{self.address}/{os.fsdecode(own)}" for own in OWN)

        def calls(folder: int) -> "list[object]":
            found = []
            tries: list[Callable[[], object]] = [
                lambda: os.stat(name, dir_fd=folder, follow_symlinks=False),
                lambda: os.readlink(name, dir_fd=folder),
                lambda: os.utime(name, dir_fd=folder, follow_symlinks=False),
                lambda: os.chown(name, *IDS[user], dir_fd=folder, follow_symlinks=False),
                lambda: os.mkdir(name, dir_fd=folder),
                lambda: os.symlink("target", name, dir_fd=folder),
                lambda: os.link(name, taken, src_dir_fd=folder, follow_symlinks=False),
                lambda: Path(taken).read_bytes(),
                lambda: os.unlink(taken),
                lambda: os.rename(name, taken, src_dir_fd=folder),
                lambda: Path(taken).read_bytes(),
                lambda: os.unlink(taken),
                lambda: Path(spare).write_bytes(PLANTED),
                lambda: os.rename(spare, name, dst_dir_fd=folder),
                lambda: os.unlink(name, dir_fd=folder),
                lambda: os.rmdir(name, dir_fd=folder),
            ]
            for call in tries:
                with contextlib.suppress(OSError, ValueError):
                    found.append(call())
            return found

        yield repr(self._try(user, parent, os.O_PATH | os.O_DIRECTORY, calls)).encode()

    def _stream(self, user: str, path: bytes, flags: int) -> socket.socket:
        stream = Stream(self.identity(user), self._try(user, path, flags, os.dup))
        self._open.callback(stream.close)
        return cast(socket.socket, stream)

    def begin(self, user: str, path: bytes) -> socket.socket:
        return self._stream(user, path, os.O_RDONLY)

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        stream = self._stream(user, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        stream.sendall(bytes(500_000))
        return stream
