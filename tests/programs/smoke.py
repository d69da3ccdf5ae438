# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Tests an installed wheel: its back end fits its tag, and `libreplace verify` finds no error.

usage: python tests/programs/smoke.py

cibuildwheel runs this program for each wheel.  It needs only the wheel.  A wheel that pip built on this machine passes,
too.  Exit status 1 if something is wrong.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib import metadata
from typing import Any

#: Start of the platform tag -> back end, for wheels that are distributed.  musllinux has -Dcredentials=syscall.
EXPECTED = {"manylinux": "syscall", "musllinux": "syscall", "macosx": "libc"}
#: The scope of each back end on the platforms of these tags.
SCOPES = {"syscall": "thread", "libc": "process"}


def tags(text: str) -> list[str]:
    """The tags in a wheel's WHEEL file, as python-abi-platform."""
    return [line.split(": ")[1] for line in text.splitlines() if line.startswith("Tag: ")]


def is_local(tag: str) -> bool:
    """Whether pip built this wheel for the machine that it is on, and auditwheel did not repair it."""
    return tag.split("-")[2].startswith("linux")


def expected(tag: str, report: dict[str, Any]) -> tuple[str, str]:
    """The back end and scope that a wheel with this tag and build report must have."""
    platform = tag.split("-")[2]
    if is_local(tag):  # the tag names no C library
        default = "syscall" if report["verdict"]["libc"] == "glibc" else "libc"
        option = report["options"]["credentials"]
        backend = default if option == "auto" else option
    else:
        backend = next(value for start, value in EXPECTED.items() if platform.startswith(start))
    return backend, SCOPES[backend]


def main() -> int:
    import replace

    (tag, *_) = tags(metadata.distribution("libreplace").read_text("WHEEL") or "")
    report = replace.report()
    found = (report["verdict"]["backend"], replace.SCOPE)
    print(f"{tag}: {' and '.join(found)}, {replace.__file__}")
    if found != (wanted := expected(tag, report)):
        print(f"error: this wheel's tag needs {' and '.join(wanted)}", file=sys.stderr)
        return 1
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if not is_local(tag) and free_threaded == ("abi3" in tag.split("-")[1]):
        print("error: a wheel must use the stable ABI if the interpreter has a GIL, and only then", file=sys.stderr)
        return 1
    out = subprocess.run([sys.executable, "-m", "replace", "verify"], check=False)
    return 0 if out.returncode in (0, 2) else 1  # 2: some checks could not run here, the others passed


if __name__ == "__main__":
    sys.exit(main())
