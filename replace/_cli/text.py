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


_NOT_ASCII = re.compile(r"[^ -~]")


def harmless(text: str) -> str:
    """The text as a part of one line: an escape sequence, which is also one of JSON, for each unprintable character.

    A report of somebody else, a thread's name or a path may contain such characters. They control a terminal, begin a
    line that looks like one of ours, or turn the direction of the text around (Unicode's bidirectional controls).
    """
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else _escape(ord(found[0])), text)


def _escape(character: int) -> str:
    return f"\\u{character:04x}" if character < 0x10000 else f"\\U{character:08x}"


def say(*lines: str) -> None:
    """Print the lines and flush them. Raises CannotWrite.

    A character that standard output cannot encode, or that is not printable, becomes an escape sequence. So a line
    stays one line.
    """
    _write("".join(f"{harmless(line)}\n" for line in lines))


def show_progress(text: str = "") -> None:
    """On a terminal, print this text in the place of the one before. An empty text removes it. Raises CannotWrite."""
    if sys.stdout.isatty():
        _write(f"\r{harmless(text)}\033[K")


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        _write_all(text.encode(encoding, "backslashreplace"), encoding)
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


def complain(*lines: str) -> None:
    """Print a message on standard error. If that fails, nobody can be told, and the exit status must do."""
    try:
        print(*map(harmless, lines), sep="\n", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Drop what the stream holds. Otherwise Python writes it again at exit, and changes the exit status to 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def fold(text: str, indent: int = 0) -> list[str]:
    """The text in lines that fit a terminal of 80 columns. The second and later lines have a deeper indent."""
    return textwrap.wrap(
        text.strip(),
        79,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


#: The widest column that is padded. A cell can be a long text of somebody else, and padding must not need gigabytes.
_WIDEST = 200


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], widest: int = _WIDEST) -> list[str]:
    """The lines of a table. Each column is as wide as its widest cell, but not wider than `widest`."""
    cells = [tuple(map(harmless, row)) for row in [head, *rows]]
    widths = [min(max(map(len, column)), widest) for column in zip(*cells, strict=True)]
    rule = tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),)
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [cells[0], rule, *cells[1:]]
    ]
