# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report's schema, strictly."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = json.loads((Path(__file__).resolve().parent.parent.parent / "replace" / "report.schema.json").read_text())


def strict_schema(schema: Any) -> Any:
    """The report's schema for what this version writes: a reader lets unknown fields pass, here they are errors."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema and "type" in schema else {}
        return {**{key: strict_schema(value) for key, value in schema.items()}, **closed}
    return [strict_schema(value) for value in schema] if isinstance(schema, list) else schema


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """The report, held against the schema: every report that a test comes by goes through here."""
    jsonschema.validate(document, strict_schema(SCHEMA), jsonschema.Draft202012Validator)
    return document


def validate_reports(folder: Path) -> int:
    """Hold every build's report under the folder against the schema; returns how many there were."""
    found = 0
    for place, _, names in os.walk(folder):
        if "build_report.json" in names:
            valid(json.loads(Path(place, "build_report.json").read_text()))
            found += 1
    return found
