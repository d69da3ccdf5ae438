# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the tests share: a file for each kind of thing.  conftest.py has the fixtures."""
