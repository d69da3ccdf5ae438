# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The pages of the docs that are made: report.md from the report's schema, the table of questions in packaging.md
from detect/questions.py, and what each call is in platforms.md from the golden answers.

usage: python tests/programs/pages.py   (with the package installed; writes them anew)

test_pages.py fails when one is stale.  The other table of platforms.md, what was run where, is by platforms.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402  # which puts detect/ on the path, too
import report as build_side  # noqa: E402
from cross_answers import asked  # noqa: E402
from questions import questions  # noqa: E402
from support.schema import SCHEMA  # noqa: E402

from replace._cli import compare  # noqa: E402
from replace._cli.markdown import code, table  # noqa: E402

DOCS = TESTS.parent / "docs"
BEGIN, END = "<!-- made by tests/programs/pages.py -->\n", "<!-- end of what is made -->\n"

#: column, golden answers, -Dcredentials
COLUMNS = (
    ("linux glibc 64-bit", "linux-glibc-x86_64", "auto"),
    ("linux glibc 32-bit", "linux-glibc-i386", "auto"),
    ("linux glibc, libc's calls", "linux-glibc-x86_64", "libc"),
    ("linux musl", "linux-musl-x86_64", "auto"),
    ("linux musl, raw calls", "linux-musl-x86_64", "syscall"),
    ("macos", "macos-aarch64", "auto"),
    ("freebsd", "freebsd-x86_64", "auto"),
    ("netbsd", "netbsd-x86_64", "auto"),
)

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
    """A page as it is, with what is made between the two marks."""
    head, rest = (DOCS / page).read_text().split(BEGIN)
    return head + BEGIN + made + END + rest.split(END)[1]


def platforms() -> str:
    made = compare.as_markdown([name for name, _, _ in COLUMNS], compare.tables(reports()))
    return between("platforms.md", f"{made}\n")


def reports() -> list[dict[str, Any]]:
    """The report of each column."""
    made = []
    for _, family, credentials in COLUMNS:
        answers = json.loads((golden.GOLDEN / family / "answers.json").read_text())
        made.append(build_side.build({**answers, "option:credentials": credentials}, True))
    return made


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


def packaging() -> str:
    """The page as it is, with every question: what one may answer first, then what the compiler answers."""
    given = asked()
    others = [[code(q.id), q.words, HOW[q.kind]] for q in questions() if q.id not in given.values()]
    lines = [
        *table(
            ("id (machine file)", "question (answers file)"), [[code(name), words] for words, name in given.items()]
        ),
        "",
        "The compiler answers the others, cross compiling or not; there is nothing to give:",
        "",
        *table(("id", "question", "answered by"), others),
    ]
    return between("packaging.md", "\n".join(lines) + "\n")


PAGES = {"platforms.md": platforms, "report.md": report, "packaging.md": packaging}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make())
