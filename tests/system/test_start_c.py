# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/start-c.md and docs/c/: a reader who copies every block from an empty folder sees what the pages show."""

import os
import re
import shutil
import sys
import sysconfig
from typing import NamedTuple

import pytest
from support.builds import ROOT, needs_package, run, tool
from support.children import needs_root

import replace

PAGE = ROOT / "docs" / "start-c.md"
REFERENCE = sorted((ROOT / "docs" / "c").glob("*.md"))
HEADERS = ROOT / "replace" / "core" / "libreplace"


class Step(NamedTuple):
    command: str
    shown: str  # the output that the page shows; empty if it shows none


class Result(NamedTuple):
    status: int
    output: str


def blocks(page):
    """(language, text, file name that the page gives it or an empty string) of each block."""
    found = re.findall(
        r"(?:Save this as `([^`]+)`:|save this as `([^`]+)`:)?\n+```(\S+)\n(.*?)^```$", page, re.M | re.S
    )
    return [(language, text, first or second) for first, second, language, text in found]


def steps(page):
    """The commands of a page, each with its output."""
    found = []
    for language, text, _ in blocks(page):
        if language == "sh":
            found.append(Step(text, ""))
        elif language == "text":
            found[-1] = Step(found[-1].command, text)
    return found


def environment(folder):
    """Variables with which pip finds meson and ninja where the tests have them, and fetches nothing."""
    shim = folder.with_name("shim")
    shim.mkdir()
    site = sysconfig.get_paths()["purelib"]
    (shim / "python3").write_text(
        f'#!/bin/sh\n"{sys.executable}" "$@" && echo "{site}" > "$(echo "$3"/lib/python3*/site-packages)/tests.pth"\n'
    )
    (shim / "python3").chmod(0o755)
    return {"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}", "PIP_NO_INDEX": "1", "LC_ALL": "C"}


@pytest.fixture(scope="module")
def copied(source, tmp_path_factory):
    """The folder of a reader who has copied the whole page, and the result of each command."""
    needs_root()
    needs_package("meson", "ninja", "pip")
    tool("pkg-config", "finds libraries")
    if replace.SCOPE != "thread":
        pytest.skip("the page is for builds whose calls change one thread")
    folder = tmp_path_factory.mktemp("start-c") / "empty"
    folder.mkdir()
    shutil.copytree(source, folder / "libreplace", ignore=shutil.ignore_patterns(".git"))
    page = PAGE.read_text()
    for _, text, name in blocks(page):
        if name:
            (folder / name).write_text(text)
    script = "".join(
        f"{{\n{step.command}}} > ../{number}.out 2>&1; echo $? > ../{number}.status\n"
        for number, step in enumerate(steps(page))
    )
    out = run("sh", "-c", script, cwd=folder, env=environment(folder))
    assert (out.returncode, out.stderr) == (0, "")
    results = [
        Result(int((folder.parent / f"{n}.status").read_text()), (folder.parent / f"{n}.out").read_text())
        for n in range(len(steps(page)))
    ]
    return folder, results


def test_each_command_prints_what_the_page_shows(copied):
    _, results = copied
    names = [name for _, _, name in blocks(PAGE.read_text()) if name]
    assert names == ["act.c", "meson.build"]
    for step, result in zip(steps(PAGE.read_text()), results, strict=True):
        assert result.status == (1 if step.command == "./act root\n" else 0), (step.command, result.output)
        if step.shown:
            assert result.output == step.shown


def test_program_built_by_meson_prints_the_same(copied):
    _, results = copied
    pages = steps(PAGE.read_text())
    (shown,) = [step.shown for step in pages if step.command.endswith("./act nobody\n")]
    (output,) = [result.output for step, result in zip(pages, results, strict=True) if "build-act/act" in step.command]
    assert output.endswith(shown)
    assert "warning:" not in output


def test_error_names_of_the_page_exist():
    names = (HEADERS.parent / "names.c").read_text()
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    used = {name for line in table for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}
    assert len(used) > 5
    for name in used:
        assert f'return "{name}";' in names, name


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_example_of_a_reference_page_prints_what_the_page_shows(copied, tmp_path, page):
    folder, _ = copied
    program, shown = [text for language, text, _ in blocks(page.read_text()) if language in ("c", "text")]
    (tmp_path / "example.c").write_text(program)
    flags = run(
        "pkg-config", "--cflags", "--libs", "libreplace", env={"PKG_CONFIG_PATH": f"{folder}/installed/lib/pkgconfig"}
    ).stdout.split()
    if page.stem == "replace_override":
        flags += ["-include", "libreplace/replace_override.h"]
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
