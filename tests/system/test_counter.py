# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""tests/c/explorer/counter.c without a limit: all interleavings of two and three threads that enter, leave and drop."""

import pytest
from support.builds import run


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("places", [1, 2])
def test_no_interleaving_drops_while_a_thread_is_switched(faults, places):
    """The programs are in the same build as the program faults."""
    out = run(faults.parent / "explorer" / f"counter_{places}", cwd="/", timeout=1700)
    assert out.returncode == 0, out.stdout + out.stderr
    assert out.stdout.count("all interleavings\n") == 4, out.stdout
