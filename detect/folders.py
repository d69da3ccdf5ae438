# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The names under which a compiler may see the source and the build folder, for -ffile-prefix-map.

usage: folders.py SOURCE BUILD PWD

Meson knows the real paths.  gcc and clang write $PWD into debug information if it names the folder that they run in,
and ninja hands on the shell's, which may lead through symbolic links.  Prints a line for each name: those of the source
first, since the last one that matches wins.
"""

import os
import sys
from typing import List


def names(folder: str, pwd: str) -> List[str]:
    """The real path of a folder, and how it is reached from $PWD, if that is another way."""
    other = os.path.normpath(os.path.join(pwd, os.path.relpath(folder, os.path.realpath(pwd)))) if pwd else folder
    return [folder, other] if other != folder and os.path.realpath(other) == os.path.realpath(folder) else [folder]


def main() -> None:
    source, build, pwd = sys.argv[1:]
    relative = os.path.relpath(build, source)  # how the compiler is told of files, from the build folder
    for name in [*names(source, pwd), os.path.relpath(source, build), relative, *names(build, pwd)]:
        print(name)


if __name__ == "__main__":
    main()
