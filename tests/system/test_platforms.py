# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Build for the platforms of tests/programs/platforms.py, and run every transition where the programs can run.

The program itself tries the platforms that are left out here, because their emulators need minutes.
"""

import re

import platforms
import pytest
from support import transitions
from support.builds import ROOT
from support.children import needs_root

PLATFORMS = {platform.name: platform for platform in platforms.PLATFORMS}


@pytest.mark.parametrize("name", [name for name, platform in PLATFORMS.items() if not platform.by_hand])
def test_platform_matches_its_row_on_the_page(name):
    needs_root()
    result = platforms.attempt(PLATFORMS[name])
    if result.verdict.startswith("NOT TRIED"):
        pytest.skip(result.verdict.removeprefix("NOT TRIED: "))
    assert not result.verdict.startswith("FAILED"), result.verdict
    page = (ROOT / "docs" / "platforms.md").read_text()
    for line in (platforms.row(result), platforms.detail(result)):
        assert line in page, "docs/platforms.md is out of date: run tests/programs/platforms.py --markdown"
    if PLATFORMS[name].runs:
        assert str(transitions.ALL) in result.transitions


def test_page_has_a_row_for_each_platform_that_is_tried_by_hand():
    page = (ROOT / "docs" / "platforms.md").read_text()
    for platform in PLATFORMS.values():
        verdict = platforms.CORRECT if platform.runs else platforms.COMPILED
        assert re.search(rf"^\| {re.escape(platform.name)} \| \w+ \| {verdict} \|$", page, re.M), platform.name
