# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The C tests under AddressSanitizer with UndefinedBehaviorSanitizer, under ThreadSanitizer, and under Valgrind."""

import json
import re
import subprocess

import pytest
from support.builds import run, tool
from support.children import needs_root
from test_build import meson

#: TSan does not support forks with threads, and it delays the signal that breaks a lease.
TSAN = ("conformance", "threads", "returns", "ring", "ring_paths", "ring_load", "ring_kernel", "ring_fuse")


def build(source, folder, *options, compiler="clang"):
    out = meson("setup", folder, source, "-Dpython=false", "-Dcredentials=syscall", *options, env={"CC": compiler})
    assert out.returncode == 0, out.stdout + out.stderr
    out = meson("compile", "-C", folder)
    assert out.returncode == 0, out.stdout + out.stderr
    return folder / "tests" / "c"


def programs(tests):
    """The command of each test of the build: its program, and arguments."""
    out = meson("introspect", "--tests", tests.parent.parent)
    assert out.returncode == 0, out.stderr
    return {test["name"]: test["cmd"] for test in json.loads(out.stdout)}


def assert_clean(*command, cwd=None):
    """Check that the command exits with 0 and reports nothing."""
    # LeakSanitizer needs ptrace, which fails after a test case that ends as another user. Valgrind finds leaks instead.
    out = run(*command, env={"ASAN_OPTIONS": "detect_leaks=0"}, cwd=cwd)
    assert out.returncode == 0, out.stdout + out.stderr
    # Valgrind's notes on new system calls, which fail with ENOSYS there
    stderr = re.sub(r"^--\d+-- .*\n", "", out.stderr, flags=re.M)
    for word in ("ERROR: ", "WARNING: ", "runtime error", "definitely lost"):
        assert word not in stderr, out.stderr


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_c_tests_pass_under_sanitizers(source, tmp_path, sanitizers):
    needs_root()
    tool("clang", "has the sanitizers")
    options = [f"-Db_sanitize={sanitizers}", "-Db_lundef=false", "-Doptimization=1"]
    tests = build(source, tmp_path / "b", *options)
    commands = programs(tests)
    for program in [name for name in TSAN if name in commands] if sanitizers == "thread" else commands:
        assert_clean(*commands[program], cwd=tests.parent.parent)  # the arguments are relative to this folder


def test_sanitizer_detects_an_out_of_bounds_read(tmp_path):
    compiler = tool("clang", "has the sanitizers")
    program = tmp_path / "wrong"
    text = "int main(int c, char **v) { int a[2] = {0}; (void)v; return a[c + 1]; }"
    flags = ["-fsanitize=address,undefined", "-x", "c", "-", "-o", program]
    subprocess.run([compiler, *flags], input=text, text=True, check=True)
    with pytest.raises(AssertionError):
        assert_clean(program)


def test_c_tests_pass_under_valgrind(source, tmp_path):
    needs_root()
    valgrind = tool("valgrind", "finds leaks")
    tests = build(source, tmp_path / "b", compiler="gcc")
    plain = (["conformance"], ["guard"], ["edges"], ["forks"], ["found"], ["identity"], ["drop_privileges"])
    # A child that is forked in another thread still has libc's record of that thread, which is "possibly lost".
    options = ["-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite"]
    options += ["--errors-for-leak-kinds=definite"]
    rings = [[name] for name in ("ring", "ring_paths", "ring_kernel") if (tests / name).exists()]
    for program, *arguments in (*plain, *rings, ["threads", "5"], ["thread_ends", "5"]):
        assert_clean(valgrind, *options, tests / program, *arguments)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_build_has_no_compiler_warnings(source, tmp_path, compiler):
    tool(compiler, "a C compiler")
    build(source, tmp_path / "b", "--werror", "-Dwarning_level=3", compiler=compiler)
