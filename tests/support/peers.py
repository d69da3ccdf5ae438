# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Start processes of other users, as peers of a socket or known by their process id; enter user namespaces."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

from support.children import HANG, LIBC, fork, needs_user_namespace


def become(uid: int, gid: int, groups: Any = ()) -> Callable[[], None]:
    """Return a function that permanently makes the calling process this user."""

    def change() -> None:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

    return change


@contextlib.contextmanager
def other_process(start: Callable[[], object]) -> Iterator[int]:
    """Yield the process id of a child that has called `start` and waits; kill it afterwards."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.close(reader)
            kept = start()  # noqa: F841  (it keeps a socket open)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(0)
    try:
        os.close(writer)
        started = os.read(reader, 1)
        os.close(reader)
        assert started, "the child failed"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@contextlib.contextmanager
def connected(
    before: Callable[[], object],
    kind: socket.SocketKind = socket.SOCK_STREAM,
    after: Callable[[socket.socket], object] = lambda end: None,
) -> Iterator[socket.socket]:
    """Yield the server's end of a connection. The child calls `before`, connects, and calls `after`."""
    with socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind("")  # an address that the kernel chooses
        listener.listen()
        listener.settimeout(HANG)

        def start() -> socket.socket:
            before()
            end = socket.socket(socket.AF_UNIX, kind)
            end.connect(listener.getsockname())
            after(end)
            return end

        with other_process(start), listener.accept()[0] as connection:
            yield connection


def enter_user_namespace(uids: str, gids: str) -> None:
    """Put the calling process, which has one thread, into a user namespace with these maps (user_namespaces(7))."""
    needs_user_namespace()
    reader, writer = os.pipe()
    outside = fork()
    if outside == 0:
        try:
            os.read(reader, 1)
            for name, text in (("uid_map", uids), ("gid_map", gids)):
                with open(f"/proc/{os.getppid()}/{name}", "w") as file:
                    file.write(text)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert LIBC.unshare(0x10000000) == 0  # CLONE_NEWUSER
    os.write(writer, b"x")
    assert os.waitpid(outside, 0)[1] == 0
    os.close(reader)
    os.close(writer)
