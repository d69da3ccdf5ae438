# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Commands, tools, builds and other interpreters."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from support.schema import valid

ROOT = Path(__file__).resolve().parent.parent.parent


def run(
    *command: object, env: dict[str, str] | None = None, cwd: object = None, timeout: int = 280
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; returns what it printed and its status."""
    words = [str(word) for word in command]
    merged = {k: v for k, v in {**os.environ, **(env or {})}.items() if k != "SOURCE_DATE_EPOCH" or env and k in env}
    # meson and ninja lie beside this Python, whose environment need not be activated
    merged["PATH"] = os.pathsep.join([merged.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    return subprocess.run(
        words,
        env=merged,
        cwd=str(cwd) if cwd else None,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )


#: Tools whose Debian package has another name.
DEBIAN = {
    "cc": "gcc",
    "chromedriver": "chromium-driver",
    "clang++": "clang",
    "dh": "debhelper",
    "dh_python3": "dh-python",
    "dpkg-buildpackage": "dpkg-dev",
    "musl-gcc": "musl-tools",
    "nm": "binutils",
    "py3versions": "python3",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def tool(name: str, why: str) -> str:
    """The path of a tool; skips with the reason and the package if it is not there."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"needs {name} ({why}; Debian: {DEBIAN.get(name, name)})")
    return str(found)


def needs_package(*names: str) -> None:
    """Skip with the name of the first of these packages of PyPI that this Python does not have."""
    for name in names:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            pytest.skip(f"needs {name} (pip install '.[test-all]')", allow_module_level=True)


def no_source(folder: str, names: list[str]) -> set[str]:
    """What lies about in a tree: caches, history, environments and build folders."""
    marks = ("pyvenv.cfg", "meson-private")
    found = {name for name in names if any(Path(folder, name, mark).exists() for mark in marks)}
    return found | {name for name in names if name in ("__pycache__", ".git") or name.endswith("_cache")}


def report_of(build: Path) -> dict[str, Any]:
    """The report that a Meson build makes, validated."""
    out = run(sys.executable, "-m", "mesonbuild.mesonmain", "compile", "-C", build, "package_files")
    assert out.returncode == 0, out.stdout + out.stderr
    return valid(json.loads((build / "replace" / "build_report.json").read_text()))


#: Other interpreters to try: paths, separated as in PATH, each with cffi installed; the oldest of them builds one
#: stable-ABI wheel for all, for which it needs meson-python and ninja as well.  .ci/run makes such environments.
PYTHONS = [path for path in os.environ.get("LIBREPLACE_PYTHONS", "").split(os.pathsep) if path]


def version(python: str) -> tuple[int, ...]:
    """The version of an interpreter, as sys.version_info begins."""
    code = "import sys; print(*sys.version_info[:3])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], text=True).split()))
