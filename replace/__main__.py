# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace` (also `python -m replace`).

Each module in COMMANDS is a subcommand. It has HELP (for the list of commands), DESCRIPTION (a sentence on one line,
then paragraphs), EXIT_STATUS, EXAMPLE, add_arguments() and run().
"""

from __future__ import annotations

import argparse
import sys
from textwrap import fill

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
DESCRIPTION = "Show and check how libreplace changes user and group ids on this machine."
EPILOG = """\
exit status:
  `libreplace COMMAND --help` lists the exit statuses of each command.
  A wrong option or argument gives 2.

example:
  sudo libreplace verify"""
_WIDTH = 79


def parser() -> argparse.ArgumentParser:
    """The parser of the command line. argparse-manpage and shtab call this, too."""
    form = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="libreplace", description=DESCRIPTION, formatter_class=form)
    top.add_argument("--version", action="version", version=f"libreplace {report()['version']}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description="\n\n".join(fill(paragraph, _WIDTH) for paragraph in module.DESCRIPTION.split("\n\n")),
            epilog=_epilog(module.EXIT_STATUS, module.EXAMPLE),
            formatter_class=form,
        )
        module.add_arguments(command)
    return top


def _epilog(statuses: dict[int, str], example: str) -> str:
    lines = [
        fill(meaning, _WIDTH, initial_indent=f"  {status}  ", subsequent_indent="     ")
        for status, meaning in statuses.items()
    ]
    return "\n".join(["exit status:", *lines, "", "example:", f"  {example}"])


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    top = parser()
    top.epilog = EPILOG  # not in parser(): argparse-manpage would print it as a section "COMMENTS"
    arguments = top.parse_args(argv)
    if arguments.command is None:
        top.print_help(sys.stderr)
        return 2
    try:
        status: int = COMMANDS[arguments.command].run(arguments)
    except NotAReport as error:
        print(f"libreplace {arguments.command}: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
