# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Explains why this package's C part, the module _native, cannot be imported, and what to do about it."""

from __future__ import annotations

import os
import sys


def explained(error: ImportError, package: str, folder: str) -> ImportError:
    """Make the exception that replaces the one from the import of _native."""
    return ImportError(_reason(error, package, os.path.abspath(folder)), name=error.name, path=error.path)


def _reason(error: ImportError, package: str, folder: str) -> str:
    if not isinstance(error, ModuleNotFoundError):
        return (
            f"the C part of {package} cannot be loaded from {error.path or folder}: {error.msg}; "
            f"install {_project(package)} again with this Python ({sys.executable})"
        )
    files = _native_files(folder)
    if files:
        return (
            f"the C part of {package} in {folder} was built for another Python ({', '.join(files)}; this one is "
            f"{sys.implementation.cache_tag}); install {_project(package)} again with this Python ({sys.executable})"
        )
    if not os.path.isfile(os.path.join(folder, "native", "module.c")):
        return (
            f"the installation of {package} in {folder} is incomplete: its C part, the file _native.*.so, is missing; "
            f"install {_project(package)} again with this Python ({sys.executable})"
        )
    return f"{folder} is the source folder of {package}, and its C part is not built there; {_advice(package, folder)}"


def _advice(package: str, folder: str) -> str:
    """What to do if Python has found the source folder."""
    depth = package.count(".") + 1
    root = folder
    for _ in range(depth):
        root = os.path.dirname(root)
    for entry in sys.path:
        other = os.path.join(os.path.abspath(entry), *package.split("."))
        if other != folder and _native_files(other):
            return (
                f"{package} is also installed in {other}, which comes later in sys.path: run Python in another folder, "
                f"or remove {root} from sys.path"
            )
    if depth > 1:
        return f"build and install {_project(package)} first"
    return f"install it with `pip install {root}`, and run Python in another folder"


def _project(package: str) -> str:
    return "libreplace" if package == "replace" else f"the project that contains {package}"


def _native_files(folder: str) -> list[str]:
    """The compiled files of _native, for any Python."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in names if name.startswith("_native.") and name.endswith((".so", ".pyd", ".dylib")))
