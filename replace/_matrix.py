# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Many reports side by side: a column a machine, a row a call; what differs from the most common is marked."""

from __future__ import annotations

import os
from collections import Counter

from . import _report, _report_markdown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

Row = tuple[str, list[str]]


def names(paths: Sequence[str]) -> list[str]:
    """A short name for each file: its own without .json, with as many folders as tell it from the others."""
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
    """The keys of all documents, in the order of the first that has each."""
    return list(dict.fromkeys(key for document in documents for key in keys(document)))


def tables(documents: list[dict[str, Any]]) -> list[tuple[str, list[Row]]]:
    """(title, rows): facts, calls, and the answers that are not the same everywhere."""
    verdicts = [document["verdict"] for document in documents]
    facts: list[Row] = [
        ("back end", [v["backend"] for v in verdicts]),
        ("scope", [v["scope"] for v in verdicts]),
        ("system", [v["system"] for v in verdicts]),
        ("libc", [f"{v['libc']} {v['libc_version']}".strip() for v in verdicts]),
    ]
    # As far as they differ: how it was asked for, evidence against (which portable reports do not keep), by what
    further: list[Row] = [
        ("-Dcredentials", [d["options"].get("credentials", "-") for d in documents]),
        ("warnings", [str(len(d["verdict"]["warnings"])) if d["profile"] == "full" else "-" for d in documents]),
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
    """The cell of most machines, of the first where there are as many of two."""
    return Counter(cells).most_common(1)[0][0]


def as_text(heads: list[str], documents: list[dict[str, Any]]) -> str:
    parts = []
    for title, rows in tables(documents):
        marked = [(name, *(c if c == common(cells) else f"* {c}" for c in cells)) for name, cells in rows]
        parts.append("\n".join(_report.table((title, *heads), marked)) if rows else f"no {title} differs")
    return "\n\n".join([*parts, "* differs from the most common; of answers, those that differ are shown"])


def as_markdown(heads: list[str], documents: list[dict[str, Any]]) -> str:
    code, parts = _report_markdown.code, []
    for title, rows in tables(documents):
        marked = [
            [code(name), *(code(c) if c == common(cells) else f"**{code(c)}**" for c in cells)] for name, cells in rows
        ]
        table = _report_markdown.table([title, *map(code, heads)], marked)
        parts.append("\n".join(table) if rows else f"No {title} differs.")
    return "\n\n".join([*parts, "**Bold**: differs from the most common. Of answers, those that differ are shown."])


def show(paths: Sequence[str], markdown: bool) -> str:
    """The matrix of these files.  Raises NotAReport."""
    documents = [_report.load(path) for path in paths]
    return (as_markdown if markdown else as_text)(names(paths), documents)
