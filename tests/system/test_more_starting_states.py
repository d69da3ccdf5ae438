# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A longer search with starting_states.py, each time from other starting states. A fault prints the seed.

One command tries a million states: python tests/programs/starting_states.py --states 500000
"""

import secrets
import sys

import pytest
from support.builds import ROOT, run
from support.children import needs_root

SCRIPT = ROOT / "tests" / "programs" / "starting_states.py"


@pytest.mark.per_thread
def test_thousands_of_random_starting_states_are_restored_exactly_or_refused():
    needs_root()
    out = run(sys.executable, SCRIPT, "--states", "5000", "--seed", secrets.token_hex(4), cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert "5000 starting states" in out.stdout
