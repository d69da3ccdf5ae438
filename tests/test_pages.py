# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What pages.py makes is in the pages, as it would make it now."""

import pages
import pytest


@pytest.mark.parametrize("name", pages.MADE)
def test_the_page_is_up_to_date(name):
    path, text = pages.page(name)
    assert path.read_text() == text, "python tests/pages.py update"
