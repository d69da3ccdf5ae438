# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The way to the verdict, for people: which answers led to which back end, a step a question.

verdict.py decides, this only tells; test_verdict.py holds the two against each other for
every platform, option and answer.  The report draws it.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

from calls import WIDE
from verdict import EXPLICIT, SYSTEMS, THREAD, Answers, Verdict, how, yes


class Step(NamedTuple):
    question: str
    answer: str  # one of the exits
    detail: str  # what it rests on, in a few words
    exits: Tuple[Tuple[str, str], ...]  # (answer, next | syscall | libc | refused)
    questions: Tuple[str, ...] = ()  # the ids of the questions whose answers those are


def glibc_version(answers: Answers) -> str:
    return ".".join(str(answers.get("libreplace_define_" + m, "")) for m in ("glibc", "glibc_minor"))


def _yes_or_no(question: str, holds: bool, detail: str, exits: Tuple[str, str], *ids: str) -> Step:
    return Step(question, "yes" if holds else "no", detail, (("yes", exits[0]), ("no", exits[1])), ids)


def steps(answers: Answers, verdict: Verdict) -> List[Step]:
    """All of them, in the order in which they count; the first whose exit is not `next` decided."""
    option = str(answers.get("option:credentials", "auto"))
    impossible = "refused" if option == "syscall" else "libc"
    given = str(answers.get(THREAD, "")) if how(answers, THREAD) in EXPLICIT else ""
    wide = any(yes(answers, f"sys_{n}32") for n in WIDE)
    numbers = [f"sys_{n}{'32' if wide else ''}" for n in WIDE]
    have = sum(yes(answers, n) for n in numbers)
    macros = {system: "libreplace_define_" + macro for macro, system in SYSTEMS}
    linux = verdict.system == "linux"
    found = [
        Step("What does -Dcredentials ask for?", option, "", (("auto", "next"), ("syscall", "next"), ("libc", "libc"))),
        _yes_or_no(
            "Is it Linux?",
            linux,
            "" if linux else verdict.system,
            ("next", impossible),
            *([macros[verdict.system]] if verdict.system in macros else macros.values()),
        ),
        _yes_or_no(
            "Do the headers have the numbers of the calls?",
            have == len(numbers),
            f"{have} of {len(numbers)}" + (", those with 32-bit ids" if wide else ""),
            ("next", impossible),
            *("libreplace_" + n for n in numbers),
        ),
        _yes_or_no(
            "Does libc have syscall()?",
            yes(answers, "have_syscall"),
            "",
            ("next", impossible),
            "libreplace_have_syscall",
        ),
        _yes_or_no(
            "Does an answer given by hand say NO?",
            given == "no",
            f"{how(answers, THREAD)}: {given}" if given else "none was given",
            (impossible, "syscall" if option == "syscall" else "next"),
            THREAD,
        ),
        _yes_or_no(
            "Is libc glibc?",
            verdict.libc == "glibc",
            f"glibc {glibc_version(answers)}" if verdict.libc == "glibc" else verdict.libc,
            ("syscall", "libc"),
            *("libreplace_define_" + m for m in ("glibc", "uclibc", "bionic")),
        ),
    ]
    return found[:5] if option == "syscall" else found


def decision(answers: Answers, verdict: Verdict) -> List[Dict[str, Any]]:
    """The steps for the report; those after the one that decided have an empty answer."""
    rows: List[Dict[str, Any]] = []
    decided = False
    for step in steps(answers, verdict):
        rows.append(
            {
                "question": step.question,
                "answer": "" if decided else step.answer,
                "detail": "" if decided else step.detail,
                "exits": [{"answer": answer, "leads_to": to} for answer, to in step.exits],
                "questions": list(step.questions),
            }
        )
        decided = decided or dict(step.exits)[step.answer] != "next"
    return rows
