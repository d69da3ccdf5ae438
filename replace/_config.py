# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Where a wheel has the C library's header files, static library and .pc file; `libreplace config` prints it.

An editable install maps every file to a place of its own in the build directory, so each is looked up by name.
"""

from __future__ import annotations

import os

from ._report import report


def _file(name: str) -> str:
    from importlib.resources import files

    path = files(__package__).joinpath(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"this package has no {name}: whoever made it a part of a larger project left the C library's files out"
        )
    return str(path)


def get_include() -> str:
    """The folder to give to a C compiler as -I, for `#include <libreplace/replace.h>`.

    Raises FileNotFoundError in a package that came without them (a vendored one).
    """
    return os.path.dirname(os.path.dirname(_file("include/libreplace/replace.h")))


def _libraries() -> list[str]:
    return ["-L" + os.path.dirname(_file("lib/libreplace.a")), "-lreplace", "-pthread"]


def _pkgconfigdir() -> str:
    folder = os.path.dirname(_file("lib/pkgconfig/libreplace.pc"))
    if not os.path.isfile(os.path.join(folder, "..", "libreplace.a")):
        raise FileNotFoundError("the .pc file of an editable install leads nowhere: use --cflags and --libs")
    return folder


def show(wanted: list[str]) -> tuple[int, str]:
    """The exit status of `libreplace config`, and what it prints."""
    import shlex

    tell = {"version": lambda: str(report()["version"]), "includedir": get_include, "pkgconfigdir": _pkgconfigdir}
    try:
        lines = [function() for name, function in tell.items() if name in wanted]
        flags = ["-I" + get_include()] if "cflags" in wanted else []
        flags += _libraries() if "libs" in wanted else []
    except FileNotFoundError as error:
        return 1, f"libreplace config: {error}"
    return 0, "\n".join(lines + ([shlex.join(flags)] if flags else []))


#: The options, and what `libreplace config --help` says of them.
OPTIONS = {
    "cflags": "what the compiler needs",
    "libs": "what the linker needs: the static library of this package",
    "includedir": "the folder that holds libreplace/replace.h (in Python: replace.get_include())",
    "pkgconfigdir": "the folder that holds libreplace.pc, for PKG_CONFIG_PATH",
    "version": "the version, alone",
}
