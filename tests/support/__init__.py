# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Code that several test files share, one file for each topic. conftest.py has the fixtures."""
