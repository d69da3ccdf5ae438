# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report --markdown`: the report for a bug report on GitHub. The questions are folded away.

All texts from the build are in code spans, because GitHub turns names and numbers elsewhere into links.
"""

from __future__ import annotations

import re

from .documents import REACH, SECTIONS, facts, machine, ring, steps
from .text import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def code(text: str) -> str:
    """The text as a code span; an empty text stays empty."""
    text = harmless(" ".join(text.split()))
    if not text:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(text: str) -> str:
    """A table cell. Some parsers, such as GitHub's, misread a backslash before an escaped pipe: add a space."""
    return re.sub(r"\\(?=\|)", r"\\ ", text).replace("|", r"\|")


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table, from cells that are already Markdown."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in [head, *rows]]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def as_markdown(document: dict[str, Any]) -> list[str]:
    verdict = document["verdict"]
    lines = [
        f"### libreplace {code(document['version'])}: {code(verdict['backend'])} back end, "
        f"a call changes {REACH[verdict['scope']]}",
        "",
        f"- rule: {code(verdict['rule'])}",
        f"- built for: {code(machine(document))}",
        *([f"- ring (io_uring): {code(ring(document))}"] if ring(document) else []),
    ]
    for title in SECTIONS:
        known = facts(document, title).items()
        lines.append(f"- {title}: " + (", ".join(f"{code(k)} {code(v)}" for k, v in known) or "not recorded"))
    lines += [f"- **warning**: {code(warning)}" for warning in verdict["warnings"]]
    lines += [f"- answer given by hand: {code(used)}" for used in document["overrides"]["used"]]
    lines += [f"- **answer not used**: {code(unused)}" for unused in document["overrides"]["unused"]]
    calls = [[*map(code, (c["name"], c["backend"], c["symbol"])), c["scope"]] for c in verdict["calls"]]
    lines += ["", *table(("call", "back end", "symbol", "scope"), calls), ""]
    decided = [
        [
            code(step.question),
            code(step.answer) + (f" ({code(step.detail)})" if step.detail else ""),
            "; ".join(f"{', '.join(map(code, names))}: {code(answer)}" for answer, names in step.answers.items()),
        ]
        for step in steps(document)
    ]
    lines += [*table(("step", "answer", "from"), decided), ""]
    questions = [
        [*map(code, (q["question"], q["answer"])), q["how"], code(q["evidence"])] for q in document["questions"]
    ]
    lines += ["<details>", f"<summary>All {len(questions)} questions, with their evidence</summary>", ""]
    return [*lines, *table(("question", "answer", "how", "evidence"), questions), "", "</details>"]
