# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Tests an installed wheel: its back end fits its tag, and `libreplace verify` finds no error.

usage: python tests/programs/smoke.py

cibuildwheel runs this program for each wheel.  It needs only the wheel.  Exit status 1 if something is wrong.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib import metadata

#: Start of the platform tag -> (back end, scope).  musllinux is built with -Dcredentials=syscall.
EXPECTED = {
    "manylinux": ("syscall", "thread"),
    "musllinux": ("syscall", "thread"),
    "macosx": ("libc", "process"),
    "linux": ("syscall", "thread"),  # a wheel that pip built on glibc, not repaired by auditwheel
}


def tags(text: str) -> list[str]:
    """The tags in a wheel's WHEEL file, as python-abi-platform."""
    return [line.split(": ")[1] for line in text.splitlines() if line.startswith("Tag: ")]


def expected(tag: str) -> tuple[str, str]:
    """The back end and scope that a wheel with this tag must have."""
    platform = tag.split("-")[2]
    return next(value for start, value in EXPECTED.items() if platform.startswith(start))


def main() -> int:
    import replace

    (tag, *_) = tags(metadata.distribution("libreplace").read_text("WHEEL") or "")
    verdict = replace.report()["verdict"]
    found = (verdict["backend"], replace.SCOPE)
    print(f"{tag}: {' and '.join(found)}, {replace.__file__}")
    if found != expected(tag):
        print(f"error: this wheel's tag needs {' and '.join(expected(tag))}", file=sys.stderr)
        return 1
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if free_threaded == ("abi3" in tag.split("-")[1]):
        print("error: a wheel must use the stable ABI if the interpreter has a GIL, and only then", file=sys.stderr)
        return 1
    out = subprocess.run([sys.executable, "-m", "replace", "verify"], check=False)
    return 0 if out.returncode in (0, 2) else 1  # 2: some checks could not run here, the others passed


if __name__ == "__main__":
    sys.exit(main())
