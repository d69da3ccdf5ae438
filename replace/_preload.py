# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""preload(): import modules at program start that would be imported later, maybe under an identity.

An import under an identity runs as the user, who may have no access to Python's files.
"""

from __future__ import annotations

import sys

from ._errors import IdentityRefused
from ._native import is_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Codecs that the standard library looks up by name during other work: network names, mail, zip files, JSON.
_CODECS = (
    *("ascii", "latin-1", "utf-7", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
    *("utf-32-be", "idna", "punycode", "cp437", "cp1252", "charmap", "unicode_escape", "raw_unicode_escape"),
    *("hex_codec", "base64_codec", "quopri_codec"),
)


def _import_late_modules() -> None:
    """Import the modules that functions of the standard library and of this package import.

    The imports are statements, because tools that freeze a program collect the modules of import statements.
    """
    import _strptime  # type: ignore[import-not-found]
    import concurrent.futures.thread
    import contextlib
    import functools
    import grp
    import importlib.resources
    import inspect
    import json
    import linecache
    import locale
    import logging
    import pathlib
    import pwd
    import selectors
    import socket
    import stringprep
    import subprocess
    import tempfile
    import threading
    import tokenize
    import traceback
    import warnings

    with contextlib.suppress(ImportError):  # PyPy has none
        import tracemalloc


def _import_lazy_modules(named: tuple[str, ...]) -> None:
    """Import what the loaded modules of the standard library, and these modules, import at its first use (PEP 810)."""
    import contextlib
    import types

    lazy = getattr(types, "LazyImportType", None)  # from CPython 3.15 on
    seen: set[str] = set()
    while lazy is not None:
        loaded = {
            name for name in list(sys.modules) if name.partition(".")[0] in sys.stdlib_module_names or name in named
        }
        if loaded <= seen:
            break
        for name in loaded - seen:
            for value in list(getattr(sys.modules[name], "__dict__", {}).values()):
                if type(value) is lazy:
                    with contextlib.suppress(ImportError):  # a module that this system lacks
                        value.resolve()
        seen |= loaded


def preload(*modules: str) -> None:
    """Import modules at program start that would be imported later, maybe under an identity.

    The call imports subprocess and other modules that functions of the standard library and of this package import. It
    loads the codecs that the standard library uses (idna, utf-8-sig, latin-1 and others). Then it imports the modules
    that you name. From CPython 3.15 on, it also imports what all these modules import lazily. Code under an identity
    then uses the loaded modules, even if the user cannot read Python's files.

    Args:
        modules: Dotted names of modules, such as ``"email.mime.text"``.

    Raises:
        IdentityRefused: The thread holds an identity. Nothing was imported.
        TypeError: A name is not a str. Nothing was imported.
        ValueError: A name is not the absolute dotted name of a module. Nothing was imported.
        ImportError: A module cannot be imported. ``name`` and the message say which one.

    Source: importlib.import_module(), codecs.lookup().
    """
    for name in modules:
        if not isinstance(name, str):
            raise TypeError(f"a module's name should be str, not {type(name).__name__}")
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"{name!r} is not the absolute dotted name of a module, such as 'email.mime.text'")
    if not is_itself():
        raise IdentityRefused(
            "this thread holds an identity or is tainted, so imports would run as the user; call preload() at start"
        )
    import codecs
    from functools import partial
    from importlib import import_module

    package = sys.modules[__package__]
    try:
        _import_late_modules()
    except Exception as error:
        missing = error.name if isinstance(error, ImportError) else None
        raise ImportError(
            f"preload() cannot import {missing or 'a module of the standard library'}: {error}", name=missing
        ) from error
    from_package = partial(getattr, package)  # some names are loaded on first use
    loads: list[tuple[Callable[[str], object], str]] = [(codecs.lookup, name) for name in _CODECS]
    loads += [(from_package, name) for name in package.__all__]
    loads += [(import_module, name) for name in modules]
    for load, name in loads:
        try:
            load(name)
        except Exception as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if load is from_package and missing == "_cffi_backend":
                continue  # cffi is not installed, so nothing uses ffi and lib later
            raise ImportError(f"preload() cannot import {name}: {error}", name=name) from error
    _import_lazy_modules(modules)
