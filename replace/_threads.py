# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Who every thread is, from the kernel: /proc/PID/task/TID/status (proc_pid_status(5))."""

from __future__ import annotations

import os
import sys

from ._errors import IdentityRefused, ThreadsDiffer


class ThreadCredentials:
    """One thread as the kernel has it.

    tid: its number; name; uids, gids: real, effective, saved and fs id; groups: the
    supplementary ones; effective, permitted: its capabilities as bits (capabilities(7)).
    """

    __slots__ = ("effective", "gids", "groups", "name", "permitted", "tid", "uids")

    def __init__(self, tid: int, fields: dict[str, str]) -> None:
        self.tid, self.name = tid, fields["Name"]
        self.uids, self.gids, self.groups = (tuple(map(int, fields[name].split())) for name in ("Uid", "Gid", "Groups"))
        self.effective, self.permitted = int(fields["CapEff"], 16), int(fields["CapPrm"], 16)

    @property
    def ids(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """uids, gids and groups: what two threads differ in."""
        return (self.uids, self.gids, self.groups)

    @property
    def of_io_uring(self) -> bool:
        """A worker of the kernel's that io_uring started: not the program's own, but with the ids of who set it up.

        Known by the name (io_uring/io-wq.c, sqpoll.c), which a program's own thread can take as well.
        """
        return self.name.startswith(("iou-sqp-", "iou-wrk-"))

    def __repr__(self) -> str:
        kernel = ", of io_uring" if self.of_io_uring else ""
        return f"<thread {self.tid} ({self.name}{kernel}): uids {self.uids}, gids {self.gids}, groups {self.groups}>"


def status_fields(tid: int | str = "self", pid: int | str = "self") -> dict[str, str]:
    """The fields of /proc/PID/task/TID/status; empty where there is no /proc or no such thread."""
    path = "/proc/thread-self/status" if tid == "self" else f"/proc/{pid}/task/{tid}/status"
    try:
        with open(path, "rb") as file:  # as text it would import a codec, perhaps as a user who cannot read it
            text = file.read().decode("utf-8", "replace")
        return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def like_main() -> bool:
    """Whether the calling thread has the ids and groups of the main thread; True where nobody can tell."""
    mine, main = status_fields(), status_fields(os.getpid())
    return not (mine and main) or ThreadCredentials(0, mine).ids == ThreadCredentials(0, main).ids


def thread_credentials(pid: int | None = None) -> list[ThreadCredentials]:
    """Every thread of a process (this one by default) as the kernel has it, the main thread first.

    The kernel's own io_uring workers are among them (of_io_uring).  The number of any of its
    threads stands for the process.  Raises OSError: no such process (any more), no
    permission (/proc mounted with hidepid), or no /proc (Linux alone has it).
    """
    owner = os.getpid() if pid is None else pid
    found = []
    for tid in map(int, os.listdir(f"/proc/{owner}/task")):
        fields = status_fields(tid, owner)
        if fields:  # else it ended meanwhile
            found.append((fields["Tgid"] != fields["Pid"], tid, fields))
    if not found:
        raise ProcessLookupError(3, os.strerror(3))  # ESRCH
    return [ThreadCredentials(tid, fields) for _, tid, fields in sorted(found, key=lambda one: one[:2])]


def assert_clean() -> None:
    """Every thread of this process has the ids and groups of the main thread, or ThreadsDiffer says which has not.

    Threads that hold an identity differ, and so do threads that were started by one, and
    io_uring's kernel workers that were set up under one.  A thread that switches while
    this reads may be seen or not.  Raises ThreadsDiffer; IdentityRefused on Linux without
    /proc.  On other systems threads cannot differ.
    """
    if sys.platform != "linux":
        return
    try:
        main, *others = thread_credentials()
    except OSError as error:
        raise IdentityRefused(
            f"/proc cannot be read ({error.strerror}), so nobody knows what the threads are"
        ) from None
    differ = tuple(thread for thread in others if thread.ids != main.ids)
    if differ:
        raise ThreadsDiffer(f"{', '.join(map(repr, differ))}; the main thread is {main!r}", differ)
