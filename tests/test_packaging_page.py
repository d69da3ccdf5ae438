# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/packaging.md has the options, questions and requirements of the source. system/test_tags.py tests its tags."""

import re

from questions import questions
from support.builds import ROOT

PAGE = (ROOT / "docs" / "packaging.md").read_text()
OPTIONS = re.findall(
    r"^option\('(\w+)', type: '(\w+)',(?: choices: \[(.*?)\],)? value: (.*?),$",
    (ROOT / "meson.options").read_text(),
    re.M,
)


def test_page_has_every_option_with_values_and_default():
    assert len(OPTIONS) == (ROOT / "meson.options").read_text().count("option(")
    rows = re.findall(r"^\| `-D(\w+)` \| (.*?) \| (.*?) \|", PAGE, re.M)
    assert [name for name, *_ in rows] == [name for name, *_ in OPTIONS]
    for (name, kind, choices, value), (_, values, default) in zip(OPTIONS, rows, strict=True):
        assert default.strip("`").strip("'") == value.strip("'"), name
        if kind == "combo":
            assert re.findall(r"`(\w+)`", values) == re.findall(r"'(\w+)'", choices), name


def test_page_has_every_question():
    assert {q.id for q in questions()} <= set(re.findall(r"^\| `(libreplace_\w+)` \|", PAGE, re.M))


def test_page_has_the_requirements_of_pyproject():
    text = (ROOT / "pyproject.toml").read_text()
    for name, on_page in (("meson", "Meson"), ("meson-python", "meson-python"), ("cffi", "cffi")):
        (least,) = re.findall(rf'^requires = .*"{name}>=([\d.]+)"', text, re.M)
        assert re.search(rf"^\| {on_page}, .* \| {re.escape(least)} \|$", PAGE, re.M), name
    (python,) = re.findall(r'^requires-python = ">=([\d.]+)"', text, re.M)
    assert f"Python {python} and cffi" in PAGE
    control = (ROOT / "docs" / "examples" / "debian" / "control").read_text()
    for name, package in (("meson", "meson"), ("meson-python", "python3-mesonpy"), ("cffi", "python3-cffi")):
        (least,) = re.findall(rf'^requires = .*"{name}>=([\d.]+)"', text, re.M)
        assert f" {package} (>= {least})," in control


def test_page_has_every_package_of_the_fast_tests():
    (extra,) = re.findall(r"^test = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    packages = set(re.findall(r'"([\w-]+)', extra)) - {"libreplace", "pytest"} | {"mypy"}  # mypy: the extra "types"
    section = PAGE.split("## Run the tests")[1].split("A test that cannot run")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`([\w-]+)`", row)}
    assert named == packages
