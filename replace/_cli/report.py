# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report`: shows the build report as text, JSON, HTML, Markdown or a file of answers."""

from __future__ import annotations

import argparse
import json

from .._build import report
from .answers import as_answers
from .completion import FILE, complete_as
from .documents import load
from .html import as_html
from .markdown import as_markdown
from .report_text import as_all, as_text
from .text import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HELP = "show the build report"
DESCRIPTION = """\
Show what the build found, what it decided, and why.

Without FILE, it shows the report of this installed package. Without an option, it shows on one screen what was
decided, why, and what the build ran."""
EXIT_STATUS = {
    0: "the report was printed",
    2: "FILE is not a report that this version of libreplace can read",
}
EXAMPLE = "libreplace report --html > report.html"


def _as_json(document: dict[str, Any]) -> list[str]:
    return json.dumps(document, indent=1).split("\n")


#: Option -> its help text, and the function that makes the lines of the form.
FORMS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "all": ("print text with every call, question, option and tool", as_all),
    "json": ("print JSON, for programs", _as_json),
    "answers": (
        "print a file for -Dcross_answers, in Samba's format; it leads another build to the same verdict",
        as_answers,
    ),
    "markdown": ("print GitHub Markdown, for a bug report", as_markdown),
    "html": ("print one HTML page, for a browser", as_html),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    for name, (meaning, make) in FORMS.items():
        form.add_argument(f"--{name}", dest="form", action="store_const", const=make, default=as_text, help=meaning)
    file = parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the report of another build, for example BUILD/replace/build_report.json",
    )
    complete_as(file, FILE)


def run(arguments: argparse.Namespace) -> int:
    say(*arguments.form(report() if arguments.file is None else load(arguments.file)))
    return 0
