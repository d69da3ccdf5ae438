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

_spec = spec_from_file_location(f"{__package__}._cffi", _native.__file__)
assert _spec
_module: Any = module_from_spec(_spec)
ffi, lib = _module.ffi, _module.lib
