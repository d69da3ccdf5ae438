# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""README's first command and the tests of the guards pass in root folders of Debian 13, also a 32-bit one.

The program tests/programs/roots.py tries more systems, and all tests; docs/roots.md shows its last results.
"""

import os
import select
import subprocess
import sys

import pytest
import roots
from support import odd_machine
from support.builds import run, tool
from support.children import HANG, needs_root

ROOTS = {root.name: root for root in roots.ROOTS}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["trixie-amd64", "trixie-i386"])
def test_guards_pass_in_a_root_folder(name, tmp_path):
    needs_root()
    tool("mmdebstrap", "makes root folders")
    row = roots.attempt(ROOTS[name]._replace(tests=(roots.GUARDS,)), tmp_path)
    assert row.tests == "guards"
    assert (row.problem, row.failed) == ("", ())
    assert row.verify.endswith(" 0 contradicted, 0 not run")
    assert row.passed > 100


PYTEST = """
tests/test_guards.py ..F [100%]
SKIPPED [2] tests/support/builds.py:95: needs proot (fakes ids; Debian: proot)
SKIPPED [1] tests/test_a.py:7: needs proot (fakes ids; Debian: proot)
FAILED tests/test_a.py::test_b[one - two] - AssertionError: 9 passed in 1s
FAILED tests/test_a.py::test_c
ERROR tests/test_a.py::test_c - OSError: [Errno 2]
"""
MESON = """
 1/4 libreplace:version       OK               0.06s
 2/4 libreplace:guard         FAIL             0.17s   exit status 1
 3/4 libreplace:ring          SKIP             0.04s   exit status 77
 4/4 libreplace:edges         UNEXPECTEDPASS   0.04s

Ok:                1
Fail:              1
Unexpected Pass:   1
Skipped:           1
# skipped: needs io_uring: Function not implemented
# skipped: needs io_uring: Function not implemented
"""


@pytest.mark.parametrize(
    ("tests", "output", "counted"),
    [
        (
            roots.ALL,
            PYTEST + "===== 2 failed, 40 passed, 3 skipped, 1 error in 5.03s (0:00:05) =====\n",
            (
                40,
                ("tests/test_a.py::test_b[one - two]", "tests/test_a.py::test_c"),
                {"needs proot (fakes ids; Debian: proot)": 3},
            ),
        ),
        (roots.GUARDS, "1 passed in 0.01s\n== 2 failed in 0.12s ==\n", (0, (), {})),
        (roots.GUARDS, "40 passed, 1 skipped in 5.03s\n", (40, (), {})),
        (roots.GUARDS, "no tests ran in 0.01s\n", (0, (), {})),
        (
            roots.C_TESTS,
            MESON,
            (1, ("libreplace:guard", "libreplace:edges"), {"needs io_uring: Function not implemented": 2}),
        ),
        (roots.C_TESTS, "ninja: error: unknown target\n", (0, (), {})),
    ],
)
def test_output_of_tests_is_counted(tests, output, counted):
    assert roots.count(tests, output) == counted


@pytest.fixture
def registered(tmp_path):
    """The start of a command, and a program of an unknown format. In the command, binfmt_misc lets echo run it."""
    needs_root()
    program = tmp_path / "program"
    program.write_text("libreplace's own format")
    program.chmod(0o755)
    line = ":libreplace:M::libreplace's::/bin/echo:"
    words = [sys.executable, odd_machine.__file__, "registered", line]
    if run(*words, "true").returncode:
        pytest.skip("needs Linux 6.7 with binfmt_misc: registrations for one user namespace")
    return words, program


def test_registration_is_only_for_the_command(registered):
    words, program = registered
    own_mounts = ["unshare", "--mount", "sh", "-c", 'umount /proc/sys/fs/binfmt_misc && exec "$0"']
    for command in ([], own_mounts):
        out = run(*words, *command, program)
        assert (out.returncode, out.stdout) == (0, f"{program}\n"), out.stderr
    assert run(*words, "false").returncode == 1
    with pytest.raises(OSError, match="Exec format error"):
        subprocess.run([program], check=False)


def test_command_ends_with_the_process_that_made_the_registration(registered):
    words, _ = registered
    starter = subprocess.Popen([*words, "sh", "-c", "echo $$; exec sleep 1000"], stdout=subprocess.PIPE, text=True)
    try:
        command = int(starter.stdout.readline())
        handle = os.pidfd_open(command)  # readable when the process has ended
        starter.kill()
        ended, _, _ = select.select([handle], [], [], HANG)
        os.close(handle)
        assert ended
    finally:
        starter.kill()
        starter.wait()
        starter.stdout.close()
