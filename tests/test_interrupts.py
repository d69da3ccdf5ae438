# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""interrupts.py on each CPython to be had: 10 000 interrupts, and nobody is left switched.

The other interpreters are those named in LIBREPLACE_PYTHONS (paths, separated as in PATH),
each with cffi installed; the oldest of them builds one stable-ABI wheel for all, for which
it needs meson-python and ninja as well.  .ci/run makes such environments.
"""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, needs_root, run
from test_os_drop_in import DRIVER

import replace

PYTHONS = [path for path in os.environ.get("LIBREPLACE_PYTHONS", "").split(os.pathsep) if path]
SCRIPT = ROOT / "tests" / "interrupts.py"


def version(python):
    code = "import sys; print(*sys.version_info[:3])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], text=True).split()))


@pytest.fixture(scope="session")
def everywhere(source, tmp_path_factory):
    """A folder with the package from one abi3 wheel, built by the oldest of the interpreters."""
    folder = tmp_path_factory.mktemp("everywhere")
    oldest = min(PYTHONS, key=version)
    env = {"PATH": os.path.dirname(oldest) + os.pathsep + os.environ["PATH"]}
    options = ["--no-deps", "--no-build-isolation", "-Csetup-args=-Dpython.allow_limited_api=true"]
    out = run(oldest, "-m", "pip", "wheel", *options, "-w", folder, source, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    (wheel,) = folder.glob("*-abi3-*.whl")
    out = run(oldest, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    assert out.returncode == 0, out.stdout + out.stderr
    return folder / "site"


def check(out):
    assert out.returncode == 0, out.stdout + out.stderr
    answer = json.loads(out.stdout)
    assert answer["caught"] >= 10_000
    assert answer["wrong"] == 0
    assert all(case["caught"] > 0 for case in answer["cases"].values())


def test_ten_thousand_interrupts_here():
    needs_root()
    if replace.SCOPE == "thread":
        check(run(sys.executable, SCRIPT, cwd="/"))


@pytest.mark.parametrize("python", PYTHONS)
def test_ten_thousand_interrupts_elsewhere(python, everywhere):
    needs_root()
    check(run(python, SCRIPT, env={"PYTHONPATH": str(everywhere)}, cwd="/"))


@pytest.mark.parametrize("python", PYTHONS)
def test_the_same_wheel_elsewhere(python, everywhere, tmp_path):
    """One stable-ABI wheel for all: the live checks, and that interpreter's own tests of os with ours in its place."""
    needs_root()
    env = {"PYTHONPATH": str(everywhere)}
    out = run(python, "-m", "replace", "verify", env=env, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    if run(python, "-c", "import test.test_posix", cwd="/").returncode == 0:  # Debian's ships without
        out = run(python, "-c", DRIVER, env=env, cwd=tmp_path)
        assert out.returncode == 0, out.stderr


def test_a_context_manager_in_python_is_caught():
    """The script can fail: what it looks for does happen to a naive one."""
    needs_root()
    out = run(sys.executable, SCRIPT, "naive", cwd="/")
    assert out.returncode == 1, out.stdout + out.stderr
    assert json.loads(out.stdout)["wrong"] > 0
