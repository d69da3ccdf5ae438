# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""How a shell completes the arguments of the command.

shtab makes the completion scripts. It reads an argument's attribute `complete`: a dict with a shell function or
expression for each shell.
"""

from __future__ import annotations

import argparse

#: A file name. These are the values of shtab.FILE; shtab itself is not needed at run time.
FILE = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "tcsh": "f",
    "fish": "(__fish_complete_path (commandline -ct))",
}
#: The name of a user. There is no function for bash.
USER = {"zsh": "_users", "fish": "(__fish_complete_users)"}
#: The id of a process. There is no function for bash.
PROCESS = {"zsh": "_pids", "fish": "(__fish_complete_pids)"}


def complete_as(argument: argparse.Action, kind: dict[str, str]) -> None:
    """Let shells complete this argument as FILE, USER or PROCESS."""
    argument.complete = kind  # type: ignore[attr-defined]
