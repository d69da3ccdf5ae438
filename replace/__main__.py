# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace` (also `python -m replace`)."""

from __future__ import annotations

import argparse
import sys

from ._build import report
from ._cli import compare, config, threads, verify
from ._cli import report as report_command
from ._cli.documents import NotAReport

COMMANDS = {
    "report": report_command,
    "compare": compare,
    "verify": verify,
    "threads": threads,
    "config": config,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="libreplace", description="Per-thread process credentials: what was built here, and does it hold?"
    )
    parser.add_argument("--version", action="version", version=f"libreplace {report()['version']}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        description = getattr(module, "DESCRIPTION", None)
        command = commands.add_parser(name, help=module.HELP, description=description, epilog=module.EPILOG)
        module.add_arguments(command)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = COMMANDS[arguments.command].run(arguments)
    except NotAReport as error:
        print(error, file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
