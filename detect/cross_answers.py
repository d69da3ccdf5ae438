# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads and completes files of answers in Samba's cross-answers format.

With such a file, a packager answers questions for which the build would otherwise run a program. Each line is one
answer: `question: OK|NO|FAIL|UNKNOWN|"text"|(code, "text")`. If a question has several lines, the first one counts. `#`
starts a comment line. Files made for Samba contain hundreds of other questions; they are ignored.

usage: cross_answers.py read FILE              prints `id TAB yes|no|unknown TAB line`
       cross_answers.py complete FILE ANSWERS  adds our questions that are not in FILE; if any has no answer,
                                               names it and exits with 1
"""

import json
import os
import re
import sys
import tempfile
from typing import Dict, List, Tuple

from questions import ALIASES, questions

_VALUES = {"OK": "yes", "YES": "yes", "NO": "no", "FAIL": "no", "UNKNOWN": "unknown"}

_NAMES = {"yes": "OK", "no": "NO"}


class BadAnswer(Exception):
    """A wrong answer to one of our questions. The text names the file and the line."""


def asked() -> Dict[str, str]:
    """The questions that a file can answer: words -> id."""
    return {q.words: q.id for q in questions() if q.kind == "run"}


def _value(text: str, place: str) -> str:
    if text.upper() in _VALUES:
        return _VALUES[text.upper()]
    if re.match(r'^"[^"]*"$', text):  # in Samba, a quoted text is the output of a successful test
        return "yes"
    code = re.match(r'^\(\s*"?(-?\d+)"?\s*,\s*"[^"]*"\s*\)$', text)
    if code:
        return "yes" if int(code.group(1)) == 0 else "no"
    raise BadAnswer(f'{place}: bad answer {text!r}; write OK, NO, FAIL, UNKNOWN, "text" or (code, "text")')


def read(path: str) -> Dict[str, Tuple[str, int]]:
    """Our questions in the file: id -> (answer, line number). Raises OSError, BadAnswer."""
    ours = dict(asked())
    ours.update(ALIASES)
    found: Dict[str, Tuple[str, int]] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if line.startswith("#") or ":" not in line:
                continue
            # Our questions contain no colon.
            words, _, text = line.partition(":")
            question_id = ours.get(words.strip())
            if question_id is None or question_id in found:
                continue
            found[question_id] = (_value(text.strip(), f"{path}:{number}"), number)
    return found


def complete(path: str, answers: Dict[str, str]) -> List[str]:
    """Add our questions to the file, with their answers or UNKNOWN. Returns the questions without an answer.

    If the file already has one of our questions as UNKNOWN, that line gets the answer. All other lines stay as they
    are.
    """
    known = read(path)
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        before = file.read()
    lines = before.splitlines(True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    unanswered = []
    for words, question_id in asked().items():
        answer = answers.get(question_id, "unknown")
        line = f"{words}: {_NAMES.get(answer, 'UNKNOWN')}\n"
        if question_id not in known:
            lines.append(line)
        elif known[question_id][0] == "unknown" and answer != "unknown":
            lines[known[question_id][1] - 1] = line
        if answer == "unknown":
            unanswered.append(words)
    after = "".join(lines)
    if after not in (before, before + "\n"):  # a missing newline at the end is no reason to write
        try:
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(after)
        except OSError as error:
            handle, copy = tempfile.mkstemp(prefix="cross-answers-", suffix=".txt")
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(after)
            print(f"cannot write {path} ({error.strerror}); the completed copy is {copy}", file=sys.stderr)
    return unanswered


def main() -> int:
    try:
        if sys.argv[1] == "read":
            for question_id, (answer, line) in read(sys.argv[2]).items():
                print(f"{question_id}\t{answer}\t{line}")
            return 0
        with open(sys.argv[3], encoding="utf-8") as file:
            unanswered = complete(sys.argv[2], json.load(file))
    except OSError as error:
        print(f"cannot read {sys.argv[2]}: {error.strerror}", file=sys.stderr)
        return 1
    except BadAnswer as error:
        print(error, file=sys.stderr)
        return 1
    for words in unanswered:
        print(f"no answer: {words}", file=sys.stderr)
    if unanswered:
        print(f"write the answers into {sys.argv[2]}, then configure again", file=sys.stderr)
    return 1 if unanswered else 0


if __name__ == "__main__":
    sys.exit(main())
