# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The version is written in one place. The changelog and the recipes of the distributions name the same version."""

import re
from importlib import metadata

import pytest
from support.builds import ROOT, VERSION

import replace

#: Files with a version of their own, and what it looks like there. A distribution copies the recipes.
COPIES = {
    "CHANGELOG.md": r"^## ([\d.]+) \(.+\)$",
    "docs/examples/APKBUILD": r"^pkgver=([\d.]+)$",
    "docs/examples/debian/changelog": r"^libreplace \(([\d.]+)-1\) ",
    "docs/examples/libreplace.spec": r"^Version: +([\d.]+)$",
}


def test_version_is_written_in_one_place():
    folders = [*ROOT.glob("replace/**/*.py"), *ROOT.glob("detect/*"), *ROOT.glob("replace/core/**/*")]
    for path in [ROOT / "pyproject.toml", *folders]:
        if path.is_file():
            assert VERSION not in path.read_text(), path


def test_installed_package_has_the_version_of_the_source():
    assert replace.report()["version"] == replace.__version__ == metadata.version("libreplace") == VERSION


@pytest.mark.parametrize("name", COPIES)
def test_newest_entry_has_the_version_of_the_source(name):
    assert re.findall(COPIES[name], (ROOT / name).read_text(), re.M)[0] == VERSION


def test_newest_entry_of_the_spec_file_has_its_version():
    text = (ROOT / "docs" / "examples" / "libreplace.spec").read_text()
    assert re.search(r"^%changelog\n\* .* - ([\d.]+)-1$", text, re.M).group(1) == VERSION
