# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the credentials of threads from the kernel: /proc/PID/task/TID/status (proc_pid_status(5))."""

from __future__ import annotations

import errno
import os
import sys
import time
from itertools import count

from ._errors import IdentityRefused, ThreadsDiffer
from ._native import tainted
from ._proc import (
    FOREIGN,
    main_status,
    numbers,
    own_number,
    own_status,
    read_status,
    shows_own_numbers,
    stat_fields,
    thread_number,
)

#: PF_EXITING of linux/sched.h. Such a thread never returns to user space. The kernel sets this flag before it reports
#: the end of the thread, but lists the thread a little longer (do_exit() in kernel/exit.c).
_EXITING = 0x4
#: Seconds for a complete list of the threads. While threads start and end, a list may be incomplete.
_LONGEST_LIST = 1.0
#: Seconds for a thread to reach the kernel's do_exit(). Thread.join() before Python 3.13 can return earlier, and so can
#: musl's pthread_join(3).
_LONGEST_END = 1.0


class ThreadCredentials:
    """The credentials of one thread, as the kernel reports them.

    Attributes:
        tid: The number of the thread. For a thread of this process, in the PID namespace of this process.
        name: Its name.
        uids: Its real, effective, saved and file system user ID.
        gids: Its real, effective, saved and file system group ID.
        groups: Its supplementary groups.
        effective: Its effective capabilities, as bits.
        permitted: Its permitted capabilities, as bits.

    Source: proc_pid_status(5), capabilities(7).
    """

    __slots__ = ("_listed", "effective", "gids", "groups", "name", "permitted", "tid", "uids")

    tid: int
    name: str
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    effective: int
    permitted: int

    def __init__(self, tid: int, fields: dict[str, str]) -> None:
        self.tid, self.name, self._listed = tid, fields.get("Name", ""), fields.get("Pid", "")
        self.uids, self.gids = numbers(fields, "Uid", count=4), numbers(fields, "Gid", count=4)
        self.groups = numbers(fields, "Groups")
        (self.effective,), (self.permitted,) = (numbers(fields, name, 16, 1) for name in ("CapEff", "CapPrm"))

    @property
    def ids(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """uids, gids and groups, for comparing two threads."""
        return (self.uids, self.gids, self.groups)

    @property
    def of_io_uring(self) -> bool:
        """Whether this is a kernel worker that io_uring started. It has the ids of the thread that set it up.

        The thread's name says so (io_uring/io-wq.c, sqpoll.c). A program can give its own threads such a name.
        """
        return self.name.startswith(("iou-sqp-", "iou-wrk-"))

    def _is_ending(self) -> bool:
        """Whether this thread of this process has ended, or is about to end in the kernel."""
        try:
            with open(f"/proc/self/task/{self._listed}/stat", "rb") as file:
                return bool(int(stat_fields(file.read())[6]) & _EXITING)
        except (FileNotFoundError, ProcessLookupError):
            return True

    def __repr__(self) -> str:
        kernel = ", of io_uring" if self.of_io_uring else ""
        name = self.name if self.name.isprintable() else repr(self.name)
        return f"<thread {self.tid} ({name}{kernel}): uids {self.uids}, gids {self.gids}, groups {self.groups}>"


def difference_from_main() -> str:
    """How the calling thread's ids differ from the main thread's. Empty if they do not. Raises OSError if unknown."""
    if sys.platform != "linux" or thread_number() == os.getpid():
        return ""
    own, other = ThreadCredentials(0, own_status()), ThreadCredentials(0, main_status())
    found = [f"uids {own.uids} and {other.uids}"] if own.uids != other.uids else []
    found += [f"gids {own.gids} and {other.gids}"] if own.gids != other.gids else []
    found += ["different groups"] if own.groups != other.groups else []
    return ", ".join(found)


def _list_threads(folder: str) -> list[str]:
    """The numbers of all threads, as the folder /proc/PID/task has them. Raises OSError."""
    deadline = time.monotonic() + _LONGEST_LIST
    while True:
        # If a thread ends meanwhile, the kernel may leave out others. So count: the link count of the folder is the
        # number of threads plus 2 (proc_task_getattr() in fs/proc/base.c). Only what exists after that is counted.
        names = os.listdir(folder)
        count = os.stat(folder).st_nlink - 2
        if sum(os.path.exists(f"{folder}/{name}") for name in names) >= count:
            return names
        if time.monotonic() > deadline:
            raise OSError(errno.EAGAIN, "threads start and end too fast for a list of them")


def thread_credentials(pid: int | None = None) -> list[ThreadCredentials]:
    """Read the credentials of each thread of a process from the kernel.

    Args:
        pid: The number of the process, or of any of its threads. None is this process.

    Returns:
        A list of :class:`ThreadCredentials`, the main thread first. It includes the kernel's io_uring workers, and
        threads that are just ending.

    Raises:
        OSError: There is no such process; or there is no permission, because /proc is mounted with hidepid; or /proc
            lacks a field; or ``pid`` is another process, and /proc has the numbers of another PID namespace; or threads
            start and end too fast for a list of them; or there is no /proc, which only Linux has.

    Source: proc_pid_status(5), pid_namespaces(7).
    """
    own = pid is None or pid == os.getpid()
    if not own and not shows_own_numbers():
        raise OSError(errno.EOPNOTSUPP, FOREIGN)
    folder = f"/proc/{'self' if own else pid}/task"
    found = []
    for name in _list_threads(folder):
        try:
            fields = read_status(f"{folder}/{name}")
        except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
            continue
        tid = own_number(fields) if own else int(name)
        if tid:
            found.append((numbers(fields, "Tgid") != numbers(fields, "Pid"), tid, fields))
    if not found or (own and thread_number() not in {tid for _, tid, _ in found}):
        reason = f"{folder} does not show this process" if own else os.strerror(errno.ESRCH)
        raise ProcessLookupError(errno.ESRCH, reason)
    return [ThreadCredentials(tid, fields) for _, tid, fields in sorted(found, key=lambda one: one[:2])]


def _calling_thread() -> tuple[ThreadCredentials, ...]:
    """The calling thread, or nothing if it cannot be read."""
    try:
        return (ThreadCredentials(thread_number(), own_status()),)
    except OSError:
        return ()


def _differing() -> list[ThreadCredentials]:
    """The main thread, and all threads that differ from it. Raises OSError."""
    threads = thread_credentials()
    if len({thread.ids for thread in threads}) > 1:
        # If the main thread has ended before the others, the next one takes its place here.
        threads = [thread for thread in threads if not thread._is_ending()]
    return [thread for thread in threads if thread is threads[0] or thread.ids != threads[0].ids]


def _will_stay(threads: list[ThreadCredentials]) -> bool:
    """Whether one of these threads runs in the kernel, or is one that Python could still join."""
    threading = sys.modules.get("threading")
    known = {thread.native_id for thread in threading.enumerate()} if threading is not None else set()
    return any(thread.of_io_uring or thread.tid in known for thread in threads)


def _differing_at_last() -> list[ThreadCredentials]:
    """As _differing(), but without threads that end within _LONGEST_END."""
    deadline = time.monotonic() + _LONGEST_END
    for attempt in count():
        main, *others = _differing()
        # Let the other threads run several times, even if this process stood still for a second.
        if not others or _will_stay(others) or (attempt > 20 and time.monotonic() > deadline):
            break
        time.sleep(0.001)
    return [main, *others]


def unknown_ids(error: OSError) -> IdentityRefused:
    """The exception for a failure to read the ids of threads."""
    passing = error.errno in (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    advice = "try again later" if passing else "mount the /proc of this PID namespace"
    return IdentityRefused(
        f"/proc cannot be read ({error.strerror}), so the ids of the threads are unknown; {advice}",
        error=error.errno or 0,
    )


def assert_clean() -> None:
    """Check that all threads of this process have the ids and groups of the main thread.

    Threads that hold an identity differ. So do threads that such a thread started, and the kernel's io_uring workers
    that it set up. The check may miss a thread that switches at the same time. It ignores threads that are ending; if
    a thread of a C library differs, the check first waits a second for its end. On systems other than Linux, threads
    cannot differ.

    Raises:
        ThreadsDiffer: Some threads differ, or the calling thread is tainted. ``threads`` lists them.
        IdentityRefused: /proc cannot be read (Linux only).
    """
    if tainted():
        raise ThreadsDiffer(
            "the calling thread is tainted: it may not have its own ids; let it leave its identities, or end it and "
            "start a new one",
            _calling_thread(),
        )
    if sys.platform != "linux":
        return
    try:
        main, *differ = _differing_at_last()
    except OSError as error:
        raise unknown_ids(error) from None
    if differ:
        raise ThreadsDiffer(
            f"these threads differ from the main thread: {', '.join(map(repr, differ))}; the main thread is {main!r}; "
            "let them leave their identities, or end, before this call",
            tuple(differ),
        )
