# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Follows docs/start-report.md from an empty folder: its commands run, and print the output that the page quotes.

Numbers may differ, and `...` stands for any text.
"""

import doctest
import json
import os
import re
import sys

import pytest
from markdown_it import MarkdownIt
from support.builds import ROOT, run
from support.children import needs_root

import replace
from replace.__main__ import COMMANDS

PAGE = ROOT / "docs" / "start-report.md"
BLOCKS = [(token.info, token.content) for token in MarkdownIt().parse(PAGE.read_text()) if token.type == "fence"]


@pytest.fixture(scope="module")
def followed(source, tmp_path_factory):
    """The folder after the page's commands, and what each block of commands printed."""
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("the page shows the output of a build with raw system calls")
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "libreplace").symlink_to(source)
    printed = []
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    for info, text in BLOCKS:
        if info == "sh":
            out = run("bash", "-uo", "pipefail", "-c", text, cwd=folder, env={"PATH": path})
            if "No matching distribution" in out.stderr and not os.environ.get("CI"):
                pytest.skip("needs the network: build requirements")
            assert out.returncode == 0, out.stdout + out.stderr
            printed.append(out.stdout)
    return folder, printed


def without_numbers(text):
    return re.sub(r"\d+", "N", text)


def test_commands_print_the_quoted_output(followed):
    _, printed = followed
    number = -1
    for info, text in BLOCKS:
        if info == "sh":
            number += 1
            continue
        same = doctest.OutputChecker().check_output(
            without_numbers(text), without_numbers(printed[number]), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
        assert same, f"{text}\n---\n{printed[number]}"


def test_every_file_of_the_page_is_made(followed):
    folder, _ = followed
    assert "</html>" in (folder / "report.html").read_text()
    assert (folder / "bug.md").read_text().startswith("### libreplace")
    assert json.loads((folder / "verify.json").read_text())["exit_status"] == 0


def test_page_names_every_exit_status():
    lines = dict(re.findall(r"^- `(\w+)`: (\d if .*)$", PAGE.read_text(), re.M))
    assert list(lines) == ["report", "compare", "verify"]
    for name, line in lines.items():
        assert [int(status) for status in re.findall(r"(\d) if", line)] == list(COMMANDS[name].EXIT_STATUS)
