# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Files: tasks of asyncio and trio open and change files as many users, on one thread.

``import replace`` does not load this module. Write ``import replace.aio``. The module is provisional: its functions may
still change.

This file has the public class, and it chooses the back end: _native.Ring or _file_threads.py. _file_requests.py has the
part for the event loops.
"""

from __future__ import annotations

import errno
import os
from sys import audit

from ._event_loops import task_loops
from ._file_requests import AsyncioRequests, TrioRequests, switched_or_busy
from ._file_threads import FileThreads
from ._ids import whole_number
from ._impersonate import check_options
from ._native import (
    RING_LINK,
    RING_MKDIR,
    RING_OPEN,
    RING_RENAME,
    RING_STAT,
    RING_SYMLINK,
    RING_UNLINK,
    Ring,
)
from ._open_beneath import Resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NoReturn, TypeAlias

    from ._identity import Identity

    Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = ["Files"]

_DEFAULT_RESOLVE = Resolve.BENEATH | Resolve.NO_MAGICLINKS
_CLOEXEC = os.O_CLOEXEC  # open() is the most frequent call, so it looks up nothing in modules
_CALLS = ("open", "stat", "mkdir", "unlink", "rename", "link", "symlink")
_BACKENDS = ("auto", "io_uring", "threads")
#: What Ring() raises if a process cannot have one.
_NO_RING = (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP)


class Files:
    """Open and change files as many users, from one thread: ``async with replace.aio.Files() as files``.

    With Linux's io_uring, the kernel checks each request as its user, and the calling thread keeps its own ids. If the
    process cannot have a ring, the threads of a pool make the calls, with the same results and errors. A descriptor has
    its rights from :meth:`open`, so you can read, write and close it as usual.

    A Files belongs to the event loop of asyncio or trio whose task enters it, and it can be entered once. Await one
    call before you start another one that needs its effect. The kernel opens most existing files at once. Under
    asyncio, other tasks run during one of 256 such calls; under trio, each call is a checkpoint. A new file or folder
    gets the umask of the process.

    If a task is cancelled, its request is stopped, and a file that it has opened is closed. Another effect, such as a
    new folder, may have happened or may still happen.

    While a Files is open, :func:`replace.drop_privileges` is refused. With threads, it is refused after the first
    request. Each call raises the audit event of the function of os, in the task. With io_uring, it also raises
    ``replace.enter``, which can veto it, and ``replace.leave`` does not follow. With threads, the worker raises the
    events of the identity and of its own calls.

    Args:
        backend: ``"io_uring"``, ``"threads"``, or the first of these that this process can have (``"auto"``).
        max_workers: The number of threads, of the pool or of the kernel, for calls that can block. One user gets at
            most a quarter of them.
        allow_root: As for :func:`replace.impersonate`.

    Raises:
        ValueError: ``backend`` or ``max_workers`` is wrong.
        TypeError: ``max_workers`` is not an integer.
        IdentityRefused: The calls of this build change the whole process.

    Source: io_uring(7), openat2(2).
    """

    def __init__(
        self,
        *,
        backend: Literal["auto", "io_uring", "threads"] = "auto",
        max_workers: int = 32,
        allow_root: bool = False,
    ) -> None:
        if backend not in _BACKENDS:
            raise ValueError(f"backend should be {', '.join(_BACKENDS[:-1])} or {_BACKENDS[-1]}, not {backend!r}")
        if whole_number(max_workers, "max_workers") <= 0:
            raise ValueError(f"max_workers must be greater than 0, not {max_workers}")
        check_options(allow_root=allow_root)
        self._options = (backend, max_workers, bool(allow_root))
        self._requests: AsyncioRequests | TrioRequests | None = None
        self._backend = ""
        self._run: Any = _not_entered  # it returns a result, or a tuple: the arguments of _wait()
        self._wait: Any = None

    async def __aenter__(self) -> Files:
        """Start the back end.

        Raises:
            RuntimeError: No task of asyncio or trio runs in this thread, or a task of both; or this Files was entered
                before.
            IdentityRefused: This thread is switched; or another thread changes the ids of the whole process; or
                IdentityExecutor refuses this thread.
            OSError: ``backend`` is ``"io_uring"``, and this process cannot have a ring: ENOSYS, EPERM or EOPNOTSUPP.
                Or there is no memory or descriptor.
        """
        if self._requests is not None:
            raise RuntimeError("this Files was entered before; make a new one")
        loops = task_loops()
        if len(loops) != 1:
            tasks = "tasks of both run in this thread, one inside the other" if loops else "none runs in this thread"
            raise RuntimeError(f"a Files works in a task of asyncio or trio, and {tasks}")
        backend = self._make_backend()
        kind = AsyncioRequests if loops == ["asyncio"] else TrioRequests
        self._requests = kind(backend, self._options[2])
        self._run, self._wait = self._requests.run, self._requests.wait
        return self

    async def __aexit__(self, *exception: object) -> None:
        """As :meth:`close`."""
        await self.close()

    def _make_backend(self) -> Ring | FileThreads:
        backend, max_workers, allow_root = self._options
        if backend != "threads":
            try:
                ring = Ring(max_workers, allow_root)
                self._backend = "io_uring"
                return ring
            except OSError as error:
                if error.errno == errno.EINVAL:
                    raise ValueError(f"max_workers is too large: {max_workers}") from None
                if error.errno == errno.EBUSY:
                    raise switched_or_busy() from None
                if backend == "io_uring" or error.errno not in _NO_RING:
                    raise
        threads = FileThreads(max_workers, allow_root)
        self._backend = "threads"
        return threads

    @property
    def backends(self) -> dict[str, str]:
        """The back end of each call, ``"io_uring"`` or ``"threads"``: for example ``{"open": "io_uring", ...}``.

        Raises:
            RuntimeError: This Files was not entered.
        """
        if self._requests is None:
            _not_entered()
        return dict.fromkeys(_CALLS, self._backend)

    async def close(self) -> None:
        """Stop all requests, and wait until the threads of the back end are gone. The event loop goes on meanwhile.

        A task that waits for a request gets a RuntimeError. If a task is cancelled in this call, call it again.

        Raises:
            RuntimeError: This Files was not entered; or the task belongs to another event loop.
        """
        if self._requests is None:
            _not_entered()
        else:
            await self._requests.close()

    async def _request(self, *arguments: Any) -> Any:
        """Make a request, and wait for its result."""
        result = self._run(*arguments)
        return await self._wait(*result) if type(result) is tuple else result

    async def open(
        self,
        identity: Identity,
        path: Path,
        flags: int,
        mode: int = 0o600,
        *,
        dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
    ) -> int:
        """Open a file as a user, as :func:`replace.open_beneath` does with ``regular=True``.

        Args:
            identity: The user.
            path: The path, relative to the folder.
            flags: Flags of os.open().
            mode: Permissions of a new file, without the bits of the umask.
            dir_fd: Descriptor of the folder. None is the working directory.
            resolve: How the kernel resolves the path; see :class:`replace.Resolve`. With the default, an absolute path
                is refused. With 0, the path may lead anywhere.

        Returns:
            A file descriptor, which child processes do not inherit.

        Raises:
            OSError: As for open_beneath().
            IdentityRefused: The identity has uid 0, gid 0 or group 0, without ``allow_root``; or the event loop's
                thread is switched; or another thread changes the ids of the whole process.
            IdentityError: No thread could become this user.
            RuntimeError: This Files is not entered or is closed; or this is another event loop, or a forked child.
            TypeError: An argument has the wrong type.
            ValueError: The path has a null byte.
            OverflowError: A number is out of range.
        """
        if type(path) is not str:
            path = os.fspath(path)
        audit("open", path, None, flags | _CLOEXEC)
        result = self._run(RING_OPEN, identity, path, flags, mode, dir_fd, resolve)
        return await self._wait(*result) if type(result) is tuple else result  # type: ignore[no-any-return]

    async def stat(
        self,
        identity: Identity,
        path: Path,
        *,
        dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
        follow_symlinks: bool = True,
    ) -> os.stat_result:
        """Read the status of a file as a user, as os.stat() does.

        Args:
            identity: As for :meth:`open`.
            path: As for :meth:`open`.
            dir_fd: As for :meth:`open`.
            resolve: As for :meth:`open`.
            follow_symlinks: Follow a symbolic link with the last name of the path.

        Returns:
            The status.

        Raises:
            OSError: As for os.stat() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        path = os.fspath(path)
        flags = 0 if follow_symlinks else _NOFOLLOW
        return await self._request(RING_STAT, identity, path, flags, 0, dir_fd, resolve)  # type: ignore[no-any-return]

    async def mkdir(
        self,
        identity: Identity,
        path: Path,
        mode: int = 0o700,
        *,
        dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
    ) -> None:
        """Make a folder as a user, as os.mkdir() does.

        Args:
            identity: As for :meth:`open`.
            path: As for :meth:`open`. ``resolve`` applies to all of it but the last name.
            mode: Permissions of the folder, without the bits of the umask.
            dir_fd: As for :meth:`open`.
            resolve: As for :meth:`open`.

        Raises:
            OSError: As for os.mkdir() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        path = os.fspath(path)
        audit("os.mkdir", path, mode, _shown(dir_fd))
        await self._request(RING_MKDIR, identity, path, 0, mode, dir_fd, resolve)

    async def unlink(
        self, identity: Identity, path: Path, *, dir_fd: int | None = None, resolve: int = _DEFAULT_RESOLVE
    ) -> None:
        """Remove a name that is not of a folder, as a user, as os.unlink() does.

        Args:
            identity: As for :meth:`open`.
            path: As for :meth:`mkdir`.
            dir_fd: As for :meth:`open`.
            resolve: As for :meth:`open`.

        Raises:
            OSError: As for os.unlink() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        path = os.fspath(path)
        audit("os.remove", path, _shown(dir_fd))
        await self._request(RING_UNLINK, identity, path, 0, 0, dir_fd, resolve)

    async def rename(
        self,
        identity: Identity,
        src: Path,
        dst: Path,
        *,
        dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
    ) -> None:
        """Give a file or folder another name, as a user, as os.rename() does.

        Args:
            identity: As for :meth:`open`.
            src: The old path, as for :meth:`mkdir`.
            dst: The new path, as for :meth:`mkdir`. A file of this name is replaced.
            dir_fd: As for :meth:`open`.
            dst_dir_fd: The folder where ``dst`` begins. None is ``dir_fd``.
            resolve: As for :meth:`open`.

        Raises:
            OSError: As for os.rename() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        src, dst = os.fspath(src), os.fspath(dst)
        audit("os.rename", src, dst, _shown(dir_fd), _shown(dir_fd if dst_dir_fd is None else dst_dir_fd))
        await self._request(RING_RENAME, identity, src, 0, 0, dir_fd, resolve, dst_dir_fd, dst)

    async def link(
        self,
        identity: Identity,
        src: Path,
        dst: Path,
        *,
        dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
    ) -> None:
        """Give a file a further name, as a user, as os.link() does with ``follow_symlinks=False``.

        Args:
            identity: As for :meth:`open`.
            src: The path of the file, as for :meth:`mkdir`.
            dst: The further path, as for :meth:`mkdir`.
            dir_fd: As for :meth:`open`.
            dst_dir_fd: As for :meth:`rename`.
            resolve: As for :meth:`open`.

        Raises:
            OSError: As for os.link() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        src, dst = os.fspath(src), os.fspath(dst)
        audit("os.link", src, dst, _shown(dir_fd), _shown(dir_fd if dst_dir_fd is None else dst_dir_fd))
        await self._request(RING_LINK, identity, src, 0, 0, dir_fd, resolve, dst_dir_fd, dst)

    async def symlink(
        self,
        identity: Identity,
        src: Path,
        dst: Path,
        *,
        dir_fd: int | None = None,
        resolve: int = _DEFAULT_RESOLVE,
    ) -> None:
        """Make a symbolic link, as a user, as os.symlink() does.

        Args:
            identity: As for :meth:`open`.
            src: The text of the link, which is not checked.
            dst: The path of the link, as for :meth:`mkdir`.
            dir_fd: The folder where ``dst`` begins. None is the working directory.
            resolve: As for :meth:`open`.

        Raises:
            OSError: As for os.symlink() and open_beneath().
            IdentityRefused: As for :meth:`open`, which lists the other exceptions, too.
        """
        src, dst = os.fspath(src), os.fspath(dst)
        audit("os.symlink", src, dst, _shown(dir_fd))
        await self._request(RING_SYMLINK, identity, dst, 0, 0, dir_fd, resolve, None, src)


#: AT_SYMLINK_NOFOLLOW of fcntl.h, which Python does not have.
_NOFOLLOW = 0x100


def _shown(dir_fd: int | None) -> int:
    """How os shows a descriptor in audit events."""
    return -1 if dir_fd is None else dir_fd


def _not_entered(*_: object) -> NoReturn:
    raise RuntimeError("this Files is not entered; use it in a block: async with replace.aio.Files() as files")
