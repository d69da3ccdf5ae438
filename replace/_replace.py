# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace.ffi and replace.lib: the whole C library by cffi, loaded on first use.

cffi's module is in the file of _native. A second file would have a second copy of the C library, and the two copies
would not know of each other's switched threads.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from . import _native


def _load() -> Any:
    """Load cffi's module."""
    try:
        # The C code of _cffi imports this module. Here, tools that collect the imports of a program find it, too.
        import _cffi_backend  # noqa: F401
    except ImportError as error:
        kind = ModuleNotFoundError if isinstance(error, ModuleNotFoundError) else ImportError
        raise kind(
            f"{__package__}.ffi and {__package__}.lib need the module _cffi_backend of the package cffi: {error}; "
            "install cffi, or add the module to the frozen program",
            name=error.name,
            path=error.path,
        ) from error
    native: Any = _native.__spec__  # _native has no __file__ if cx_Freeze put the package into a zip file
    spec = spec_from_file_location(f"{__package__}._cffi", native.origin)
    assert spec
    return module_from_spec(spec)


_module = _load()
ffi, lib = _module.ffi, _module.lib
