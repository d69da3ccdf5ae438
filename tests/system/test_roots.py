# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""README's first command and the tests of the guards pass in root folders of Debian 13, also a 32-bit one.

The program tests/programs/roots.py tries more systems, and all tests; docs/roots.md shows its last results.
"""

import pytest
import roots
from support.builds import tool
from support.children import needs_root

ROOTS = {root.name: root for root in roots.ROOTS}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["trixie-amd64", "trixie-i386"])
def test_guards_pass_in_a_root_folder(name, tmp_path):
    needs_root()
    tool("mmdebstrap", "makes root folders")
    row = roots.attempt(ROOTS[name]._replace(tests=roots.GUARDS), tmp_path)
    assert (row.problem, row.failed) == ("", ())
    assert row.verify.endswith(" 0 contradicted, 0 not run")
    assert row.passed > 100
