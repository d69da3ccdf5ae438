# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The documentation builds without a warning, every page is in it, and the reference has every public name."""

import re
import sys

import pytest
from support.builds import ROOT, needs_package, run

import replace

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    needs_package("sphinx", "myst-parser", "furo")
    target = tmp_path_factory.mktemp("html")
    out = run(
        sys.executable, "-m", "sphinx", "-W", "--keep-going", "-E", "-q", "-d", target / "cache", DOCS, target, cwd="/"
    )
    assert out.returncode == 0, out.stdout + out.stderr
    return target


def test_every_page_is_in_the_table_of_contents(built):
    names = {path.stem for path in DOCS.glob("*.md")}
    assert names == {path.stem for path in built.glob("*.html")} - {"genindex", "search", "py-modindex"}
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^([a-z_]+)$", index, re.M)
    assert sorted(listed) == sorted(names - {"index"})


def test_every_public_name_is_in_the_reference(built):
    text = (built / "reference.html").read_text()
    missing = [
        name for name in replace.__all__ if f'id="replace.{name}"' not in text and f"libreplace_{name}" not in text
    ]
    assert missing == ["SCOPE", "ffi", "lib"], "a constant and two objects of cffi's, told in sentences"
    assert all(f"replace.{name}" in (DOCS / "reference.md").read_text() for name in missing)


def test_the_pictures_are_in_the_pages(built):
    text = "".join(path.read_text() for path in built.glob("*.html"))
    for picture in DOCS.rglob("*.svg"):
        assert picture.name in text, picture


def test_the_version_is_that_of_the_build(built):
    assert f"libreplace {replace.report()['version']}" in (built / "index.html").read_text()
