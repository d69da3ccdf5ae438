# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/start-python.md works by copying alone, from an empty folder, and shows the real output."""

from support.builds import ROOT
from support.children import needs_root
from support.tutorial import follow

import replace


def test_start_python_works_by_copying():
    needs_root()
    if replace.SCOPE == "thread":
        follow(ROOT / "docs" / "start-python.md")
