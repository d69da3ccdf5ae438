# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""report(): the build report; and where the files of the package are.

detect/report.py makes the report. It is part of the extension module, so it needs no file: a frozen program or a
vendored copy may have only the package's modules. Each file is looked up by name, because an editable install maps each
file to a different place in the build directory.
"""

from __future__ import annotations

from . import _native

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
        raise FileNotFoundError(f"this package has no {name}")
    return path


def report() -> dict[str, Any]:
    """Read the build report: the chosen back end, the rule that chose it, and each question with its evidence.

    Returns:
        A new copy of the JSON document. report.schema.json in this package is its schema.
    """
    import json

    document: dict[str, Any] = json.loads(_native.report())
    return document
