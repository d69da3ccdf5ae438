# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Asks the compiler without Meson: for the values of macros, and once more where Meson's answer is no.

usage: ask_again.py COMPILER LINKER ID FIELD ANSWER FIELD HOW...

COMPILER and LINKER are the words of the commands, with FIELD between them. Each question with the answer no, and each
control question, is compiled once more. The command and the compiler's first message are the evidence; Meson does not
give them to a build file.

A "no" that an option or a missing file caused is an error. It shows the compiler's messages and says what to change.
The errors are: a control question has a wrong answer; the compiler gave two answers; something is not found that the
system certainly has (known_answers.py); a function is not found, but a probe that calls it was linked and ran.

Output: RECORD after each question that was asked again, FIELD between its id, answer and evidence.
"""

import concurrent.futures
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from typing import Dict, List, NamedTuple, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from known_answers import KNOWN
from programs import FIELD, RECORD, file_name, headers, source
from questions import Question, questions
from verdict import decide

_OPTIONS = (
    "If an option causes this, change it. Options come from CFLAGS, CPPFLAGS and LDFLAGS, from -Dc_args and "
    "-Dc_link_args, and from the machine file."
)
_HINTS = (
    (
        r"\.h\b.*(not found|No such file)|no include path",
        "A header of the C library or of the kernel is missing. Install them (Debian: libc6-dev and linux-libc-dev, "
        "for -m32 gcc-multilib, for a cross compiler libc6-dev-ARCH-cross; Fedora: glibc-devel and kernel-headers; "
        "Alpine: musl-dev and linux-headers), or name the folder of the target's files with --sysroot.",
    ),
    (
        r"(cannot find|unable to find library|library not found).*(-lc\b|crt1|libc\.)|(crt1|libc)\S*: No such file",
        "The linker does not find the C library. Install it (Debian: libc6-dev, for -m32 gcc-multilib; Fedora: "
        "glibc-devel, and glibc-static for -static; Alpine: musl-dev), or name the folder of the target's files with "
        "--sysroot.",
    ),
    (r"warning: .*statically linked", "Leave out --fatal-warnings, or do not link statically."),
)

#: What -fdiagnostics-color=always and -fdiagnostics-urls=always add to a message.
_COLORS = re.compile(r"\x1b(\[[0-9;]*[A-Za-z]|\].*?(\x07|\x1b\\))")


class BadAnswer(Exception):
    """An answer cannot be trusted. The text says why, and what to do."""


class Compiler(NamedTuple):
    compile: List[str]
    link: List[str]

    def words(self, question: Question, *mode: str) -> List[str]:
        """The command. It runs in a folder with the program."""
        name = file_name(question)
        words = [*self.compile, *filter(None, [question.args])]
        if mode:
            return [*words, *mode, name]
        if question.kind not in ("symbol", "link", "run"):
            return [*words, "-c", "-o", "question.o", name]
        threads = ["-pthread"] if question.kind == "run" else []
        return [*words, *threads, "-o", "question", name, *self.link]


class Result(NamedTuple):
    command: str
    status: int
    output: str  # the preprocessor's text if it succeeded; otherwise the messages

    @property
    def first_line(self) -> str:
        """The first message that says what is wrong."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        for pattern in (r"error:(?! ld returned| linker command failed)", "undefined", "warning:"):
            for line in lines:
                if re.search(pattern, line):
                    return line
        return lines[0] if lines else f"exit status {self.status}"

    def explain(self) -> str:
        hints = [hint for pattern, hint in _HINTS if re.search(pattern, self.output)]
        lines = self.output.strip().splitlines() or [f"exit status {self.status}, no message"]
        shown = lines[:12] + (["..."] if len(lines) > 12 else [])
        return "\n".join([f"  {self.command}", *("  " + line for line in shown), *hints, _OPTIONS])


def ask(compiler: Compiler, question: Question, answer: str, *mode: str) -> Result:
    """Compile or link the program of a question once, in a new folder."""
    words = compiler.words(question, *mode)
    with tempfile.TemporaryDirectory(prefix="libreplace-question-") as folder:
        for name, text in {**headers(), file_name(question): source(question, answer)}.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        try:
            out = subprocess.run(
                words,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C", "CCACHE_DISABLE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            raise BadAnswer(f"cannot run {words[0]}: {error.strerror}") from error
    shown = (out.stdout if mode and out.returncode == 0 else out.stderr).decode("utf-8", "replace")
    command = " ".join(map(shlex.quote, words))
    return Result(command, out.returncode, _COLORS.sub("", shown).replace(folder + os.sep, ""))


def _explain(question: Question, built: bool, result: Result, certain: str) -> str:
    """Why the answer cannot be trusted, or ""."""
    if (result.status == 0) != built:
        return (
            f"the compiler gave two answers. With Meson, the program was {'' if built else 'not '}built (see "
            f"meson-logs/meson-log.txt); the second time, it was {'not ' if built else ''}built:\n{result.explain()}\n"
            "If the system has changed since the first configure, start again with meson setup --wipe."
        )
    if question.expected and built != (question.expected != "no"):
        if built:
            return "it is found, so every answer would be yes. This command must fail:\n" + result.explain()
        return "this fails, so every answer would be no. This command must succeed:\n" + result.explain()
    if question.kind == "type" and not built:
        return "it is not 2, 4 or 8.\n" + result.explain()
    if certain and not built:
        return f"the system certainly has it ({certain}), but the compiler or the linker says no:\n{result.explain()}"
    return ""


def check(compiler: Compiler, answers: Dict[str, str], how: Dict[str, str]) -> Dict[str, Tuple[str, str]]:
    """Ask again: id -> answer, evidence. Raises BadAnswer."""
    asked = [question for question in questions() if question.id in answers]
    built = {q.id: answers[q.id] != "no" or (q.kind == "run" and how[q.id] != "compiled") for q in asked}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        again = {q: pool.submit(ask, compiler, q, "4") for q in asked if q.expected or not built[q.id]}
        values = {q: pool.submit(ask, compiler, q, "", "-E", "-P") for q in asked if q.kind == "define" and built[q.id]}
    known = decide({q.id: answers[q.id] for q in asked if q.kind == "define"})
    certain = KNOWN.get(f"{known.system} {known.libc}", "").split()
    found = {}
    for question, future in again.items():
        result = future.result()
        is_certain = question.id.replace("libreplace_", "") in certain
        problem = _explain(question, built[question.id], result, f"{known.system}, {known.libc}" if is_certain else "")
        if problem:
            raise BadAnswer(f"{question.words}: {problem}")
        evidence = result.command + ": " + (result.first_line if result.status else "exit status 0")
        found[question.id] = (answers[question.id], evidence)
    for question, future in values.items():
        result = future.result()
        value = re.search(r'\*value = "(.*)";', result.output)
        if result.status != 0 or value is None:
            raise BadAnswer(f"{question.words}: the compiler does not tell its value:\n{result.explain()}")
        found[question.id] = (value.group(1), found.get(question.id, ("", ""))[1])
    for question in asked:
        for name in question.uses if how[question.id].startswith("ran") else ():
            symbol = "libreplace_have_" + name
            if answers.get(symbol) == "no":
                raise BadAnswer(
                    f"Checking for {name}: it is not found, but the probe {question.subject}, which calls it, was "
                    f"linked and ran:\n  {found[symbol][1]}\n{_OPTIONS}"
                )
    return found


def main() -> int:
    compile_words, link_words, *items = sys.argv[1:]
    compiler = Compiler(compile_words.split(FIELD), [word for word in link_words.split(FIELD) if word])
    rows = [item.split(FIELD) for item in items]
    try:
        found = check(compiler, {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows})
    except BadAnswer as error:
        print(error, file=sys.stderr)
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):  # its encoding may lack a character of an option or of a message
        sys.stdout.reconfigure(errors="backslashreplace")
    for key, (answer, evidence) in found.items():
        print(key, answer, evidence, sep=FIELD, end=RECORD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
