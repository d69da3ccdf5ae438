# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The generated headers on other platforms: the same bytes on every architecture, and in C++ libc's declarations."""

import importlib.util
import sys

import golden
import pytest
from support.builds import ROOT, run, tool
from test_override import CALLS, OURS, STRICT, SYSTEM

meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
HEADERS = [name for name in golden.LIBRARY if name.endswith(".h")]


@pytest.mark.parametrize("architecture", ["aarch64", "armhf", "ppc64le", "riscv64", "s390x"])
def test_headers_of_a_cross_build_are_those_of_the_family(source, tmp_path, architecture):
    """Cross compilers of Debian. So a package for each architecture installs the same files."""
    file = ROOT / "tests" / "cross" / f"linux-glibc-{architecture}.ini"
    tool(file.read_text().split("c = '")[1].split("'")[0], "cross compiler")
    out = run(*meson, "setup", tmp_path / "b", source, "-Dtests=false", "-Dpython=false", "--cross-file", file)
    assert out.returncode == 0, out.stdout
    out = run(*meson, "compile", "-C", tmp_path / "b", "library_files")
    assert out.returncode == 0, out.stdout
    found = {path.name: path for path in (tmp_path / "b").rglob("*.h")}
    for name in HEADERS:
        assert found[name].read_text() == (golden.GOLDEN / "linux-glibc-x86_64" / name).read_text(), name


TARGETS = {
    "linux-glibc-x86_64": "x86_64-linux-gnu",
    "linux-glibc-i386": "x86-linux-gnu",
    "linux-musl-x86_64": "x86_64-linux-musl",
    "macos-aarch64": "aarch64-macos",
    "freebsd-x86_64": "x86_64-freebsd",
    "netbsd-x86_64": "x86_64-netbsd",
}


@pytest.mark.parametrize("platform", TARGETS)
def test_cxx_declarations_equal_those_of_each_libc(tmp_path, platform):
    if not importlib.util.find_spec("ziglang"):
        pytest.skip("needs PyPI's ziglang")
    golden.write_headers(golden.GOLDEN / platform, tmp_path)
    system = SYSTEM if platform.startswith("linux") else SYSTEM.replace("#include <sys/fsuid.h>\n", "")
    calls = CALLS if platform.startswith("linux") else "\nint main()\n{\n\treturn setreuid(1, 1);\n}\n"
    for standard in ("c++98", "c++11", "c++17", "c++20"):
        for number, text in enumerate((system + OURS, OURS + system)):
            (tmp_path / f"{number}.cpp").write_text(text + calls)
            words = [*STRICT[:-1], tmp_path / "out.o", "-target", TARGETS[platform], f"-std={standard}"]
            words += [f"-I{tmp_path}", "-DLIBREPLACE_OVERRIDE_ALL", "-include", "libreplace/replace_override.h"]
            out = run(sys.executable, "-m", "ziglang", "c++", *words, tmp_path / f"{number}.cpp")
            assert out.returncode == 0, out.stderr
