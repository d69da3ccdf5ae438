# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The generated pages of the docs are up to date, and the report's schema explains every field."""

import json
import re

import pages
import pytest
from support import schema as reports
from support.builds import ROOT, imported
from support.schema import SCHEMA, strict_schema
from verdict import FACTS

import replace
from replace.__main__ import parser
from replace._cli import documents


@pytest.mark.parametrize("name", pages.PAGES)
def test_page_is_up_to_date(name):
    assert (pages.DOCS / name).read_text() == pages.PAGES[name](), f"docs/{name} is stale: run tests/programs/pages.py"


def objects(schema):
    """Yield every schema of an object with named fields, at every depth."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)


def test_every_report_field_has_a_type_and_a_description():
    page = (pages.DOCS / "report.md").read_text()
    found = list(objects(SCHEMA))
    assert len(found) == len(pages.fields(SCHEMA)) == 7
    for place in found:
        for name, field in place["properties"].items():
            assert len(field["description"]) > 10, name
            assert field["description"].endswith("."), name
            assert {"type", "enum", "const", "$ref"} & set(field), name
            assert f"\n- `{name}` (" in page
    for name in SCHEMA["$defs"]:
        assert json.dumps(SCHEMA).count(f"#/$defs/{name}") == 1
        assert f"\n## {name}\n" in page


def test_only_two_fields_are_optional():
    """Only run questions have `cross_answer`, and older reports lack `no_ring`. Every report has all other fields."""
    optional = [set(place["properties"]) - set(place["required"]) for place in objects(SCHEMA)]
    assert set.union(*optional) == {"cross_answer", "no_ring"}
    for question in replace.report()["questions"]:
        assert ("cross_answer" in question) == (question["kind"] == "run")


def test_schema_versions_agree():
    import report as build_side

    version = SCHEMA["properties"]["schema_version"]["const"]
    assert version == build_side.SCHEMA_VERSION == documents.SCHEMA_VERSION == replace.report()["schema_version"]
    assert f"`schema_version` is {version}." in pages.REPORT


def test_report_page_lists_exactly_the_options_of_the_command():
    (report,) = [a.choices["report"] for a in parser()._actions if a.choices and "report" in a.choices]
    options = {o for action in report._actions for o in action.option_strings if o.startswith("--")} - {"--help"}
    assert set(re.findall(r"libreplace report (--\w+)", pages.REPORT)) == options
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{option}`" in readme or f" {option}`" in readme for option in options - {"--all"})
    for name in FACTS:
        assert f"`{name}`" in pages.REPORT or f"'{name}'" in pages.REPORT


def test_validation_after_all_tests_finds_an_invalid_report(tmp_path):
    """conftest.py validates the report of each build in this way after the tests."""
    jsonschema = imported("jsonschema")
    folder = tmp_path / "some" / "build"
    folder.mkdir(parents=True)
    path = folder / "build_report.json"
    path.write_text(json.dumps(replace.report()))
    assert reports.validate_reports(tmp_path) == 1
    path.write_text(json.dumps({**replace.report(), "unknown_field": 1}))
    with pytest.raises(jsonschema.ValidationError, match="unknown_field"):
        reports.validate_reports(tmp_path)
    path.unlink()
    assert strict_schema(SCHEMA) != SCHEMA
