# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report as text, tables, and printing."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def say(text: str, end: str = "\n") -> None:
    """Print the text at once.

    If nobody reads any more (`libreplace threads PID | head`), the command goes on silently, so that its exit
    status is what it found.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_text(document: dict[str, Any]) -> str:
    """The report for people: the verdict first, then why, then each question."""
    verdict = document["verdict"]
    lines = [
        f"libreplace {document['version']}: {verdict['backend']} back end, one call changes one {verdict['scope']}",
        f"decided by {verdict['rule']}",
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
    lines += ["", f"overrides used: {', '.join(overrides['used']) or 'none'}"]
    return "\n".join(lines + [f"overrides unused: {', '.join(overrides['unused']) or 'none'}"])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of text, the columns as wide as they need."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),), *rows]
    ]
