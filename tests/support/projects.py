# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Build the projects of tests/projects/, and the C library that they use."""

import os
import re
import shutil
import sys
from pathlib import Path

from support.builds import ROOT, copy_source, run, tool

PROJECTS = ROOT / "tests" / "projects"
SHARED = ("main.c", "_whoami.c", "subprojects/libreplace.wrap")  # files that several projects use
#: The public headers, copied or written by the build.
PUBLIC_HEADERS = ["build_info.h", "calls.h", "drop.h", "guard.h", "identity.h", "open_beneath.h", "replace.h"]
PUBLIC_HEADERS += ["replace_override.h", "ring.h", "samba_config.h", "version.h"]
#: What tests/projects/main.c prints.
PROGRAM = "the thread is 80001, main is 0, then 0"


def build(name: str, folder: Path, script: str = "build.sh", env: dict[str, str] | None = None) -> str:
    """Build and run a copy of the project with its own script. Return the script's output."""
    copy_source(PROJECTS / name, folder)
    for path in SHARED:
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECTS / path, folder / path)
    # In the script, `meson` and `python` are those that run the tests.
    (folder / "bin").mkdir()
    for command, words in (("python", ""), ("meson", "-m mesonbuild.mesonmain")):
        (folder / "bin" / command).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / "bin" / command).chmod(0o755)
    # 0 turns isolation off: pip reads the variable as the setting "build_isolation".
    env = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", **(env or {})}
    env["PATH"] = os.pathsep.join([str(folder / "bin"), env.get("PATH", os.environ["PATH"])])
    out = run("sh", "-eu", script, cwd=folder, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


def development_files(lib: str) -> set[str]:
    """Return the files of every distribution's development package. `lib` is the folder of the libraries."""
    cmake = {f"libreplaceConfig{part}.cmake" for part in ("", "Version")}
    libraries = {"pkgconfig/libreplace.pc", *(f"cmake/libreplace/{name}" for name in cmake)}
    return {f"usr/include/libreplace/{name}" for name in PUBLIC_HEADERS} | {f"{lib}/{name}" for name in libraries}


def offline(source: Path) -> dict[str, str]:
    """Return variables that make git clone `source` instead of the URL in the .wrap file."""
    tool("git", "a .wrap file names a repository")
    (url,) = re.findall(r"^url = (.*)$", (PROJECTS / "subprojects/libreplace.wrap").read_text(), re.M)
    settings = {f"url.file://{source}.insteadOf": url, "safe.directory": "*"}
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for i, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
    return env


def install_library(source: Path, build: Path, prefix: Path, *options: str) -> None:
    """Build and install the C library."""
    words = [f"--prefix={prefix}", "--libdir=lib", "-Dpython=false", "--werror", *options]
    for command in (["setup", build, source, "-Dtests=false", *words], ["install", "-C", build]):
        out = run(sys.executable, "-m", "mesonbuild.mesonmain", *command)
        assert out.returncode == 0, out.stdout + out.stderr


def environment_for(prefix: Path) -> dict[str, str]:
    """Return variables with which programs find an installed C library, at build time and at run time."""
    tool("pkg-config", "finds libraries")
    paths = {"PKG_CONFIG_PATH": "lib/pkgconfig", "CMAKE_PREFIX_PATH": "", "LD_LIBRARY_PATH": "lib"}
    return {name: str(prefix / path) for name, path in paths.items()}


def required(site: Path) -> dict[str, str]:
    """Return environment variables for a build that requires the Python package in `site`."""
    path = [str(site / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]]
    return {"PYTHONPATH": str(site), "PATH": os.pathsep.join(path), "VIRTUAL_ENV": sys.prefix}
