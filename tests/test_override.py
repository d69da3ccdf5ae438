# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace_override.h in a program that permanently drops root: no thread may stay root unless the options say so."""

import shlex
import sys

import pytest
from support.builds import ROOT, run, tool
from support.children import needs_root

import replace


@pytest.fixture
def compiled(tmp_path):
    """A function that compiles tests/c/drop.c with the header and the given options, and returns the program."""

    def compile_with(*options):
        config = run(sys.executable, "-m", "replace", "config", "--cflags", "--libs", cwd="/")
        assert config.returncode == 0, config.stderr
        header = ["-D_GNU_SOURCE", *options, "-include", "libreplace/replace_override.h"]
        words = [*header, ROOT / "tests/c/drop.c", "-o", tmp_path / "drop", *shlex.split(config.stdout), "-pthread"]
        out = run(tool("cc", "compiles the C program"), "-Wall", "-Wextra", "-Werror", *words)
        assert out.returncode == 0, out.stderr
        return tmp_path / "drop"

    return compile_with


ALL_DROPPED = "main 80001, worker 80001\n"
ONE_DROPPED = "main 80001, worker 0\n" if replace.SCOPE == "thread" else ALL_DROPPED


@pytest.mark.parametrize(
    ("call", "options", "printed"),
    [
        ("setuid", [], ALL_DROPPED),
        ("setuid", ["-DLIBREPLACE_OVERRIDE_ALL"], ONE_DROPPED),
        ("setresuid", [], ONE_DROPPED),
        ("undef", [], ALL_DROPPED),
    ],
    ids=["setuid of libc", "setuid of libreplace", "setresuid of libreplace", "setresuid of libc"],
)
def test_drop_changes_one_or_all_threads_as_documented(compiled, call, options, printed):
    needs_root()
    assert run(compiled(*options), call).stdout == printed
