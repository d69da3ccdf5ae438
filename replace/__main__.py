# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace` (also `python -m replace`).

Each module in COMMANDS is a subcommand. It has HELP (for the list of commands), DESCRIPTION (a sentence on one line,
then paragraphs), EXIT_STATUS, EXAMPLE, add_arguments() and run().
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from textwrap import fill

from ._build import report
from ._cli import compare, config, threads, verify
from ._cli import report as report_command
from ._cli.text import CannotWrite, Failed, complain, harmless, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

COMMANDS = {
    "report": report_command,
    "compare": compare,
    "verify": verify,
    "threads": threads,
    "config": config,
}
DESCRIPTION = "Show and check how libreplace changes user and group ids on this machine."
_WIDTH = 79
#: EX_IOERR of sysexits.h. A command has no other status for it: 1 of `libreplace verify` means "a claim is wrong".
_CANNOT_WRITE = 74
#: The exit statuses of every command, beside its own.
EXIT_STATUS = {
    2: "an option or argument is wrong",
    _CANNOT_WRITE: "the output could not be written, for example to a full disk or a closed pipe; a message says why",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose error message is one line, even if a word of the command line has several."""

    def error(self, message: str) -> NoReturn:
        super().error(harmless(message))


def parser() -> argparse.ArgumentParser:
    """The parser of the command line. argparse-manpage and shtab call this, too."""
    form = argparse.RawDescriptionHelpFormatter
    top = _Parser(prog="libreplace", description=DESCRIPTION, formatter_class=form)
    top.add_argument("--version", action="version", version=f"libreplace {report()['version']}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    everywhere = {_CANNOT_WRITE: EXIT_STATUS[_CANNOT_WRITE]}
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description="\n\n".join(fill(paragraph, _WIDTH) for paragraph in module.DESCRIPTION.split("\n\n")),
            epilog=_epilog({**module.EXIT_STATUS, **everywhere}, module.EXAMPLE),
            formatter_class=form,
        )
        module.add_arguments(command)
    return top


def _epilog(statuses: dict[int, str], example: str) -> str:
    lines = [
        fill(meaning, _WIDTH, initial_indent=f"  {status:<3}", subsequent_indent="     ")
        for status, meaning in statuses.items()
    ]
    return "\n".join(["exit status:", *lines, "", "example:", f"  {example}"])


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    if sys.stderr is None:  # it is closed; print() would write its messages to standard output
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    words = ["libreplace"]
    try:
        if sys.stdout is None:
            raise CannotWrite("it is closed")
        arguments = _parse(argv)
        words += [arguments.command]
        status: int = COMMANDS[arguments.command].run(arguments)
    except CannotWrite as error:
        complain(f"{' '.join(words)}: cannot write to standard output: {error}")
        return _CANNOT_WRITE
    except Failed as error:
        complain(f"{' '.join(words)}: {error}")
        return error.status
    return status


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line. Raises SystemExit, as argparse does, but its output goes through say() and complain()."""
    top = parser()
    # The two parts of the epilog are not in parser(): argparse-manpage would print them as a section "COMMENTS".
    own = "  `libreplace COMMAND --help` lists the exit statuses of each command.\n"
    top.epilog = _epilog(EXIT_STATUS, "sudo libreplace verify").replace("\n", "\n" + own, 1)
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            arguments = top.parse_args(argv)
            if arguments.command is None:
                top.exit(2, top.format_help())
    finally:
        for text, show in ((out.getvalue(), say), (err.getvalue(), complain)):
            if text:
                show(*text.removesuffix("\n").split("\n"))
    return arguments


if __name__ == "__main__":
    sys.exit(main())
