# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""get_include(): where the C library is, in this package or where pkg-config finds it.

A wheel has them in the package. In an editable install they are in the build folder. A distribution may have them in a
separate package, which installs them outside the Python package.
"""

from __future__ import annotations

import os

from . import _native
from ._build import package_file

#: What a FileNotFoundError says after the reason.
ADVICE = (
    "a wheel of libreplace contains the C library; a distribution has it in a separate package, such as libreplace-dev "
    "(Debian, Alpine) or libreplace-devel (Fedora); a vendored copy and a frozen program do not have it"
)


def get_include() -> str:
    """Find the C headers.

    If the package does not contain them, as in a distribution that has a separate development package, the function
    asks pkg-config (or the program that the environment variable ``PKG_CONFIG`` names).

    Returns:
        The folder for a C compiler's option -I, for ``#include <libreplace/replace.h>``.

    Raises:
        FileNotFoundError: The headers of this version are neither in the package nor known to pkg-config.
    """
    try:
        return os.path.dirname(os.path.dirname(package_file("include/libreplace/replace.h")))
    except FileNotFoundError as error:
        return ask_pkg_config("--variable=includedir", error)


def ask_pkg_config(option: str, missing: FileNotFoundError) -> str:
    """What pkg-config prints for the libreplace of this version.

    Args:
        option: An option of pkg-config.
        missing: What this package does not have.

    Raises:
        FileNotFoundError: pkg-config does not find this version.
    """
    import subprocess

    program = os.environ.get("PKG_CONFIG", "").split() or ["pkg-config"]

    def ask(option: str) -> str:
        try:
            out = subprocess.run([*program, option, "libreplace"], capture_output=True, text=True, check=False)
        except OSError as error:
            raise FileNotFoundError(f"{missing}, and {program[0]} cannot be run: {error.strerror}; {ADVICE}") from error
        if out.returncode:
            raise FileNotFoundError(f"{missing}, and {program[0]} does not find libreplace; {ADVICE}")
        return out.stdout.strip()

    found = ask("--modversion")
    if found != _native.VERSION:
        raise FileNotFoundError(
            f"{missing}, and {program[0]} finds libreplace {found}, but this package is {_native.VERSION}; {ADVICE}"
        )
    return ask(option)
