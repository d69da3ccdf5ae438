# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Each question as a C program and a command, for the report, so that a reader can ask it again by hand.

For link and run questions the program is the probe itself. For the others it is a program that gives the same answer
as Meson's check (tests/test_report.py compiles each one and compares the answers). In a command, `cc` is the
compiler of the build, and `question.c` is the program.
"""

import os
from typing import Dict

from questions import Question

PROBES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes")

_SYMBOL = """\
int main(void)
{
	void *volatile address = (void *)&%s;

	return address == 0;
}
"""
_DEFINED = "#ifndef %s\n#error not defined\n#endif\n"


def _read(name: str) -> str:
    with open(os.path.join(PROBES, name), encoding="utf-8") as file:
        return file.read()


def headers() -> Dict[str, str]:
    """The headers that the probes include: file name -> text."""
    return {name: _read(name) for name in sorted(os.listdir(PROBES)) if name.endswith(".h")}


def source(question: Question, answer: str) -> str:
    """The program: if it compiles, links or runs, the answer is yes. For a type it tests the size that was found."""
    if question.kind in ("link", "run"):
        return _read(question.subject)
    text = question.includes.replace(" #", "\n#") + "\n" if question.includes else ""
    if question.kind == "header":
        return f"#include <{question.subject}>\n"
    if question.kind == "symbol":
        return text + "\n" + _SYMBOL % question.subject
    if question.kind == "define":
        return text + _DEFINED % question.subject + question.subject + "\n"
    if question.kind == "number":
        return text + _DEFINED % question.subject
    return text + f"typedef char has_this_size[sizeof({question.subject}) == {answer} ? 1 : -1];\n"


def command(question: Question) -> str:
    """The command. Exit status 0 means yes; for a run question, 77 means unknown.

    For a macro, the last line of output is its value.
    """
    words = ["cc", "-D_GNU_SOURCE"] + ([question.args] if question.args else [])
    if question.kind == "run":
        return " ".join(words + ["-pthread", "-o", "question", question.subject, "&&", "./question"])
    if question.kind == "link":
        return " ".join(words + ["-o", "question", question.subject])
    return " ".join(
        words
        + {
            "define": ["-E", "-P"],
            "symbol": ["-o", "question"],
            "type": ["-c", "-o", "/dev/null"],
        }.get(question.kind, ["-E", "-o", "/dev/null"])
        + ["question.c"]
    )
