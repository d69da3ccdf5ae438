# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The parts of the documentation that are made from the source; test_pages.py holds them up to date.

usage: python tests/pages.py update     writes them into the pages
       python tests/pages.py            prints them

Each lies between two comments in its page, `<!-- made: NAME -->` and `<!-- end of NAME -->`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "detect"))

from cross_answers import asked  # noqa: E402
from questions import questions  # noqa: E402

#: kind -> how it is answered in a build that gets no answers
HOW = {
    "header": "the compiler: is the header there?",
    "define": "the preprocessor: what is the macro?",
    "symbol": "the linker: is the function there?",
    "number": "the preprocessor: does `<sys/syscall.h>` have it?",
    "type": "the compiler: its size",
    "link": "the linker: does the probe build?",
    "run": "run, where programs can be; or given",
}


def question_table() -> str:
    """What one may answer first, in full; then the others, whose answers are the compiler's."""
    given = asked()
    rows = "".join(f"| `{identity}` | {words} |\n" for words, identity in given.items())
    text = f"| id (machine file) | question (answers file) |\n|---|---|\n{rows}\n"
    text += "The compiler answers the others, cross compiling or not; there is nothing to give:\n\n"
    text += "| id | question | answered by |\n|---|---|---|\n"
    others = [q for q in questions() if q.id not in given.values()]
    return text + "".join(f"| `{q.id}` | {q.words} | {HOW[q.kind]} |\n" for q in others)


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in words."""
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return f"a {schema['$ref'].rpartition('/')[2]}"
    if schema["type"] == "array":
        return f"list: {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"names to {_kind(schema['additionalProperties'])}"
    return str(schema["type"])


def _fields(prefix: str, schema: dict[str, Any]) -> str:
    rows = ""
    for name, field in schema["properties"].items():
        optional = "" if name in schema["required"] else ", not always there"
        rows += f"| `{prefix}{name}` | {_kind(field)}{optional} | {field['description']} |\n"
        if "properties" in field:
            rows += _fields(f"{prefix}{name}.", field)
    return rows


def schema_tables() -> str:
    """Every field of the report."""
    schema = json.loads((ROOT / "replace" / "report.schema.json").read_text())
    head = "| field | is | means |\n|---|---|---|\n"
    text = head + _fields("", schema)
    for name, definition in schema["$defs"].items():
        text += f"\n**A {name}**\n\n" + head + _fields("", definition)
    return text


MADE = {"questions": ("packaging.md", question_table), "fields": ("report.md", schema_tables)}


def page(name: str) -> tuple[Path, str]:
    """The page that has this part, and its text with the part as it is now."""
    file, make = MADE[name]
    path = ROOT / "docs" / file
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end of {name} -->\n"
    head, _, rest = path.read_text().partition(begin)
    return path, head + begin + "\n" + make() + "\n" + end + rest.split(end)[1]


if __name__ == "__main__":
    for name, (_, make) in MADE.items():
        if sys.argv[1:] == ["update"]:
            path, text = page(name)
            path.write_text(text)
        else:
            print(make())
