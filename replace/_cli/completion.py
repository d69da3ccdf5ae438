# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""How a shell completes the arguments of the command.

shtab makes the completion scripts. It reads an argument's attribute `complete`: a dict with a shell function or
expression for each shell.
"""

from __future__ import annotations

import argparse

#: The same as shtab.FILE, written out because shtab is not needed at run time.
_FILE = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "tcsh": "f",
    "fish": "(__fish_complete_path (commandline -ct))",
}


def completes_files(argument: argparse.Action) -> None:
    """Let shells complete this argument as a file name."""
    argument.complete = _FILE  # type: ignore[attr-defined]
