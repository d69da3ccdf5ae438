# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
# The extension module of native/module.c. detect/sources.py writes the docstrings. Those of the calls come from
# detect/calls.py, the others from replace/native.
import os
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, Literal, SupportsIndex, TypeVar, final

from _typeshed import HasFileno

from ._identity import Identity

_T = TypeVar("_T")

SCOPE: Literal["thread", "process"]  # whether a setter changes the calling thread or the process
VERSION: str
LAZY_CODE: int
MAX_GROUPS: int
LEVELS: dict[str, int]  # enum libreplace_level, by the names of replace.Level
SETTERS: tuple[str, ...]  # the names of the setters

# generated: begin calls
def setuid(uid: SupportsIndex, /) -> None:
    """Set the effective user ID; with CAP_SETUID, also the real and saved user ID.

    If ``SCOPE`` is ``"thread"``, only the calling thread changes; libc's setuid() changes
    all threads.

    Args:
        uid: The new user ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETUID; ``EINVAL`` if an id is -1 (here it never means "unchanged"), or is
            not mapped in this user namespace; ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
    setreuid(); kernel/sys.c.
    """

def seteuid(euid: SupportsIndex, /) -> None:
    """Set the effective user ID only.

    If ``SCOPE`` is ``"thread"``, only the calling thread changes; libc's seteuid() changes
    all threads.

    Args:
        euid: The new effective user ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETUID; ``EINVAL`` if an id is -1 (here it never means "unchanged"), or is
            not mapped in this user namespace; ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
    setreuid(); kernel/sys.c.
    """

def setreuid(ruid: SupportsIndex, euid: SupportsIndex, /) -> None:
    """Set the real and effective user ID.

    -1 leaves an id unchanged. If ``SCOPE`` is ``"thread"``, only the calling thread
    changes; libc's setreuid() changes all threads.

    Args:
        ruid: The new real user ID, 0 to 2**32-2, or -1 to leave it unchanged.
        euid: The new effective user ID, 0 to 2**32-2, or -1 to leave it unchanged.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETUID; ``EINVAL`` if an id is not mapped in this user namespace; ``ENOSYS``
            if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
    setreuid(); kernel/sys.c.
    """

def setresuid(ruid: SupportsIndex, euid: SupportsIndex, suid: SupportsIndex, /) -> None:
    """Set the real, effective and saved user ID.

    -1 leaves an id unchanged. If ``SCOPE`` is ``"thread"``, only the calling thread
    changes; libc's setresuid() changes all threads.

    Args:
        ruid: The new real user ID, 0 to 2**32-2, or -1 to leave it unchanged.
        euid: The new effective user ID, 0 to 2**32-2, or -1 to leave it unchanged.
        suid: The new saved user ID, 0 to 2**32-2, or -1 to leave it unchanged.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETUID; ``EINVAL`` if an id is not mapped in this user namespace; ``ENOSYS``
            if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setuid(2), setreuid(2), setresuid(2); POSIX.1-2024 setuid(), seteuid(),
    setreuid(); kernel/sys.c.
    """

def getresuid() -> tuple[int, int, int]:
    """Read the real, effective and saved user ID of the calling thread.

    Returns:
        The real, effective and saved user ID.

    Raises:
        OSError: ``ENOSYS`` if this system has no such call.

    Source: getresuid(2); kernel/sys.c.
    """

def setfsuid(fsuid: SupportsIndex, /) -> None:
    """Set the file system user ID, which the kernel uses to check file access.

    The kernel reports no error, so a second call verifies the result.

    Args:
        fsuid: The new file system user ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if the kernel kept another id (the thread has no privilege, the
            id is not mapped, or a filter refuses the call); ``EINVAL`` if the id is -1;
            ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setfsuid(2); kernel/sys.c.
    """

def getfsuid() -> int:
    """Read the file system user ID, which the kernel uses to check file access.

    If setfsuid(2) gives no clear answer, for example because a seccomp filter refuses it,
    the owner of a new pipe gives the answer.

    Returns:
        The file system user ID.

    Raises:
        OSError: ``EPERM`` if a filter refuses both setfsuid(2) and pipe2(2); ``EMFILE`` if
            the process has too many open files for the pipe; ``ENOSYS`` if this system has
            no such call.

    Source: setfsuid(2), which returns the present id if its argument is -1; fs/pipe.c.
    """

def setgid(gid: SupportsIndex, /) -> None:
    """Set the effective group ID; with CAP_SETGID, also the real and saved group ID.

    If ``SCOPE`` is ``"thread"``, only the calling thread changes; libc's setgid() changes
    all threads.

    Args:
        gid: The new group ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETGID; ``EINVAL`` if an id is -1 (here it never means "unchanged"), or is
            not mapped in this user namespace; ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
    setregid(); kernel/sys.c.
    """

def setegid(egid: SupportsIndex, /) -> None:
    """Set the effective group ID only.

    If ``SCOPE`` is ``"thread"``, only the calling thread changes; libc's setegid() changes
    all threads.

    Args:
        egid: The new effective group ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETGID; ``EINVAL`` if an id is -1 (here it never means "unchanged"), or is
            not mapped in this user namespace; ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
    setregid(); kernel/sys.c.
    """

def setregid(rgid: SupportsIndex, egid: SupportsIndex, /) -> None:
    """Set the real and effective group ID.

    -1 leaves an id unchanged. If ``SCOPE`` is ``"thread"``, only the calling thread
    changes; libc's setregid() changes all threads.

    Args:
        rgid: The new real group ID, 0 to 2**32-2, or -1 to leave it unchanged.
        egid: The new effective group ID, 0 to 2**32-2, or -1 to leave it unchanged.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETGID; ``EINVAL`` if an id is not mapped in this user namespace; ``ENOSYS``
            if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
    setregid(); kernel/sys.c.
    """

def setresgid(rgid: SupportsIndex, egid: SupportsIndex, sgid: SupportsIndex, /) -> None:
    """Set the real, effective and saved group ID.

    -1 leaves an id unchanged. If ``SCOPE`` is ``"thread"``, only the calling thread
    changes; libc's setresgid() changes all threads.

    Args:
        rgid: The new real group ID, 0 to 2**32-2, or -1 to leave it unchanged.
        egid: The new effective group ID, 0 to 2**32-2, or -1 to leave it unchanged.
        sgid: The new saved group ID, 0 to 2**32-2, or -1 to leave it unchanged.

    Raises:
        OSError: ``EPERM`` if an id is not one of the thread's ids, and the thread lacks
            CAP_SETGID; ``EINVAL`` if an id is not mapped in this user namespace; ``ENOSYS``
            if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setgid(2), setregid(2), setresgid(2); POSIX.1-2024 setgid(), setegid(),
    setregid(); kernel/sys.c.
    """

def getresgid() -> tuple[int, int, int]:
    """Read the real, effective and saved group ID of the calling thread.

    Returns:
        The real, effective and saved group ID.

    Raises:
        OSError: ``ENOSYS`` if this system has no such call.

    Source: getresgid(2); kernel/sys.c.
    """

def setfsgid(fsgid: SupportsIndex, /) -> None:
    """Set the file system group ID, which the kernel uses to check file access.

    The kernel reports no error, so a second call verifies the result.

    Args:
        fsgid: The new file system group ID, 0 to 2**32-2.

    Raises:
        OSError: ``EPERM`` if the kernel kept another id (the thread has no privilege, the
            id is not mapped, or a filter refuses the call); ``EINVAL`` if the id is -1;
            ``ENOSYS`` if this system has no such call.
        OverflowError: An id is out of range. 2**32-1 is out of range, too.
        TypeError: An argument is not an integer.

    Source: setfsgid(2); kernel/sys.c.
    """

def getfsgid() -> int:
    """Read the file system group ID, which the kernel uses to check file access.

    If setfsgid(2) gives no clear answer, for example because a seccomp filter refuses it,
    the owner of a new pipe gives the answer.

    Returns:
        The file system group ID.

    Raises:
        OSError: ``EPERM`` if a filter refuses both setfsgid(2) and pipe2(2); ``EMFILE`` if
            the process has too many open files for the pipe; ``ENOSYS`` if this system has
            no such call.

    Source: setfsgid(2), which returns the present id if its argument is -1; fs/pipe.c.
    """

def setgroups(groups: Sequence[SupportsIndex], /) -> None:
    """Set the supplementary groups.

    If ``SCOPE`` is ``"thread"``, only the calling thread changes; libc's setgroups()
    changes all threads.

    Args:
        groups: The group ids, at most 65536. The whole sequence is read before the one
            system call.

    Raises:
        OSError: ``EPERM`` if the thread lacks CAP_SETGID, or this user namespace denies
            setgroups; ``EINVAL`` if a group is -1 or is not mapped in this user namespace;
            ``ENOSYS`` if this system has no such call.
        ValueError: There are too many groups.
        OverflowError: A group is out of range. 2**32-1 is out of range, too.
        TypeError: ``groups`` is not a sequence, or an item is not an integer.

    Source: setgroups(2); kernel/groups.c.
    """

def initgroups(username: str | bytes | os.PathLike[str], gid: SupportsIndex, /) -> None:
    """Set the supplementary groups to those of a user in the group database, plus one group.

    The look-up comes first; one setgroups() call follows. If ``SCOPE`` is ``"thread"``,
    only the calling thread changes; libc's initgroups() changes all threads.

    Args:
        username: The user's name, in a form that os.fsencode() accepts.
        gid: The additional group, normally the user's primary group.

    Raises:
        OSError: ``EPERM`` if the thread lacks CAP_SETGID, or this user namespace denies
            setgroups; ``EINVAL`` if a group is -1 or is not mapped in this user namespace;
            ``ENOMEM`` if there is no memory for the list; ``ENOSYS`` if this system has no
            such call.
        ValueError: The name has a null byte.
        OverflowError: ``gid`` is out of range. 2**32-1 is out of range, too.
        TypeError: An argument has the wrong type.

    Source: initgroups(3), getgrouplist(3).
    """

def getgroups() -> list[int]:
    """Read the supplementary groups.

    Returns:
        The group ids, in the kernel's order.

    Raises:
        OSError: ``ENOSYS`` if this system has no such call.

    Source: getgroups(2); POSIX.1-2024 getgroups().
    """

# generated: end

# ---- enum libreplace_flag, and the values of enum libreplace_step and libreplace_state that Python needs
ALLOW_ROOT: int
ALLOW_PROCESS: int
ABORT_UNLESS_RESTORED: int
ALLOW_IO_URING: int
STEP_REFUSED: int
STEP_READ: int
STEP_PRIVILEGE: int
STEP_VERIFY: int
STEP_THREADS: int
STEP_IO_URING: int
STEP_CAPABILITIES: int
STEP_FOUND: int
STEP_ORDER: int
STEP_FORKED: int
STEP_RETURN: int
STATE_IDLE: int
STATE_ROLLED_BACK: int
STATE_TAINTED: int

def step_name(number: int, /) -> str: ...
def state_name(number: int, /) -> str: ...

# ---- The state of threads (libreplace/guard.h)
def active() -> int: ...
def main_is_switched() -> bool: ...
def depth() -> int: ...
def tainted() -> bool: ...
def is_itself() -> bool: ...  # the thread holds no identity and is not tainted
def fakeroot_is_loaded() -> bool: ...
def drop_capabilities() -> None: ...
def drop_privileges(uid: int, gid: int, groups: bytes, flags: int, /) -> tuple[int, int, int, int]: ...
def claim(workers: list[Any], task: object, /) -> bool: ...
def private_fs() -> None: ...
def report() -> str: ...
def alone(function: Callable[..., Any], args: tuple[Any, ...], /) -> Any: ...  # or NotImplemented

# ---- Paths that clients send (libreplace/open_beneath.h)
RESOLVE_NO_XDEV: int
RESOLVE_NO_MAGICLINKS: int
RESOLVE_NO_SYMLINKS: int
RESOLVE_BENEATH: int
RESOLVE_IN_ROOT: int
RESOLVE_CACHED: int

# generated: begin open_beneath
def open_beneath(
    dir_fd: int,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    flags: int,
    mode: int = 0o600,
    *,
    resolve: int = ...,  # Resolve.BENEATH | Resolve.NO_MAGICLINKS
    regular: bool = True,
) -> int:
    """Open a file below a folder by a path that a client sent.

    The kernel resolves the path in one call, openat2(2), so the path cannot change between a
    check and the opening. The kernel checks the permissions of the calling thread: call this
    function while the thread holds an identity.

    Args:
        dir_fd: Descriptor of the folder. AT_FDCWD (-100) is the working directory, which
            all threads share.
        path: The path, relative to the folder: str, bytes or a path object.
        flags: Flags of os.open(). O_CLOEXEC and O_NOCTTY are always added.
        mode: Permissions of a new file; ignored without O_CREAT and O_TMPFILE.
        resolve: How the kernel resolves the path; see Resolve. The default is
            Resolve.BENEATH | Resolve.NO_MAGICLINKS. Without BENEATH or IN_ROOT the path may
            lead anywhere.
        regular: Open only a regular file, or with O_DIRECTORY a folder, and do not block.
            With False, open any kind of file. A FIFO can then block the thread until another
            process opens its other end.

    Returns:
        A file descriptor, which child processes do not inherit. os.fdopen() makes a file of
        it.

    Raises:
        OSError: An errno of os.open(), or one of these. EXDEV: the path leads out of the
            folder. ELOOP: a magic link (see Resolve.NO_MAGICLINKS), or another link that
            resolve or O_NOFOLLOW forbids. ENXIO: regular is true, and the file is a FIFO, a
            socket or a device. EISDIR: regular is true, the file is a folder, and flags has
            no O_DIRECTORY. EAGAIN: each of 17 attempts failed because a file or folder
            somewhere was renamed at the same time, or because another process holds a lease
            on the file. ENOSYS: Linux before 5.6, a seccomp filter, another system, or a
            build without SYS_openat2; no weaker method is tried. EINVAL: unknown flags, or
            flags that contradict each other. The exception's filename is the path.
        TypeError: An argument has the wrong type; a bool is not accepted as an integer.
        ValueError: The path has a null byte.
        OverflowError: A number is out of range.

    Source: openat2(2), open(2).
    """

# generated: end

O_PATH: int  # open(2); 0 if this system has no such flag

# ---- Files as many users, from one thread (libreplace/ring.h)
RING_OPEN: int
RING_STAT: int
RING_MKDIR: int
RING_UNLINK: int
RING_RENAME: int
RING_LINK: int
RING_SYMLINK: int

@final
class Ring:
    def __new__(cls, workers: int, allow_root: bool = False, entries: int = 0, identities: int = 0) -> Ring: ...
    def fileno(self) -> int: ...
    def run(
        self,
        kind: int,
        uid: int,
        gid: int,
        groups: bytes,
        dir_fd: int,
        path: str | bytes,
        flags: int,
        mode: int,
        resolve: int,
        new_dir_fd: int,
        new_path: str | bytes | None,
        /,
    ) -> int | tuple[int, Any]: ...
    def results(self) -> list[tuple[int, tuple[int, Any]]]: ...
    def cancel(self, number: int, /) -> None: ...
    def close(self) -> bool: ...

# ---- The credentials at the other end of a Unix socket (native/peer_linux.c)
def peer(socket: HasFileno, /) -> tuple[int, int, bytes | None]: ...

# ---- What a thread keeps besides its ids (native/thread_state_linux.c)
def thread_settings() -> bytes: ...
def restore_settings(settings: bytes, /) -> None: ...
def thread_state() -> bytes: ...
def join_keyring() -> tuple[int, int, int] | None: ...

# ---- The guard
# generated: begin guard
@final
class Guard:
    """One entry into an identity: the context manager that impersonate() returns.

    A guard can be entered once. You cannot make one by hand or pickle it. Its repr
    shows its user and the thread that holds it.
    """

    @property
    def changes(self) -> int:
        """The number of credential-changing system calls that this guard has made."""

    def __enter__(self) -> Identity:
        """Switch the calling thread.

        Returns:
            The identity.

        Raises:
            IdentityRefused: As for impersonate(). Nothing changed.
            IdentityError: A step failed. ``state`` says what the thread is now.
            RuntimeError: The guard was entered before.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Restore the ids that the thread had on entry.

        Args:
            kind: Not used.
            error: Not used.
            trace: Not used.

        Raises:
            IdentityChanged: The thread's ids differed from those that the entry set. The ids from
                before the entry are restored.
            ThreadTainted: The guard was entered in another thread, or an inner identity is still held.
            IdentityError: A step failed. ``state`` says what the thread is now.
        """

    def check(self) -> bool:
        """Check the ids, groups and capabilities of the calling thread.

        If it finds a difference, leaving the guard raises an exception for it.

        Returns:
            Whether the thread still has the ids, groups and capabilities that the entry set.
        """

# generated: end

# ---- The iterators of impersonated() (native/impersonated_type.c)
@final
class Impersonated(Generic[_T]):
    def __iter__(self) -> Impersonated[_T]: ...
    def __next__(self) -> _T: ...
    def close(self) -> None: ...

def setup(
    before: Callable[[Identity], None],
    before_call: Callable[[Identity], None],
    lazy_frame: Callable[[Identity, int], Exception],
    await_refused: Callable[[], Exception],
    failure: Callable[[int, Identity, int, int, int], Exception],
    audit: Callable[..., None],
    loops: tuple[str, ...],
    /,
) -> None: ...
def make(
    identity: Identity, uid: int, gid: int, groups: bytes, level: int, flags: int, across_yield: bool, /
) -> Guard: ...
def start_child(
    uid: int,
    gid: int,
    groups: bytes,
    flags: int,
    restore_signals: bool,
    login: bool,
    no_new_privs: bool,
    home: bytes | None,
    paths: bytes | None,
    popen: object,
    function: Callable[[], _T],
    /,
) -> tuple[int, int] | tuple[_T, int, int, int]: ...
def keep(object: object, /) -> None: ...
def setup_impersonated(
    generator: type[Any],
    is_over: Callable[[Any], bool],
    clear_locals: Callable[[BaseException, BaseException | None], None],
    reduce: Callable[[Identity, Any, dict[str, Any]], tuple[Any, ...]],
    start: Callable[[Impersonated[Any]], None],
    abandoned: Callable[[Identity, str, Exception, Exception | None], Exception],
    /,
) -> None: ...
def make_impersonated(
    identity: Identity,
    uid: int,
    gid: int,
    groups: bytes,
    level: int,
    flags: int,
    options: dict[str, Any],
    iterable: Iterable[_T],
    /,
) -> Impersonated[_T]: ...
def finish(iterator: Impersonated[Any], /) -> None: ...
def closing(last: bool, /) -> int: ...
def run(guard: Guard, function: Callable[..., _T], args: tuple[Any, ...], kwargs: dict[str, Any] | None, /) -> _T: ...
