# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command `libreplace`: a file for each subcommand, and what they show and check beside them.

Only __main__.py imports this package.
"""
