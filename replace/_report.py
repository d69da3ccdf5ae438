# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the report that the build left in the package (detect/report.py made it), or another build's.

Its faces: text and the answers file here, _report_markdown.py, _report_html.py; many at once: _matrix.py.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The reports that this version reads; docs/report.md says what may change within one.
SCHEMA_VERSION = 1


class NotAReport(Exception):
    """A file is no report that this version reads; the text says which and why."""


def resource(name: str) -> str:
    """The text of a file that lies in the package."""
    from importlib.resources import files

    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def report() -> dict[str, Any]:
    """The build report: the verdict, the rule that decided, each question with its evidence.

    A fresh copy of the JSON document whose schema is report_schema().
    """
    import json

    document: dict[str, Any] = json.loads(resource("build_report.json"))
    return document


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every report satisfies."""
    import json

    schema: dict[str, Any] = json.loads(resource("report.schema.json"))
    return schema


def load(path: str) -> dict[str, Any]:
    """The report in a file.  Raises NotAReport."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            document: dict[str, Any] = json.load(file)
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise NotAReport(f"{path} is not a report: {error}") from error
    if not isinstance(document, dict) or not {"schema_version", "verdict"} <= document.keys():
        raise NotAReport(f"{path} is not a report: it has no schema_version and verdict")
    if document["schema_version"] != SCHEMA_VERSION:
        raise NotAReport(
            f"{path} has schema_version {document['schema_version']}; libreplace "
            f"{report()['version']} reads {SCHEMA_VERSION}"
        )
    if incomplete := _missing(document, report_schema(), report_schema()["$defs"]):
        raise NotAReport(f"{path} is not a report: {incomplete}")
    return document


def _missing(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What the faces rely on and a document has not: a required field, an object, a list; else empty.

    The schema's structure alone; jsonschema checks the rest in the tests.
    """
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    python: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if not isinstance(value, python.get(schema.get("type", ""), object)):
        return f"{schema['type']} expected, not {value!r:.40}"
    if isinstance(value, dict):
        named = schema.get("properties", {})
        for key in schema.get("required", ()):
            if key not in value:
                return f"no {key}"
        for key, inner in value.items():
            if found := _missing(inner, named.get(key, schema.get("additionalProperties", {})), definitions):
                return f"{key}: {found}"
    if isinstance(value, list):
        return next((found for inner in value if (found := _missing(inner, schema["items"], definitions))), "")
    return ""


def machine(document: dict[str, Any]) -> str:
    """What the report is of, in a few words: system, processor, libc."""
    verdict, found = document["verdict"], document["machine"]
    libc = "" if verdict["libc"] == "system" else f"{verdict['libc']} {verdict['libc_version']}".strip()
    return ", ".join(word for word in (f"{verdict['system']} {found.get('cpu_family', '')}".strip(), libc) if word)


def as_text(document: dict[str, Any]) -> str:
    """The report for people: the verdict first, then why, then each question."""
    verdict = document["verdict"]
    lines = [
        f"libreplace {document['version']}: {verdict['backend']} back end, one call changes one {verdict['scope']}",
        f"decided by {verdict['rule']}",
        f"system {verdict['system']}, libc {verdict['libc']} {verdict['libc_version']}".rstrip(),
        "",
    ]
    lines += [f"warning: {warning}" for warning in verdict["warnings"]]
    lines += table(
        ("call", "back end", "symbol", "scope", "id bits"),
        [(c["name"], c["backend"], c["symbol"], c["scope"], str(c["id_bits"])) for c in verdict["calls"]],
    )
    lines.append("")
    lines += table(
        ("question", "answer", "how", "evidence"),
        [(q["question"], q["answer"], q["how"], " ".join(q["evidence"].split())) for q in document["questions"]],
    )
    for title in ("options", "machine", "toolchain"):
        lines += ["", f"{title}:"] + [f"  {key}: {value}" for key, value in document[title].items()]
    overrides = document["overrides"]
    lines += ["", f"overrides used: {', '.join(overrides['used']) or 'none'}"]
    return "\n".join(lines + [f"overrides unused: {', '.join(overrides['unused']) or 'none'}"])


def as_answers(document: dict[str, Any]) -> str:
    """A file for -Dcross_answers, in Samba's format: the way back into a build, to the same verdict."""
    verdict, options = document["verdict"], document["options"]
    lines = [
        f"# libreplace {document['version']}, {machine(document)}: {verdict['backend']} back end, "
        f"one call changes one {verdict['scope']}.",
        "# With the same headers, this leads to the same verdict:",
        f"#   meson setup BUILD -Dcredentials={options.get('credentials', 'auto')} -Dcross_answers=THIS_FILE",
    ]
    names = {"yes": "OK", "no": "NO"}
    for question in document["questions"]:
        if question["kind"] != "run":
            continue
        found = " ".join(f"{question['answer']}, {question['how']}. {question['evidence']}".split())
        answer = question["cross_answer"]
        lines.append(f"# {found}")
        if names.get(question["answer"]) not in (answer, None):
            lines.append(f"# A run does not decide, an answer does: {answer} keeps the verdict.")
        lines.append(f"{question['question']}: {answer}")
    return "\n".join(lines)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of text, the columns as wide as they need."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),), *rows]
    ]
