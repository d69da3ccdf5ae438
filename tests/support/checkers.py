# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run type checkers over the files in tests/checkers/, against the installed package."""

import json
import os
import re
import sys
from pathlib import Path

from support.builds import ROOT, run

RIGHT, WRONG = ROOT / "tests" / "checkers" / "right.py", ROOT / "tests" / "checkers" / "wrong.py"

#: A checker's complaint: the name of the file, the line and the code or rule.
Error = tuple[str, int, str]


def marked() -> dict[tuple[str, int], tuple[str, str]]:
    """Return the lines of WRONG that have an error: (file, line) -> mypy's code and pyright's rule."""
    found = {}
    for number, line in enumerate(WRONG.read_text().splitlines(), 1):
        match = re.search(r"  # E: ([\w-]+), (\w+)$", line)
        if match:
            found[WRONG.name, number] = (match[1], match[2])
    return found


def mypy(folder: Path, version: str) -> list[Error]:
    """Return what `mypy --strict` says for this version of Python. Its cache goes into the folder."""
    words = ("--strict", "--python-version", version, "--python-executable", sys.executable, "--config-file=")
    layout = ("--cache-dir", folder / "cache", "--no-error-summary", "--show-absolute-path")
    out = run(sys.executable, "-m", "mypy", *words, *layout, RIGHT, WRONG, cwd=folder)
    assert not out.stderr, out.stderr
    lines = [line for line in out.stdout.splitlines() if ": note: " not in line]
    return [(Path(file).name, int(number), code) for file, number, code in map(_parts, lines)]


def _parts(line: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(.*?):(\d+): error: .* \[([\w-]+)\]", line)
    assert match, line
    return (match[1], match[2], match[3])


def pyright(folder: Path, *words: object) -> str:
    """Run pyright with the Python of the tests; return its output."""
    environment = {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",  # do not look for a newer version in the network
    }
    out = run(sys.executable, "-m", "pyright", *words, cwd=folder, env=environment)
    assert not out.stderr, out.stderr
    return out.stdout


def pyright_errors(folder: Path, version: str) -> list[Error]:
    """Return what pyright says for this version of Python."""
    out = json.loads(pyright(folder, "--outputjson", "--pythonversion", version, RIGHT, WRONG))
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one.get("rule", one["message"]))
        for one in out["generalDiagnostics"]
    ]


def compare(found: list[Error], which: int) -> None:
    """Fail unless a checker found exactly the marked errors. `which` is its place in a mark."""
    wanted = {place: codes[which] for place, codes in marked().items()}
    assert len(wanted) > 50
    by_place: dict[tuple[str, int], set[str]] = {}
    for file, number, code in found:
        by_place.setdefault((file, number), set()).add(code)
    unexpected = {place: codes for place, codes in by_place.items() if place not in wanted}
    missing = {
        place: (code, by_place.get(place)) for place, code in wanted.items() if code not in by_place.get(place, ())
    }
    wrong = [f"unexpected: {unexpected}"] * bool(unexpected) + [f"missing: {missing}"] * bool(missing)
    assert not wrong, wrong
