# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""More of what test_hostile_files.py does: other examples in each run, and the whole report of each platform."""

import json

import golden
import pytest
import report as build_side
from test_hostile_files import (
    FIXED,
    TEXTS,
    answer_files,
    check_answers_file,
    check_report,
    given,
    make_files,
    reports,
    settings,
)
from test_report import full_answers


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    return make_files(tmp_path_factory)


MANY = settings(FIXED, derandomize=False, print_blob=True)


@settings(MANY, max_examples=2000)
@given(reports())
def test_changed_report_is_refused_or_harmless(files, text):
    check_report(files, text)


@settings(MANY, max_examples=10_000)
@given(answer_files())
def test_changed_answers_file_is_refused_or_read(files, data):
    check_answers_file(files / "answers.txt", data)


@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_report_of_every_platform_with_hostile_texts_is_harmless(files, platform):
    for text in TEXTS:
        answers = full_answers(platform)
        hostile = {key: text for key in answers if key.startswith(("toolchain:", "machine:", "private-evidence:"))}
        document = build_side.build({**answers, **hostile, "project:version": text}, False)
        assert check_report(files, json.dumps(document))
