# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads reports of other builds from files."""

from __future__ import annotations

import json
import math
import os
import re
import stat
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

#: Bytes of the largest file that is read. A report has 50 000, and with long evidence 200 000.
_LARGEST = 4 << 20

#: How deep the values of a file may be nested. A report has 6 levels.
_DEEPEST = 40
_TOO_DEEP = f"its values are nested more than {_DEEPEST} levels deep"

_HINT = "a report is the output of `libreplace report --json`, or BUILD/replace/build_report.json"


class NotAReport(Failed):
    """A file is not a report that this version can read. The text says which file, and why."""


#: The types of the schema, as Python reads them from JSON.
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def _short(text: str) -> str:
    """The beginning of somebody else's text, for a message."""
    return text if len(text) <= 40 else f"{text[:40]}..."


def _check(value: Any, rule: dict[str, Any], place: str, definitions: dict[str, Any], depth: int = 0) -> None:
    """Raise ValueError, with a sentence, if the value does not fit a rule of the schema. Unknown fields are ignored.

    It knows only the words of JSON Schema that report.schema.json uses, and needs no package for them.
    """
    if depth > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    rule = definitions[rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule
    kind = rule.get("type")
    if kind and not isinstance(value, _TYPES[kind]):
        raise ValueError(f"{place} is not {'an' if kind[0] in 'ao' else 'a'} {kind}")
    if value not in rule.get("enum", [value]):
        raise ValueError(f"{place} is none of {', '.join(rule['enum'])}")
    if isinstance(value, str):
        if len(value) > rule.get("maxLength", len(value)):
            raise ValueError(f"{place} has more than {rule['maxLength']} characters")
        if not re.fullmatch(rule.get("pattern", ".*"), value, re.DOTALL):
            raise ValueError(f"{place} has a character that is not allowed there")
    if isinstance(value, dict):
        folder = f"{place}." if place else ""
        for name in rule.get("required", ()):
            if name not in value:
                raise ValueError(f"it has no {folder}{name}")
        if len(value) > rule.get("maxProperties", len(value)):
            raise ValueError(f"{place} has more than {rule['maxProperties']} fields")
        known, others = rule.get("properties", {}), rule.get("additionalProperties", {})
        for name, inner in value.items():
            _check(inner, known.get(name, others), f"{folder}{_short(name)}", definitions, depth + 1)
    if isinstance(value, list):
        if len(value) < rule.get("minItems", 0):
            raise ValueError(f"{place} is empty")
        if len(value) > rule.get("maxItems", len(value)):
            raise ValueError(f"{place} has more than {rule['maxItems']} items")
        for number, inner in enumerate(value):
            _check(inner, rule.get("items", {}), f"{place}[{number}]", definitions, depth + 1)


def _must_be_a_file(found: os.stat_result, path: str) -> None:
    """Raise ValueError unless this is a regular file. The shell's `<(command)` is a pipe that the caller has opened.

    A FIFO without a writer never ends. Nor do some files of the kernel, such as /proc/kmsg, which have no size.
    """
    own = re.fullmatch(r"/dev/stdin|/(dev|proc/self)/fd/\d+", path)
    if not stat.S_ISREG(found.st_mode) and not (own and stat.S_ISFIFO(found.st_mode)):
        raise ValueError("it is not a regular file")
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise ValueError("it is empty")


def _read(path: str) -> bytes:
    """The contents of the file. Raises OSError, ValueError."""
    _must_be_a_file(os.stat(path), path)  # before the opening, which can rewind a tape or start a watchdog
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _must_be_a_file(os.fstat(handle), path)  # another file may have the name by now
        os.set_blocking(handle, True)
        with open(handle, "rb", closefd=False) as file:
            data = file.read(_LARGEST + 1)
    finally:
        os.close(handle)
    if len(data) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Readers choose different values if a name is there twice, so that is refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is twice in an object")
    return found


def _number(text: str) -> float:
    """A number of JSON. NaN, Infinity and what is too large are no JSON if they are written again."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {_short(text)} is too large, or none")
    return number


def _integer(text: str) -> int:
    """A whole number of JSON. For a million digits, int() needs minutes or advises how to let it need them."""
    _number(text)
    return int(text)


def _parse(text: str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_number
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error


def load(path: str) -> dict[str, Any]:
    """The report in a file. Raises NotAReport."""
    try:
        document = _parse(_read(path).decode("utf-8"))
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise NotAReport(f"{path} is not a report: {error}; {_HINT}") from error
    if not isinstance(document, dict) or not {"schema_version", "verdict"} <= document.keys():
        raise NotAReport(f"{path} is not a report: it has no schema_version or no verdict; {_HINT}")
    version = document["schema_version"]
    if type(version) is not int:  # True is 1, too
        raise NotAReport(f"{path} is not a report: schema_version is not an integer; {_HINT}")
    if version != SCHEMA_VERSION:
        raise NotAReport(
            f"{path} has schema_version {_short(str(version))}; libreplace "
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


def ring(document: dict[str, Any]) -> str:
    """Whether the build has a ring, in a few words. Empty if the report of an older version does not say it."""
    no_ring = document["verdict"].get("no_ring")
    return "" if no_ring is None else f"not built: {no_ring}" if no_ring else "built"


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
    moot = runs - set(document["overrides"]["used"])
    return [name for name in step["questions"] if name not in moot]


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
