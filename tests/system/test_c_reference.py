# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/c/: the example of each page prints what the page shows, and the pages have every declared name."""

import re
import shutil
from pathlib import Path

import pytest
from generate import generated_headers
from headers import declarations
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


def test_each_declared_name_is_in_a_page():
    """A page has the kernel-doc comments of its header, so each name needs one; or an entry of its own."""
    declared = declarations(generated_headers({}))
    texts = [path.read_text() for path in HEADERS.glob("*.h")] + list(generated_headers({}).values())
    documented = {name for text in texts for name in re.findall(r"^/\*\*\n \* (?:enum |struct )?(\w+)", text, re.M)}
    entries = set(re.findall(r"^\.\. c:macro:: (\w+)", "".join(path.read_text() for path in REFERENCE), re.M))
    members = {"libreplace_ids", "libreplace_capabilities"}  # of the private part of a guard
    assert {function.name for function in declared.functions} <= documented
    assert {kind.name for kind in (*declared.enums, *declared.structs)} - members <= documented
    assert set(declared.constants) == entries


def test_program_notices_a_library_that_is_older_than_its_headers(flags, tmp_path):
    """The program of build_info.md is compiled with the headers of a later version."""
    (page,) = [page for page in REFERENCE if page.stem == "build_info"]
    (program,) = [text for language, text, _ in blocks(page) if language == "c"]
    (tmp_path / "example.c").write_text(program)
    (include,) = [Path(word[2:]) for word in flags if word.startswith("-I")]
    shutil.copytree(include, tmp_path / "include")
    header = tmp_path / "include/libreplace/version.h"
    number = "99 * 10000 + 1 * 100 + 0"
    header.write_text(re.sub(r'"[\d.]+"', '"99.1.0"', re.sub(r"\(.*\)", f"({number})", header.read_text())))
    options = [f"-I{tmp_path / 'include'}", *flags]
    out = run("cc", "-Wall", "-Wextra", "-Werror", "-o", "example", "example.c", *options, cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    out = run(tmp_path / "example")
    assert (out.returncode, out.stdout) == (1, "")
    assert out.stderr == f"libreplace is {replace.__version__}, but this program needs 99.1.0\n"
