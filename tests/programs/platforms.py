# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Tries the C library on every platform that this machine can run or compile for, and prints a table.

usage: python tests/programs/platforms.py [--markdown] [PLATFORM...]
       (as root, on Linux x86_64, with the package installed)

For each platform, the program configures with the platform's own headers, compiles and links everything with warnings
as errors, and compares the generated C with the family's golden file.  If the platform's programs can run, it runs the
C tests and libreplace-verify, and compares every transition (transitions.c) with the model.  `--markdown` prints the
table of docs/platforms.md.  Exit status: 1 if a platform fails, 2 if one cannot be tried; the table says why.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402
from support import transitions  # noqa: E402
from support.schema import valid  # noqa: E402


class Platform(NamedTuple):
    name: str
    golden: str  # the family whose generated C it must have
    needs: str  # a program that must be installed
    compiler: str = ""  # a native compiler; without one, tests/cross/NAME.ini
    options: tuple[str, ...] = ()
    runs: bool = True
    by_hand: bool = False  # only this program tries it; the long tests leave it out, because an emulator is slow


_MULTIARCH = "-idirafter /usr/include/x86_64-linux-gnu"  # Debian's gcc-multilib conflicts with its cross compilers

PLATFORMS = (
    Platform("linux-glibc-x86_64", "linux-glibc-x86_64", "gcc", "gcc"),
    Platform("linux-glibc-x86_64, libc's calls", "", "gcc", "gcc", ("-Dcredentials=libc",)),
    Platform("linux-musl-x86_64", "linux-musl-x86_64", "musl-gcc", "musl-gcc"),
    Platform("linux-musl-x86_64, raw calls", "", "musl-gcc", "musl-gcc", ("-Dcredentials=syscall",)),
    Platform("linux-glibc-i386", "linux-glibc-i386", "gcc", f"gcc -m32 {_MULTIARCH}"),
    Platform("linux-glibc-aarch64", "linux-glibc-x86_64", "qemu-aarch64"),
    Platform("linux-glibc-armhf", "linux-glibc-i386", "qemu-arm"),
    Platform("linux-glibc-s390x", "linux-glibc-x86_64", "qemu-s390x"),
    Platform("linux-glibc-ppc64le", "linux-glibc-x86_64", "qemu-ppc64le"),
    Platform("linux-glibc-riscv64", "linux-glibc-x86_64", "qemu-riscv64"),
    Platform("linux-glibc-mips", "linux-glibc-x86_64", "qemu-mips"),
    Platform("linux-glibc-alpha", "linux-glibc-x86_64", "qemu-alpha", by_hand=True),
    Platform("linux-glibc-hppa", "linux-glibc-x86_64", "qemu-hppa", by_hand=True),
    Platform("linux-glibc-m68k", "linux-glibc-i386", "qemu-m68k", by_hand=True),
    Platform("linux-glibc-mips64el", "linux-glibc-x86_64", "qemu-mips64el", by_hand=True),
    Platform("linux-glibc-powerpc", "linux-glibc-x86_64", "qemu-ppc", by_hand=True),
    Platform("linux-glibc-sparc64", "linux-glibc-x86_64", "sparc64-linux-gnu-gcc", runs=False, by_hand=True),
    Platform("linux-glibc-x32", "linux-glibc-x86_64", "gcc", runs=False),
    Platform("linux-glibc2.17-x86_64", "linux-glibc-x86_64", "ziglang", runs=False),
    Platform("macos-x86_64", "macos-aarch64", "ziglang", runs=False),
    Platform("macos-aarch64", "macos-aarch64", "ziglang", runs=False),
    Platform("freebsd-x86_64", "freebsd-x86_64", "ziglang", runs=False),
    Platform("freebsd-aarch64", "freebsd-x86_64", "ziglang", runs=False),
    Platform("netbsd-x86_64", "netbsd-x86_64", "ziglang", runs=False),
    Platform("openbsd-x86_64", "openbsd-x86_64", "ziglang", runs=False),
)


CORRECT, COMPILED = "equal to the model", "compiled and linked"  # a Result's verdict


class Result(NamedTuple):
    platform: str
    backend: str
    answers: str  # run / compiled / not run
    transitions: str
    verdict: str


def missing(platform: Platform) -> str:
    """What the platform needs and this machine does not have, or ""."""
    if platform.needs == "ziglang":
        import importlib.util

        return "" if importlib.util.find_spec("ziglang") else "PyPI's ziglang"
    compiler = platform.compiler.split() or binary(platform, "c")
    for program in (platform.needs, compiler[0]):
        if not shutil.which(program):
            return program
    with tempfile.TemporaryDirectory(prefix="libreplace-platforms-") as folder:
        source, made = Path(folder, "main.c"), Path(folder, "main")
        source.write_text("#include <limits.h>\nint main(void) { return 0; }\n")
        if subprocess.run([*compiler, source, "-o", made], capture_output=True, check=False).returncode:
            return f"a C library for {shlex.join(compiler)} (Debian: gcc-multilib, or libc6-dev-ARCHITECTURE-cross)"
    return ""


def binary(platform: Platform, name: str) -> list[str]:
    """The words of a command in the cross file of the platform."""
    file = configparser.ConfigParser()
    file.read(TESTS / "cross" / f"{platform.name}.ini")
    value = ast.literal_eval(file["binaries"][name])
    return [value] if isinstance(value, str) else value


class Failed(Exception):
    """A platform failed.  The text says in which step."""


def _run(*command: object, env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]  # python3 with ziglang, and ninja
    out = subprocess.run(
        words, env={**os.environ, "PATH": path, **(env or {})}, capture_output=True, text=True, check=False
    )
    if out.returncode:
        raise Failed(f"{shlex.join(words)}: {(out.stdout + out.stderr)[-2000:]}")
    return out.stdout


def _answers(answers: dict[str, str]) -> str:
    how = [value for key, value in answers.items() if key.endswith(":how")]
    ran = sum(value.startswith("ran") for value in how)
    compiled = sum(value == "compiled" for value in how)
    return f"{ran} / {compiled} / {len(how) - ran - compiled}"


def check(platform: Platform, build: Path) -> Result:
    """Try one platform in an empty folder.  Raises Failed."""
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    cross = [] if platform.compiler else ["--cross-file", TESTS / "cross" / f"{platform.name}.ini"]
    environment = {"CC": platform.compiler} if platform.compiler else {}
    setup = ["setup", build, TESTS.parent, "-Dpython=false", "-Dverify=true", "--werror", *platform.options, *cross]
    _run(*meson, *setup, env=environment)
    _run(*meson, "compile", "-C", build)
    answers = json.loads((build / "detect" / "answers.json").read_text())
    valid(json.loads((build / "replace" / "build_report.json").read_text()))
    family = golden.GOLDEN / platform.golden
    for name, write in golden.LIBRARY.items() if platform.golden else ():
        if (family / name).read_text() != write(golden.portable(answers)):
            raise Failed(f"{name} differs from the one in tests/golden/{platform.golden}")
    text = golden.LIBRARY["calls.h"](answers)
    backend = text.split('LIBREPLACE_BACKEND "')[1].split('"')[0]
    if not platform.runs:
        return Result(platform.name, backend, _answers(answers), "-", COMPILED)
    _run(*meson, "test", "-C", build)
    wrapper = [] if platform.compiler else binary(platform, "exe_wrapper")
    _run(*wrapper, build / "replace" / "verify" / "libreplace-verify")  # meson test accepts checks that cannot run
    program = [*wrapper, build / "tests" / "c" / "transitions"]
    problems = transitions.wrong(transitions.parse(_run(*program, "ours")))
    libc = transitions.parse(_run(*program, "libc"))
    compared = [t for t in transitions.everything() if t[3] != "setfs" and not transitions.is_sete_of_minus_one(t)]
    problems += [f"libc: {text}" for text in transitions.wrong(libc, compared)]
    if problems:
        raise Failed(f"{len(problems)} transitions differ from the model; the first one: {problems[0]}")
    counted = f"{transitions.ALL} of libreplace, {len(compared)} of libc"
    return Result(platform.name, backend, _answers(answers), counted, CORRECT)


def attempt(platform: Platform) -> Result:
    """Call check().  If it cannot try the platform, or fails, the result's verdict says so."""
    absent = missing(platform)
    if absent:
        return Result(platform.name, "-", "-", "-", f"NOT TRIED: needs {absent}")
    with tempfile.TemporaryDirectory(prefix="libreplace-platforms-") as folder:
        try:
            return check(platform, Path(folder))
        except Failed as error:
            return Result(platform.name, "-", "-", "-", f"FAILED: {error}")


def row(result: Result) -> str:
    """A platform's line in the table of docs/platforms.md."""
    return f"| {result.platform} | {result.backend} | {result.verdict} |\n"


def detail(result: Result) -> str:
    """The line below the table that explains a verdict.  Platforms with the same verdict share it."""
    ran, compiled, not_run = result.answers.split(" / ") if " / " in result.answers else ("-", "-", "-")
    by = f"{compiled} answers from the compiler, {ran} from probes that ran, {not_run} not run"
    text = f"* **{result.verdict}**: {by}"
    return f"{text};\n  transitions: {result.transitions}\n" if result.transitions != "-" else f"{text}\n"


def as_markdown(results: list[Result]) -> str:
    details = dict.fromkeys(map(detail, results))
    return "".join(["| platform | back end | result |\n|---|---|---|\n", *map(row, results), "\n", *details])


def main(arguments: list[str]) -> int:
    """Print each line of the table as soon as it is known.  Returns the exit status."""
    markdown = "--markdown" in arguments
    names = [word for word in arguments if word != "--markdown"]
    known = {platform.name: platform for platform in PLATFORMS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such platform: {', '.join(unknown)}; the platforms are {', '.join(known)}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("run this program as root: it switches real ids", file=sys.stderr)
        return 2
    results = []
    for platform in [known[name] for name in names] or PLATFORMS:
        results.append(attempt(platform))
        if not markdown:
            widths = (33, 9, 17, 35, 0)
            print("".join(cell.ljust(width) for cell, width in zip(results[-1], widths, strict=True)), flush=True)
    if markdown:
        print(as_markdown(results), end="")
    return 1 if any("FAILED" in r.verdict for r in results) else 2 if any("NOT" in r.verdict for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
