# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What all commands use to print: text, messages and tables."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import textwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO


class Failed(Exception):
    """The command cannot do its work. main() prints the text, and exits with `status`."""

    def __init__(self, text: str, status: int = 2) -> None:
        super().__init__(text)
        self.status = status


class CannotWrite(Exception):
    """Standard output cannot be written. The text says why. main() turns this into an exit status of its own."""


#: Control characters, except tabs and line ends. A report of somebody else may contain them, and a terminal obeys them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _harmless(text: str) -> str:
    """The text with an escape sequence, which is also one of JSON, for each control character."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, end: str = "\n") -> None:
    """Print the text and flush it. Raises CannotWrite.

    A character that standard output cannot encode, or that controls a terminal, becomes an escape sequence.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        _write_all((_harmless(text) + end).encode(encoding, "backslashreplace"), encoding)
    except OSError as error:
        _discard(sys.stdout)
        raise CannotWrite(error.strerror) from error


def _write_all(data: bytes, encoding: str) -> None:
    """Write to standard output. Raises OSError."""
    raw = getattr(sys.stdout, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        print(data.decode(encoding), end="", flush=True)
        return
    rest = memoryview(data)  # PYTHONUNBUFFERED is set; print() would not notice that only a part was written
    while rest:
        written = raw.write(rest)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, "write could not complete without blocking")
        rest = rest[written:]


def complain(text: str) -> None:
    """Print a message on standard error. If that fails, nobody can be told, and the exit status must do."""
    try:
        print(_harmless(text), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Drop what the stream holds. Otherwise Python writes it again at exit, and changes the exit status to 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
