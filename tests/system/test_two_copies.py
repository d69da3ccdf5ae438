# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Several copies of the library in one process, of different versions: each copy calls its own functions.

tests/c/copies.c loads the copies and says who answers. The second copy is a later version with libc's calls, whose
setters change every thread, so a wrong function is seen in the ids of the threads.
"""

import re
import shlex
import shutil
import sys

import pytest
from support.builds import ROOT, needs_package, run, tool
from support.children import needs_root
from support.configure import MACHINE
from support.copies import hostile_library, looked_up, symbols
from support.projects import install_library
from test_build import meson

import replace

MODES = ["local", "global", "deepbind"]
#: What copies.c prints for each copy.
FIRST, SECOND = f"syscall {replace.__version__} 1 1", "libc 9.9 2 0"
ZIG = [sys.executable, "-m", "ziglang"]
ZIG_CC = [*ZIG, "cc", "-target", f"{MACHINE}-linux-gnu.2.17"]  # as in packaging.md


@pytest.fixture(scope="session")
def second(source, tmp_path_factory):
    """A later version of the library, static and shared, with libc's calls. zig compiles and links it.

    An option for every C file asks for functions that are visible.
    """
    needs_package("ziglang")
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(source, folder / "source")
    for name, word, value in (("meson.build", "version", "9.9"), ("replace/meson.build", "soversion", "9")):
        path = folder / "source" / name
        text, count = re.subn(rf"(?m)^( +{word}): '[\d.]+'", rf"\1: '{value}'", path.read_text())
        assert count == 1
        path.write_text(text)
    (folder / "zig.ini").write_text(f"[binaries]\nc = {ZIG_CC}\nar = {[*ZIG, 'ar']}\n")
    options = ["-Ddefault_library=both", "-Dcredentials=libc", "-Dc_args=-fvisibility=default"]
    options += [f"--native-file={folder / 'zig.ini'}"]
    install_library(folder / "source", folder / "b", folder / "installed", *options)
    return folder / "installed"


@pytest.fixture(scope="session")
def hostile(installed, tmp_path_factory):
    return hostile_library(tmp_path_factory.mktemp("hostile"), installed / "static/lib/libreplace.a")


def link(output, prefix, kind, *options, compiler=("cc",)):
    """Build copy.c with the installed library in `prefix`."""
    library = prefix / "lib" / f"libreplace.{'a' if kind == 'static' else 'so'}"
    words = ["-shared", "-fPIC", f"-I{prefix / 'include'}", f"-Wl,-rpath,{prefix / 'lib'}", *options]
    out = run(*compiler, *words, ROOT / "tests/c/copy.c", library, "-pthread", "-o", output)
    assert out.returncode == 0, out.stderr
    return output


@pytest.fixture(scope="session")
def objects(installed, second, tmp_path_factory):
    """Shared objects with the first and the second copy, each with the static and with the shared library."""
    folder = tmp_path_factory.mktemp("objects")
    prefixes = {("first", kind): installed / kind for kind in ("static", "shared")}
    prefixes |= {("second", kind): second for kind in ("static", "shared")}
    return {name: link(folder / f"{'-'.join(name)}.so", prefix, name[1]) for name, prefix in prefixes.items()}


@pytest.fixture(scope="session")
def load(installed, tmp_path_factory):
    """A function that loads objects with copies.c. It returns a line for each object: the copy that answers."""
    program = tmp_path_factory.mktemp("program") / "copies"
    words = ["-D_GNU_SOURCE", "-Wall", "-Werror", f"-I{installed / 'static/include'}", "-pthread"]
    out = run(tool("cc", "C compiler"), *words, ROOT / "tests/c/copies.c", "-ldl", "-o", program)
    assert out.returncode == 0, out.stderr

    def load_objects(mode, *paths, preload=None):
        needs_root()
        out = run(program, mode, *paths, env={"LD_PRELOAD": str(preload)} if preload else {})
        assert out.returncode == 0, out.stderr
        return out.stdout.splitlines()

    return load_objects


# ---- Who calls whom


@pytest.mark.parametrize("preloaded", ["nothing", "second", "hostile"])
@pytest.mark.parametrize("mode", MODES)
def test_each_static_copy_calls_its_own_functions(load, objects, second, hostile, mode, preloaded):
    preload = {"nothing": None, "second": second / "lib/libreplace.so", "hostile": hostile}[preloaded]
    first, other = objects["first", "static"], objects["second", "static"]
    assert load(mode, f"+{hostile}", first, other, preload=preload) == [FIRST, SECOND]
    assert load(mode, other, first, f"+{hostile}", preload=preload) == [SECOND, FIRST]


@pytest.mark.parametrize("preloaded", ["second", "hostile"])
@pytest.mark.parametrize("mode", MODES)
def test_each_shared_library_calls_its_own_functions(load, installed, second, hostile, mode, preloaded):
    """The libraries themselves: a function of theirs never calls a function of another copy."""
    libraries = [installed / "shared/lib/libreplace.so", second / "lib/libreplace.so"]
    preload = {"second": second / "lib/libreplace.so", "hostile": hostile}[preloaded]
    assert load(mode, f"+{hostile}", *libraries, preload=preload) == [FIRST, SECOND]


@pytest.mark.parametrize("mode", MODES)
def test_static_copy_does_not_take_the_place_of_the_shared_library(load, objects, mode):
    pairs = [("first", "static"), ("second", "shared")], [("second", "static"), ("first", "shared")]
    for pair in pairs:
        expected = [FIRST if name == "first" else SECOND for name, _ in pair]
        assert load(mode, *(objects[item] for item in pair)) == expected


def test_users_of_two_shared_libraries_call_their_own(load, objects, second):
    """With RTLD_GLOBAL or LD_PRELOAD, the first shared library answers everybody, and answers alone."""
    users = objects["first", "shared"], objects["second", "shared"]
    assert load("local", *users) == [FIRST, SECOND]
    assert load("deepbind", *users, preload=second / "lib/libreplace.so") == [FIRST, SECOND]
    assert load("global", *users) == [FIRST, FIRST]
    assert load("local", *users, preload=second / "lib/libreplace.so") == [SECOND, SECOND]


def test_preloaded_copy_does_not_change_the_python_package(second, hostile):
    needs_root()
    for preload in (second / "lib/libreplace.so", hostile):
        out = run(sys.executable, "-m", "replace", "verify", env={"LD_PRELOAD": str(preload)}, cwd="/")
        assert out.returncode == 0, out.stdout + out.stderr


# ---- What is exported, with each linker

LINKERS = {"GNU ld": "bfd", "gold": "gold", "lld": "lld", "mold": "mold"}


def uses(linker):
    """Return the compiler's option for a linker."""
    tool({"bfd": "ld"}.get(LINKERS[linker], f"ld.{LINKERS[linker]}"), "linker")
    return f"-fuse-ld={LINKERS[linker]}"


@pytest.mark.parametrize("linker", [*LINKERS, "zig"])
def test_object_with_the_static_library_exports_none_of_its_functions(installed, second, tmp_path, linker):
    (tmp_path / "everything").write_text("SAMBA_0 { global: *; };\n")
    compiler, options = (ZIG_CC, []) if linker == "zig" else (["cc"], [uses(linker)])
    for prefix in (installed / "static", second):
        for script in ([], [f"-Wl,--version-script={tmp_path / 'everything'}"]):
            path = link(tmp_path / "copy.so", prefix, "static", *options, *script, compiler=compiler)
            names = symbols("-D", path)
            assert "copy_enter" in {name.split("@")[0] for name in names}
            assert not {name for name in names if name.startswith("libreplace_")}
            assert not looked_up(path)


@pytest.mark.parametrize("linker", [*LINKERS, "zig"])
def test_shared_library_looks_up_none_of_its_functions(installed, second, tmp_path, linker):
    """The command that made the library is repeated with another linker."""
    path = second / "lib/libreplace.so"
    if linker != "zig":
        build = installed / "b-shared"
        target = f"replace/libreplace.so.{replace.__version__}"
        out = run(sys.executable, "-m", "ninja", "-C", build, "-t", "commands", target)
        path = tmp_path / "libreplace.so"
        command = [*shlex.split(out.stdout.splitlines()[-1]), uses(linker), "-o", path]
        out = run(*command, cwd=build)
        assert out.returncode == 0, out.stderr
    assert "libreplace_enter" in symbols("-D", path)
    assert not looked_up(path)


def test_program_without_pie_stores_addresses_of_the_shared_library(installed, tmp_path):
    """A table of functions in a program that is not position-independent."""
    (tmp_path / "table.c").write_text(
        "#include <libreplace/replace.h>\n"
        "static int (*const volatile table[])(uid_t) = {libreplace_seteuid};\n"
        "int main(void) { return table[0](-1) == -1 ? 0 : 1; }\n"
    )
    prefix = installed / "shared"
    for linker in LINKERS:
        words = ["-fno-pie", "-no-pie", f"-I{prefix / 'include'}", f"-Wl,-rpath,{prefix / 'lib'}", uses(linker)]
        out = run("cc", *words, tmp_path / "table.c", prefix / "lib/libreplace.so", "-o", tmp_path / "table")
        assert out.returncode == 0, out.stderr
        assert run(tmp_path / "table").returncode == 0, linker


# ---- The Python package


def test_python_package_has_its_own_copy_and_says_so(source, tmp_path):
    """Some distributions set this option for every package."""
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", "-Ddefault_library=shared")
    assert out.returncode == 0, out.stdout + out.stderr
    (warning,) = re.findall(r"WARNING: -Ddefault_library=shared has no effect on the Python package.*", out.stdout)
    assert "-Dpython=false" in warning
    plan = (tmp_path / "b/meson-info/intro-install_plan.json").read_text()
    assert "libreplace.a" in plan
    assert "libreplace.so" not in plan
