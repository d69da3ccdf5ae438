# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace config`: prints the flags for C code that uses the C library inside this package."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable

from .._build import package_file, report
from .._c_library import ask_pkg_config, ask_pkg_config_for_folder, get_include
from .text import Failed, say

#: The options and their help texts.
OPTIONS = {
    "cflags": "print the compiler flags",
    "libs": "print the linker flags",
    "includedir": "print the folder of libreplace/replace.h (in Python: replace.get_include())",
    "pkgconfigdir": "print the folder of libreplace.pc, for PKG_CONFIG_PATH",
    "cythondir": "print the folder for Cython's option -I, for an editable install",
    "version": "print the version",
}

HELP = "print compiler and linker flags for the C library"
DESCRIPTION = """\
Print the flags and folders that C code needs to use this package's C library. If the files are not in the package,
the command asks pkg-config (or the program in PKG_CONFIG).

Each option prints one line, but --cflags and --libs together print one line, as with pkg-config. Special characters
are quoted for a shell."""
EXIT_STATUS = {
    0: "the values were printed",
    1: "the files of this version were not found",
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
    single: dict[str, Callable[[], str]] = {
        "version": lambda: str(report()["version"]),
        "includedir": get_include,
        "pkgconfigdir": _pkg_config_folder,
        "cythondir": lambda: str(package_file("libreplace.pxd").parent.parent),
    }
    lines = [function() for name, function in single.items() if name in wanted]
    both = {"cflags": _compiler_flags, "libs": _linker_flags}
    flags = [word for name, function in both.items() if name in wanted for word in function()]
    return lines + ([shlex.join(flags)] if set(wanted) & set(both) else [])


def _compiler_flags() -> list[str]:
    try:
        return [f"-I{package_file('include/libreplace/replace.h').parent.parent}"]
    except FileNotFoundError as error:
        return shlex.split(ask_pkg_config("--cflags", error))


def _linker_flags() -> list[str]:
    try:
        return [f"-L{package_file('lib/libreplace.a').parent}", "-lreplace", "-pthread"]
    except FileNotFoundError as error:
        return shlex.split(ask_pkg_config("--libs", error))


def _pkg_config_folder() -> str:
    """Return the folder of libreplace.pc. If there is a libreplace-uninstalled.pc (editable), pkg-config prefers it."""
    try:
        return str(package_file("libreplace.pc").parent)
    except FileNotFoundError as error:
        return ask_pkg_config_for_folder("pcfiledir", error)
