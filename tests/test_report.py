# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report: its schema, its two profiles, its faces on the command line."""

import json
import sys

import golden
import jsonschema
import pytest
import report as build_side
from conftest import run

import replace
from replace import _report


def command(*arguments, **kwargs):
    return run(sys.executable, "-m", "replace", *arguments, cwd="/", **kwargs)


def full_answers(platform):
    answers = json.loads((platform / "answers.json").read_text())
    return {
        **answers,
        "project:version": "0",
        "machine:system": "x",
        "private-machine:build_host": "builder",
        "toolchain:compiler": "cc",
    }


def test_installed_report_satisfies_the_schema():
    schema = _report.report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(replace.report(), schema)


@pytest.mark.parametrize("profile", ["portable", "full"])
@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_every_platform_satisfies_the_schema(platform, profile):
    answers = {**full_answers(platform), "option:report_profile": profile}
    document = build_side.build(answers)
    jsonschema.validate(document, _report.report_schema())
    assert ("builder" in json.dumps(document)) == (profile == "full")


def test_portable_keeps_no_result_of_a_run():
    answers = {**full_answers(golden.GOLDEN / "linux-glibc-x86_64"), "option:report_profile": "portable"}
    other = dict(answers)
    for key in list(other):
        if key.endswith(":how") and other[key] == "not run":
            other.update({key: "ran", key[:-4]: "yes", key[:-4] + ":evidence": "asked by euid 0"})
    assert other != answers
    assert build_side.build(answers) == build_side.build(other)


def test_report_is_a_fresh_copy():
    replace.report()["verdict"]["scope"] = "changed"
    assert replace.report()["verdict"]["scope"] == replace.SCOPE


def test_version_is_in_one_place():
    from importlib.metadata import version

    assert replace.__version__ == replace.report()["version"] == version("libreplace")
    assert replace.__version__ in command("--version").stdout


def test_json_is_the_document():
    out = command("report", "--json")
    assert out.returncode == 0
    assert json.loads(out.stdout) == replace.report()


def test_text_has_the_verdict_first_then_why_then_each_question():
    text = command("report").stdout
    document = replace.report()
    places = [
        text.index(document["verdict"]["backend"]),
        text.index(document["verdict"]["rule"]),
        text.index("\nsetuid "),
        *(text.index(q["question"]) for q in document["questions"][:1]),
    ]
    assert places == sorted(places)
    assert all(q["question"] in text for q in document["questions"])
    assert all(c["symbol"] in text for c in document["verdict"]["calls"])


def test_usage_errors():
    out = command("reprot")
    assert out.returncode == 2
    assert "invalid choice" in out.stderr
    assert command("report", "--yaml").returncode == 2
    assert "exit status: 0 all proved" in command("verify", "--help").stdout
