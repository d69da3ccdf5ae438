# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Existing C code uses libreplace: code that needs one thread's calls, the override header, projects of Samba's family.

The sources are in tests/projects/. docs/embedding.md shows parts of them. The programs switch real ids, so running them
needs root.
"""

import os
import re
import shutil
import sys

import pytest
from support.builds import needs_package, run, tool
from support.children import needs_root
from support.projects import PROGRAM, PROJECTS, build, environment_for, install_library

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


@pytest.fixture(scope="module")
def libraries(source, tmp_path_factory):
    """Back end -> the variables with which programs find an installed library that has it."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("syscall", "libc"):
        install_library(source, folder / f"b-{name}", folder / name, f"-Dcredentials={name}")
    return {name: environment_for(folder / name) for name in ("syscall", "libc")}


@pytest.fixture(params=["syscall", "libc"])
def backend(request, libraries):
    return request.param, libraries[request.param]


def flags(env, *options):
    return run("pkg-config", *options, "libreplace", env=env).stdout.split()


# ---- Code that needs calls that change one thread


def test_build_whose_calls_change_the_process_is_refused_at_compile_time(backend, tmp_path):
    name, env = backend
    shutil.copytree(PROJECTS / "scope", tmp_path, dirs_exist_ok=True)
    compiled = run("sh", "-eu", "build.sh", cwd=tmp_path, env=env)
    configured = run("sh", "-eu", "configure.sh", cwd=tmp_path, env=env)
    if name == "syscall":
        assert (compiled.returncode, compiled.stderr) == (0, "")
        assert (configured.returncode, configured.stderr) == (0, "")
    else:
        assert compiled.returncode != 0
        assert "needs calls that change one thread: build libreplace with" in compiled.stderr
        assert configured.returncode == 1
        assert "needs a libreplace whose calls change one thread" in configured.stderr


def test_configure_script_fails_without_the_library(tmp_path):
    tool("pkg-config", "finds libraries")
    env = {"PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": ""}
    out = run("sh", "-eu", PROJECTS / "scope/configure.sh", env=env)
    assert out.returncode == 1


# ---- The override header: where it reaches


def undefined(folder):
    """Run the page's command in a folder with object files. Return the object and the function of each line."""
    tool("nm", "lists symbols")
    out = run("sh", "-u", PROJECTS / "override-one-file/undefined.sh", cwd=folder)
    assert out.stderr == ""
    return sorted(re.findall(r"^(?:\./)?(.+):\s+[Uw] (\w+)$", out.stdout, re.M))


SYSCALL = """
#include <sys/syscall.h>
#include <unistd.h>
long drop(void);
long drop(void) { return syscall(SYS_setresuid, 1, 1, 1); }
"""
OBEYS = "server.o: server.c\n\t$(CC) $(CPPFLAGS) -DWORKER=80001 -c -o $@ server.c\n"
IGNORES = "server.o: server.c\n\t$(CC) -DWORKER=80001 -O2 -c -o $@ server.c\n"
LEFT = [("server.o", name) for name in ("setegid", "seteuid", "setgroups")]


@pytest.mark.parametrize(
    ("makefile", "source_text", "left"),
    [
        (OBEYS, (PROJECTS / "override/server.c").read_text(), []),
        (IGNORES, (PROJECTS / "override/server.c").read_text(), LEFT),
        (OBEYS, SYSCALL, [("server.o", "syscall")]),
    ],
    ids=["mapped", "makefile ignores CPPFLAGS", "code calls syscall itself"],
)
def test_nm_shows_calls_that_the_override_header_does_not_reach(backend, tmp_path, makefile, source_text, left):
    (tmp_path / "Makefile").write_text(makefile)
    (tmp_path / "server.c").write_text(source_text)
    options = [*flags(backend[1], "--cflags"), "-include", "libreplace/replace_override.h"]
    out = run(tool("make", "builds a project"), f"CPPFLAGS={' '.join(options)}", cwd=tmp_path)
    assert out.returncode == 0, "the build is silent about it"
    assert undefined(tmp_path) == left


def test_nm_line_names_every_call_that_libc_has(backend, tmp_path):
    """A file that calls each of libc's setters, compiled without the header."""
    from calls import CALLS

    names = sorted({call.name for call in CALLS if call.kind == "setter"} | {"syscall"})
    text = "".join(f"extern int {name}();\nint (*p_{name})() = {name};\n" for name in names)
    (tmp_path / "all.c").write_text(text)
    out = run(tool("cc", "C compiler"), "-std=gnu11", "-w", "-c", "all.c", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    assert undefined(tmp_path) == [("all.o", name) for name in names]


def test_nm_line_finds_calls_in_subfolders_and_ignores_the_names_of_files(tmp_path):
    """A makefile with subfolders, and files with the name of a call. A weak call is a call, too."""
    compiler = tool("cc", "C compiler")
    texts = {
        "setuid.o": "int puts(const char *); int f(void) { return puts(0); }",
        "a/syscall.o": "int getuid(void); int f(void) { return getuid(); }",
        "a/b/strong.o": "int setgroups(); int f(void) { return setgroups(0, 0); }",
        "a/b/weak.o": "int setresuid() __attribute__((weak)); int (*f)() = setresuid;",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "file.c").write_text(text)
        assert run(compiler, "-std=gnu11", "-w", "-c", tmp_path / "file.c", "-o", tmp_path / name).returncode == 0
    assert undefined(tmp_path) == [("a/b/strong.o", "setgroups"), ("a/b/weak.o", "setresuid")]


# ---- The override header, and dropping root for good


def threads(output, when):
    """Return the four uids of the two threads in a line of override-one-file/server.c."""
    (line,) = re.findall(rf"^{when}:(.*)$", output, re.M)
    found = {name: ids.split() for name, ids in re.findall(r"(main|worker)((?:\t\d+){4})", line)}
    return found["main"], found["worker"]


ROOT_IDS, NOBODY = ["0"] * 4, ["65534"] * 4
ACTING = ["0", "80001", "0", "80001"]


@pytest.mark.parametrize("call", ["setresuid", "setuid", "library"])
def test_drop_in_a_file_without_the_header_drops_every_thread(backend, tmp_path, call):
    """The worker acts as a user in the one file that is compiled with the header."""
    needs_root()
    name, env = backend
    tool("make", "builds a project")
    first = build("override-one-file", tmp_path / "p", env={**env, "CFLAGS": " ".join(STRICT)})
    out = run(tmp_path / "p/server", call, env=env).stdout
    for output in (first, out):
        main = ROOT_IDS if name == "syscall" else ACTING
        assert threads(output, "acting") == (main, ACTING)
        assert threads(output, "dropped") == (NOBODY, NOBODY)
    assert undefined(tmp_path / "p") == [("server.o", "setresuid"), ("server.o", "setuid")]


@pytest.mark.parametrize(
    ("call", "options", "per_thread"),
    [
        ("setresuid", "", True),
        ("setuid", "", False),
        ("setuid", "-DLIBREPLACE_OVERRIDE_ALL", True),
        ("library", "-DLIBREPLACE_OVERRIDE_ALL", False),
    ],
)
def test_drop_in_a_file_with_the_header_leaves_the_worker_root(backend, tmp_path, call, options, per_thread):
    needs_root()
    name, env = backend
    shutil.copytree(PROJECTS / "override-one-file", tmp_path, dirs_exist_ok=True)
    words = [*flags(env, "--cflags"), "-include", "libreplace/replace_override.h", options]
    out = run(tool("make", "builds a project"), f"CPPFLAGS={' '.join(words)}", cwd=tmp_path, env=env)
    assert out.returncode == 0, out.stderr
    worker = ROOT_IDS if per_thread and name == "syscall" else NOBODY
    assert threads(run(tmp_path / "server", call).stdout, "dropped") == (NOBODY, worker)


# ---- Beside Samba and its family


@pytest.mark.parametrize("compiler", ["gcc -std=gnu11", "gcc -std=c99", "clang -std=c11"])
def test_samba_config_alone_compiles_code_that_asks_config_h(backend, tmp_path, compiler):
    """Samba's own lib/util/setid.c compiles in the same way, see the page."""
    command, standard = compiler.split()
    words = [standard, *STRICT, *flags(backend[1], "--cflags"), "-include", "libreplace/samba_config.h"]
    out = run(tool(command, "C compiler"), *words, "-c", PROJECTS / "samba-family/setid.c", "-o", tmp_path / "setid.o")
    assert out.returncode == 0, out.stderr
    asked = {"syscall": ["syscall"], "libc": ["setgroups", "setresuid"]}[backend[0]]
    assert undefined(tmp_path) == [("setid.o", name) for name in asked]


def test_calls_differ_from_samba_functions_as_documented(backend, tmp_path):
    needs_root()
    name, env = backend
    words = [*STRICT, PROJECTS / "samba-family/differences.c", *flags(env, "--cflags", "--libs"), "-pthread"]
    out = run(tool("cc", "C compiler"), *words, "-o", tmp_path / "differences")
    assert out.returncode == 0, out.stderr
    groups = int(re.findall(r"main has (\d+)$", run(tmp_path / "differences").stdout, re.M)[0])
    assert (groups == 0) == (name == "syscall"), "initgroups changes one thread or all"
    assert run(tmp_path / "differences").stdout.splitlines()[:-1] == [
        "seteuid(-1): 22 0",
        "setegid(-1): 22 0",
        "setuid(-1): 22 22",
        "setgid(-1): 22 22",
        "setgroups(2**31): 22 22",
        "setgroups(2**32 + 1): 22 0",
        "after setgroups(2**32 + 1): 1 group",
    ]


#: A folder with Samba's source. If it is set, Samba's own waf and wafsamba build the project.
SAMBA = os.environ.get("LIBREPLACE_SAMBA_SOURCE")


@pytest.fixture
def family(libraries, tmp_path):
    """family(change, env) configures and builds the project with a changed wscript. It returns the outputs."""
    if not SAMBA:
        needs_package("waflib")
    shutil.copytree(PROJECTS / "samba-family", tmp_path, dirs_exist_ok=True)
    shutil.copy(PROJECTS / "main.c", tmp_path)
    if SAMBA:
        shutil.rmtree(tmp_path / "buildtools")
        for name in ("buildtools", "third_party"):
            shutil.copytree(f"{SAMBA}/{name}", tmp_path / name)

    def build_with(change=lambda text: text, env=None):
        (tmp_path / "wscript").write_text(change((tmp_path / "wscript").read_text()))
        output = []
        for command in ("configure", "build"):
            words = [sys.executable, "buildtools/bin/waf", command]
            out = run(*words, cwd=tmp_path, env={**libraries["syscall"], "PYTHONHASHSEED": "1", **(env or {})})
            output.append(out.stdout + out.stderr)
        return output

    return build_with


def config_h(folder):
    (path,) = (folder / "bin").rglob("config.h")
    return set(re.findall(r"#define (\w+LIBREPLACE\w*) 1", path.read_text()))


def test_recipe_links_both_libraries_of_the_name(family, tmp_path):
    output = family()
    program = tmp_path / "bin/server"
    assert program.exists(), "".join(output)
    assert config_h(tmp_path) == {"HAVE_LIBREPLACE", "HAVE_LIBREPLACE_THREADS"}
    assert list((tmp_path / "bin").rglob("libreplace-private-family.so")) != []
    needs_root()
    assert run(program).stdout.strip() == PROGRAM


def test_have_libreplace_says_nothing_about_this_library(family, tmp_path):
    """Samba's build always defines the macro, here without any pkg-config file."""
    output = family(env={"PKG_CONFIG_LIBDIR": str(tmp_path), "PKG_CONFIG_PATH": ""})
    assert config_h(tmp_path) == {"HAVE_LIBREPLACE"}
    assert re.search(r"^.*server.*libreplace_threads|libreplace_threads.*server", output[1], re.M), output[1]
    assert not (tmp_path / "bin/server").exists()


def test_without_the_recipe_the_name_means_the_own_library(family, tmp_path):
    """The flags of pkg-config are stored, and no target uses them."""

    def change(text):
        text = re.sub(r'if (conf\.CHECK_CFG.*"LIBREPLACE_THREADS"\)):\n.*\n', r"\1\n", text)
        return text.replace("LIBREPLACE_THREADS", "REPLACE").replace("replace libreplace_threads", "replace")

    output = family(change)
    assert "libreplace/replace.h: No such file or directory" in output[1]
    assert not (tmp_path / "bin/server").exists()


def test_without_the_recipe_the_target_has_two_types(family, tmp_path):
    def change(text):
        text = text.replace('"libreplace_threads"', '"replace"').replace("LIBREPLACE_THREADS", "REPLACE")
        return text.replace("replace libreplace_threads", "replace")

    output = family(change)
    assert re.search(r"Target 'replace'.* re-defined as LIBRARY - was SYSLIB", output[1]), output
    assert not (tmp_path / "bin/server").exists()
