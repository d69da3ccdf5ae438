# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace config`: what a compiler needs to build on the C library inside this package."""

from __future__ import annotations

import argparse
import shlex
import sys

from .._build import get_include, package_file, report
from .text import say

#: The options, and what `libreplace config --help` says of them.
OPTIONS = {
    "cflags": "what the compiler needs",
    "libs": "what the linker needs: the static library of this package",
    "includedir": "the folder that holds libreplace/replace.h (in Python: replace.get_include())",
    "pkgconfigdir": "the folder that holds libreplace.pc, for PKG_CONFIG_PATH",
    "version": "the version, alone",
}

HELP = "where the C library's header files, static library and .pc file are, for other packages' C code"
DESCRIPTION = (
    "Prints a line for each option, but --cflags and --libs on one line, as pkg-config does; "
    "quoted for a shell where need be."
)
EPILOG = "exit status: 0; 1 the files are not in this package; 2 no option was given"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, meaning in OPTIONS.items():
        parser.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, help=meaning)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.wanted:
        print("libreplace config: one of --" + ", --".join(OPTIONS) + " is needed", file=sys.stderr)
        return 2
    try:
        lines = _lines(arguments.wanted)
    except FileNotFoundError as error:
        print(f"libreplace config: {error}", file=sys.stderr)
        return 1
    say("\n".join(lines))
    return 0


def _lines(wanted: list[str]) -> list[str]:
    tell = {"version": lambda: str(report()["version"]), "includedir": get_include, "pkgconfigdir": _pkgconfigdir}
    lines = [function() for name, function in tell.items() if name in wanted]
    flags = ["-I" + get_include()] if "cflags" in wanted else []
    flags += _libraries() if "libs" in wanted else []
    return lines + ([shlex.join(flags)] if flags else [])


def _libraries() -> list[str]:
    return [f"-L{package_file('lib/libreplace.a').parent}", "-lreplace", "-pthread"]


def _pkgconfigdir() -> str:
    folder = package_file("lib/pkgconfig/libreplace.pc").parent
    if not (folder.parent / "libreplace.a").is_file():
        raise FileNotFoundError("the .pc file of an editable install leads nowhere: use --cflags and --libs")
    return str(folder)
