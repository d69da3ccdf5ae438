# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""interrupts.py on each CPython to be had: 10 000 interrupts, and nobody is left switched.

The other interpreters are conftest.py's PYTHONS.
"""

import json
import sys

import pytest
from support.builds import PYTHONS, ROOT, run
from support.children import needs_root
from test_os_own_tests import DRIVER

import replace

SCRIPT = ROOT / "tests" / "programs" / "interrupts.py"


def check(out):
    assert out.returncode == 0, out.stdout + out.stderr
    answer = json.loads(out.stdout)
    assert answer["caught"] >= 10_000
    assert answer["wrong"] == 0
    assert all(case["caught"] > 0 for case in answer["cases"].values())


def test_ten_thousand_interrupts_leave_no_thread_switched():
    needs_root()
    if replace.SCOPE == "thread":
        check(run(sys.executable, SCRIPT, cwd="/"))


@pytest.mark.parametrize("python", PYTHONS)
def test_interrupts_on_other_pythons_leave_no_thread_switched(python, everywhere):
    needs_root()
    check(run(python, SCRIPT, env={"PYTHONPATH": str(everywhere)}, cwd="/"))


@pytest.mark.parametrize("python", PYTHONS)
def test_stable_abi_wheel_works_on_other_pythons(python, everywhere, tmp_path):
    """One stable-ABI wheel for all: the live checks, and that interpreter's own tests of os with ours in its place."""
    needs_root()
    env = {"PYTHONPATH": str(everywhere)}
    out = run(python, "-m", "replace", "verify", env=env, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    if run(python, "-c", "import test.test_posix", cwd="/").returncode == 0:  # Debian's ships without
        out = run(python, "-c", DRIVER, env=env, cwd=tmp_path)
        assert out.returncode == 0, out.stderr


def test_interrupts_script_detects_an_unsafe_context_manager():
    """The script can fail: what it looks for does happen to a naive one."""
    needs_root()
    out = run(sys.executable, SCRIPT, "naive", cwd="/")
    assert out.returncode == 1, out.stdout + out.stderr
    assert json.loads(out.stdout)["wrong"] > 0
