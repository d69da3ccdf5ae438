# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace`: one file for each subcommand, and the modules that they share.

Only __main__.py imports this package.
"""
