# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Writes the golden files: the generated C of each platform family, which people review.

usage: python tests/programs/golden.py update
       python tests/programs/golden.py adopt PLATFORM BUILD/detect/answers.json

golden/PLATFORM/answers.json has the answers of a build with that platform's own headers; `adopt` writes it.  The
generated files are in the same folder.  `update` writes them again, and answers new questions with no.  It also writes
detect/known_answers.py.  test_golden.py fails if a file is out of date.
"""

import json
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS.parent / "detect"))

from generate import LIBRARY, PACKAGE  # noqa: E402
from questions import questions  # noqa: E402
from verdict import decide  # noqa: E402

GOLDEN = TESTS / "golden"
KNOWN_FILE = TESTS.parent / "detect" / "known_answers.py"
KNOWN = '''\
# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The headers and functions that a system certainly has: system and C library -> ids without `libreplace_`.

Written by tests/programs/golden.py: all golden answers of the system are yes. If the compiler or the linker refuses one
of them, ask_again.py stops the configuration, because an option or a missing file must be the cause.
"""

from typing import Dict

KNOWN: Dict[str, str] = {
'''


def platforms() -> list[Path]:
    return sorted(path.parent for path in GOLDEN.glob("*/answers.json"))


def generated(platform: Path, options: dict[str, str] | None = None) -> dict[str, str]:
    answers = {**json.loads((platform / "answers.json").read_text()), **(options or {})}
    return {name: write(answers) for name, write in LIBRARY.items()}


def write_headers(platform: Path, folder: Path) -> list[Path]:
    """Write the public headers of a platform into folder/libreplace, for -I.  Return them."""
    include = folder / "libreplace"
    include.mkdir(parents=True)
    for header in (*(TESTS.parent / "replace/core/libreplace").glob("*.h"), *platform.glob("*.h")):
        (include / header.name).write_text(header.read_text())
    (include / "version.h").write_text(PACKAGE["version.h"](json.loads((platform / "answers.json").read_text())))
    return sorted(include.glob("*.h"))


def known_answers() -> str:
    """The text of detect/known_answers.py."""
    found: dict[str, set[str]] = {}
    order = [question.id for question in questions() if question.kind in ("header", "symbol")]
    for platform in platforms():
        answers = json.loads((platform / "answers.json").read_text())
        verdict = decide(answers)
        have = {key for key in order if answers[key] == "yes"}
        if have:
            found[f"{verdict.system} {verdict.libc}"] = have & found.get(f"{verdict.system} {verdict.libc}", have)
    text = KNOWN
    for system, have in sorted(found.items()):
        words = " ".join(key.replace("libreplace_", "") for key in order if key in have)
        lines = textwrap.wrap(words, 108, break_on_hyphens=False)
        text += f'    "{system}": (\n' + "".join(f'        "{line} "\n' for line in lines) + "    ),\n"
    return text + "}\n"


def portable(answers: dict[str, str]) -> dict[str, str]:
    """The answers without those that depend on one machine, toolchain, run or version."""
    kept = {
        k: v
        for k, v in answers.items()
        if not k.startswith(("private-", "toolchain:", "machine:", "project:", "overrides:"))
    }
    for key in [k[: -len(":how")] for k, v in kept.items() if k.endswith(":how") and v.startswith(("ran", "not run"))]:
        kept.update({key: "unknown", key + ":how": "not run", key + ":evidence": ""})
    kept.update({"environment:reproducible": "no", "project:version": "0"})
    return dict(sorted(kept.items()))


def write_answers(platform: Path, answers: dict[str, str]) -> None:
    (platform / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


def complete(answers: dict[str, str]) -> dict[str, str]:
    """The answers, with a no to each new question.  Only `adopt` has the platform's own answer."""
    blank = {}
    for question in questions():
        answer, how = ("unknown", "not run") if question.kind == "run" else (question.expected or "no", "compiled")
        blank.update({question.id: answer, question.id + ":how": how, question.id + ":evidence": ""})
    return dict(sorted({**blank, **answers}.items()))


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["adopt"] and len(arguments) == 3:  # adopt PLATFORM BUILD/detect/answers.json
        folder = GOLDEN / arguments[1]
        folder.mkdir(parents=True, exist_ok=True)
        write_answers(folder, portable(json.loads(Path(arguments[2]).read_text())))
    elif arguments != ["update"]:
        print("usage: golden.py update | adopt PLATFORM ANSWERS.json", file=sys.stderr)
        return 2
    for platform in platforms():
        write_answers(platform, complete(json.loads((platform / "answers.json").read_text())))
        for name, text in generated(platform).items():
            (platform / name).write_text(text)
    KNOWN_FILE.write_text(known_answers())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
