# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Validate reports against a strict form of their schema."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

SCHEMA = json.loads((Path(__file__).resolve().parent.parent.parent / "replace" / "report.schema.json").read_text())


def strict_schema(schema: Any) -> Any:
    """Return a schema that refuses unknown fields. Readers ignore such fields, but this version must not write any."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema and "type" in schema else {}
        return {**{key: strict_schema(value) for key, value in schema.items()}, **closed}
    return [strict_schema(value) for value in schema] if isinstance(schema, list) else schema


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """Validate a report and return it. Tests call this for every report that they read. It needs jsonschema."""
    if importlib.util.find_spec("jsonschema"):  # without it, only the tests of the schema itself are skipped
        import jsonschema

        jsonschema.validate(document, strict_schema(SCHEMA), jsonschema.Draft202012Validator)
    return document


def validate_reports(folder: Path) -> int:
    """Validate every build report under the folder; return their number."""
    found = 0
    for place, _, names in os.walk(folder):
        if "build_report.json" in names:
            valid(json.loads(Path(place, "build_report.json").read_text()))
            found += 1
    return found
