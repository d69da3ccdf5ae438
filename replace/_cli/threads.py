# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace threads PID`: shows the credentials of every thread of a process. _threads.py reads them."""

from __future__ import annotations

import argparse
import json
import os

from .._threads import ThreadCredentials, thread_credentials
from .completion import PROCESS, complete_as
from .text import Failed, say, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GROUPS_SHOWN = 6

HELP = "show the credentials of every thread of a process"
DESCRIPTION = """\
Show the ids, groups and capabilities of every thread of a process.

The command reads them from the kernel (/proc). A * marks each thread that differs from the main thread. Such a thread
holds an identity, or it inherited one from the thread that started it. Kernel threads of io_uring (iou-sqp-*,
iou-wrk-*) keep the ids of the thread that created them. Capabilities are hexadecimal, as in /proc; `capsh --decode=`
prints their names."""
EXIT_STATUS = {
    0: "every thread has the main thread's credentials",
    1: "a thread differs from the main thread",
    2: "the threads cannot be read: there is no such process, no permission or no /proc",
}
EXAMPLE = "sudo libreplace threads 1234"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pid = parser.add_argument("pid", metavar="PID", type=int, help="the id of the process, or of one of its threads")
    complete_as(pid, PROCESS)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs; it lists all groups")


def run(arguments: argparse.Namespace) -> int:
    try:
        found = thread_credentials(arguments.pid)
    except OSError as error:
        raise Failed(_reason(arguments.pid, error)) from error
    document: dict[str, Any] = {"pid": found[0].tid, "threads": [_row(thread, found[0]) for thread in found]}
    say(*(json.dumps(document, indent=1).split("\n") if arguments.json else _text(document)))
    return int(any(row["differs"] for row in document["threads"]))


def _reason(pid: int, error: OSError) -> str:
    if not os.path.isdir("/proc/self"):
        return "this system has no /proc with the threads' ids; only Linux has it"
    if isinstance(error, (FileNotFoundError, ProcessLookupError)):
        return f"there is no process {pid}, or it has just ended"
    advice = "; run this as root or as the process's user" if isinstance(error, PermissionError) else ""
    return f"cannot read process {pid}: {error.strerror}{advice}"


def _row(thread: ThreadCredentials, main: ThreadCredentials) -> dict[str, Any]:
    """One thread in the output of --json. `differs` compares ids, groups (as assert_clean() does) and capabilities."""
    return {
        "tid": thread.tid,
        "name": thread.name,
        "uids": thread.uids,
        "gids": thread.gids,
        "groups": thread.groups,
        "effective": thread.effective,
        "permitted": thread.permitted,
        "differs": (thread.ids, thread.effective, thread.permitted) != (main.ids, main.effective, main.permitted),
        "kernel": thread.of_io_uring,
    }


def _text(document: dict[str, Any]) -> list[str]:
    rows = document["threads"]
    lines = table(
        ("*", "tid", "name", "uids r/e/s/fs", "gids r/e/s/fs", "groups", "effective", "permitted"),
        [
            (
                "*" if row["differs"] else "",
                str(row["tid"]),
                row["name"] + (" (kernel, io_uring)" if row["kernel"] else ""),
                "/".join(map(str, row["uids"])),
                "/".join(map(str, row["gids"])),
                _groups(row["groups"]),
                f"{row['effective']:x}",
                f"{row['permitted']:x}",
            )
            for row in rows
        ],
    )
    differ = sum(row["differs"] for row in rows)
    end = f"{differ} of {len(rows)} threads differ from the main thread"
    return [*lines, "", end if differ else "no thread differs from the main thread"]


def _groups(groups: tuple[int, ...]) -> str:
    shown = ",".join(map(str, groups[:_GROUPS_SHOWN]))
    rest = len(groups) - _GROUPS_SHOWN
    return f"{shown},... ({rest} more)" if rest > 0 else shown or "-"
