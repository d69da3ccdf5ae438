# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A package whose own extension module has the C library inside."""

from ._whoami import who

__all__ = ["who"]
