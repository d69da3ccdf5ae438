# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A reader who copies every block of a tutorial, in an empty folder, sees the output that the page shows."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, tool
from support.children import needs_root
from support.tutorial import follow, offline

import replace
from replace.__main__ import COMMANDS

DOCS = ROOT / "docs"


@pytest.fixture
def reader(source):
    """A function that follows a page in an empty folder. It returns the folder, and the commands with their outputs."""
    needs_root()
    needs_package("cffi", "meson", "meson-python", "ninja", "pip")
    tool("pkg-config", "finds libraries")
    if replace.SCOPE != "thread":
        pytest.skip("needs thread scope: the tutorials are for builds whose calls change one thread")
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as name:
        parent = Path(name)
        parent.chmod(0o755)  # every user may enter the folder
        folder = parent / "empty"
        shutil.copytree(source, folder / "libreplace", ignore=shutil.ignore_patterns(".git"))
        yield lambda page: (folder, follow(DOCS / page, folder, offline(parent)))


def test_python_tutorial_works_by_copying(reader):
    reader("start-python.md")


def test_c_tutorial_works_by_copying(reader):
    _, done = reader("start-c.md")
    assert not any("warning:" in printed for _, printed in done)
    programs = [printed for command, printed in done if command.endswith("act nobody\n")]
    assert len(programs) == 2
    assert programs[1].endswith(programs[0])


def test_packaging_tutorial_works_by_copying(reader):
    folder, done = reader("start-package.md")
    outputs = dict(done)
    assert outputs["libreplace report\n"].startswith("libreplace ")
    assert (folder / "stage/usr/include/libreplace/replace.h").exists()


def test_report_tutorial_works_by_copying(reader):
    folder, _ = reader("start-report.md")
    assert "</html>" in (folder / "report.html").read_text()
    assert (folder / "bug.md").read_text().startswith("### libreplace")
    assert json.loads((folder / "verify.json").read_text())["exit_status"] == 0


def test_report_tutorial_names_every_exit_status():
    lines = dict(re.findall(r"^- `(\w+)`: (\d if .*)$", (DOCS / "start-report.md").read_text(), re.M))
    assert list(lines) == ["report", "compare", "verify"]
    for name, line in lines.items():
        assert [int(status) for status in re.findall(r"(\d) if", line)] == list(COMMANDS[name].EXIT_STATUS)


def test_every_error_of_the_c_tutorial_has_a_name_of_the_library():
    names = (ROOT / "replace" / "core" / "names.c").read_text()
    table = [line for line in (DOCS / "start-c.md").read_text().splitlines() if line.startswith("| `")]
    used = {name for line in table for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}
    assert len(used) > 5
    for name in used:
        assert f'return "{name}";' in names, name
