# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace report` as text: on one screen what was decided, why and what ran; with --all, every question."""

from __future__ import annotations

from itertools import groupby

from .documents import REACH, SECTIONS, answered, facts, machine, ring, steps
from .text import fold, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BACKENDS = {
    "syscall": "raw system calls",
    "libc": "libc's functions",
    "emulated": "other functions of libc",
    "none": "not possible here (ENOSYS)",
}


def as_text(document: dict[str, Any]) -> list[str]:
    """What was decided, why, and what the build ran."""
    probes = [question for question in document["questions"] if question["kind"] == "run"]
    lines = [*_verdict(document), *_grouped_calls(document), *_decision(document)]
    lines += ["", "Questions that need a run. The result of a run is evidence, and never decides:"]
    for evidence, same in groupby(probes, lambda question: question["evidence"]):
        lines += [line for q in same for line in fold(f"{q['question']}: {answered(q)}", 2)]
        lines += _evidence(evidence)
    return [*lines, "", "`libreplace report --all` lists every question, the options and the tools."]


def as_all(document: dict[str, Any]) -> list[str]:
    """The same, with a row for each call and each question, and the facts about the build."""
    calls = [(c["name"], c["backend"], c["symbol"], c["scope"]) for c in document["verdict"]["calls"]]
    lines = [*_verdict(document), "", *table(("call", "back end", "symbol", "scope"), calls), *_decision(document), ""]
    questions = document["questions"]
    asked = [(question["question"], answered(question)) for question in questions]
    head, rule, *rows = table(("question", "answer"), asked, widest=63)  # one of Samba's is longer, on i386 and arm
    lines += [head, rule]
    for row, question in zip(rows, questions, strict=True):
        lines += [row, *_evidence(question["evidence"])]
    for title in SECTIONS:
        lines += ["", f"{title}:"]
        lines += [line for key, value in facts(document, title).items() for line in fold(f"{key}: {value}", 2)]
    return lines


def _evidence(text: str) -> list[str]:
    """The text may have several lines: a command, and the compiler's message."""
    return [line for part in text.splitlines() for line in fold(part, 6)]


def _verdict(document: dict[str, Any]) -> list[str]:
    verdict, given = document["verdict"], document["overrides"]
    compiler = document["toolchain"].get("compiler")
    lines = [
        f"libreplace {document['version']}: {verdict['backend']} back end, a call changes {REACH[verdict['scope']]}",
        *fold(f"rule: {verdict['rule']}"),
        *fold(f"built for: {machine(document)}" + (f"; with {compiler}" if compiler else "")),
        *(fold(f"ring (io_uring): {ring(document)}") if ring(document) else []),
    ]
    for title, texts in (
        ("warning", verdict["warnings"]),
        ("answer given by hand", given["used"]),
        ("answer given by hand, but not used", given["unused"]),
    ):
        lines += [line for text in texts for line in fold(f"{title}: {text}")]
    return lines


def _grouped_calls(document: dict[str, Any]) -> list[str]:
    """The names of the calls, by back end and scope. A symbol is shown if the name does not say it."""
    groups: dict[str, list[str]] = {}
    for call in document["verdict"]["calls"]:
        scope = f", {REACH[call['scope']]}" if call["scope"] in REACH else ""
        own = {"libc": call["name"], "syscall": f"SYS_{call['name']}", "none": call["symbol"]}.get(call["backend"])
        name = call["name"] if call["symbol"] == own else f"{call['name']} ({call['symbol']})"
        groups.setdefault(_BACKENDS[call["backend"]] + scope, []).append(name)
    lines = ["", f"The {len(document['verdict']['calls'])} calls:"]
    for title, names in groups.items():
        lines += fold(f"{title}: {', '.join(names)}", 2)
    return lines


def _decision(document: dict[str, Any]) -> list[str]:
    lines = ["", "How it was decided, with the answers that each step used:"]
    for step in steps(document):
        used = "; ".join(f"{', '.join(subjects)}: {answer}" for answer, subjects in step.answers.items())
        text = f"{step.question} {step.answer}" + (f" ({step.detail})" if step.detail else "")
        lines += fold(text + (f"; from {used}" if used else ""), 2)
    return lines
