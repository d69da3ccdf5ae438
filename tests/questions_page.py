# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The table of questions in docs/packaging.md, from detect/questions.py; test_packaging_page.py holds it up to date.

usage: python tests/questions_page.py update     writes the table into the page
       python tests/questions_page.py            prints it
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "detect"))

from cross_answers import asked  # noqa: E402
from questions import questions  # noqa: E402

PAGE = ROOT / "docs" / "packaging.md"
BEGIN, END = "<!-- questions: python tests/questions_page.py update -->\n", "<!-- end of questions -->\n"
#: kind -> how it is answered in a build that gets no answers
HOW = {
    "header": "the compiler: is the header there?",
    "define": "the preprocessor: what is the macro?",
    "symbol": "the linker: is the function there?",
    "number": "the preprocessor: does `<sys/syscall.h>` have it?",
    "type": "the compiler: its size",
    "link": "the linker: does the probe build?",
    "run": "run, where programs can be; or given",
}


def table() -> str:
    """What one may answer first, in full; then the others, whose answers are the compiler's."""
    given = asked()
    rows = "".join(f"| `{identity}` | {words} |\n" for words, identity in given.items())
    text = f"| id (machine file) | question (answers file) |\n|---|---|\n{rows}\n"
    text += "The compiler answers the others, cross compiling or not; there is nothing to give:\n\n"
    text += "| id | question | answered by |\n|---|---|---|\n"
    others = [q for q in questions() if q.id not in given.values()]
    return text + "".join(f"| `{q.id}` | {q.words} | {HOW[q.kind]} |\n" for q in others)


def page() -> str:
    """The page, with the table of now."""
    head, rest = PAGE.read_text().split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    if sys.argv[1:] == ["update"]:
        PAGE.write_text(page())
    else:
        print(table(), end="")
