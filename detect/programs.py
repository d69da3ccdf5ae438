# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What a question is as a program: its source, and the command that asks it, for the report.

A reader of the report can then ask again by hand.  Of link and run questions this is
the probe as it was compiled; of the others, a program that says the same as Meson's own
check (tests/test_report.py compiles every one of them and compares the answers).
`cc` in a command is the compiler of the build, `question.c` the source.
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
    """What the probes include, by file name."""
    return {name: _read(name) for name in sorted(os.listdir(PROBES)) if name.endswith(".h")}


def source(question: Question, answer: str) -> str:
    """The program whose success is the answer; a type's holds the size that was found."""
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
    return text + f"typedef char as_long_as_was_said[sizeof({question.subject}) == {answer} ? 1 : -1];\n"


def command(question: Question) -> str:
    """How to ask it by hand: exit status 0 is a yes, 77 of a run cannot tell; a macro's value is the last line."""
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
