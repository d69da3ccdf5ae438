# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What all commands use to print: text and tables."""

from __future__ import annotations

import os
import sys
import textwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def say(text: str, end: str = "\n") -> None:
    """Print the text and flush it.

    If the reader is gone (`libreplace threads PID | head`), the command goes on silently, so that its exit status
    is still right.
    """
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fold(text: str, indent: int = 0) -> list[str]:
    """The text in lines that fit a terminal of 80 columns. Its own lines stay; each continues with a deeper indent."""
    return [
        line
        for part in text.strip().splitlines()
        for line in textwrap.wrap(
            part,
            79,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table; each column is as wide as its widest cell."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),), *rows]
    ]
