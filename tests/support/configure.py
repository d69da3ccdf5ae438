# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Configure the C library with compiler options, read the answers, and name the machine."""

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import toolchain
from verdict import Chosen, decide

from support.builds import run

#: The machine of this Python's wheels. uname(2) names that of the kernel, such as x86_64, also to a 32-bit program.
MACHINE = toolchain.wheel_platform().rpartition("-")[2]
#: Compilers for i386 programs. Debian's gcc-multilib conflicts with its cross compilers, which have <asm/unistd.h> too.
ARCHITECTURES = {"x86_64": "", "i386": " -m32 -idirafter /usr/include/x86_64-linux-gnu"}


def configure(
    source: Path, build: Path, *options: object, env: "dict[str, str] | None" = None
) -> "CompletedProcess[str]":
    """Run `meson setup -Dpython=false -Dtests=false`."""
    words = [sys.executable, "-m", "mesonbuild.mesonmain", "setup", build, source, "-Dpython=false", "-Dtests=false"]
    return run(*words, *options, env={"CFLAGS": "", "CPPFLAGS": "", "LDFLAGS": "", **(env or {})})


def answers_of(build: Path) -> "dict[str, str]":
    answers: dict[str, str] = json.loads((build / "detect" / "answers.json").read_text())
    return answers


def calls_of(build: Path) -> "tuple[Chosen, ...]":
    """The back end, symbol and scope of each call."""
    return decide(answers_of(build)).calls
