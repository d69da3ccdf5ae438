# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Projects that use libreplace: each project of tests/projects/ builds with its own build.sh, and runs.

docs/embedding.md shows files of these projects, and a test compares the page with the files. The programs switch real
ids, so running them needs root.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile

import pytest
from calls import CALLS
from support.builds import ROOT, needs_package, run, tool
from support.children import needs_root
from support.copies import symbols
from support.projects import PROGRAM, PROJECTS, PUBLIC_HEADERS, build, environment_for, offline, required
from support.tutorial import offline as no_index
from test_build import PIP, install, wheel

PAGE = (ROOT / "docs" / "embedding.md").read_text()


def compiled_files(folder):
    """Return every file that the compiler read, from ninja's dependency records."""
    out = run(sys.executable, "-m", "ninja", "-C", folder, "-t", "deps")
    assert out.returncode == 0, out.stderr
    return {line.strip() for line in out.stdout.splitlines() if line.startswith("    ")}


# ---- The Meson subproject


def test_subproject_builds_without_cffi_and_python_headers(source, tmp_path):
    """The environment has only Meson."""
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare").returncode == 0
    (site,) = (tmp_path / "bare").glob("lib/python3*/site-packages")
    mesonbuild = run(sys.executable, "-c", "import mesonbuild; print(*mesonbuild.__path__)", cwd="/").stdout.strip()
    (site / "mesonbuild").symlink_to(mesonbuild)
    python = tmp_path / "bare" / "bin" / "python"
    assert "No module named 'cffi'" in run(python, "-c", "import cffi").stderr
    folder = tmp_path / "program"
    shutil.copytree(PROJECTS / "subproject", folder)
    for path in ("main.c", "subprojects"):
        shutil.copytree(PROJECTS / path, folder / path) if "." not in path else shutil.copy(PROJECTS / path, folder)
    for words in (
        ["setup", "build"],
        ["compile", "-C", "build"],
        ["install", "-C", "build", "--destdir", tmp_path / "d"],
    ):
        out = run(python, "-m", "mesonbuild.mesonmain", *words, cwd=folder, env=offline(source))
        assert out.returncode == 0, out.stdout + out.stderr
        if words[0] == "setup":
            assert " rule " in out.stdout, "the subproject's summary is in the parent's output"
    read = compiled_files(folder / "build")
    assert any(path.endswith("libreplace/calls.h") for path in read)
    assert not [path for path in read if "ython" in path.removeprefix(str(tmp_path))]
    assert [p for p in (tmp_path / "d").rglob("*") if p.is_file()] == []
    needs_root()
    assert run(folder / "build" / "program").stdout.strip() == PROGRAM


def test_subproject_program_switches_one_thread(source, tmp_path):
    needs_root()
    assert build("subproject", tmp_path / "p", env=offline(source)).endswith(PROGRAM + "\n")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_subproject_builds_under_a_strict_parent(source, tmp_path, compiler):
    """The parent has options of the same names and its own config.h. In both projects, every warning is an error."""
    out = build("strict-parent", tmp_path / "p", env={**offline(source), "CC": tool(compiler, "C compiler")})
    assert out.endswith(("syscall, HAVE_SETGROUPS 2\n", "libc, HAVE_SETGROUPS 2\n"))
    options = json.loads((tmp_path / "p/build/meson-info/intro-buildoptions.json").read_text())
    values = {option["name"]: option["value"] for option in options}
    assert (values["credentials"], values["package"]) == (7, True)
    assert (values["libreplace:credentials"], values["libreplace:package"]) == ("auto", "replace")
    plan = json.loads((tmp_path / "p/build/meson-info/intro-install_plan.json").read_text())
    installed = [target["destination"] for section in plan.values() for target in section.values()]
    assert installed == ["{bindir}/strict"], "no file of the subproject is installed"


# ---- The installed library


def links_with_shared(program):
    return "libreplace.so.0" in run("ldd", program).stdout


@pytest.mark.parametrize(
    ("kind", "script"), [("static", "build.sh"), ("shared", "build.sh"), ("both", "build.sh"), ("both", "static.sh")]
)
def test_pkg_config_program_links_and_switches_one_thread(installed, tmp_path, kind, script):
    needs_root()
    assert build("pkg-config", tmp_path / "p", script, environment_for(installed / kind)).strip() == PROGRAM
    assert links_with_shared(tmp_path / "p/program") == (kind != "static" and script == "build.sh")


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_cxx_program_links_and_switches_one_thread(installed, tmp_path, compiler):
    needs_root()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/c++").symlink_to(tool(compiler, "C++ compiler"))
    env = {**environment_for(installed / "static"), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    assert build("cxx", tmp_path / "p", env=env).strip() == PROGRAM


def test_a_clone_installs_into_a_prefix_of_your_own(source, tmp_path):
    """From an empty folder: the clone, the library in $PREFIX, and a program that finds it there at run time."""
    needs_root()
    env = {**offline(source), "PREFIX": str(tmp_path / "usr")}
    build("install", tmp_path / "p", env=env)
    assert build("pkg-config", tmp_path / "program", "prefix.sh", env).strip() == PROGRAM
    assert links_with_shared(tmp_path / "program/program")


# ---- A prefix of your own, and the order of the linker's arguments

NOT_FOUND = "error while loading shared libraries: libreplace.so.0: cannot open shared object file"


def without_run_path(prefix):
    """Return the variables for an installed library, which the loader does not find."""
    return {name: value for name, value in environment_for(prefix).items() if name != "LD_LIBRARY_PATH"}


def test_program_without_a_run_time_path_does_not_start(installed, tmp_path):
    folder, env = tmp_path / "p", without_run_path(installed / "shared")
    shutil.copytree(PROJECTS / "pkg-config", folder)
    shutil.copy(PROJECTS / "main.c", folder)
    out = run("sh", "build.sh", cwd=folder, env=env)
    assert out.returncode != 0
    assert NOT_FOUND in out.stderr
    needs_root()
    env["PREFIX"] = str(installed / "shared")
    assert run("sh", "-eu", "prefix.sh", cwd=folder, env=env).stdout.strip() == PROGRAM


def test_installed_cmake_program_finds_the_library_in_a_prefix(installed, tmp_path):
    needs_root()
    tool("cmake", "builds a project")
    env = {"PREFIX": str(installed / "shared")}
    assert build("cmake", tmp_path / "p", "prefix.sh", env).endswith(PROGRAM + "\n")
    assert run("cmake", "-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=OFF", "build", cwd=tmp_path / "p").returncode == 0
    assert run("cmake", "--install", "build", "--prefix", "plain", cwd=tmp_path / "p").returncode == 0
    assert NOT_FOUND in run(tmp_path / "p/plain/bin/program").stderr


def test_libraries_before_the_objects_are_undefined_references(installed, tmp_path):
    env = environment_for(installed / "static")
    build("link-order", tmp_path / "p", env=env)
    out = run("sh", "wrong.sh", cwd=tmp_path / "p", env=env)
    assert out.returncode != 0
    (message,) = re.findall(r"^```text\n(undefined reference.*)\n```$", PAGE, re.M)
    assert message in out.stderr


# ---- Existing code, with the include

WORKER = "the worker is 80001\n"
PER_THREAD = WORKER + "main is 0, its group 0, with 0 more\n"
WHOLE_PROCESS = WORKER + "main is 80001, its group 80011, with 1 more\n"


def server(folder):
    """Put the source of the example server into a new folder."""
    folder.mkdir()
    shutil.copy(PROJECTS / "override/server.c", folder)
    return folder


def test_override_header_makes_server_calls_per_thread(installed, tmp_path):
    """Build one server source without and with the include of the override header."""
    needs_root()
    tool("make", "builds a project")
    env = environment_for(installed / "static")
    out = build("override", tmp_path / "p", env=env)
    assert out.endswith(PER_THREAD)
    assert "-O2 -Wall -DWORKER=80001" in out
    (tmp_path / "p/server").unlink()
    assert run("make", "-C", tmp_path / "p").returncode == 0
    assert run(tmp_path / "p/server").stdout == WHOLE_PROCESS


def test_cflags_on_the_command_line_discard_those_of_the_makefile(tmp_path):
    tool("make", "builds a project")
    shutil.copytree(PROJECTS / "override", tmp_path / "p")
    out = run("make", "-C", tmp_path / "p", "CFLAGS=-O2")
    assert out.returncode != 0
    assert "WORKER" in out.stderr


def answers(folder):
    """Return the answers of a configure script."""
    return re.findall(r"^#define (.*)$", (folder / "config.h").read_text(), re.M)


@pytest.fixture(scope="session")
def configure(tmp_path_factory):
    """The example server with its configure script, and the answers that the script gives without libreplace."""
    for name in ("autoconf", "automake", "make"):
        tool(name, "builds a project")
    folder = tmp_path_factory.mktemp("autotools")
    shutil.copytree(PROJECTS / "autotools", folder, dirs_exist_ok=True)
    for words in (["autoreconf", "--install"], ["./configure"]):
        out = run(*words, cwd=folder)
        assert out.returncode == 0, out.stdout + out.stderr
    found = answers(folder)
    assert {"HAVE_SETRESUID 1", "HAVE_SETEUID 1", "HAVE_DECL_SETRESUID 1", "SETEUID_WORKS 1"} <= set(found)
    assert "HAVE_SETUIDX 1" not in found
    (folder / "config.status").unlink()
    return folder, found


def scripted(configure, folder):
    """Copy the example server with its configure script."""
    shutil.copytree(configure[0], server(folder), dirs_exist_ok=True)
    return folder


def test_configure_script_gives_the_same_answers_with_the_include(installed, configure, tmp_path):
    needs_root()
    folder = scripted(configure, tmp_path / "p")
    assert build("autotools", folder, env=environment_for(installed / "static")).endswith(PER_THREAD)
    assert answers(folder) == configure[1]


def test_configure_script_answers_no_for_mapped_calls_under_werror(installed, configure, tmp_path):
    folder = scripted(configure, tmp_path / "p")
    script = (folder / "build.sh").read_text().replace('CPPFLAGS="', 'CPPFLAGS="-Werror ')
    out = run("sh", "-c", script.split("\nmake")[0], cwd=folder, env=environment_for(installed / "static"))
    assert out.returncode == 0, out.stdout + out.stderr
    assert "checking for setresuid... no" in out.stdout
    assert set(configure[1]) - set(answers(folder)) >= {"HAVE_SETRESUID 1", "HAVE_SETEUID 1"}


def test_configure_test_that_runs_a_program_needs_the_run_time_path(installed, configure, tmp_path):
    needs_root()
    env = without_run_path(installed / "shared")
    folder = scripted(configure, tmp_path / "without")
    script = (folder / "build.sh").read_text().split("\nmake")[0]
    out = run("sh", "-c", f"{script} LDFLAGS=-Wl,--no-as-needed", cwd=folder, env=env)
    assert out.returncode != 0
    assert "cannot run C compiled programs" in out.stderr
    out = run("sh", "-c", f"{script} LDFLAGS=-Wl,--as-needed", cwd=folder, env=env)
    assert out.returncode == 0, out.stderr
    assert set(configure[1]) - set(answers(folder)) == {"SETEUID_WORKS 1"}
    folder = scripted(configure, tmp_path / "with")
    assert build("autotools", folder, "prefix.sh", env).endswith(PER_THREAD)
    assert answers(folder) == configure[1]


def test_program_with_pkg_check_modules_switches_one_thread(installed, tmp_path):
    needs_root()
    for name in ("autoconf", "automake", "make"):
        tool(name, "builds a project")
    out = build("autotools-own", server(tmp_path / "p"), env=environment_for(installed / "static"))
    assert out.endswith(f"{PROGRAM}\n{PER_THREAD}")


# ---- CMake


@pytest.mark.parametrize("kind", ["static", "shared"])
def test_cmake_program_links_and_switches_one_thread(installed, tmp_path, kind):
    needs_root()
    tool("cmake", "builds a project")
    assert build("cmake", tmp_path / "p", env=environment_for(installed / kind)).endswith(PROGRAM + "\n")
    assert links_with_shared(tmp_path / "p/build/program") == (kind == "shared")


def test_cmake_program_uses_the_library_of_a_wheel(development, tmp_path):
    needs_root()
    tool("cmake", "builds a project")
    assert build("cmake", tmp_path / "p", "wheel.sh", required(development)).endswith(PROGRAM + "\n")


def test_cmake_target_with_the_include_keeps_the_answers_of_cmake(installed, tmp_path):
    needs_root()
    tool("cmake", "builds a project")
    env = environment_for(installed / "static")
    out = build("cmake-override", server(tmp_path / "p"), env=env)
    assert out.endswith(PER_THREAD)
    assert "Looking for setresuid - found" in out
    flags = f"-I{installed / 'static/include'} -include libreplace/replace_override.h"
    out = run("cmake", "-S", ".", "-B", "global", f"-DCMAKE_C_FLAGS={flags}", cwd=tmp_path / "p", env=env)
    assert "Looking for setresuid - not found" in out.stdout, out.stderr


def cmake(folder, commands, prefix, *words):
    """Configure a project that consists of main.c and these commands. Return the result."""
    tool("cmake", "builds a project")
    folder.mkdir(exist_ok=True)
    shutil.copy(PROJECTS / "main.c", folder)
    (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.18)\nproject(p C)\n{commands}")
    return run("cmake", "-S", folder, "-B", folder / "b", *words, env={"CMAKE_PREFIX_PATH": str(prefix)})


LINKED = """
foreach(name libreplace static shared)
  if(TARGET libreplace::${name})
    add_executable(with-${name} main.c)
    target_link_libraries(with-${name} PRIVATE libreplace::${name})
  endif()
endforeach()
"""


def test_cmake_components_are_the_installed_libraries(installed, tmp_path):
    find = "find_package(libreplace CONFIG REQUIRED COMPONENTS static shared)\n"
    out = cmake(tmp_path / "p", find * 2 + LINKED, installed / "both")
    assert out.returncode == 0, out.stderr
    assert run("cmake", "--build", tmp_path / "p/b").returncode == 0
    assert {name: links_with_shared(tmp_path / f"p/b/with-{name}") for name in ("libreplace", "static", "shared")} == {
        "libreplace": True,
        "static": False,
        "shared": True,
    }


@pytest.mark.parametrize(("kind", "missing"), [("static", "shared"), ("shared", "static"), ("both", "debug")])
def test_cmake_component_that_is_not_installed_is_a_clear_error(installed, tmp_path, kind, missing):
    find = "find_package(libreplace CONFIG {} " + missing + ")\n"
    out = cmake(tmp_path / "p", find.format("REQUIRED COMPONENTS"), installed / kind)
    assert out.returncode != 0
    said = {
        "shared": f"the shared library is not installed: there is no {installed}/static/lib/libreplace.so",
        "static": f"the static library is not installed: there is no {installed}/shared/lib/libreplace.a",
        "debug": "there is no component debug; the components are static and shared",
    }
    assert said[missing] in " ".join(out.stderr.split())
    show = f'message(STATUS "${{libreplace_FOUND}} ${{libreplace_{missing}_FOUND}}")\n'
    out = cmake(tmp_path / "q", find.format("REQUIRED OPTIONAL_COMPONENTS") + show, installed / kind)
    assert re.search(r"^-- (1|TRUE) (FALSE)?$", out.stdout, re.M), out.stdout + out.stderr
    out = cmake(tmp_path / "r", find.format("COMPONENTS") + show, installed / kind)
    assert re.search(r"^-- (0|FALSE) (FALSE)?$", out.stdout, re.M), out.stdout + out.stderr


def test_cmake_package_without_a_library_is_not_found(installed, tmp_path):
    shutil.copytree(installed / "static", tmp_path / "usr")
    (tmp_path / "usr/lib/libreplace.a").unlink()
    out = cmake(tmp_path / "p", "find_package(libreplace CONFIG REQUIRED)", tmp_path / "usr")
    assert out.returncode != 0
    assert f"there is no library in {tmp_path}/usr/lib" in " ".join(out.stderr.split())


#: What find_package() gets -> the versions that it accepts.
VERSIONS = {
    "": ["0.3.2", "2.3.4"],
    "0": [],
    "0.2": [],
    "0.3": ["0.3.2"],
    "0.3.2": ["0.3.2"],
    "0.3.2 EXACT": ["0.3.2"],
    "0.3.1 EXACT": [],
    "0.3.3": [],
    "0.4": [],
    "1": [],
    "2": ["2.3.4"],
    "2.2.9": ["2.3.4"],
    "2.4": [],
    "3": [],
    "0.2...<0.4": ["0.3.2"],
    "0.2...0.3.2": ["0.3.2"],
    "0.2...<0.3.2": [],
    "0.3...2.3.3": ["0.3.2"],
    "0.3...3": ["0.3.2", "2.3.4"],
}


@pytest.mark.parametrize("version", ["0.3.2", "2.3.4"])
def test_cmake_package_accepts_compatible_versions(installed, tmp_path, version):
    """A newer version is accepted if its major version is the same, and before 1.0 the minor version, too."""
    shutil.copytree(installed / "static", tmp_path / "usr")
    major, minor, _ = version.split(".")
    values = {"version": version, "major": major, "minor": minor, "pointer_size": ""}
    text = (ROOT / "replace/core/libreplaceConfigVersion.cmake.in").read_text()
    filled = re.sub(r"@(\w+)@", lambda found: values[found[1]], text)
    (tmp_path / "usr/lib/cmake/libreplace/libreplaceConfigVersion.cmake").write_text(filled)
    find = "unset(libreplace_DIR CACHE)\nfind_package(libreplace {} CONFIG QUIET)\n"
    find += 'message(STATUS "[{}] ${{libreplace_FOUND}} ${{libreplace_VERSION}}")\n'
    out = cmake(tmp_path / "p", "".join(find.format(asked, asked) for asked in VERSIONS), tmp_path / "usr")
    found = re.findall(r"^-- \[(.*)\] (?:1|TRUE) (.*)$", out.stdout, re.M)
    assert found == [(asked, version) for asked, accepted in VERSIONS.items() if version in accepted], out.stderr


def test_cmake_project_for_another_pointer_size_does_not_get_the_library(installed, tmp_path):
    size = struct.calcsize("P")
    find = f"set(CMAKE_SIZEOF_VOID_P {12 - size})\nfind_package(libreplace CONFIG REQUIRED)\n"
    out = cmake(tmp_path / "p", find, installed / "static")
    assert out.returncode != 0
    assert f"({8 * size} bits)" in out.stderr


def test_cmake_package_works_where_it_is_found(installed, tmp_path):
    """The installation has moved to another root. There, /lib is a link to /usr/lib, and CMake finds /lib first."""
    root = tmp_path / "a root"
    shutil.copytree(installed / "static", root / "usr", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    assert not any(str(installed) in path.read_text() for path in root.rglob("*.cmake"))
    find = 'find_package(libreplace CONFIG REQUIRED)\nmessage(STATUS "in ${libreplace_DIR}")\n' + LINKED
    out = cmake(tmp_path / "p", find, root)
    assert f"-- in {root}/lib/cmake/libreplace" in out.stdout, out.stderr
    assert run("cmake", "--build", tmp_path / "p/b").returncode == 0


# ---- Meson's version


def test_older_meson_says_which_version_the_subproject_needs(source, tmp_path):
    needs_package("pip")
    (version,) = re.findall(r"meson_version: '>=([\d.]+)'", (ROOT / "meson.build").read_text())
    out = run(*PIP, "install", "-q", "--no-deps", "--target", tmp_path / "old", "meson==1.0.1")
    if out.returncode and not os.environ.get("CI"):
        pytest.skip("needs the network: Meson 1.0.1")
    assert out.returncode == 0, out.stderr
    folder = tmp_path / "p"
    shutil.copytree(PROJECTS / "subproject", folder)
    shutil.copytree(PROJECTS / "subprojects", folder / "subprojects")
    env = {**offline(source), "PYTHONPATH": str(tmp_path / "old"), "PKG_CONFIG_LIBDIR": os.devnull}
    out = run(sys.executable, "-m", "mesonbuild.mesonmain", "setup", "build", cwd=folder, env=env)
    assert out.returncode != 0
    (said,) = re.findall(r"^```text\n(ERROR: Meson version.*)\n```$", PAGE, re.M)
    assert said == f"ERROR: Meson version is 1.0.1 but project requires >={version}"
    assert said in out.stdout
    (script,) = (PROJECTS / "meson-version").iterdir()
    assert f'"meson>={version}"' in script.read_text()
    out = run("sh", "-euc", script.read_text() + "meson --version", cwd=folder, env=no_index(tmp_path))
    assert out.returncode == 0, out.stdout + out.stderr
    assert tuple(map(int, out.stdout.split("."))) >= tuple(map(int, version.split(".")))


# ---- Symbols and headers


def public_names():
    """Return the names that the headers declare: the calls of calls.py, and the functions of hand-written headers."""
    text = "".join(path.read_text() for path in (ROOT / "replace/core/libreplace").glob("*.h"))
    return {call.symbol for call in CALLS} | set(re.findall(r"^\w[\w *]*?(libreplace_\w+)\([^)]*\);", text, re.M))


def test_shared_library_exports_exactly_the_public_symbols(installed):
    names = public_names()
    assert {"libreplace_enter", "libreplace_check", "libreplace_build_info"} < names
    assert symbols("-D", installed / "shared/lib/libreplace.so") == names
    static = symbols(installed / "static/lib/libreplace.a")
    assert names <= static
    assert all(name.startswith("libreplace_") for name in static)


def test_extension_module_exports_only_its_init_functions():
    from replace import _native

    assert symbols("-D", _native.__file__) == {"PyInit__native", "PyInit__cffi"}


def test_guard_has_the_same_size_in_c_and_cxx(installed, tmp_path):
    (tmp_path / "size.c").write_text(
        "#include <libreplace/replace.h>\n#include <stdio.h>\n"
        "int main(void) { LIBREPLACE_GUARD(g, 64); "
        'printf("%d %d", (int)sizeof(struct libreplace_guard), (int)sizeof g); }\n'
    )
    sizes = set()
    for compiler, language in (("gcc", "c"), ("g++", "c++")):
        words = [tool(compiler, "compiler"), f"-I{installed / 'static/include'}", "-x", language]
        subprocess.run([*words, tmp_path / "size.c", "-o", tmp_path / "size"], check=True)
        sizes.add(run(tmp_path / "size").stdout)
    assert len(sizes) == 1


# ---- Python projects


WATCH = """
import os, sys, threading
from {module} import who

inside, released, answers = threading.Event(), threading.Event(), []

def wait_inside():
    inside.set()
    assert released.wait(20)

thread = threading.Thread(target=lambda: answers.extend(who(80001, wait_inside)))
thread.start()
assert inside.wait(20)
print("main is", os.geteuid(), end=", ")
released.set()
thread.join()
print("the thread was %d, then %d" % tuple(answers))
"""


def watch_thread(module, site):
    """Return the main thread's euid while another thread is in the project's who(), and the result of who()."""
    out = run(sys.executable, "-c", WATCH.format(module=module), env={"PYTHONPATH": str(site)}, cwd="/")
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


WATCHED = "main is 0, the thread was 80001, then 0"


def contents(path):
    """Return the file names in a wheel, without metadata and without the ABI tag in module names."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")]
    return sorted(re.sub(r"\.(?:cpython|abi3)[^/]*\.so$", ".so", name) for name in names)


def built_wheel(folder):
    (path,) = (folder / "dist").glob("*.whl")
    install(path, folder / "site")
    return path, folder / "site"


def test_project_builds_its_extension_with_the_subproject(source, tmp_path):
    needs_package("pip", "meson-python")
    build("own-extension", tmp_path, env=offline(source))
    path, site = built_wheel(tmp_path)
    assert contents(path) == ["whoami/__init__.py", "whoami/_whoami.so"]
    (module,) = site.glob("whoami/_whoami*.so")
    assert symbols("-D", module) == {"PyInit__whoami"}
    needs_root()
    assert watch_thread("whoami", site) == WATCHED


@pytest.mark.parametrize(
    ("name", "module", "files"),
    [
        ("wheel-c", "_whoami", ["_whoami.so"]),
        ("wheel-cffi", "whoami_cffi", ["_whoami_cffi.so", "whoami_cffi.py"]),
        ("wheel-cython", "whoami_cython", ["whoami_cython.so"]),
    ],
)
def test_extension_builds_with_the_wheel_as_requirement(development, tmp_path, name, module, files):
    needs_package("setuptools", "cython", "pkgconf", "meson-python")
    build(name, tmp_path, env=required(development))
    path, site = built_wheel(tmp_path)
    assert contents(path) == files
    (extension,) = site.glob("*.so")
    assert {name[:6] for name in symbols("-D", extension)} == {"PyInit"}
    needs_root()
    assert watch_thread(module, site) == WATCHED


def config(site, *options):
    return run(sys.executable, "-m", "replace", "config", *options, env=required(site), cwd="/")


def test_config_command_prints_the_pkg_config_flags(development):
    package = development / "replace"
    env = {**required(development), "PKG_CONFIG_PATH": config(development, "--pkgconfigdir").stdout.strip()}
    assert env["PKG_CONFIG_PATH"] == str(package)
    out = run(tool("pkg-config", "finds libraries"), "--cflags", "--libs", "libreplace", env=env)
    flags = [re.sub(r"^(-[IL])(.*)", lambda m: m[1] + os.path.realpath(m[2]), word) for word in out.stdout.split()]
    assert flags == config(development, "--libs", "--cflags").stdout.split()
    assert flags == [f"-I{package}/include", f"-L{package}/lib", "-lreplace", "-pthread"]
    out = config(development, "--cflags", "--includedir", "--pkgconfigdir", "--version")
    version = run("pkg-config", "--modversion", "libreplace", env=env).stdout.strip()
    assert out.stdout.splitlines() == [
        version,
        f"{package}/include",
        f"{package}",
        f"-I{package}/include",
    ]


def test_pc_file_of_a_wheel_names_the_build_report(development):
    env = {**required(development), "PKG_CONFIG_PATH": str(development / "replace")}
    place = run(tool("pkg-config", "finds libraries"), "--variable=build_report", "libreplace", env=env).stdout.strip()
    assert os.path.realpath(place) == str(development / "replace/build_report.json")
    assert os.path.exists(place)


def test_config_command_without_options_is_an_error(development):
    out = config(development)
    assert (out.returncode, out.stdout) == (2, "")
    assert "--pkgconfigdir" in out.stderr


def test_pkgconf_entry_point_finds_the_pc_file(development):
    """pkgconf-pypi reads the entry point, whose value is the dotted name of the folder."""
    needs_package("pkgconf")
    out = run("pkgconf-pypi", "--variable=pcfiledir", "libreplace", env=required(development), cwd="/")
    assert (out.stdout.strip(), out.stderr) == (str(development / "replace"), "")


def test_moved_wheel_contains_no_old_path(development, tmp_path):
    """No file contains the folder of the build or of the installation."""
    shutil.move(shutil.copytree(development, tmp_path / "before"), tmp_path / "a b")
    out = config(tmp_path / "a b", "--libs")
    assert f"'-L{tmp_path}/a b/replace/lib'" in out.stdout
    text = (tmp_path / "a b/replace/libreplace.pc").read_text()
    assert str(tmp_path.parent) not in text
    verdict = json.loads((tmp_path / "a b/replace/build_report.json").read_text())["verdict"]
    said = dict(re.findall(r"^(backend|scope|system|libc)=(\w+)$", text, re.M))
    assert said == {name: verdict[name] for name in ("backend", "scope", "system", "libc")}


def test_wheel_contains_the_c_library_inside_the_package(development):
    found = [
        p.relative_to(development / "replace")
        for part in ("include", "lib")
        for p in (development / "replace" / part).rglob("*")
    ]
    files = sorted(str(path) for path in found if (development / "replace" / path).is_file())
    assert files == [f"include/libreplace/{name}" for name in PUBLIC_HEADERS] + [
        "lib/cmake/libreplace/libreplaceConfig.cmake",
        "lib/cmake/libreplace/libreplaceConfigVersion.cmake",
        "lib/libreplace.a",
    ]
    assert (development / "replace/libreplace.pc").is_file()
    assert (development / "replace/libreplace.pxd").is_file()


# ---- Vendored, beside another version


BESIDE = """
import os, pickle, sys, threading
{imports}
own = host.replace
assert own.__name__ == "host._vendor.replace" and replace.__name__ == "replace"
assert (own.__version__, replace.__version__) == {versions}, (own.__version__, replace.__version__)
for name in list(sys.modules):
    if name.startswith("host._vendor.replace."):
        short = name.removeprefix("host._vendor.")
        assert sys.modules.get(short) is not sys.modules[name], name
        assert sys.modules[name].__name__ == name
from host._vendor.replace import _native as own_native, _replace as own_cffi
from replace import _native, _replace
assert own_native.__file__ != _native.__file__ and own_cffi.__file__ != _replace.__file__
assert own_native is not _native and own_cffi.lib is not _replace.lib
assert own.Identity is not replace.Identity and own.IdentityError is not replace.IdentityError
try:
    replace.impersonate(own.Identity(80001, 80011))
except TypeError:
    pass
else:
    raise AssertionError("impersonate() accepted an identity of the other copy")

for name in own.__all__:
    module = getattr(getattr(own, name), "__module__", own.__name__)
    assert module == ("typing" if name in ("Level", "OnFailure") else own.__name__), name
carol = own.Identity(80003, 80013)
assert type(own.impersonate(carol, allow_process=True)) is own.Guard is not replace.Guard
refused, failed = own.IdentityRefused("no", carol), own.ThreadTainted(1, carol, "verifying", "tainted")
job, items = own.acting_as(carol, len, allow_process=True), own.impersonated(carol, [1], allow_process=True)
for thing in (carol, refused, failed, job, items, own.IdentityExecutor, own.impersonate, own.setuid):
    data = pickle.dumps(thing)
    assert data.count(b"replace") == data.count(own.__name__.encode()) > 0 and b"replace._" not in data, data
    assert type(pickle.loads(data)) is type(thing)
"""

SWITCH = """
alice, bob = replace.Identity(80001, 80011), own.Identity(80002, 80012)
barrier, answers = threading.Barrier(3, timeout=20), {}

def work(module, who):
    with module.impersonate(who):
        barrier.wait()
        depths = (_native.depth(), own_native.depth())
        answers[who.uid] = (module.getresuid(), *depths, replace.getresuid(), own.getresuid())
        barrier.wait()
    barrier.wait()

threads = [threading.Thread(target=work, args=pair) for pair in ((replace, alice), (own, bob))]
for thread in threads:
    thread.start()
barrier.wait()
assert (os.getresuid(), _native.active(), own_native.active()) == ((0, 0, 0), 1, 1)
for module in (replace, own):  # each copy reads the ids from the kernel, so it sees the other copy's threads
    assert {t.uids[1] for t in module.thread_credentials()} == {0, 80001, 80002}
    for refuses in (module.assert_clean, lambda: module.drop_privileges(module.Identity(80003, 80013))):
        try:
            refuses()
        except (module.ThreadsDiffer, module.IdentityRefused):
            pass
        else:
            raise AssertionError("this copy did not find the switched thread of the other copy")
barrier.wait()
barrier.wait()
for thread in threads:
    thread.join()
a, b = (4294967293, 80001, 0), (4294967293, 80002, 0)
assert answers == {80001: (a, 1, 0, a, a), 80002: (b, 0, 1, b, b)}, answers

for outer, inner, first, second in ((replace, own, alice, bob), (own, replace, bob, alice)):  # nested
    with outer.impersonate(first):
        before = os.getresuid(), os.getresgid(), os.getgroups()
        try:
            with inner.impersonate(second):
                print("inside the other copy:", os.getresuid())
        except inner.IdentityError as error:
            print("inside the other copy:", error.state)
        assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    assert os.getresuid() == (0, 0, 0)
for module in (own, replace):
    module.assert_clean()
own.drop_privileges(own.Identity(80002, 80012))
assert os.getresuid() == (80002, 80002, 80002)
"""


@pytest.fixture(scope="session")
def beside(source, tmp_path_factory):
    """The host project's wheel, and a folder where it and an older version of the package are installed."""
    needs_package("pip", "meson-python")
    folder = tmp_path_factory.mktemp("beside")
    build("vendored-package", folder / "host", env=offline(source))
    path, _ = built_wheel(folder / "host")
    shutil.copytree(source, folder / "older", ignore=shutil.ignore_patterns(".git"))
    recipe = folder / "older" / "meson.build"
    recipe.write_text(re.sub(r"version: '[\d.]+'", "version: '0.0.9'", recipe.read_text(), count=1))
    for name in (wheel(folder / "older", folder), path):
        install(name, folder / "site")
    return path, folder / "site"


@pytest.mark.parametrize("imports", ["import host\nimport replace", "import replace\nimport host"])
def test_vendored_package_works_beside_another_version(source, beside, imports):
    path, site = beside
    (version,) = re.findall(r"version: '([\d.]+)'", (source / "meson.build").read_text().split("license")[0])
    assert version != "0.0.9"
    code = BESIDE.format(imports=imports, versions=(version, "0.0.9"))
    if os.geteuid() == 0:
        code += SWITCH
    out = run(sys.executable, "-c", code, env={"PYTHONPATH": str(site)}, cwd="/")
    assert out.returncode == 0, out.stderr
    needs_root()
    assert watch_thread("host", site) == WATCHED


def test_vendored_package_contains_everything_but_c_files(beside, development):
    path, site = beside
    assert {name.split("/")[0] for name in contents(path)} == {"host"}

    def files(folder):
        """Return the file names, without the ABI tag of extension modules."""
        names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        of_c = ("include/", "lib/", "libreplace.pc", "build_report.json")
        return {re.sub(r"\..*\.so$", ".so", name) for name in names if not name.startswith(of_c)}

    assert files(site / "host/_vendor/replace") == files(development / "replace")
    assert not (site / "host/_vendor/replace/build_report.json").exists()
    code = "import host; print(host.replace.report()['version'] == host.replace.__version__)"
    out = run(sys.executable, "-c", code, env={"PYTHONPATH": str(site)}, cwd="/")
    assert out.stdout == "True\n", out.stderr
    out = run(
        sys.executable, "-m", "host._vendor.replace", "config", "--cflags", env={"PYTHONPATH": str(site)}, cwd="/"
    )
    assert out.returncode == 1
    assert "a vendored copy and a frozen program do not have it" in out.stderr


#: Blocks of the page that are no files: commands, and messages that a test compares.
ELSEWHERE = ("libreplace config", "LD_PRELOAD=", "undefined reference to", "ERROR: Meson version is")


def test_embedding_page_blocks_are_project_files():
    """Each code block of docs/embedding.md is (in) a project file without its license lines, or is in ELSEWHERE."""

    def bare(text):
        return "\n".join(line for line in text.splitlines() if not re.match(r"# SPDX|#$", line)).strip()

    files = {
        bare(path.read_text()) for path in PROJECTS.rglob("*") if path.suffix not in (".pyc", ".so") and path.is_file()
    }
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(blocks) > 10
    for kind, block in blocks:
        found = any(bare(block) in text for text in files)
        assert found or block.startswith(ELSEWHERE), (kind, block)
    for project in sorted(path.name for path in PROJECTS.iterdir() if (path / "build.sh").exists()):
        assert project in PAGE or any(bare((PROJECTS / project / "build.sh").read_text()) in bare(b) for _, b in blocks)


def test_every_script_of_a_project_is_run_by_a_test():
    """A test names the project, and each script that is not build.sh."""
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "system").glob("test_*.py"))
    for path in PROJECTS.rglob("*.sh"):
        assert f'"{path.parent.name}' in tests, path
        assert path.name == "build.sh" or f'{path.name}"' in tests, path
