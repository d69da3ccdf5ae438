# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace compare`: prints reports side by side, with a column for each report, and marks the differences."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections import Counter
from typing import NamedTuple

from . import markdown
from .completion import FILE, complete_as
from .documents import RUNS, SECTIONS, answered, facts, load
from .text import Failed, fold, say, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

HELP = "compare build reports"
DESCRIPTION = """\
Print two or more build reports side by side, and mark the differences.

Each report is a column. A value that differs from the most common one is marked. The most important facts are always
shown, everything else only if it differs: the version, options, machine and toolchain of the build, the steps of the
decision, the calls, the compiler's answers, and the results of the probes that the build ran. The last lines say which
of these differ, and whether the verdict is the same. Texts such as evidence are not compared.

A table that is wider than the terminal becomes a list. --json has every value, also equal ones."""
EXIT_STATUS = {
    0: "the reports say the same",
    1: "the reports differ, even if only the toolchain, or another fact about the build, differs",
    2: "there are fewer than two FILEs, or a FILE is not a report that this version of libreplace can read",
}
EXAMPLE = "libreplace compare debian.json alpine.json"


class Row(NamedTuple):
    """A value from each report. None means that a report does not have it, which is not a difference."""

    name: str
    cells: list[str | None]
    always: bool = False  # it is shown even if all reports say the same

    @property
    def differs(self) -> bool:
        return len({cell for cell in self.cells if cell is not None}) > 1

    @property
    def common(self) -> str | None:
        """The most common cell; of equally common ones, the first."""
        return next((cell for cell, _ in Counter(filter(None, self.cells)).most_common(1)), None)

    def marked(self, mark: Callable[[str], str]) -> list[str]:
        """The cells as text; the uncommon ones with a mark."""
        common = self.common
        return ["-" if c is None else c if c == common else mark(c) for c in self.cells]


class Part(NamedTuple):
    """Rows of one kind."""

    title: str
    rows: list[Row]

    @property
    def shown(self) -> list[Row]:
        return [row for row in self.rows if row.always or row.differs]

    @property
    def differs(self) -> bool:
        return any(row.differs for row in self.rows)


#: The parts that are the verdict: if they are equal, the code of both builds makes the same calls.
_VERDICT = ("facts", "steps", "calls")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for programs")
    form.add_argument("--markdown", action="store_true", help="print GitHub Markdown")
    file = parser.add_argument(
        "file",
        metavar="FILE",
        nargs="+",
        help="a report: the output of `libreplace report --json`, or BUILD/replace/build_report.json",
    )
    complete_as(file, FILE)


def names(paths: Sequence[str]) -> list[str]:
    """A short name for each file: its name without .json, and as many of its folders as make the names different."""
    parts = [os.path.abspath(path).removesuffix(".json").split(os.sep) for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        short = ["/".join(part[-length:]) for part in parts]
        if len(set(short)) == len(short):
            return short
    return list(paths)  # the same file twice


def _call(call: dict[str, Any]) -> str:
    return call["symbol"] if call["backend"] == "none" else f"{call['backend']} {call['symbol']}, {call['scope']}"


def _ordered(found: Sequence[dict[str, Any]]) -> list[str]:
    """The keys of all dicts, each once, in the order in which they first appear."""
    return list(dict.fromkeys(key for one in found for key in one))


def parts(documents: list[dict[str, Any]]) -> list[Part]:
    """Everything that is compared."""
    verdicts = [document["verdict"] for document in documents]
    chosen = [
        Row("back end", [v["backend"] for v in verdicts], True),
        Row("scope", [v["scope"] for v in verdicts], True),
        Row("system", [v["system"] for v in verdicts], True),
        Row("libc", [f"{v['libc']} {v['libc_version']}".strip() for v in verdicts], True),
        Row("32-bit system calls", ["yes" if v["linux_32bit_syscalls"] else "no" for v in verdicts]),
        Row("Samba's macro", [v["samba_macro"] or "none" for v in verdicts]),
    ]
    # A copy without the results of run probes has no warnings to compare.
    warnings = [None if RUNS in d["left_out"] else str(len(d["verdict"]["warnings"])) for d in documents]
    build = [
        Row("version", [d["version"] for d in documents], True),
        *_section_rows(documents),
        Row("warnings", warnings),
    ]
    steps = [{step["question"]: step["answer"] or "not asked" for step in d["decision"]} for d in documents]
    calls = [{call["name"]: _call(call) for call in v["calls"]} for v in verdicts]
    asked: list[dict[str, str | None]] = [{} for _ in documents]
    probes: list[dict[str, str | None]] = [{} for _ in documents]
    for document, answers, results in zip(documents, asked, probes, strict=True):
        for question in document["questions"]:
            name = question["id"].removeprefix("libreplace_")
            if question["kind"] == "run":
                results[name] = None if question["how"] == "not recorded" else answered(question)
            else:
                answers[name] = question["answer"]
    return [
        Part("facts", chosen),
        Part("build", build),
        Part("steps", _rows(steps, None)),
        Part("calls", _rows(calls, "-")),
        Part("answers", _rows(asked, "not asked")),
        Part("probes", _rows(probes, "not asked")),
    ]


def _rows(found: Sequence[dict[str, Any]], missing: str | None) -> list[Row]:
    """A row for each name that any report has."""
    return [Row(name, [values.get(name, missing) for values in found]) for name in _ordered(found)]


def _section_rows(documents: list[dict[str, Any]]) -> Iterator[Row]:
    """The options, the machine and the toolchain. An older report, or an installed copy, does not have all of them."""
    always = ("machine cpu_family", "toolchain compiler")
    for section in SECTIONS:
        known = [facts(document, section) for document in documents]
        for key in _ordered(known):
            name = f"-D{key}" if section == "options" else f"{section} {key}"
            yield Row(name, [values.get(key) for values in known], name in always)


def conclusion(documents: list[dict[str, Any]], found: list[Part]) -> list[str]:
    """Which parts differ, in sentences."""
    different = [part.title for part in found if part.differs]
    same = [part.title for part in found if not part.differs]
    evidence = [[(q["id"], q["evidence"]) for q in d["questions"]] for d in documents]
    if not different:
        texts = " Only texts of evidence differ." if any(one != evidence[0] for one in evidence) else ""
        return [f"The reports say the same.{texts}"]
    if not set(different) & set(_VERDICT):
        return [f"The verdict and all calls are the same. Different: {', '.join(different)}."]
    return [f"Different: {', '.join(different)}.", f"The same: {', '.join(same) or 'nothing'}."]


def as_text(heads: list[str], found: list[Part], ends: list[str]) -> list[str]:
    lines = [line for part in found if part.shown for line in (*_block(heads, part), "")]
    return [*lines, "* differs from the most common value, - is not in that report", "", *ends]


def _block(heads: list[str], part: Part) -> list[str]:
    """A table, or, if the terminal is too narrow for it, a list: each value with the reports that have it."""
    lines = table((part.title, *heads), [(row.name, *row.marked("* {}".format)) for row in part.shown])
    if max(map(len, lines)) <= shutil.get_terminal_size().columns:
        return lines
    lines = [f"{part.title}:"]
    for row in part.shown:
        lines += fold(row.name, 2)
        holders: dict[str, list[str]] = {}
        for cell, name in zip(row.marked("* {}".format), heads, strict=True):
            holders.setdefault(cell, []).append(name)
        for cell, names in holders.items():
            lines += fold(f"{cell}: {', '.join(names)}", 4 if cell.startswith("* ") else 6)
    return lines


def as_markdown(heads: list[str], found: list[Part], ends: list[str]) -> list[str]:
    code, lines = markdown.code, []
    for part in found:
        rows = []
        for row in part.shown:
            cells = [None if cell is None else code(cell) or "-" for cell in row.cells]
            rows.append([code(row.name), *Row(row.name, cells).marked("**{}**".format)])
        lines += [*markdown.table([part.title, *map(code, heads)], rows), ""] if rows else []
    legend = "**Bold** differs from the most common value, `-` is not in that report."
    return [*lines, legend, "", " ".join(ends)]


def as_json(heads: list[str], found: list[Part], ends: list[str]) -> list[str]:
    document: dict[str, Any] = {
        "reports": heads,
        "same": not any(part.differs for part in found),
        "differ": [part.title for part in found if part.differs],
    }
    for title, rows in found:
        document[title] = {row.name: dict(zip(heads, row.cells, strict=True)) for row in rows}
    return json.dumps(document, indent=1).split("\n")


def run(arguments: argparse.Namespace) -> int:
    if len(arguments.file) < 2:
        raise Failed("name at least two FILEs")
    documents = [load(path) for path in arguments.file]
    found = parts(documents)
    form = as_json if arguments.json else as_markdown if arguments.markdown else as_text
    say(*form(names(arguments.file), found, conclusion(documents, found)))
    return int(any(part.differs for part in found))
