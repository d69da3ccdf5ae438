# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""CPython's own tests of executors, with IdentityExecutor in the place of ThreadPoolExecutor."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import PYTHONS, ROOT, run
from support.children import needs_root

import replace

STDLIB = ROOT / "tests" / "programs" / "stdlib_executor.py"


def stdlib_tests(*pythons):
    """CPython's own tests of ThreadPoolExecutor, on several interpreters at once: they sleep most of the time."""

    def one(item):
        python, path = item
        return python, run(python, STDLIB, env={"PYTHONPATH": str(path)}, cwd="/tmp")

    with ThreadPoolExecutor(8) as pool:
        for python, out in pool.map(one, pythons):
            if "ModuleNotFoundError: No module named 'test" in out.stderr:
                continue  # Debian's and pyenv's may come without
            assert out.returncode == 0, f"{python}: {out.stderr[-4000:]}"
            assert int(out.stdout.split("RAN")[1]) >= 40
            yield python


def test_cpython_executor_tests_pass_with_identity_executor(request):
    """As far as they apply is: all of those for ThreadPoolExecutor."""
    needs_root()
    if replace.SCOPE != "thread":
        return
    elsewhere = [(python, request.getfixturevalue("everywhere")) for python in PYTHONS]
    ran = list(stdlib_tests((sys.executable, ""), *elsewhere))
    if not ran:
        pytest.skip("no interpreter here ships its tests (Debian: libpython3-testsuite)")
