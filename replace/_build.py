# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the build left in the package: its report, and the C library for other packages' C code.

detect/report.py makes the report.  An editable install maps every file to a place of its
own in the build directory, so each is looked up by name.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


def package_file(name: str) -> Path:
    """Where a file of this package lies.  Raises FileNotFoundError."""
    from importlib.resources import files
    from pathlib import Path

    path = Path(str(files(__package__).joinpath(name)))
    if not path.is_file():
        raise FileNotFoundError(
            f"this package has no {name}: whoever made it a part of a larger project left the C library's files out"
        )
    return path


def report() -> dict[str, Any]:
    """The build report: the verdict, the rule that decided, each question with its evidence.

    A fresh copy of the JSON document whose schema is report.schema.json in this package.
    """
    import json

    document: dict[str, Any] = json.loads(package_file("build_report.json").read_text(encoding="utf-8"))
    return document


def get_include() -> str:
    """The folder to give to a C compiler as -I, for `#include <libreplace/replace.h>`.

    Raises FileNotFoundError in a package that came without them (a vendored one).
    """
    return os.path.dirname(os.path.dirname(package_file("include/libreplace/replace.h")))
