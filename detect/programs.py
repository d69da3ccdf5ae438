# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Each question as one C program.

Meson compiles, links or runs this program, and the report shows the same text with a command, so that a reader can ask
again by hand. In a command, `cc` is the compiler of the build, and `question.c` is the program.

Run as a script, this file prints the questions for Meson: RECORD after each question, FIELD between its id, kind,
words, compiler arguments, expected answer and program. SIZE in a program of the kind `type` stands for a number of
bytes.
"""

import os
import sys
from typing import Dict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from questions import Question, questions

PROBES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes")
RECORD, FIELD, SIZE = "\x1e", "\x1f", "@SIZE@"

_MAIN = "\nint main(void)\n{\n%s}\n"
_NOTHING = _MAIN % "\treturn 0;\n"
_DEFINED = "#ifndef {0}\n#error {0} is not defined\n#endif\n"
_VALUE = "#define TEXT(macro) #macro\n#define VALUE(macro) TEXT(macro)\n" + (
    _MAIN % "\tconst char *value = VALUE(%s);\n\n\treturn value == 0;\n"
)
#: glibc defines __stub_NAME for a function that always fails with ENOSYS. `volatile` keeps the reference.
_STUB = "#ifdef __stub_{0}\n#error {0} always fails\n#endif\n"
_ADDRESS = _MAIN % "\tvoid (*volatile address)(void) = (void (*)(void))&%s;\n\n\treturn address == 0;\n"
_TYPE = "typedef char has_this_size[sizeof(%s) == %s ? 1 : -1];\n"


def _read(name: str) -> str:
    with open(os.path.join(PROBES, name), encoding="utf-8") as file:
        return file.read()


def headers() -> Dict[str, str]:
    """The headers that the probes include: file name -> text."""
    return {name: _read(name) for name in sorted(os.listdir(PROBES)) if name.endswith(".h")}


def file_name(question: Question) -> str:
    """The name that the program has in a command."""
    return question.subject if question.kind in ("link", "run") else "question.c"


def source(question: Question, answer: str) -> str:
    """The program: if it compiles, links or runs, the answer is yes. For a type it tests the size in `answer`."""
    if question.kind in ("link", "run"):
        return _read(question.subject)
    text = "".join(f"#include <{name}>\n" for name in question.includes)
    if question.kind == "header":
        return text + _NOTHING
    if question.kind == "symbol":
        return text + _STUB.format(question.subject) + _ADDRESS % question.subject
    if question.kind == "define":
        return text + _DEFINED.format(question.subject) + _VALUE % question.subject
    if question.kind == "number":
        return text + _DEFINED.format(question.subject) + _NOTHING
    return text + _TYPE % (question.subject, answer) + _NOTHING


def command(question: Question) -> str:
    """The command. Exit status 0 means yes; for a run question, 1 means no, and every other status unknown.

    For a macro, the output has the line `const char *value = "2";` if the value is 2.
    """
    words = ["cc", "-D_GNU_SOURCE"] + ([question.args] if question.args else [])
    name = file_name(question)
    if question.kind == "run":
        return " ".join(words + ["-pthread", "-o", "question", name, "&&", "./question"])
    how = {"define": ["-E", "-P"], "symbol": ["-o", "question"], "link": ["-o", "question"]}
    return " ".join(words + how.get(question.kind, ["-c", "-o", "/dev/null"]) + [name])


def main() -> None:
    for question in questions():
        fields = (question.id, question.kind, question.words, question.args, question.expected)
        print(*fields, source(question, SIZE), sep=FIELD, end=RECORD)


if __name__ == "__main__":
    main()
