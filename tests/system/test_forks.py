# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A signal handler forks, or calls the library, in the middle of libreplace_enter() and libreplace_leave().

tests/c/forks.c tries forks at other moments.
"""

import pytest
from support.builds import run
from support.children import needs_root
from support.configure import MACHINE

#: The program interrupts after each Nth instruction. 1 tries them all, which takes some minutes.
EVERY = 13


def test_interrupted_enter_and_leave_leak_no_identity(faults):
    """The program steps is in the same build as the program faults."""
    needs_root()
    if MACHINE != "x86_64":
        pytest.skip("needs x86_64: the program sets the processor's trap flag")
    out = run(faults.with_name("steps"), EVERY, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    assert out.stdout.count("\nok ") + out.stdout.startswith("ok ") == 51, out.stdout
