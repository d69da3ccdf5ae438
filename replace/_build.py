# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""report() and get_include(): the build report, and the C library for other packages' C code.

detect/report.py makes the report. Each file is looked up by name, because an editable install maps each file to a
different place in the build directory.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def package_file(name: str) -> Path:
    """The path of a file in this package. Raises FileNotFoundError."""
    from importlib.resources import files
    from pathlib import Path

    path = Path(str(files(__package__).joinpath(name)))
    if not path.is_file():
        raise FileNotFoundError(
            f"this package has no {name}: it is a vendored copy, installed without the C library's files; install "
            "libreplace itself to get them"
        )
    return path


def report() -> dict[str, Any]:
    """Read the build report: the chosen back end, the rule that chose it, and each question with its evidence.

    Returns:
        A new copy of the JSON document. report.schema.json in this package is its schema.

    Raises:
        FileNotFoundError: The package was installed without its report.
    """
    import json

    document: dict[str, Any] = json.loads(package_file("build_report.json").read_text(encoding="utf-8"))
    return document


def get_include() -> str:
    """Find the C headers.

    Returns:
        The folder for a C compiler's option -I, for ``#include <libreplace/replace.h>``.

    Raises:
        FileNotFoundError: The package was installed without the C files, as vendored copies are.
    """
    return os.path.dirname(os.path.dirname(package_file("include/libreplace/replace.h")))
