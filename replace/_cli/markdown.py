# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The report as GitHub Markdown, for a bug report: what it says first, the questions folded away.

Whatever the build found is in code spans: there no name is a mention, no number an issue.
"""

from __future__ import annotations

import re

from .documents import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def code(text: str) -> str:
    """A code span, whatever the text; empty for an empty one."""
    text = " ".join(text.split())
    if not text:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(text: str) -> str:
    """GitHub takes a backslash before an escaped pipe for its escape, others do not: keep them apart."""
    return re.sub(r"\\(?=\|)", r"\\ ", text).replace("|", r"\|")


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table; the cells are Markdown already."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in [head, *rows]]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def as_markdown(document: dict[str, Any]) -> str:
    verdict = document["verdict"]
    lines = [
        f"### libreplace {code(document['version'])}: {code(verdict['backend'])} back end, "
        f"one call changes one {verdict['scope']}",
        "",
        f"- decided by {code(verdict['rule'])}",
        f"- for {code(machine(document))}",
    ]
    for title in ("machine", "toolchain", "options"):
        lines.append(f"- {title}: " + (code(", ".join(f"{k} {v}" for k, v in document[title].items())) or "not told"))
    lines += [f"- **warning**: {code(warning)}" for warning in verdict["warnings"]]
    lines += [f"- answered by hand: {code(used)}" for used in document["overrides"]["used"]]
    lines += [f"- **answer not used**: {code(unused)}" for unused in document["overrides"]["unused"]]
    calls = [[*map(code, (c["name"], c["backend"], c["symbol"])), c["scope"]] for c in verdict["calls"]]
    lines += ["", *table(("call", "back end", "symbol", "scope"), calls), ""]
    questions = [
        [*map(code, (q["question"], q["answer"])), q["how"], code(q["evidence"])] for q in document["questions"]
    ]
    lines += ["<details>", f"<summary>All {len(questions)} questions, with their evidence</summary>", ""]
    return "\n".join([*lines, *table(("question", "answer", "how", "evidence"), questions), "", "</details>"])
