# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/c/: the example of each page prints what the page shows, and each page lists its whole header."""

import re

import pytest
from support.builds import ROOT, run
from support.children import needs_root
from support.projects import environment_for, install_library
from support.tutorial import blocks

import replace

REFERENCE = sorted((ROOT / "docs" / "c").glob("*.md"))
HEADERS = ROOT / "replace" / "core" / "libreplace"


@pytest.fixture(scope="module")
def flags(source, tmp_path_factory):
    """The compiler options that pkg-config prints for an installed library."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("the examples are for builds whose calls change one thread")
    folder = tmp_path_factory.mktemp("c-reference")
    install_library(source, folder / "build", folder / "installed")
    out = run("pkg-config", "--cflags", "--libs", "libreplace", env=environment_for(folder / "installed"))
    return out.stdout.split()


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_example_of_a_page_prints_what_the_page_shows(flags, tmp_path, page):
    program, shown = [text for language, text, _ in blocks(page) if language in ("c", "text")]
    (tmp_path / "example.c").write_text(program)
    if page.stem == "replace_override":
        flags = [*flags, "-include", "libreplace/replace_override.h"]
    out = run("cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c", *flags, "-pthread", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    out = run(tmp_path / "example", cwd=tmp_path)
    assert (out.returncode, out.stdout, out.stderr) == (0, shown, "")


def test_each_header_has_a_page_with_everything_that_it_documents():
    pages = {page.stem: page.read_text() for page in REFERENCE}
    for header in HEADERS.glob("*.h"):
        page = pages[header.stem]
        names = re.findall(r"^/\*\*\n \* (?:enum |struct )?(\w+)", header.read_text(), re.M)
        if ":symbols:" in page:
            listed = " ".join(re.findall(r":symbols: (.*)", page)).split()
            assert sorted(listed) == sorted(names)
        else:
            assert not names or f"{header.name}\n```" in page
    assert "c-functions" in pages["replace"]
