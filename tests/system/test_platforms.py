# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Build for every platform of tests/programs/platforms.py, and run every transition on ten of them."""

import platforms
import pytest
from support import transitions
from support.builds import ROOT
from support.children import needs_root

PLATFORMS = {platform.name: platform for platform in platforms.PLATFORMS}


@pytest.mark.parametrize("name", PLATFORMS)
def test_platform_matches_its_row_on_the_page(name):
    needs_root()
    result = platforms.attempt(PLATFORMS[name])
    if result.verdict.startswith("NOT TRIED"):
        pytest.skip(result.verdict)
    assert not result.verdict.startswith("FAILED"), result.verdict
    page = (ROOT / "docs" / "platforms.md").read_text()
    for line in (platforms.row(result), platforms.detail(result)):
        assert line in page, "docs/platforms.md is out of date: run tests/programs/platforms.py --markdown"
    if PLATFORMS[name].runs:
        assert str(transitions.ALL) in result.transitions
