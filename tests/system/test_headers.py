# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The public headers compile alone in each language mode, without any warning that a compiler knows.

The generated ones are the same bytes on every architecture, and in C++ they equal libc's declarations.
"""

import importlib.util
import sys
from pathlib import Path

import golden
import pytest
from support.builds import ROOT, run, tool
from support.projects import PUBLIC_HEADERS
from test_override import CALLS, OURS, STRICT, SYSTEM

import replace

meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
HEADERS = [name for name in golden.LIBRARY if name.endswith(".h")]


def test_package_installs_the_public_headers():
    assert sorted(path.name for path in Path(replace.get_include(), "libreplace").iterdir()) == PUBLIC_HEADERS


#: A use of the one macro that is code.
GUARD = """
int use(void);
int use(void)
{
	LIBREPLACE_GUARD(entry, 64);
	return libreplace_guard_init(&entry.guard, sizeof entry);
}
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with the headers, and for each of them a C and a C++ file that includes nothing else."""
    folder = tmp_path_factory.mktemp("headers")
    assert [path.name for path in golden.write_headers(golden.GOLDEN / "linux-glibc-x86_64", folder)] == PUBLIC_HEADERS
    for name in PUBLIC_HEADERS:
        for suffix in ("c", "cpp"):
            source = folder / f"{name.removesuffix('.h')}.{suffix}"
            text = GUARD if name == "guard.h" else "extern int not_empty;\n"
            source.write_text(f"#include <libreplace/{name}>\n{text}")
    return folder


def check_all(compiler, options, alone):
    sources = sorted(alone.glob("*.cpp" if "++" in compiler else "*.c"))
    assert len(sources) == len(PUBLIC_HEADERS)
    out = run(compiler, *options, "-Werror", "-fsyntax-only", f"-I{alone}", *sources)
    assert out.returncode == 0, out.stderr


C_MODES = ["c90", "gnu90", "c99", "c11", "c17", "c2x"]
CXX_MODES = ["c++98", "c++11", "c++14", "c++17", "c++20", "c++2b"]
STRICT_C = ["-Wall", "-Wextra", "-Wundef", "-pedantic-errors", "-Wstrict-prototypes", "-Wc++-compat"]


@pytest.mark.parametrize("mode", C_MODES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_each_header_compiles_alone_as_c(alone, compiler, mode):
    check_all(tool(compiler, "C compiler"), [f"-std={mode}", *STRICT_C], alone)


@pytest.mark.parametrize("mode", CXX_MODES)
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_each_header_compiles_alone_as_cxx(alone, compiler, mode):
    options = ["-Wall", "-Wextra", "-Wundef", "-pedantic-errors"]
    check_all(tool(compiler, "C++ compiler"), [f"-std={mode}", *options], alone)


@pytest.mark.parametrize("mode", ["c90", "c11", "c++98", "c++17"])
def test_clang_has_no_warning_about_a_header_or_its_comments(alone, mode):
    """-Weverything has all warnings about comments, too. Samba's name HAVE___THREAD is a reserved one in C++."""
    compiler = tool("clang++" if "++" in mode else "clang", "compiler")
    options = ["-Weverything", "-Wdocumentation", "-Wdocumentation-pedantic"]
    options += ["-Wno-c++98-compat", "-Wno-c++98-compat-pedantic", "-Wno-reserved-macro-identifier"]
    check_all(compiler, [f"-std={mode}", *options], alone)


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
    "openbsd-x86_64": "x86_64-openbsd",
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
