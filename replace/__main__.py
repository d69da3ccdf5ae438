# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace` (also `python -m replace`)."""

from __future__ import annotations

import argparse
import json
import os
import sys

from . import _report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="libreplace", description="Per-thread process credentials: what was built here, and does it hold?"
    )
    version = _report.report()["version"]
    parser.add_argument("--version", action="version", version=f"libreplace {version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    report = commands.add_parser("report", help="what the build found, what it decided, and why")
    report.add_argument("--json", action="store_true", help="the whole document, for programs")

    verify = commands.add_parser(
        "verify",
        help="prove on this machine, with real ids in child processes, what the build decided",
        epilog="exit status: 0 all proved; 1 something contradicts; 2 something could not run (needs root, say)",
    )
    form = verify.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--tap", action="store_true", help="Test Anything Protocol, version 14")
    form.add_argument(
        "--explain",
        action="store_true",
        help="say first what this kernel, container and environment allow, and what to change",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "verify":
            from . import _verify

            form = next((name for name in ("json", "tap", "explain") if getattr(arguments, name)), "text")
            return _verify.run(form)
        document = _report.report()
        print(json.dumps(document, indent=1) if arguments.json else _report.as_text(document))
        sys.stdout.flush()
    except BrokenPipeError:  # `libreplace report | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
