# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the generated parts of the docs: report.md from the report's schema, the questions in packaging.md from
detect/questions.py, and the calls and answers in platforms.md from the golden answers.

usage: python tests/programs/pages.py   (with the package installed)

test_pages.py fails if one is out of date.  platforms.py prints the other table of platforms.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402  # it also puts detect/ on the path
import report as build_side  # noqa: E402
from cross_answers import asked  # noqa: E402
from questions import questions  # noqa: E402
from support.schema import SCHEMA  # noqa: E402

from replace._cli.markdown import code, table  # noqa: E402

DOCS = TESTS.parent / "docs"
BEGIN, END = "<!-- made by tests/programs/pages.py -->\n", "<!-- end of what is made -->\n"

#: Platform family -> the folder of its golden answers.
FAMILIES = {
    "glibc 64-bit": "linux-glibc-x86_64",
    "glibc 32-bit": "linux-glibc-i386",
    "musl": "linux-musl-x86_64",
    "macOS": "macos-aarch64",
    "FreeBSD": "freebsd-x86_64",
    "NetBSD": "netbsd-x86_64",
}
LINUX, OTHERS = list(FAMILIES)[:3], list(FAMILIES)[3:]

REPORT = """\
# The report, field by field

Every build writes one JSON document: what it found, what it decided, and why. It is installed in the Python package
(`replace.report()`), and lies in `BUILD/replace/build_report.json`, of a build of the C library alone too. Its
schema (JSON Schema 2020-12) is installed as `replace/report.schema.json`; the tables below are made from it by
`python tests/programs/pages.py`; types named there have a table of their own.

| face | for |
|---|---|
| `libreplace report` | a terminal: the verdict, the calls, each question with its evidence |
| `libreplace report --html > report.html` | looking: the way to the verdict; one page, no script |
| `libreplace report --markdown` | a bug report |
| `libreplace report --answers > answers.txt` | another build, by `-Dcross_answers=answers.txt` |
| `libreplace report --json` | programs |
| `libreplace compare A.json B.json ...` | two or more, side by side, with the exit status of diff(1) |
| the summary of `meson setup` | whoever builds |
| `pkg-config --variable=scope libreplace` | build systems; also `backend`, `system`, `libc` |
| `dependency('libreplace').get_variable('scope')` | a parent project in Meson; the same names |
| `libreplace_build_info("scope")` | C as it runs; `version` too; NULL is all of them |

Each of `report` takes a file as well: `libreplace report --html BUILD/replace/build_report.json`. On the page every
question unfolds to its source, command and what came of it. An answer given by hand decides, while a run does not, so
`--answers` writes what leads to the same verdict where headers and options are the same; comments say what was found.

## What a reader may rely on

`schema_version` is 1. A reader takes the versions that it knows and refuses others, as `libreplace report FILE` and
`libreplace compare` do, with exit status 2. Within one version

* fields, questions, calls, steps of the decision, and keys of `options`, `machine` and `toolchain` are **added** only;
  a field that comes later is an optional one. A reader ignores what it does not know, and so does the schema;
* a field keeps its name, type and meaning; a question's `id` keeps what it asks; an enumeration keeps its values and
  gets no new ones;
* sentences for people (`rule`, `warnings`, `evidence`, the steps' `question` and `detail`) and programs (`source`,
  `command`) may be worded anew. Do not compare or parse them.

Everything else makes a new `schema_version`.

There are two copies. The one in the build folder, `BUILD/replace/build_report.json`, holds everything; look at it
before you publish it. The installed one holds no paths and no host names. It holds the results of the run probes, with
the kernel's release and the builder's effective uid, unless `SOURCE_DATE_EPOCH` is set: such a build must come out the
same everywhere. `left_out` says what a copy does not hold.
"""


def between(page: str, made: str) -> str:
    """The text of a page, with `made` between its two marks."""
    head, rest = (DOCS / page).read_text().split(BEGIN)
    return head + BEGIN + made + END + rest.split(END)[1]


def report_of(family: str, credentials: str = "auto") -> dict[str, Any]:
    """The report of a platform family, by its golden answers."""
    answers = json.loads((golden.GOLDEN / FAMILIES[family] / "answers.json").read_text())
    return build_side.build({**answers, "option:credentials": credentials}, True)


def calls_of(family: str, credentials: str = "auto") -> dict[str, str]:
    """For each call, the code that it runs."""
    verdict = report_of(family, credentials)["verdict"]
    found = {}
    for call in verdict["calls"]:
        emulation = " or ".join(code(symbol) for symbol in call["symbol"].split(", "))
        found[call["name"]] = emulation if call["backend"] == "emulated" else code(call["symbol"])
    return found


def linux_calls() -> list[list[str]]:
    """A row for each call: its name, its raw call, its call of libc.  Raises AssertionError if families differ."""
    raw, libc = calls_of("glibc 64-bit"), calls_of("glibc 64-bit", "libc")
    assert calls_of("musl", "syscall") == raw
    assert calls_of("musl") == libc
    for name, call in calls_of("glibc 32-bit").items():
        assert call == raw[name] or call == raw[name][:-1] + "32`", name
    return [[code(name), raw[name], libc[name]] for name in raw]


def other_calls() -> list[list[str]]:
    """A row for each call that is not libc's call of the same name in every other system."""
    found = [calls_of(family) for family in OTHERS]
    return [
        [code(name), *(calls[name] for calls in found)]
        for name in found[0]
        if any(calls[name] != code(name) for calls in found)
    ]


def different_answers() -> list[str]:
    """A line for each answer but `no` that some families give and others do not: the families, then the questions."""
    answers = {
        family: {question["id"]: question["answer"] for question in report_of(family)["questions"]}
        for family in FAMILIES
    }
    found: dict[str, list[str]] = {}
    for question in questions():
        families: dict[str, list[str]] = {}
        for family in FAMILIES:
            families.setdefault(answers[family][question.id], []).append(family)
        for answer, names in families.items() if len(families) > 1 else ():
            if answer != "no":
                where = ", ".join(names).replace(", ".join(LINUX), "Linux")
                name = code(question.id.removeprefix("libreplace_"))
                found.setdefault(where, []).append(name if answer == "yes" else f"{name} ({code(answer)})")
    return [f"* {where}: {', '.join(names)}" for where, names in found.items()]


def platforms() -> str:
    """platforms.md as it is, with new tables of calls and answers."""
    lines = [
        "**Linux.** On 32-bit platforms, the names of the raw calls end in `32`, for example `SYS_setresuid32`.",
        "",
        *table(("call", "raw call", "libc's call"), linux_calls()),
        "",
        "**Other systems.** A call that is not in this table is libc's call of the same name.",
        "",
        *table(("call", *OTHERS), other_calls()),
        "",
        "**Questions** of the build with different answers, by the platforms that answer yes. Other answers are in",
        "parentheses. Each id begins with `libreplace_`.",
        "",
        *different_answers(),
    ]
    return between("platforms.md", "\n".join(lines) + "\n")


def _kind(field: dict[str, Any]) -> str:
    """A field's type in words."""
    if "$ref" in field:
        return code(str(field["$ref"]).rpartition("/")[2])
    if "enum" in field:
        return ", ".join(code(value) for value in field["enum"])
    if "const" in field:
        return code(str(field["const"]))
    if field["type"] == "array":
        return f"list of {_kind(field['items'])}"
    if "additionalProperties" in field:
        return "names with strings"
    return str(field["type"])


def fields(schema: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """(heading, rows) of every object: field, type, whether it is always there, meaning."""

    def rows(place: dict[str, Any]) -> list[list[str]]:
        return [
            [
                code(name),
                code(name) if "properties" in field else _kind(field),
                "always" if name in place["required"] else "at times",
                field["description"],
            ]
            for name, field in place["properties"].items()
        ]

    inner = {name: field for name, field in schema["properties"].items() if "properties" in field}
    objects = {"The document": schema, **inner, **schema["$defs"]}
    return [(name, rows(place)) for name, place in objects.items()]


def report() -> str:
    text = REPORT
    for heading, rows in fields(SCHEMA):
        text += f"\n## {heading}\n\n" + "\n".join(table(("field", "type", "there", "what it is"), rows)) + "\n"
    return text


#: Kind of question -> how the compiler answers it.
HOW = {
    "header": "Does the header exist?",
    "define": "What is the value of the macro?",
    "symbol": "Can a program be linked that uses the function?",
    "number": "Does `<sys/syscall.h>` have the number?",
    "type": "What is the size of the type?",
    "link": "Can the probe be linked?",
}


def packaging() -> str:
    """packaging.md as it is, with new tables of questions: first those that a packager may answer."""
    given = asked()
    lines = [
        *table(
            ("id (machine file)", "question (answers file)"), [[code(name), words] for words, name in given.items()]
        ),
        "",
        "The compiler answers all other questions. You cannot answer them yourself.",
    ]
    for kind, how in HOW.items():
        rows = [[code(q.id), q.words] for q in questions() if q.kind == kind and q.id not in given.values()]
        lines += ["", how, "", *table(("id", "question"), rows)]
    return between("packaging.md", "\n".join(lines) + "\n")


PAGES = {"platforms.md": platforms, "report.md": report, "packaging.md": packaging}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make())
