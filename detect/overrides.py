# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Answers given by hand that were not used, and why.

detect/meson.build takes each answer from the machine file or else from the answers file. It also records all that these
files say: `overrides:machine_file` has lines `id TAB answer`, `overrides:answers_file` has the lines of
`cross_answers.py read`. None of them may be lost without a word.
"""

from typing import Any, Dict, Iterator, NamedTuple, Tuple

from questions import THREAD

EXPLICIT = ("machine file", "answers file")
#: The end of an id in `overrides:answers_file`, if the line has Samba's words for headers with 32-bit numbers.
FOR_32_BIT = ":32"

#: How an answers file says the answers.
NAMES = {"yes": "OK", "no": "NO"}


class Unused(NamedTuple):
    """An answer that was not used."""

    text: str  # its question, its place and the reason
    contradicts: bool  # the build does otherwise than it says


def _given(answers: Dict[str, Any]) -> Iterator[Tuple[str, str, str]]:
    """Each answer given by hand, in the order in which they count: place, id, answer."""
    for line in str(answers.get("overrides:machine_file", "")).splitlines():
        name, _, answer = line.partition("\t")
        yield EXPLICIT[0], name, answer
    for line in str(answers.get("overrides:answers_file", "")).splitlines():
        number, name, answer = line.split("\t")
        yield f"{EXPLICIT[1]}, line {number}", name, answer


def not_used(answers: Dict[str, Any], moot: Dict[str, str], backend: str, has_32_bit: bool) -> Iterator[Unused]:
    """The answers that were not used. `moot` says why the answer to a run question does not matter."""
    counts: Dict[str, Tuple[str, str]] = {}  # id -> place and answer of the one that counts
    for place, name, answer in _given(answers):
        question_id, wide, _ = name.partition(FOR_32_BIT)
        moot_because = moot.get(question_id, "the compiler answers this question")
        contradicts = question_id not in moot
        if question_id == THREAD:
            contradicts = answer == ("no" if backend == "syscall" else "yes")
        if question_id == THREAD and place != EXPLICIT[0] and has_32_bit != bool(wide):
            why = f"the headers have {'' if has_32_bit else 'no '}SYS_setresuid32, so Samba's other words count"
        elif question_id in counts:
            first, counted = counts[question_id]
            why = f"{first} counts first" if answer != counted else ""
            contradicts = contradicts or not moot_because
        else:
            why = moot_because
            if answer != "unknown" or place != EXPLICIT[0]:
                counts[question_id] = place, answer
        if why and answer != "unknown":
            yield Unused(f"{question_id} ({place}: {NAMES.get(answer, answer)}; {why})", contradicts)
