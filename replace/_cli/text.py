# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report` as text, and what all commands use to print text and tables."""

from __future__ import annotations

import os
import sys

from .documents import REACH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def say(text: str, end: str = "\n") -> None:
    """Print the text and flush it.

    If the reader is gone (`libreplace threads PID | head`), the command goes on silently, so that its exit status
    is still right.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_text(document: dict[str, Any]) -> str:
    """The report for people: the verdict, the rule, the calls, then each question."""
    verdict = document["verdict"]
    lines = [
        f"libreplace {document['version']}: {verdict['backend']} back end, a call changes {REACH[verdict['scope']]}",
        f"rule: {verdict['rule']}",
        f"system {verdict['system']}, libc {verdict['libc']} {verdict['libc_version']}".rstrip(),
        "",
    ]
    lines += [f"warning: {warning}" for warning in verdict["warnings"]]
    lines += table(
        ("call", "back end", "symbol", "scope"),
        [(c["name"], c["backend"], c["symbol"], c["scope"]) for c in verdict["calls"]],
    )
    lines.append("")
    lines += table(
        ("question", "answer", "how", "evidence"),
        [(q["question"], q["answer"], q["how"], " ".join(q["evidence"].split())) for q in document["questions"]],
    )
    for title in ("options", "machine", "toolchain"):
        lines += ["", f"{title}:"] + [f"  {key}: {value}" for key, value in document[title].items()]
    overrides = document["overrides"]
    lines += ["", f"answers given by hand: {', '.join(overrides['used']) or 'none'}"]
    return "\n".join(lines + [f"answers given by hand, but not used: {', '.join(overrides['unused']) or 'none'}"])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """The lines of a table; each column is as wide as its widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),), *rows]
    ]
