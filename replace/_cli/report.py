# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report`: shows the build report as text, JSON, HTML, Markdown or a file of answers."""

from __future__ import annotations

import argparse
import json
from importlib import import_module

from .._build import report
from .completion import FILE, complete_as
from .documents import load, needs_fields
from .text import as_text, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HELP = "show the build report"
DESCRIPTION = """\
Show what the build found, what it decided, and why.

Without FILE, it shows the report of this installed package."""
EXIT_STATUS = {
    0: "the report was printed",
    2: "FILE is not a report that this version of libreplace can read",
}
EXAMPLE = "libreplace report --html > report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for programs")
    form.add_argument(
        "--answers",
        action="store_true",
        help="print a file for -Dcross_answers, in Samba's format; it leads another build to the same verdict",
    )
    form.add_argument("--markdown", action="store_true", help="print GitHub Markdown, for a bug report")
    form.add_argument("--html", action="store_true", help="print one HTML page, for a browser")
    file = parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the report of another build, for example BUILD/replace/build_report.json",
    )
    complete_as(file, FILE)


def run(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        say(_format(report(), arguments))
        return 0
    document = load(arguments.file)
    with needs_fields(arguments.file):
        as_text(document)  # reads every part, so that each form gives the same error for a bad file
        text = _format(document, arguments)
    say(text)
    return 0


def _format(document: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The report in the form that the options name."""
    if arguments.json:
        return json.dumps(document, indent=1)
    name = next((name for name in ("answers", "markdown", "html") if getattr(arguments, name)), "text")
    text: str = getattr(import_module(f".{name}", __package__), f"as_{name}")(document)
    return text
