# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Reads and completes files of answers in Samba's cross-answers format.

With such a file, a packager answers questions for which the build would otherwise run a program. Each line is one
answer: `question: OK|NO|FAIL|UNKNOWN|"text"|(code, "text")`. If a question has several lines, the first one counts. `#`
starts a comment line. Files made for Samba contain hundreds of other questions; they are ignored. The file is bytes:
only our own lines are read or changed.

usage: cross_answers.py read FILE              prints every answer to our questions, `line TAB id TAB yes|no|unknown`.
                                               The id ends in :32 if the words are those for 32-bit numbers
       cross_answers.py complete FILE ANSWERS  adds our questions that are not in FILE and still matter
"""

import errno
import json
import os
import re
import stat
import sys
from typing import Dict, List, NamedTuple, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from overrides import FOR_32_BIT, NAMES
from questions import questions, words
from verdict import Answers, cross_answer, decide, has_32_bit

_VALUES = {"OK": "yes", "YES": "yes", "NO": "no", "FAIL": "no", "UNKNOWN": "unknown"}

_UTF_8, _UTF_16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


class BadAnswer(Exception):
    """The file is no text, or has a wrong answer to one of our questions. The text names the file and the line."""


class Line(NamedTuple):
    """An answer to one of our questions."""

    number: int  # from 1
    id: str  # with FOR_32_BIT at the end, if the words are those for headers with 32-bit numbers
    answer: str  # yes | no | unknown
    span: Tuple[int, int]  # where the file has the answer


def _value(text: str, place: str) -> str:
    if text.upper() in _VALUES:
        return _VALUES[text.upper()]
    if re.match(r"""("[^"]*"|'[^']*')$""", text):  # in Samba, a quoted text is the output of a successful test
        return "yes"
    code = re.match(r'\(\s*"?(-?[0-9]+)"?\s*,\s*"([^"]*)"\s*\)$', text)
    if code and code.groups() == ("254", ""):  # how Samba itself writes UNKNOWN
        return "unknown"
    if code:
        return "no" if code.group(1).strip("-0") else "yes"
    shown = text if len(text) <= 60 else text[:60] + "..."
    raise BadAnswer(f'{place}: bad answer {shown!r}; write OK, NO, FAIL, UNKNOWN, "text" or (code, "text")')


def load(path: str) -> bytes:
    """The file, or nothing if it does not exist yet but its folder does. Raises OSError, BadAnswer."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # do not wait for the writer of a FIFO
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(os.path.realpath(path))):
            return b""
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(handle, "rb") as file:
        data = file.read()
    if data.startswith(_UTF_16) or b"\0" in data:
        raise BadAnswer(f"{path}: this is UTF-16, or not text; save it as UTF-8")
    return data


def lines(path: str, data: bytes) -> List[Line]:
    """Our questions in the file. Raises BadAnswer."""
    ours = {}
    for question in questions():
        if question.kind == "run":
            ours[words(question, True).encode()] = question.id + FOR_32_BIT
            ours[words(question, False).encode()] = question.id  # most questions have only these words
    found = []
    start = len(_UTF_8) if data.startswith(_UTF_8) else 0
    for number, line in enumerate(data[start:].splitlines(True), 1):
        asked, colon, answer = line.partition(b":")  # our questions contain no colon
        if colon and asked.strip() in ours:
            text = answer.strip()
            begin = start + len(asked) + 1 + (answer.index(text) if text else 0)
            value = _value(text.decode("utf-8", "replace"), f"{path}:{number}")
            found.append(Line(number, ours[asked.strip()], value, (begin, begin + len(text))))
        start += len(line)
    return found


def completed(path: str, data: bytes, answers: Answers) -> Tuple[bytes, List[str]]:
    """The file with our questions, and those that it leaves open.

    Only questions whose answer still matters are added, with the result of a run or with UNKNOWN. An UNKNOWN that is
    already in the file gets the result. A result that would change the verdict, if it were an answer in this file, is
    left out.
    """
    verdict, wide = decide(answers), has_32_bit(answers)
    known: Dict[str, Line] = {}
    for line in lines(path, data):
        known.setdefault(line.id, line)
    ending = (re.findall(rb"\r\n|\r|\n", data) or [b"\n"])[-1]
    changes = []  # (begin, end, new text)
    added: List[str] = []
    still_open = []
    for question in questions():
        if question.kind != "run" or verdict.moot[question.id]:
            continue
        asked, answer = words(question, wide), str(answers.get(question.id, "unknown"))
        name = NAMES.get(answer, "UNKNOWN")
        if name != cross_answer(question.id, answers, verdict):
            name = "UNKNOWN"
        found = known.get(question.id if asked == question.words else question.id + FOR_32_BIT)
        if not found:
            added.append(f"{asked}: {name}")
        elif found.answer == "unknown" and name != "UNKNOWN":
            changes.append((*found.span, name.encode()))
        if answer == "unknown":
            still_open.append(asked)
    for begin, end, name_bytes in sorted(changes, reverse=True):  # from the end, so that the other places stay right
        data = data[:begin] + name_bytes + data[end:]
    if added and data and data != _UTF_8 and not data.endswith((b"\r", b"\n")):
        data += ending
    return data + b"".join(text.encode() + ending for text in added), still_open


def write(path: str, before: bytes, after: bytes) -> None:
    """Change the file in place: links, owner and mode stay, and so does everything before the first change."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as file:
        file.seek(same)
        file.write(after[same:])
        file.truncate()


def complete(path: str, answers: Answers, copy: str) -> List[str]:
    """Complete the file, or write a completed copy if it cannot be written. Returns what to tell the packager."""
    before, is_new = load(path), not os.path.exists(path)
    after, still_open = completed(path, before, answers)
    said = [f"{path} does not answer: {asked}" for asked in still_open]
    if after != before:
        try:
            write(path, before, after)
            said = [f"{path} did not exist and was created", *said] if is_new else said
        except OSError as error:
            with open(copy, "wb") as file:
                file.write(after)
            said.append(f"cannot write {path} ({error.strerror}); the completed copy is {copy}")
    if still_open:
        said.append(f"Configure decides without these answers: {decide(answers).rule}")
        said.append("If you change an answer, configure again with meson setup --reconfigure")
    return said


def main() -> int:
    path = sys.argv[2]
    try:
        if sys.argv[1] == "read":
            for line in lines(path, load(path)):
                print(f"{line.number}\t{line.id}\t{line.answer}")
            return 0
        with open(sys.argv[3], encoding="utf-8") as file:
            answers = json.load(file)
        for text in complete(path, answers, os.path.join(os.path.dirname(sys.argv[3]), "cross_answers.txt")):
            print(text)
    except OSError as error:
        print(f"cannot read {error.filename or path}: {error.strerror}", file=sys.stderr)
        return 1
    except BadAnswer as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
