# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads the report that the build left in the package (detect/report.py made it)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _resource(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def report() -> dict[str, Any]:
    """The build report: the verdict, the rule that decided, each question with its evidence.

    A fresh copy of the JSON document whose schema is report_schema().
    """
    import json

    document: dict[str, Any] = json.loads(_resource("build_report.json"))
    return document


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every report satisfies."""
    import json

    schema: dict[str, Any] = json.loads(_resource("report.schema.json"))
    return schema


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


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of text, the columns as wide as they need."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, tuple("-" * width for width in widths[:-1]) + ("-" * len(head[-1]),), *rows]
    ]
