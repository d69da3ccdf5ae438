# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Is an installed wheel what its tag promises?  Needs nothing but the wheel; cibuildwheel runs it for each.

usage: python tests/programs/smoke.py

The platform tag of the installed distribution says which back end is expected; then `libreplace verify`
proves it on this machine, as far as the user who runs it may.  Exit status 1 where something is wrong.
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
    "linux": ("syscall", "thread"),  # not repaired yet: pip's own, on glibc
}


def tags(text: str) -> list[str]:
    """The tags in a wheel's WHEEL file: python-abi-platform."""
    return [line.split(": ")[1] for line in text.splitlines() if line.startswith("Tag: ")]


def expected(tag: str) -> tuple[str, str]:
    """What a wheel with this tag must have been built with."""
    platform = tag.split("-")[2]
    return next(value for start, value in EXPECTED.items() if platform.startswith(start))


def main() -> int:
    import replace

    (tag, *_) = tags(metadata.distribution("libreplace").read_text("WHEEL") or "")
    verdict = replace.report()["verdict"]
    found = (verdict["backend"], replace.SCOPE)
    print(f"{tag}: {' and '.join(found)}, {replace.__file__}")
    if found != expected(tag):
        print(f"wrong: {' and '.join(expected(tag))} expected", file=sys.stderr)
        return 1
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if free_threaded == ("abi3" in tag.split("-")[1]):
        print("wrong: the stable ABI is for the interpreters with a GIL, and for each of them", file=sys.stderr)
        return 1
    out = subprocess.run([sys.executable, "-m", "replace", "verify"], check=False)
    return 0 if out.returncode in (0, 2) else 1  # 2: some could not run here, the rest is proved


if __name__ == "__main__":
    sys.exit(main())
