# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The C library on every platform that can be run or compiled for from here, as a table.

usage: python tests/programs/platforms.py [--markdown] [PLATFORM...]
       (as root, on Linux x86_64, with the package installed)

For each platform: configure with its own headers (probes run where its programs can be),
compile and link everything with warnings as errors, hold the generated module against the
platform family's golden file, run the C tests, and hold every transition (transitions.c)
against the model.  `--markdown` prints the first table of docs/platforms.md.  Exit status 1 if a platform fails, 2
if one could not be tried, with the reason in the table.
"""

from __future__ import annotations

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
    golden: str  # whose generated module it must have
    needs: str  # a program
    compiler: str = ""  # a native one; else tests/cross/NAME.ini
    options: tuple[str, ...] = ()
    runs: bool = True


_MULTIARCH = "-idirafter /usr/include/x86_64-linux-gnu"  # gcc-multilib and cross compilers exclude each other in Debian

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
    Platform("linux-glibc2.17-x86_64", "linux-glibc-x86_64", "ziglang", runs=False),
    Platform("macos-x86_64", "macos-aarch64", "ziglang", runs=False),
    Platform("macos-aarch64", "macos-aarch64", "ziglang", runs=False),
    Platform("freebsd-x86_64", "freebsd-x86_64", "ziglang", runs=False),
    Platform("freebsd-aarch64", "freebsd-x86_64", "ziglang", runs=False),
    Platform("netbsd-x86_64", "netbsd-x86_64", "ziglang", runs=False),
)


class Result(NamedTuple):
    platform: str
    backend: str
    answers: str  # run / compiled / not run
    transitions: str
    verdict: str


def missing(platform: Platform) -> str:
    """What the platform needs and is not there."""
    if platform.needs == "ziglang":
        import importlib.util

        return "" if importlib.util.find_spec("ziglang") else "PyPI's ziglang"
    if not shutil.which(platform.needs):
        return platform.needs
    if not platform.compiler:
        compiler = (TESTS / "cross" / f"{platform.name}.ini").read_text().split("c = '")[1].split("'")[0]
        return "" if shutil.which(compiler) else compiler
    return ""


class Failed(Exception):
    """A platform failed; the text says in what."""


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
    setup = ["setup", build, TESTS.parent, "-Dpython=false", "--werror", *platform.options, *cross]
    _run(*meson, *setup, env=environment)
    _run(*meson, "compile", "-C", build)
    answers = json.loads((build / "detect" / "answers.json").read_text())
    valid(json.loads((build / "replace" / "build_report.json").read_text()))
    family = golden.GOLDEN / platform.golden
    for name, write in golden.LIBRARY.items() if platform.golden else ():
        if (family / name).read_text() != write(golden.portable(answers)):
            raise Failed(f"{name} is not that of tests/golden/{platform.golden}")
    text = golden.LIBRARY["calls.h"](answers)
    backend = text.split('LIBREPLACE_BACKEND "')[1].split('"')[0]
    if not platform.runs:
        return Result(platform.name, backend, _answers(answers), "-", "compiled and linked only")
    _run(*meson, "test", "-C", build)
    wrapper = [] if platform.compiler else [platform.needs, "-L", _sysroot(platform)]
    program = [*wrapper, build / "tests" / "c" / "transitions"]
    problems = transitions.wrong(transitions.parse(_run(*program, "ours")))
    libc = transitions.parse(_run(*program, "libc"))
    compared = [t for t in transitions.everything() if t[3] != "setfs" and not transitions.is_sete_of_minus_one(t)]
    problems += [f"libc: {text}" for text in transitions.wrong(libc, compared)]
    if problems:
        raise Failed(f"{len(problems)} transitions differ, the first: {problems[0]}")
    counted = f"{transitions.ALL} of ours, {len(compared)} of libc's"
    return Result(platform.name, backend, _answers(answers), counted, "as the model says")


def _sysroot(platform: Platform) -> str:
    return (TESTS / "cross" / f"{platform.name}.ini").read_text().split("'-L', '")[1].split("'")[0]


def attempt(platform: Platform) -> Result:
    """check(), with what went wrong as the verdict."""
    absent = missing(platform)
    if absent:
        return Result(platform.name, "-", "-", "-", f"NOT TRIED: needs {absent}")
    with tempfile.TemporaryDirectory(prefix="libreplace-platforms-") as folder:
        try:
            return check(platform, Path(folder))
        except Failed as error:
            return Result(platform.name, "-", "-", "-", f"FAILED: {error}")


HEAD = ("platform", "back end", "answers run / compiled / not run", "transitions checked", "verdict")


def as_markdown(results: list[Result]) -> str:
    rows = "".join(f"| {' | '.join(result)} |\n" for result in results)
    return f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n{rows}"


def main(arguments: list[str]) -> int:
    """Print the table, a line as soon as it is known; returns the exit status."""
    markdown = "--markdown" in arguments
    names = [word for word in arguments if word != "--markdown"]
    known = {platform.name: platform for platform in PLATFORMS}
    unknown = [name for name in names if name not in known]
    if unknown or os.geteuid() != 0:
        print(f"no such platform: {', '.join(unknown)}" if unknown else "needs root", file=sys.stderr)
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
