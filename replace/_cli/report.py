# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report`: what the build found, what it decided, and why."""

from __future__ import annotations

import argparse
import json
from importlib import import_module

from .._build import report
from .documents import load, needs_fields
from .text import as_text, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HELP = "what the build found, what it decided, and why"
EPILOG = "exit status: 0; 2 where FILE is no report that this version reads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    face = parser.add_mutually_exclusive_group()
    face.add_argument("--json", action="store_true", help="the whole document, for programs")
    face.add_argument(
        "--answers",
        action="store_true",
        help="a file for -Dcross_answers, in Samba's format: a build that it is given to comes to the same verdict",
    )
    face.add_argument("--markdown", action="store_true", help="for a bug report: GitHub Markdown")
    face.add_argument("--html", action="store_true", help="one page to look at, that needs nothing else")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="another build's report (BUILD/replace/build_report.json) in place of this package's own",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        say(_face(report(), arguments))
        return 0
    document = load(arguments.file)
    with needs_fields(arguments.file):
        as_text(document)  # which reads every part: a face that reads less says the same of a bad file
        text = _face(document, arguments)
    say(text)
    return 0


def _face(document: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The face of the report that was asked for."""
    if arguments.json:
        return json.dumps(document, indent=1)
    name = next((name for name in ("answers", "markdown", "html") if getattr(arguments, name)), "text")
    face: str = getattr(import_module(f".{name}", __package__), f"as_{name}")(document)
    return face
