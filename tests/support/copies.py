# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The symbols of libraries, and a hostile library, for tests with several copies of the library in one process."""

import re
from pathlib import Path

from support.builds import run, tool

#: Functions of Samba's own libreplace.
_SAMBA = ["rep_setresuid", "rep_setresgid", "rep_seteuid", "rep_setegid", "rep_initgroups"]
_FUNCTION = 'void {0}(void);\nvoid {0}(void)\n{{\n\tfputs("{0} was replaced\\n", stderr);\n\t_exit(97);\n}}\n'


def symbols(*arguments: object) -> set[str]:
    """Return the global names that a library defines. `-D` looks at the dynamic symbols."""
    out = run(tool("nm", "lists symbols"), "-g", "--defined-only", *arguments)
    assert out.returncode == 0, out.stderr
    return {line.split()[2] for line in out.stdout.splitlines() if len(line.split()) == 3}


def looked_up(library: Path) -> set[str]:
    """Return our names that the dynamic linker looks up for this library."""
    relocations = run(tool("readelf", "lists relocations"), "-rW", library).stdout
    assert "R_" in relocations
    # gold names a hidden variable in a relocation. Its symbol is local, so it is not looked up.
    names = {line.split()[-1].split("@")[0] for line in run("nm", "-g", "-D", library).stdout.splitlines()}
    return {name for name in names if name.startswith("libreplace_") and re.search(rf"\b{name}\b", relocations)}


def hostile_library(folder: Path, static: Path) -> Path:
    """Build a library that defines every function of the static library and some of Samba's. Each ends the process."""
    names = sorted(name for name in symbols(static) if name.startswith("libreplace_"))
    assert {"libreplace_setresuid", "libreplace_enter", "libreplace_walk"} <= set(names)
    source, library = folder / "hostile.c", folder / "libhostile.so"
    source.write_text("#include <stdio.h>\n#include <unistd.h>\n" + "".join(map(_FUNCTION.format, names + _SAMBA)))
    out = run(tool("cc", "C compiler"), "-shared", "-fPIC", source, "-o", library)
    assert out.returncode == 0, out.stderr
    return library
