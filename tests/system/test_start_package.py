# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Follows docs/start-package.md from an empty folder: every block, in order, in one shell."""

import re
import sysconfig
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, run
from support.children import needs_root

import replace

PAGE = (ROOT / "docs" / "start-package.md").read_text()
BLOCKS = re.findall(r"(?:Save this as `(\S+)`:\n\n)?^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)


def script():
    """The page as a shell script.  It writes each file that the page shows, and runs each block of commands."""
    lines = ["set -euo pipefail"]
    for name, kind, text in BLOCKS:
        assert bool(name) == (kind not in ("sh", "text")), text
        if kind == "sh":
            lines += [f"echo '== {line}'\n{line}" for line in text.splitlines()]
        elif name:
            lines.append(f"cat > {name} <<'END OF FILE'\n{text}END OF FILE")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the packages of this Python, without libreplace, so that pip needs no network."""
    needs_package("cffi", "meson", "meson-python", "ninja", "pip")
    folder = tmp_path_factory.mktemp("packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("replace", "libreplace")):
            (folder / path.name).symlink_to(path)
    return folder


def test_tutorial_works_from_an_empty_folder(source, packages, tmp_path):
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs a build whose calls change one thread")
    (tmp_path / "libreplace").symlink_to(source)
    env = {"PYTHONPATH": str(packages), "PIP_NO_INDEX": "1", "HOME": str(tmp_path)}
    out = run("bash", "-c", script(), cwd=tmp_path, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    (printed,) = [text for _, kind, text in BLOCKS if kind == "text"]
    assert out.stdout.endswith(f"== build/program\n{printed}")
    assert "== libreplace report\nlibreplace" in out.stdout
    assert "\nstage/usr/include/libreplace/replace.h\n" in out.stdout
