# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace config`: prints the flags for C code that uses the C library inside this package."""

from __future__ import annotations

import argparse
import shlex

from .._build import get_include, package_file, report
from .text import Failed, say

#: The options and their help texts.
OPTIONS = {
    "cflags": "print the compiler flags",
    "libs": "print the linker flags for the static library in this package",
    "includedir": "print the folder of libreplace/replace.h (in Python: replace.get_include())",
    "pkgconfigdir": "print the folder of libreplace.pc, for PKG_CONFIG_PATH",
    "version": "print the version",
}

HELP = "print compiler and linker flags for the C library"
DESCRIPTION = """\
Print the flags and folders that C code needs to use this package's C library.

Each option prints one line, but --cflags and --libs together print one line, as with pkg-config. Special characters
are quoted for a shell."""
EXIT_STATUS = {
    0: "the values were printed",
    1: "this installation does not have the files",
    2: "there was no option",
}
EXAMPLE = "cc -o program main.c $(libreplace config --cflags --libs)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, meaning in OPTIONS.items():
        parser.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, help=meaning)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.wanted:
        raise Failed("name at least one of --" + ", --".join(OPTIONS))
    try:
        lines = _lines(arguments.wanted)
    except FileNotFoundError as error:
        raise Failed(str(error), 1) from error
    say(*lines)
    return 0


def _lines(wanted: list[str]) -> list[str]:
    single = {"version": lambda: str(report()["version"]), "includedir": get_include, "pkgconfigdir": _pkgconfigdir}
    lines = [function() for name, function in single.items() if name in wanted]
    flags = ["-I" + get_include()] if "cflags" in wanted else []
    flags += _libraries() if "libs" in wanted else []
    return lines + ([shlex.join(flags)] if flags else [])


def _libraries() -> list[str]:
    return [f"-L{package_file('lib/libreplace.a').parent}", "-lreplace", "-pthread"]


def _pkgconfigdir() -> str:
    folder = package_file("lib/pkgconfig/libreplace.pc").parent
    if not (folder.parent / "libreplace.a").is_file():
        raise FileNotFoundError("an editable install has no .pc file that works; use --cflags and --libs")
    return str(folder)
