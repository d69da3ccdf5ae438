# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A package whose extension module contains the C library."""

from ._whoami import who

__all__ = ["who"]
