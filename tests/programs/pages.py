# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the generated parts of the docs.

report.md is made from the report's schema, the questions in packaging.md from detect/questions.py, and the calls and
answers in platforms.md from the golden answers. man-sections.txt is made from the subcommands; argparse-manpage
includes it into the man page.

usage: python tests/programs/pages.py   (with the package installed)

test_pages.py fails if one is out of date.  platforms.py prints the other table of platforms.md.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402  # it also puts detect/ on the path
import report as build_side  # noqa: E402
from cross_answers import asked  # noqa: E402
from questions import questions  # noqa: E402
from support.schema import SCHEMA  # noqa: E402

from replace.__main__ import COMMANDS  # noqa: E402
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

Every build writes one JSON document: what it found, what it decided, and why. The tutorial
[I read a build report](start-report.md) shows how to read it.

## Forms of the report

| form | use |
|---|---|
| `libreplace report` | text for a terminal: the verdict, the calls, each question with its evidence |
| `libreplace report --html > report.html` | one page for a browser, without scripts |
| `libreplace report --markdown` | a bug report |
| `libreplace report --answers > answers.txt` | another build with the same verdict, by `-Dcross_answers=answers.txt` |
| `libreplace report --json` | programs; the same as `replace.report()` in Python |
| `libreplace compare A.json B.json ...` | two or more reports side by side; exit status 1 if they differ |
| the summary of `meson setup` | the verdict, at the end of the configure step |
| `pkg-config --variable=scope libreplace` | build systems; also `backend`, `system`, `libc` |
| `dependency('libreplace').get_variable('scope')` | a parent project in Meson; the same names |
| `libreplace_build_info("scope")` | C, at run time; the same names and `version`; `NULL` gives all of them |

`libreplace report` also takes a file: `libreplace report --html BUILD/replace/build_report.json`. The HTML page shows
the steps of the decision, and the program, command and result of each question.

`--answers` writes the answers that lead to the same verdict with the same headers and options. They can differ from
what the build found, because the result of a run does not change the verdict, but an answer given by hand does.
Comments in the file say what the build found.

## Where it is

The build folder has a copy in `BUILD/replace/build_report.json`, also with `-Dpython=false`. This copy has everything,
also host names and paths: look at it before you publish it.

The Python package contains another copy. It has no paths and no host names. It has the results of the run probes (small
programs that the build ran), with the kernel's release and the builder's effective uid. If `SOURCE_DATE_EPOCH` is set,
it leaves these results out, because such a build must give the same files on every machine. The field `left_out` says
what a copy leaves out.

## What a reader can rely on

A *reader* is a program that reads reports. The schema (JSON Schema 2020-12) is installed as
`replace/report.schema.json`. `schema_version` is 1. A reader accepts the versions that it knows and refuses all others.
`libreplace report FILE` and `libreplace compare` refuse a file with exit status 2.

Within one version:

* Fields, questions, calls, steps of the decision, and keys of `options`, `machine` and `toolchain` are only **added**.
  A new field is optional. A reader ignores fields that it does not know, and the schema permits
  them.
* A field keeps its name, type and meaning. A question's `id` keeps its meaning. An enumeration keeps its values and
  gets no new ones.
* Sentences for people (`rule`, `warnings`, `evidence`, the steps' `question` and `detail`) and programs (`source`,
  `command`) can change. Do not compare or parse them.

Any other change gives a new `schema_version`.

`python tests/programs/pages.py` makes the lists below from the schema. If the type of a field has a name such as
`verdict`, the list with this name describes it. All fields are always present, except fields marked *optional*.
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
        "**Questions** of the build that these platforms answer differently. Each line names the platforms that",
        "answer yes. Any other answer, such as the value of a macro, is in parentheses. Each id begins with",
        "`libreplace_`.",
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
        return "object of strings"
    return str(field["type"])


def fields(schema: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """(heading, rows) of every object: field, type, meaning."""

    def rows(place: dict[str, Any]) -> list[list[str]]:
        return [
            [
                code(name),
                (code(name) if "properties" in field else _kind(field))
                + ("" if name in place["required"] else "; *optional*"),
                field["description"],
            ]
            for name, field in place["properties"].items()
        ]

    inner = {name: field for name, field in schema["properties"].items() if "properties" in field}
    objects = {"The document": schema, **inner, **schema["$defs"]}
    return [(name, rows(place)) for name, place in objects.items()]


def report() -> str:
    lines = [REPORT]
    for heading, rows in fields(SCHEMA):
        lines += [f"## {heading}\n"]
        lines += [_wrapped(f"- {name} ({kind}): {meaning}") for name, kind, meaning in rows]
        lines += [""]
    return "\n".join(lines)


def _wrapped(item: str) -> str:
    """An item of a list, in lines as long as the other lines of the docs."""
    return textwrap.fill(item, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


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


#: The parts of the man page that are not made from the parser; for `argparse-manpage --include`.
MAN = r"""[=EXIT STATUS]
A wrong option or argument gives 2.
{statuses}
[=EXAMPLES]
{examples}
[=FILES]
.TP
.I BUILD/replace/build_report.json
The report of a build. It has host names and paths, which the report in the installed package leaves out.
.TP
.I report.schema.json
The JSON Schema of the report, in the installed Python package.
[=SEE ALSO]
.BR setresuid (2),
.BR capabilities (7),
.BR credentials (7),
.BR user_namespaces (7)
"""


def man_sections() -> str:
    def roff(text: str) -> str:
        return text.replace("\\", r"\e").replace("-", r"\-")

    statuses = [
        line
        for name, module in COMMANDS.items()
        for line in (
            f".SS libreplace {name}",
            *(f".TP\n.B {status}\n{roff(meaning)}" for status, meaning in module.EXIT_STATUS.items()),
        )
    ]
    examples = [f".TP\n.B {roff(module.EXAMPLE)}\n{roff(module.HELP)}" for module in COMMANDS.values()]
    return MAN.format(statuses="\n".join(statuses), examples="\n".join(examples))


PAGES = {
    "platforms.md": platforms,
    "report.md": report,
    "packaging.md": packaging,
    "man-sections.txt": man_sections,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make())
