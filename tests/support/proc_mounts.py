# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Give a child an unusual /proc: of another PID namespace, without some entries, or none. Needs real root."""

import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replace
from support.children import LIBC, in_child, needs_root

NEW_MOUNTS, NEW_PIDS = 0x00020000, 0x20000000  # CLONE_NEWNS, CLONE_NEWPID: namespaces(7)
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000  # mount(2)


def unshare(namespaces: int) -> None:
    if LIBC.unshare(namespaces) != 0:
        pytest.skip(f"needs CAP_SYS_ADMIN: unshare(2) fails ({os.strerror(ctypes.get_errno())})")


def enter_mount_namespace() -> None:
    """Give the calling process mounts of its own."""
    unshare(NEW_MOUNTS)
    if LIBC.mount(b"none", b"/", b"none", ctypes.c_ulong(_REC | _PRIVATE), b"") != 0:
        assert ctypes.get_errno() == errno.EINVAL
        pytest.skip("needs a root folder that is a mount point (a chroot is usually not), to make private mounts")


def mount(source: object, target: object, kind: str = "none", flags: int = 0, data: str = "") -> None:
    words = (os.fsencode(str(source)), os.fsencode(str(target)), kind.encode(), ctypes.c_ulong(flags), data.encode())
    assert LIBC.mount(*words) == 0, (source, target, os.strerror(ctypes.get_errno()))


def in_private_mounts(body: Callable[[], Any]) -> Any:
    """Run body in a child that is root without groups and may mount."""
    needs_root()

    def child() -> Any:
        replace.setgroups([])
        enter_mount_namespace()
        return body()

    return in_child(child)


def in_new_pid_namespace(body: Callable[[], Any]) -> Any:
    """Run body as process 1 of a new PID namespace. /proc stays that of the old one."""

    def child() -> Any:
        unshare(NEW_PIDS)
        return in_child(body)

    return in_private_mounts(child)


@contextlib.contextmanager
def another_process(start: Callable[[], object] = lambda: None) -> Any:
    """Keep a child that has called `start` during the block; yield its number."""
    ready, ready_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            start()
            os.write(ready_end, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready_end)
    try:
        assert os.read(ready, 1) == b"x", "the child ended"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)


def start_pid_namespace(first: Callable[[], object]) -> int:
    """Start process 1 of a new PID namespace, which calls `first` and ends with this process; return its number here.

    Afterwards this process cannot start threads.
    """
    ready, ready_end = os.pipe()
    unshare(NEW_PIDS)
    child = os.fork()
    if child == 0:
        try:
            assert LIBC.prctl(1, signal.SIGKILL, 0, 0, 0) == 0  # PR_SET_PDEATHSIG
            first()
            os.write(ready_end, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready_end)
    assert os.read(ready, 1) == b"x", "the child ended"
    os.close(ready)
    return child


def replace_file(path: object, text: str, scratch: Path) -> None:
    """Mount a file with this text over another file."""
    made = scratch / f"{os.getpid()}-{len(os.listdir(scratch))}"
    made.write_text(text)
    mount(made, path, flags=_BIND)


def link_only(target: str, scratch: Path) -> None:
    """Replace /proc by a folder that has no entry but self, which leads to this entry of the true /proc."""
    mount("/proc", scratch, flags=_BIND | _REC)
    mount("none", "/proc", "tmpfs", data="mode=755")
    os.mkdir("/proc/.true")
    mount(scratch, "/proc/.true", flags=_BIND | _REC)
    os.symlink(f".true/{target}", "/proc/self")
