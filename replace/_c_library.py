# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""get_include(): where the C library is, in this package or where pkg-config finds it.

A wheel has them in the package. In an editable install they are in the build folder. A distribution may have them in a
separate package, which installs them outside the Python package.
"""

from __future__ import annotations

import os

from . import _native
from ._build import package_file, report

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
        FileNotFoundError: The headers of this version, with this back end, are neither in the package nor known to
            pkg-config.
    """
    try:
        return os.path.dirname(os.path.dirname(package_file("include/libreplace/replace.h")))
    except FileNotFoundError as error:
        return ask_pkg_config_for_folder("includedir", error)


def ask_pkg_config_for_folder(variable: str, missing: FileNotFoundError) -> str:
    """A folder that the .pc file names. Meson writes a backslash before each space. Raises FileNotFoundError."""
    return ask_pkg_config(f"--variable={variable}", missing).replace("\\ ", " ")


def ask_pkg_config(option: str, missing: FileNotFoundError) -> str:
    """What pkg-config prints for the libreplace of this version, with this back end.

    Args:
        option: An option of pkg-config.
        missing: What this package does not have.

    Raises:
        FileNotFoundError: pkg-config does not find it.
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

    wanted = {"--modversion": _native.VERSION, "--variable=backend": str(report()["verdict"]["backend"])}
    found = {option: ask(option) for option in wanted}
    if found != wanted:  # another back end changes the ids of other threads than this package
        theirs, ours = (" with the back end ".join(words.values()) for words in (found, wanted))
        raise FileNotFoundError(
            f"{missing}, and {program[0]} finds libreplace {theirs}, but this package is {ours}; {ADVICE}"
        )
    return ask(option)
