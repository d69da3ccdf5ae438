# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Prints the paths by which a compiler may see the source folder and the build folder, for -ffile-prefix-map.

usage: folders.py SOURCE BUILD PWD

Meson knows only the real paths. gcc and clang write $PWD into debug information if it is a path of the folder in which
they run. ninja passes on the shell's $PWD, which can contain symbolic links. The paths of the source come first,
because the last option that matches wins.
"""

import os
import sys
from typing import List


def names(folder: str, pwd: str) -> List[str]:
    """The real path of a folder and, if it differs, its path by way of $PWD."""
    other = os.path.normpath(os.path.join(pwd, os.path.relpath(folder, os.path.realpath(pwd)))) if pwd else folder
    return [folder, other] if other != folder and os.path.realpath(other) == os.path.realpath(folder) else [folder]


def main() -> None:
    source, build, pwd = sys.argv[1:]
    relative = os.path.relpath(build, source)
    for name in [*names(source, pwd), os.path.relpath(source, build), relative, *names(build, pwd)]:
        print(name)


if __name__ == "__main__":
    main()
