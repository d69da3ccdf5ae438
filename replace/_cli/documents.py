# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads reports of other builds from files."""

from __future__ import annotations

import json
from typing import NamedTuple

from .._build import package_file, report
from .text import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The version of the schema that this reader knows; docs/report.md says what may change within it.
SCHEMA_VERSION = 1

#: A value of the field left_out: this copy has no results of run probes.
RUNS = "results of run probes"

#: The scope of a call -> what the call changes, in words.
REACH = {"thread": "one thread", "process": "the whole process"}

#: The fields with facts about the build: name -> value. Each face of the report shows all of them.
SECTIONS = ("options", "machine", "toolchain")

_HINT = "a report is the output of `libreplace report --json`, or BUILD/replace/build_report.json"


class NotAReport(Failed):
    """A file is not a report that this version can read. The text says which file, and why."""


#: The types of the schema, as Python reads them from JSON.
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def _check(value: Any, rule: dict[str, Any], place: str, definitions: dict[str, Any]) -> None:
    """Raise ValueError, with a sentence, if the value does not fit a rule of the schema. Unknown fields are ignored.

    It knows only the words of JSON Schema that report.schema.json uses, and needs no package for them.
    """
    rule = definitions[rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
    kind = rule.get("type")
    if kind and not isinstance(value, _TYPES[kind]):
        raise ValueError(f"{place} is not {'an' if kind[0] in 'ao' else 'a'} {kind}")
    if value not in rule.get("enum", [value]):
        raise ValueError(f"{place} is none of {', '.join(rule['enum'])}")
    if isinstance(value, dict):
        folder = f"{place}." if place else ""
        for name in rule.get("required", ()):
            if name not in value:
                raise ValueError(f"it has no {folder}{name}")
        known, others = rule.get("properties", {}), rule.get("additionalProperties", {})
        for name, inner in value.items():
            _check(inner, known.get(name, others), f"{folder}{name}", definitions)
    if isinstance(value, list):
        if len(value) < rule.get("minItems", 0):
            raise ValueError(f"{place} is empty")
        for number, inner in enumerate(value):
            _check(inner, rule.get("items", {}), f"{place}[{number}]", definitions)


def load(path: str) -> dict[str, Any]:
    """The report in a file. Raises NotAReport."""
    try:
        with open(path, encoding="utf-8") as file:
            document: dict[str, Any] = json.load(file)
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise NotAReport(f"{path} is not a report: it is not JSON ({error}); {_HINT}") from error
    if not isinstance(document, dict) or not {"schema_version", "verdict"} <= document.keys():
        raise NotAReport(f"{path} is not a report: it has no schema_version or no verdict; {_HINT}")
    if document["schema_version"] != SCHEMA_VERSION:
        raise NotAReport(
            f"{path} has schema_version {document['schema_version']}; libreplace "
            f"{report()['version']} can read only {SCHEMA_VERSION}; use the version of libreplace that wrote the file"
        )
    schema = json.loads(package_file("report.schema.json").read_text(encoding="utf-8"))
    try:
        _check(document, schema, "", schema["$defs"])
    except ValueError as error:
        raise NotAReport(f"{path} is not a report: {error}; {_HINT}") from error
    return document


def machine(document: dict[str, Any]) -> str:
    """The machine that the report describes, in a few words: system, processor, libc."""
    verdict, found = document["verdict"], document["machine"]
    libc = "" if verdict["libc"] == "system" else f"{verdict['libc']} {verdict['libc_version']}".strip()
    return ", ".join(word for word in (f"{verdict['system']} {found.get('cpu_family', '')}".strip(), libc) if word)


def facts(document: dict[str, Any], section: str) -> dict[str, str]:
    """The facts of one of SECTIONS, in words: an empty value is `none`."""
    return {key: value or "none" for key, value in document[section].items()}


def answered(question: dict[str, Any]) -> str:
    """The answer, and how it was found, unless the compiler gave it."""
    return f"{question['answer']}, {question['how']}" if question["how"] != "compiled" else str(question["answer"])


class Step(NamedTuple):
    """A step of the decision that was reached."""

    question: str
    answer: str
    detail: str
    answers: dict[str, list[str]]  # the answers that it used -> the subjects of these questions


def used_questions(step: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """The ids of the questions whose answers a step used. The result of a run decides nothing."""
    runs = {question["id"] for question in document["questions"] if question["kind"] == "run"}
    return [name for name in step["questions"] if name not in runs or name in document["overrides"]["used"]]


def steps(document: dict[str, Any]) -> list[Step]:
    """The steps up to the one that decided."""
    questions = {question["id"]: question for question in document["questions"]}
    found = []
    for step in document["decision"]:
        answers: dict[str, list[str]] = {}
        for name in used_questions(step, document):
            if name in questions:  # a later version may name a question that it does not list
                answers.setdefault(answered(questions[name]), []).append(questions[name]["subject"])
        if step["answer"]:
            found.append(Step(step["question"], step["answer"], step["detail"], answers))
    return found
