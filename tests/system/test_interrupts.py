# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run interrupts.py on each CPython: after 10 000 interrupts, no thread is left switched.

The other interpreters come from the variable LIBREPLACE_PYTHONS.
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
def test_interrupts_on_other_pythons_leave_no_thread_switched(python, abi3_site):
    needs_root()
    check(run(python, SCRIPT, env={"PYTHONPATH": str(abi3_site)}, cwd="/"))


@pytest.mark.parametrize("python", PYTHONS)
def test_stable_abi_wheel_works_on_other_pythons(python, abi3_site, tmp_path):
    """Run `libreplace verify`, and CPython's tests of os with the calls of this package instead of os's calls."""
    needs_root()
    env = {"PYTHONPATH": str(abi3_site)}
    out = run(python, "-m", "replace", "verify", env=env, cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    if run(python, "-c", "import test.test_posix", cwd="/").returncode == 0:  # Debian's Python lacks its tests
        out = run(python, "-c", DRIVER, env=env, cwd=tmp_path)
        assert out.returncode == 0, out.stderr


def test_interrupts_script_detects_an_unsafe_context_manager():
    """Control: the script must fail for a context manager that is written in Python."""
    needs_root()
    out = run(sys.executable, SCRIPT, "naive", cwd="/")
    assert out.returncode == 1, out.stdout + out.stderr
    assert json.loads(out.stdout)["wrong"] > 0
