# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Configure with every set of compiler options: the same verdict as without, or an error with the compiler's message.

Also the ways to run Meson that must change nothing: --layout=flat and PYTHONSAFEPATH.
"""

import re
import shutil

import pytest
from support.builds import run, tool
from support.children import obstacle
from support.configure import ARCHITECTURES, MACHINE, calls_of, configure
from support.projects import PROGRAM, PROJECTS, offline
from test_build import meson, wheel

FATAL = "-static -Wl,--fatal-warnings"
#: CFLAGS, LDFLAGS
FLAGS = (
    ("-Werror", ""),
    ("-Wpedantic -Werror", ""),
    ("-pedantic-errors", ""),
    ("-Wall -Wextra -Wconversion -Werror", ""),
    ("-O3 -flto", "-flto"),
    ("-O2 -D_FORTIFY_SOURCE=3", ""),
    ("-fhardened -Werror", ""),
    ("", "-static"),
    ("", FATAL),
    ("-std=c11", ""),
)
#: Only clang knows -Weverything.
CELLS = [(c, f) for c in ("gcc", "clang") for f in FLAGS] + [("clang", ("-Weverything -Werror", ""))]

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="needs x86_64: its compiler's flags")


def environment(compiler, architecture, flags=("", "")):
    return {"CC": tool(compiler, "C compiler") + ARCHITECTURES[architecture], "CFLAGS": flags[0], "LDFLAGS": flags[1]}


@pytest.fixture(scope="module")
def plain(source, tmp_path_factory):
    """plain(compiler, architecture) returns the calls of a configuration without options."""
    known = {}

    def calls(compiler, architecture):
        if (compiler, architecture) not in known:
            build = tmp_path_factory.mktemp("plain") / "b"
            out = configure(source, build, env=environment(compiler, architecture))
            assert out.returncode == 0, out.stdout
            known[compiler, architecture] = calls_of(build)
        return known[compiler, architecture]

    return calls


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("compiler", "flags"), CELLS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_options_lead_to_the_same_verdict_or_an_error(source, tmp_path, plain, compiler, flags, architecture):
    env = environment(compiler, architecture, flags)
    out = configure(source, tmp_path / "b", env=env)
    if flags[1] == FATAL:
        assert out.returncode != 0, "the linker refuses functions that libc has"
        assert re.search(r"Checking for (initgroups|getgrouplist): the system certainly has it", out.stdout), out.stdout
        assert "statically linked applications requires at runtime" in out.stdout
    elif flags[0].startswith("-fhardened") and out.returncode != 0:
        assert "-fhardened" in run("sh", "-c", f"{env['CC']} -fhardened -c -xc /dev/null -o /dev/null").stderr
        assert re.search("unrecognized|unknown|unused", out.stdout), (
            "this compiler has no such option, and Meson says so"
        )
    else:
        assert out.returncode == 0, out.stdout
        assert calls_of(tmp_path / "b") == plain(compiler, architecture)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "flags", ["-Wpedantic -Wconversion -Werror -O2", "-pedantic-errors", "-Wall -Wextra -Werror -O3 -flto"]
)
def test_library_compiles_with_warnings_as_errors(source, tmp_path, compiler, flags):
    env = environment(compiler, "x86_64", (flags, "-flto" if "flto" in flags else ""))
    out = configure(source, tmp_path / "b", env=env)
    assert out.returncode == 0, out.stdout
    out = meson("compile", "-C", tmp_path / "b")
    assert out.returncode == 0, out.stdout


def test_c_tests_build_without_a_shared_libc(source, tmp_path):
    env = {"CC": tool("musl-gcc", "a libc for static programs") + " -static"}
    for command in (
        ["setup", tmp_path / "b", source, "-Dpython=false", "-Dcredentials=syscall", "-Ddefault_library=static"],
        ["compile", "-C", tmp_path / "b"],
    ):
        out = meson(*command, env=env)
        assert out.returncode == 0, out.stdout + out.stderr
    assert (tmp_path / "b" / "tests" / "c" / "guard").exists()


# ---- Layout


@pytest.mark.parametrize(
    "options", [["--layout=flat", "--unity=on"], ["--unity=on", "-Dpython=false", "-Dverify=true"]], ids=" ".join
)
def test_layout_builds(source, tmp_path, options):
    """A flat layout has one folder for the outputs of the whole build, and a unity build one C file for each target."""
    for command in (["setup", tmp_path / "b", source, *options], ["test", "-C", tmp_path / "b"]):
        out = meson(*command)
        assert out.returncode == 0, out.stdout + out.stderr


def test_parent_project_with_flat_layout_builds(source, tmp_path):
    folder = tmp_path / "parent"
    shutil.copytree(PROJECTS / "subproject", folder)
    shutil.copy(PROJECTS / "main.c", folder)
    shutil.copytree(PROJECTS / "subprojects", folder / "subprojects")
    for command in (["setup", folder / "b", folder, "--layout=flat"], ["compile", "-C", folder / "b"]):
        out = meson(*command, env=offline(source))
        assert out.returncode == 0, out.stdout + out.stderr
    if not obstacle():
        assert run(folder / "b" / "meson-out" / "program").stdout.strip() == PROGRAM


# ---- The scripts of detect/


def test_package_builds_with_pythonsafepath(source, tmp_path):
    wheel(source, tmp_path, env={"PYTHONSAFEPATH": "1"})


@pytest.mark.parametrize("script", ["programs", "ask_again", "folders", "verdict", "generate", "cross_answers"])
def test_message_of_a_failing_script_is_shown(source, tmp_path, script):
    shutil.copytree(source, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))
    path = tmp_path / "copy" / "detect" / f"{script}.py"
    main = 'if __name__ == "__main__":\n'
    text = path.read_text()
    assert main in text
    path.write_text(text.replace(main, main + '    sys.exit("the disk is on fire")\n'))
    (tmp_path / "answers").write_text("")
    out = configure(
        tmp_path / "copy",
        tmp_path / "b",
        f"-Dcross_answers={tmp_path}/answers" if script[0] == "c" else "-Dcredentials=auto",
    )
    assert out.returncode != 0
    assert "the disk is on fire" in out.stdout
