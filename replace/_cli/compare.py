# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace compare`: prints reports side by side, with a column for each report, and marks the differences."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter

from . import markdown
from .completion import FILE, complete_as
from .documents import RUNS, load, needs_fields
from .text import Failed, say, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

Row = tuple[str, list[str]]  # name, a cell for each report
Table = tuple[str, list[Row]]

HELP = "compare build reports"
DESCRIPTION = """\
Print two or more build reports side by side, and mark the differences.

Each report is a column. A value that differs from the most common one is marked. Facts and calls are always shown,
answers only if they differ."""
EXIT_STATUS = {
    0: "the reports say the same",
    1: "the reports differ",
    2: "there are fewer than two FILEs, or a FILE is not a report that this version of libreplace can read",
}
EXAMPLE = "libreplace compare debian.json alpine.json"


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


def _call(call: dict[str, Any] | None) -> str:
    if call is None:
        return "-"
    return call["symbol"] if call["backend"] == "none" else f"{call['backend']} {call['symbol']}, {call['scope']}"


def _ordered(documents: list[dict[str, Any]], keys: Callable[[dict[str, Any]], list[str]]) -> list[str]:
    """The keys of all documents, each once, in the order in which they first appear."""
    return list(dict.fromkeys(key for document in documents for key in keys(document)))


def tables(documents: list[dict[str, Any]]) -> list[Table]:
    """(title, rows): facts, calls, and the answers that differ."""
    verdicts = [document["verdict"] for document in documents]
    facts: list[Row] = [
        ("back end", [v["backend"] for v in verdicts]),
        ("scope", [v["scope"] for v in verdicts]),
        ("system", [v["system"] for v in verdicts]),
        ("libc", [f"{v['libc']} {v['libc_version']}".strip() for v in verdicts]),
    ]
    # Shown only if they differ. A copy without results of run probes has no warnings to compare.
    further: list[Row] = [
        ("-Dcredentials", [d["options"].get("credentials", "-") for d in documents]),
        ("warnings", [str(len(d["verdict"]["warnings"])) if RUNS not in d["left_out"] else "-" for d in documents]),
        ("version", [d["version"] for d in documents]),
    ]
    calls = [{call["name"]: call for call in v["calls"]} for v in verdicts]
    answers = [{q["id"]: q["answer"] for q in d["questions"]} for d in documents]
    call_names = _ordered(documents, lambda d: [c["name"] for c in d["verdict"]["calls"]])
    ids = _ordered(documents, lambda d: [q["id"] for q in d["questions"]])
    asked: list[Row] = [(i.removeprefix("libreplace_"), [a.get(i, "not asked") for a in answers]) for i in ids]
    return [
        ("fact", facts + [row for row in further if len(set(row[1])) > 1]),
        ("call", [(name, [_call(c.get(name)) for c in calls]) for name in call_names]),
        ("answer", [(name, cells) for name, cells in asked if len(set(cells)) > 1]),
    ]


def common(cells: list[str]) -> str:
    """The most common cell; of equally common ones, the first."""
    return Counter(cells).most_common(1)[0][0]


def as_text(heads: list[str], parts: list[Table]) -> str:
    blocks = []
    for title, rows in parts:
        marked = [(name, *(c if c == common(cells) else f"* {c}" for c in cells)) for name, cells in rows]
        blocks.append("\n".join(table((title, *heads), marked)) if rows else f"no {title} differs")
    return "\n\n".join([*blocks, "* differs from the most common value. Only answers that differ are shown."])


def as_markdown(heads: list[str], parts: list[Table]) -> str:
    code, blocks = markdown.code, []
    for title, rows in parts:
        marked = [
            [code(name), *(code(c) if c == common(cells) else f"**{code(c)}**" for c in cells)] for name, cells in rows
        ]
        lines = markdown.table([title, *map(code, heads)], marked)
        blocks.append("\n".join(lines) if rows else f"No {title} differs.")
    return "\n\n".join([*blocks, "**Bold**: differs from the most common value. Only answers that differ are shown."])


def as_json(heads: list[str], parts: list[Table]) -> str:
    document: dict[str, Any] = {"reports": heads, "same": not differ(parts)}
    for title, rows in parts:
        document[f"{title}s"] = {name: dict(zip(heads, cells, strict=True)) for name, cells in rows}
    return json.dumps(document, indent=1)


def differ(parts: list[Table]) -> bool:
    """Whether any row has two different cells."""
    return any(len(set(cells)) > 1 for _, rows in parts for _, cells in rows)


def run(arguments: argparse.Namespace) -> int:
    if len(arguments.file) < 2:
        raise Failed("name at least two FILEs")
    documents = []
    for path in arguments.file:
        document = load(path)
        with needs_fields(path):
            tables([document])
        documents.append(document)
    parts = tables(documents)
    form = as_json if arguments.json else as_markdown if arguments.markdown else as_text
    say(form(names(arguments.file), parts))
    return int(differ(parts))
