# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Longer searches with starting_states.py, each time from other starting states. A fault prints the seed.

One command tries a million states, in about an hour: python tests/programs/starting_states.py --states 1000000
"""

import secrets
import sys

import pytest
from support.builds import ROOT, run
from support.children import needs_root

pytestmark = pytest.mark.per_thread

SCRIPT = ROOT / "tests" / "programs" / "starting_states.py"
ODD = ROOT / "tests" / "support" / "odd_machine.py"


def check(states, *before):
    """Try so many states. `before`: the command that the search runs under."""
    needs_root()
    words = [*before, sys.executable, SCRIPT, "--states", states, "--seed", secrets.token_hex(4)]
    out = run(*words, cwd="/", timeout=550)
    assert out.returncode == 0, " ".join(map(str, words)) + "\n" + out.stdout + out.stderr
    assert f"{states} starting states" in out.stdout


def test_thousands_of_starting_states_are_restored_exactly_or_refused():
    check(5000)


@pytest.mark.parametrize(
    "maps",
    [
        pytest.param(("0 0 70000,80001 80001 2", "0 0 70000,80011 80011 2"), id="the second shield id"),
        pytest.param(("0 0 1,80001 80001 2", "0 0 1,80011 80011 2"), id="no shield id"),
        pytest.param(("0 0 1,80001 80001 2,4294967293 7 1", "0 0 1,80011 80011 2"), id="the first shield id"),
        pytest.param(
            ("0 0 1,80001 90001 1,80002 81 1,65535 7 1", "0 100 1,80011 80013 1,80012 80012 1"), id="another order"
        ),
        pytest.param(("0 0 70000,80001 80001 3", "0 0 70000,80011 80011 3", "deny"), id="no setgroups"),
    ],
)
def test_starting_states_in_a_user_namespace_are_restored_exactly_or_refused(maps):
    """The identities have ids that the namespace does not map."""
    check(1000, sys.executable, ODD, "maps", *maps)
