# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the credentials of threads from the kernel: /proc/PID/task/TID/status (proc_pid_status(5))."""

from __future__ import annotations

import os
import sys

from ._errors import IdentityRefused, ThreadsDiffer


class ThreadCredentials:
    """The credentials of one thread, as the kernel reports them.

    Attributes:
        tid: The number of the thread.
        name: Its name.
        uids: Its real, effective, saved and file system user ID.
        gids: Its real, effective, saved and file system group ID.
        groups: Its supplementary groups.
        effective: Its effective capabilities, as bits.
        permitted: Its permitted capabilities, as bits.

    Source: proc_pid_status(5), capabilities(7).
    """

    __slots__ = ("effective", "gids", "groups", "name", "permitted", "tid", "uids")

    def __init__(self, tid: int, fields: dict[str, str]) -> None:
        self.tid, self.name = tid, fields["Name"]
        self.uids, self.gids, self.groups = (tuple(map(int, fields[name].split())) for name in ("Uid", "Gid", "Groups"))
        self.effective, self.permitted = int(fields["CapEff"], 16), int(fields["CapPrm"], 16)

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

    def __repr__(self) -> str:
        kernel = ", of io_uring" if self.of_io_uring else ""
        return f"<thread {self.tid} ({self.name}{kernel}): uids {self.uids}, gids {self.gids}, groups {self.groups}>"


def status_fields(tid: int | str = "self", pid: int | str = "self") -> dict[str, str]:
    """The fields of /proc/PID/task/TID/status. Empty without /proc, or without such a thread."""
    path = "/proc/thread-self/status" if tid == "self" else f"/proc/{pid}/task/{tid}/status"
    try:
        with open(path, "rb") as file:  # text mode would import a codec, maybe as a user who cannot read it
            text = file.read().decode("utf-8", "replace")
        return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def difference_from_main() -> str:
    """How the calling thread's ids differ from the main thread's. Empty if they do not, or if this cannot be known."""
    mine, main = status_fields(), status_fields(os.getpid())
    if not (mine and main):
        return ""
    own, other = ThreadCredentials(0, mine), ThreadCredentials(0, main)
    found = [f"uids {own.uids} and {other.uids}"] if own.uids != other.uids else []
    found += [f"gids {own.gids} and {other.gids}"] if own.gids != other.gids else []
    found += ["different groups"] if own.groups != other.groups else []
    return ", ".join(found)


def thread_credentials(pid: int | None = None) -> list[ThreadCredentials]:
    """Read the credentials of each thread of a process from the kernel.

    Args:
        pid: The number of the process, or of any of its threads. None is this process.

    Returns:
        A list of :class:`ThreadCredentials`, the main thread first. It includes the kernel's io_uring workers.

    Raises:
        OSError: There is no such process; or there is no permission, because /proc is mounted with hidepid; or there
            is no /proc, which only Linux has.

    Source: proc_pid_status(5).
    """
    owner = os.getpid() if pid is None else pid
    found = []
    for tid in map(int, os.listdir(f"/proc/{owner}/task")):
        fields = status_fields(tid, owner)
        if fields:  # otherwise the thread has just ended
            found.append((fields["Tgid"] != fields["Pid"], tid, fields))
    if not found:
        raise ProcessLookupError(3, os.strerror(3))  # ESRCH
    return [ThreadCredentials(tid, fields) for _, tid, fields in sorted(found, key=lambda one: one[:2])]


def assert_clean() -> None:
    """Check that all threads of this process have the ids and groups of the main thread.

    Threads that hold an identity differ. So do threads that such a thread started, and the kernel's io_uring workers
    that it set up. The check may miss a thread that switches at the same time. On systems other than Linux, threads
    cannot differ.

    Raises:
        ThreadsDiffer: Some threads differ. ``threads`` lists them.
        IdentityRefused: /proc cannot be read (Linux only).
    """
    if sys.platform != "linux":
        return
    try:
        main, *others = thread_credentials()
    except OSError as error:
        raise IdentityRefused(
            f"/proc cannot be read ({error.strerror}), so the ids of the threads are unknown; mount /proc"
        ) from None
    differ = tuple(thread for thread in others if thread.ids != main.ids)
    if differ:
        raise ThreadsDiffer(
            f"these threads differ from the main thread: {', '.join(map(repr, differ))}; the main thread is {main!r}; "
            "let them leave their identities, or end, before this call",
            differ,
        )
