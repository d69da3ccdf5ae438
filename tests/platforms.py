# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/platforms.md: what each call is on each platform family, from the answers under golden/.

usage: python tests/platforms.py   (with the package installed; writes the page anew)

test_matrix_command.py fails when it is stale.  What was tried on which platform is another
page, docs/matrix.md, by matrix.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import golden  # noqa: E402  # which puts detect/ on the path, too
import report as build_side  # noqa: E402

from replace import _matrix  # noqa: E402

PAGE = HERE.parent / "docs" / "platforms.md"

#: column, golden answers, -Dcredentials
COLUMNS = (
    ("linux glibc 64-bit", "linux-glibc-x86_64", "auto"),
    ("linux glibc 32-bit", "linux-glibc-i386", "auto"),
    ("linux glibc, libc's calls", "linux-glibc-x86_64", "libc"),
    ("linux musl", "linux-musl-x86_64", "auto"),
    ("linux musl, raw calls", "linux-musl-x86_64", "syscall"),
    ("macos", "macos-aarch64", "auto"),
    ("freebsd", "freebsd-x86_64", "auto"),
    ("netbsd", "netbsd-x86_64", "auto"),
)

TEXT = """\
# What each call is, platform by platform

Made by `python tests/platforms.py` from the answers of each platform family (`tests/golden/`), as
`libreplace matrix --markdown A.json B.json ...` makes it of reports of your own. What was run on which platform, and
what was only compiled, is told by [Platforms](matrix.md).

Cells of calls: back end, what is called in the end, what one call changes or reads. `ENOSYS`: the platform has
nothing that does it. Answers that need a program run are *unknown* here: none decides.

"""


def reports() -> list[dict[str, Any]]:
    """The portable report of each column."""
    made = []
    for _, family, credentials in COLUMNS:
        answers = json.loads((golden.GOLDEN / family / "answers.json").read_text())
        made.append(build_side.build({**answers, "option:credentials": credentials}))
    return made


def page() -> str:
    return TEXT + _matrix.as_markdown([name for name, _, _ in COLUMNS], reports()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
