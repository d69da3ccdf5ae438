# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The checks of `libreplace verify` that open files: open_beneath(), and both back ends of replace.aio.Files."""

from __future__ import annotations

import errno
import os
from typing import Literal, NamedTuple, TypeAlias

from .. import _native
from .._identity import Identity
from .controls import become_root
from .observe import NotHere, must, new_name, observe
from .obstacles import IO_URING, OPENAT2, Machine

_BackEnd: TypeAlias = Literal["io_uring", "threads"]
#: The back ends of replace.aio.Files, and what each needs.
BACK_ENDS: dict[_BackEnd, str] = {"io_uring": IO_URING, "threads": OPENAT2}
CLAIM = "new files belong to their users, and files of others are refused"
NO_OPENAT2 = "ENOSYS: the kernel, a seccomp filter or the build's headers lack openat2"


class _Bad(NamedTuple):
    """A path that must be refused."""

    place: int  # descriptor of the folder where it begins
    path: str
    error: int


def _bad_paths(folder: int, file: str) -> list[_Bad]:
    """A link out of the folder, a FIFO, and a magic link to the file, which this process has open from now on."""
    out, fifo = (f"{kind}-{new_name()}" for kind in ("out", "fifo"))
    try:
        os.symlink("..", out, dir_fd=folder)
        os.mkfifo(fifo, dir_fd=folder)
    except OSError as error:
        raise NotHere(f"the temporary folder cannot hold links and FIFOs: {error.strerror}") from None
    link = errno.EXDEV
    try:
        os.close(os.open(out, os.O_RDONLY, dir_fd=folder))
    except OSError as error:
        if error.errno == errno.ELOOP:  # a mount with the option nosymfollow follows no link at all
            link = errno.ELOOP
    found = [_Bad(folder, out, link), _Bad(folder, fifo, errno.ENXIO)]
    magic = f"self/fd/{os.open(file, os.O_RDONLY, dir_fd=folder)}"
    if os.path.isdir("/proc/self/fd"):
        found.append(_Bad(os.open("/proc", os.O_RDONLY), magic, errno.ELOOP))
    return found


def _must_refuse(error: OSError | None, path: str, number: int) -> None:
    must(error is not None, f"{path} was opened; it must be refused with {errno.errorcode[number]}")
    found = error.errno if error else 0
    must(found == number, f"opening {path} failed with {error}, not with {errno.errorcode[number]}")


def open_beneath(machine: Machine) -> str | None:
    """A path from a client opens nothing outside the folder, follows no magic link and opens no FIFO."""
    name = f"file-{new_name()}"
    os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=machine.folder))
    bad = _bad_paths(machine.folder, name)
    try:
        os.close(_native.open_beneath(machine.folder, name, os.O_RDONLY))
    except OSError as error:
        must(error.errno == errno.ENOSYS, str(error))
        return NO_OPENAT2
    for place, path, number in bad:
        caught = None
        try:
            _native.open_beneath(place, path, os.O_RDONLY)
        except OSError as error:
            caught = error
        _must_refuse(caught, path, number)
    return None


def open_as_users(backend: _BackEnd, machine: Machine) -> str | None:
    """Users make files, and try to open those of others, on the thread of an event loop, which keeps its ids."""
    import asyncio

    become_root()
    os.umask(0)
    before = observe(machine)
    detail = asyncio.run(_open_as_users(backend, machine))
    must(observe(machine) == before, f"the event loop's thread has {observe(machine)}, not {before}")
    return detail


async def _open_as_users(backend: _BackEnd, machine: Machine) -> str | None:
    from ..aio import Files

    folder, ids = machine.folder, machine.ids
    alice, bob = Identity(ids.user, ids.group), Identity(ids.other, ids.other, [ids.high])
    alice_in_team = Identity(ids.user, ids.high)
    own, of_group, of_team, of_root = (f"{kind}-{new_name()}" for kind in ("own", "group", "team", "root"))
    os.close(os.open(of_root, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder))
    files = Files(backend=backend)
    try:
        await files.__aenter__()
    except OSError:
        if backend == "io_uring" and machine.no_ring:
            return f"there is no ring here: {machine.no_ring.reason}"
        raise
    try:
        must(set(files.backends.values()) == {backend}, f"the back ends are {files.backends}")
        new = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        for user, name, mode in ((alice, own, 0o600), (alice, of_group, 0o640), (alice_in_team, of_team, 0o640)):
            made = os.fstat(await files.open(user, name, new, mode, dir_fd=folder))
            must((made.st_uid, made.st_gid) == (user.uid, user.gid), f"a file of {user} belongs to {made[4:6]}")
        os.close(await files.open(bob, of_team, os.O_RDONLY, dir_fd=folder))
        bad = [_Bad(folder, name, errno.EACCES) for name in (own, of_group, of_root)]
        for place, path, number in [*bad, *_bad_paths(folder, of_root)]:
            caught = None
            try:
                await files.open(bob, path, os.O_RDONLY, dir_fd=place)
            except OSError as error:
                caught = error
            _must_refuse(caught, f"{path} as user {bob.uid}", number)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise NotHere("can't start new thread: raise the limit of processes") from None
        if backend == "threads" and error.errno == errno.ENOSYS:
            return NO_OPENAT2
        raise
    finally:
        await files.close()
    return None
