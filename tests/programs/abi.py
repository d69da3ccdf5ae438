# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Compares the ABI of a shared library with its dump in tests/abi/, or writes the dump again.

usage: python tests/programs/abi.py check BUILD | update BUILD

BUILD is a Meson build folder with the shared library.  The dump has two files.  x86_64.abi has the functions and
structs; abidw of libabigail makes it from the debug information.  constants.txt has the enumerators and macros, which
that information lacks.  docs/packaging.md has the rules for changes.  Needs Debian's abigail-tools.  `check` exits with
1 if anything differs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "detect"))

from generate import generated_headers  # noqa: E402
from headers import declarations  # noqa: E402

DUMP, CONSTANTS = ROOT / "tests" / "abi" / "x86_64.abi", ROOT / "tests" / "abi" / "constants.txt"
UPDATE = "python tests/programs/abi.py update BUILD"
#: Macros that say what was built, so they differ between builds.
OF_THE_BUILD = {"LIBREPLACE_VERSION", "LIBREPLACE_VERSION_NUMBER", "LIBREPLACE_THREAD_SCOPE", "LIBREPLACE_BACKEND"}
ABIDW = ["abidw", "--exported-interfaces-only", "--no-parameter-names", "--type-id-style", "hash"]
ABIDW += ["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed"]
ABIDW += ["--drop-private-types"]  # the structs behind opaque handles may change


class Difference(NamedTuple):
    breaks: bool  # a compiled program may no longer work
    text: str


def _run(*command: object) -> str:
    words = [str(word) for word in command]
    out = subprocess.run(words, capture_output=True, text=True, check=False)
    if out.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\n{out.stdout}{out.stderr}")
    return out.stdout


def library(folder: Path) -> Path:
    return folder / "replace" / "libreplace.so"


def constants(folder: Path) -> str:
    """The name and the value of each enumerator and macro, as the compiler sees the headers of a build."""
    declared = declarations(generated_headers({}))
    names = [name for enum in declared.enums for name in enum.members]
    names += [name for name in declared.constants if name not in OF_THE_BUILD]
    rows = "".join(f'\tprintf("{name} %lld\\n", (long long)({name}));\n' for name in names)
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch, "constants")
        program.with_suffix(".c").write_text(
            f"#include <libreplace/replace.h>\n#include <stdio.h>\n\nint main(void)\n{{\n{rows}\treturn 0;\n}}\n"
        )
        _run("cc", f"-I{folder / 'replace' / 'core'}", "-o", program, program.with_suffix(".c"))
        return _run(program)


def _compare_constants(folder: Path) -> list[Difference]:
    old, new = (dict(line.split() for line in text.splitlines()) for text in (CONSTANTS.read_text(), constants(folder)))
    changed = [name for name in old if new.get(name) != old[name]]
    return [Difference(True, f"{name} was {old[name]}, and is {new.get(name, 'removed')}") for name in changed] + [
        Difference(False, f"{name} is new") for name in new if name not in old
    ]


def _dump(folder: Path) -> str:
    """The functions and structs of the library. Exits if one of its functions has no debug information."""
    text = _run(*ABIDW, "--headers-dir", folder / "replace" / "core" / "libreplace", library(folder))
    exported = set(re.findall(r"<elf-symbol name='(\w+)'", text))
    if not exported or exported != set(re.findall(r" elf-symbol-id='(\w+)'", text)):
        raise SystemExit(f"{library(folder)} lacks debug information; build with -Dbuildtype=debug")
    return text


def _abidiff(folder: Path, *options: str) -> str:
    """What differs; empty if nothing does."""
    words = ["abidiff", *options, str(DUMP), str(library(folder))]
    out = subprocess.run(words, capture_output=True, text=True, check=False)
    if out.returncode not in (0, 4, 12):  # 4: the ABI changed; 8 more: certainly incompatible; others: no answer
        raise SystemExit(f"{' '.join(words)}\nexit status {out.returncode}\n{out.stdout}{out.stderr}")
    return out.stdout if out.returncode else ""


def compare(folder: Path) -> list[Difference]:
    """What differs between a build and the dump."""
    _dump(folder)  # without debug information, abidiff would compare only the names
    if changed := _abidiff(folder, "--no-added-syms"):
        found = [Difference(True, changed)]
    else:
        found = [Difference(False, added)] if (added := _abidiff(folder)) else []
    return found + _compare_constants(folder)


def advice(differences: list[Difference]) -> str:
    """What somebody who changed the ABI reads."""
    text = "\n".join(difference.text.rstrip() for difference in differences)
    if any(difference.breaks for difference in differences):
        return f"{text}\nCompiled programs may break. See docs/packaging.md, The ABI. Then: {UPDATE}"
    return f"{text}\nCompiled programs still work. Then: {UPDATE}"


def update(folder: Path) -> None:
    """Write the dump."""
    DUMP.parent.mkdir(exist_ok=True)
    DUMP.write_text(_dump(folder))
    CONSTANTS.write_text(constants(folder))


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("check", "update"):
        print("usage: abi.py check BUILD | update BUILD", file=sys.stderr)
        return 2
    command, folder = arguments[0], Path(arguments[1])
    if os.uname().machine != "x86_64" or not library(folder).exists():
        print("abi.py: needs a build for x86_64 with -Dpython=false -Ddefault_library=shared", file=sys.stderr)
        return 2
    if not shutil.which("abidiff"):
        print("abi.py: needs abidiff and abidw (Debian: abigail-tools)", file=sys.stderr)
        return 2
    if command == "update":
        update(folder)
    elif found := compare(folder):
        print(advice(found))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
