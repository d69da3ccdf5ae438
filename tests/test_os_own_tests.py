# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run CPython's own tests of os.set*id and os.setgroups on the functions of this package.

Of PosixTester, only the tests of these calls run. The documented difference, that 2**32 - 1 does not mean -1, excludes
no test: none of CPython's tests depends on it.
"""

import importlib.util
import sys

import pytest
from support.builds import run
from support.children import needs_root_or_user

DRIVER = """
import os, posix, sys, unittest
import replace
for name in replace.__all__:
    if hasattr(os, name):
        setattr(os, name, getattr(replace, name))
        setattr(posix, name, getattr(replace, name))
try:
    from test.test_os import PosixUidGidTests
except ImportError:
    from test.test_os.test_posix import PosixUidGidTests
from test import test_posix
loader, suite = unittest.TestLoader(), unittest.TestSuite()
for case in (PosixUidGidTests, test_posix.PosixGroupsTester):
    suite.addTests(loader.loadTestsFromTestCase(case))
names = ["test_getresuid", "test_getresgid", "test_setresuid", "test_setresuid_exception", "test_setresgid",
         "test_setresgid_exception", "test_initgroups", "test_getgroups"]
suite.addTests(test_posix.PosixTester(n) for n in names if hasattr(test_posix.PosixTester, n))
result = unittest.TextTestRunner(verbosity=2).run(suite)
print("RAN", result.testsRun - len(result.skipped))
sys.exit(not result.wasSuccessful())
"""


def test_tests_of_cpython_pass(tmp_path):
    needs_root_or_user()
    if not all(map(importlib.util.find_spec, ("test", "test.test_posix"))):  # a distribution splits them off
        pytest.skip("needs CPython's own tests (Debian: libpython3-testsuite; Alpine: python3-tests)")
    out = run(sys.executable, "-c", DRIVER, cwd=tmp_path)  # the tests write files
    assert out.returncode == 0, out.stderr
    assert int(out.stdout.split("RAN")[1]) >= 15, out.stderr
