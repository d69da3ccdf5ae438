# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Every platform that this machine can build for. Ten of them also run every transition."""

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
    assert f"| {' | '.join(result)} |\n" in page, "docs/platforms.md is stale: tests/programs/platforms.py --markdown"
    if PLATFORMS[name].runs:
        assert str(transitions.ALL) in result.transitions
