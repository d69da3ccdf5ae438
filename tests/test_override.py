# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace_override.h: a program that drops root for good leaves no thread as root, unless the options say so.

In C++, the mapped calls are declared once by libc's headers and once by libreplace's, so both must say noexcept.
"""

import os
import shlex

import pytest
from support.builds import ROOT, flags_for_c, run, tool
from support.children import needs_root

import replace


@pytest.fixture(params=["cc", "c++"])
def compiled(request, tmp_path):
    """A function that compiles tests/c/drop.c with the header and the given options, and returns the program."""

    def compile_with(*options):
        flags = shlex.split(flags_for_c("--cflags", "--libs"))
        header = ["-D_GNU_SOURCE", *options, "-include", "libreplace/replace_override.h"]
        words = [*header, "-x", request.param.replace("cc", "c"), ROOT / "tests/c/drop.c", "-x", "none"]
        words += ["-o", tmp_path / "drop", *flags, "-pthread"]
        out = run(tool(request.param, "compiles the program"), "-Wall", "-Wextra", "-Werror", *words)
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


STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-pedantic-errors", "-Werror", "-c", "-o", os.devnull]
SYSTEM = "#include <unistd.h>\n#include <grp.h>\n#include <sys/fsuid.h>\n"
OURS = "#include <libreplace/replace.h>\n#include <libreplace/samba_config.h>\n"
CALLS = """
int main()
{
	gid_t group = 1;
	return setuid(1) + setresuid(1, 1, 1) + setgroups(1, &group) + initgroups("root", 1) + libreplace_setuid(1);
}
"""


@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++17", "c++20"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cxx_declarations_equal_those_of_libc(tmp_path, compiler, standard):
    flags = shlex.split(flags_for_c("--cflags"))
    strict = [*STRICT, f"-std={standard}"]
    for number, text in enumerate((SYSTEM + OURS, OURS + SYSTEM)):
        (tmp_path / f"{number}.cpp").write_text(text + CALLS)
        for options in (["-DLIBREPLACE_OVERRIDE_ALL"], []):
            words = [*strict, *options, "-include", "libreplace/replace_override.h", *flags]
            out = run(tool(compiler, "C++ compiler"), *words, tmp_path / f"{number}.cpp")
            assert out.returncode == 0, out.stderr
