# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace threads PID`: who the threads of a process are, for people and for programs.

What a thread is, _threads.py reads; this file only shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from .._threads import ThreadCredentials, thread_credentials
from .text import say, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GROUPS_SHOWN = 6

HELP = "who every thread of a process is, from the kernel; those unlike the main thread are marked"
DESCRIPTION = (
    "The threads of a process and their credentials, as the kernel has them. Marked with * are those "
    "whose ids, groups or capabilities are not the main thread's: they hold an identity, or were started by one "
    "that did. Kernel workers of io_uring (iou-sqp-*, iou-wrk-*) keep the ids of the thread that set them up. "
    "Capabilities are hexadecimal, as in /proc (`capsh --decode=` names them)."
)
EPILOG = (
    "exit status: 0 every thread is as the main thread; 1 some differ; 2 they cannot be read "
    "(no such process, no permission, no /proc)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pid", metavar="PID", type=int, help="the process, by its number or that of one of its threads")
    parser.add_argument("--json", action="store_true", help="one JSON document: pid, and threads with all groups")


def run(arguments: argparse.Namespace) -> int:
    try:
        found = thread_credentials(arguments.pid)
    except OSError as error:
        print(f"libreplace threads: {_reason(arguments.pid, error)}", file=sys.stderr)
        return 2
    document: dict[str, Any] = {"pid": found[0].tid, "threads": [_row(thread, found[0]) for thread in found]}
    say(json.dumps(document, indent=1) if arguments.json else _text(document))
    return int(any(row["differs"] for row in document["threads"]))


def _reason(pid: int, error: OSError) -> str:
    if not os.path.isdir("/proc/self"):
        return "there is no /proc here, and nothing else says who the threads are (Linux alone has it)"
    if isinstance(error, (FileNotFoundError, ProcessLookupError)):
        return f"there is no process {pid}, or it ended meanwhile"
    return f"process {pid} cannot be read: {error.strerror} (ask as root, or as its user)"


def _row(thread: ThreadCredentials, main: ThreadCredentials) -> dict[str, Any]:
    """What --json says of a thread.  differs: in ids, groups (as assert_clean() has it) or capabilities."""
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


def _text(document: dict[str, Any]) -> str:
    rows = document["threads"]
    lines = table(
        ("*", "tid", "name", "uids r/e/s/fs", "gids r/e/s/fs", "groups", "effective", "permitted"),
        [
            (
                "*" if row["differs"] else "",
                str(row["tid"]),
                _printable(row["name"]) + (" (kernel, io_uring)" if row["kernel"] else ""),
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
    return "\n".join([*lines, "", end if differ else "every thread is as the main thread"])


def _printable(name: str) -> str:
    """A thread names itself (prctl(2), PR_SET_NAME): no escape sequence of its choosing reaches root's terminal."""
    return "".join(character if character.isprintable() else "?" for character in name)


def _groups(groups: tuple[int, ...]) -> str:
    shown = ",".join(map(str, groups[:_GROUPS_SHOWN]))
    rest = len(groups) - _GROUPS_SHOWN
    return f"{shown},... ({rest} more)" if rest > 0 else shown or "-"
