# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""CPython's own tests of ThreadPoolExecutor, run with IdentityExecutor instead."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import PYTHONS, ROOT, run
from support.children import needs_root

import replace

STDLIB = ROOT / "tests" / "programs" / "stdlib_executor.py"


def stdlib_tests(*pythons):
    """Run CPython's tests on several interpreters at once. The tests sleep most of the time."""

    def one(item):
        python, path = item
        return python, run(python, STDLIB, env={"PYTHONPATH": str(path)}, cwd="/tmp")

    with ThreadPoolExecutor(8) as pool:
        for python, out in pool.map(one, pythons):
            if "ModuleNotFoundError: No module named 'test" in out.stderr:
                continue  # this Python has no module test
            assert out.returncode == 0, f"{python}: {out.stderr[-4000:]}"
            assert int(out.stdout.split("RAN")[1]) >= 40
            yield python


def test_cpython_executor_tests_pass_with_identity_executor(request):
    """Run all of CPython's tests for ThreadPoolExecutor, without exception."""
    needs_root()
    if replace.SCOPE != "thread":
        return
    others = [(python, request.getfixturevalue("abi3_site")) for python in PYTHONS]
    ran = list(stdlib_tests((sys.executable, ""), *others))
    if not ran:
        pytest.skip("needs an interpreter with its own tests (Debian: libpython3-testsuite)")
