# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The ABI of the shared library equals the dump in tests/abi/, with each back end and compiler.

tests/programs/abi.py compares them with abidiff. A change of each kind is found here: in one build, whose files this
test changes and restores.
"""

import contextlib
import shutil
import sys

import abi
import pytest
from support.builds import ROOT, run, tool
from support.configure import MACHINE

MESON = [sys.executable, "-m", "mesonbuild.mesonmain"]


@pytest.fixture(scope="module", autouse=True)
def _tools():
    if MACHINE != "x86_64":
        pytest.skip("needs x86_64: the dump is for it")
    for name in ("abidiff", "abidw"):
        tool(name, "compares ABIs")


def build(source, folder, *options, compiler):
    """Build the shared library with debug information, which the dump is made from."""
    words = ["-Dpython=false", "-Dtests=false", "-Ddefault_library=shared", "-Dbuildtype=debug", *options]
    out = run(*MESON, "setup", folder, source, *words, env={"CC": tool(compiler, "C compiler")})
    assert out.returncode == 0, out.stdout
    compile_again(folder)


def compile_again(folder):
    out = run(*MESON, "compile", "-C", folder)
    assert out.returncode == 0, out.stdout


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """A build of a copy of the source, with the default back end."""
    folder = tmp_path_factory.mktemp("abi")
    shutil.copytree(source, folder / "source", ignore=shutil.ignore_patterns(".git"))
    build(folder / "source", folder / "build", compiler="gcc")
    return folder / "build"


def check(folder):
    return run(sys.executable, ROOT / "tests" / "programs" / "abi.py", "check", folder)


def test_abi_equals_the_dump(built):
    out = check(built)
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


def test_dump_names_no_folder_of_the_machine_that_made_it(built, tmp_path, monkeypatch):
    monkeypatch.setattr(abi, "DUMP", tmp_path / "x86_64.abi")
    monkeypatch.setattr(abi, "CONSTANTS", tmp_path / "constants.txt")
    abi.update(built)
    assert abi.compare(built) == []
    for folder in (built.parent, "/usr", "/home", "/root", "/tmp"):
        assert str(folder) not in abi.DUMP.read_text()


@pytest.mark.parametrize("option", ["--strip-debug", "--remove-section=.debug_info"])
def test_library_without_debug_information_is_refused(built, tmp_path, monkeypatch, option):
    """abidiff would compare only the names of the functions."""
    (tmp_path / "replace").mkdir()
    stripped = tmp_path / "replace/libreplace.so"
    out = run("objcopy", option, built / "replace/libreplace.so", stripped)
    assert out.returncode == 0, out.stderr
    monkeypatch.setattr(abi, "DUMP", tmp_path / "x86_64.abi")
    for command in (abi.compare, abi.update):
        with pytest.raises(SystemExit, match="lacks debug information; build with -Dbuildtype=debug"):
            command(tmp_path)
    assert not abi.DUMP.exists()


def test_new_enumerator_breaks_nothing(built, tmp_path, monkeypatch):
    """The dump lacks it."""
    lines = abi.CONSTANTS.read_text().splitlines(keepends=True)
    (tmp_path / "constants.txt").write_text("".join(lines[1:]))
    monkeypatch.setattr(abi, "CONSTANTS", tmp_path / "constants.txt")
    assert abi.compare(built) == [abi.Difference(False, f"{lines[0].split()[0]} is new")]


def test_other_back_end_compiler_and_options_have_the_same_abi(source, tmp_path):
    """Some projects set this option for every C file."""
    build(source, tmp_path / "build", "-Dcredentials=libc", "-Dc_args=-fvisibility=hidden", compiler="clang")
    out = check(tmp_path / "build")
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")


# The build reads the headers in its own folder, and the sources in the copy.
GUARD, DROP = "build/replace/core/libreplace/guard.h", "build/replace/core/libreplace/drop.h"
NAMES, THREADS = "source/replace/core/names.c", "source/replace/core/threads.c"
#: What changes -> the file, the old text, and the new text.
BREAKS = {
    "function removed": [
        (GUARD, "const char *libreplace_level_name(int level);", ""),
        (NAMES, "const char *libreplace_level_name(", "__attribute__((unused)) static const char *level_name("),
    ],
    "result changed": [
        (GUARD, "unsigned libreplace_depth(void)", "long libreplace_depth(void)"),
        (THREADS, "unsigned libreplace_depth(void)", "long libreplace_depth(void)"),
    ],
    "parameter changed": [
        (GUARD, "libreplace_state_name(int state)", "libreplace_state_name(long state)"),
        (NAMES, "libreplace_state_name(int state)", "libreplace_state_name(long state)"),
    ],
    "struct larger": [(GUARD, "uint64_t reserved[8];", "uint64_t reserved[9];")],
    "member moved": [(DROP, "\tint step;\n\tint error;\n", "\tint error;\n\tint step;\n")],
    "enumerator changed": [(GUARD, "LIBREPLACE_STEP_KEYRING = 16", "LIBREPLACE_STEP_KEYRING = 17")],
    "macro changed": [(GUARD, "4294967293U", "4294967292U")],
}
ADDITION = [
    (GUARD, "unsigned libreplace_depth(void);", "unsigned libreplace_depth(void);\nint libreplace_new(int number);"),
    (
        THREADS,
        "unsigned libreplace_depth(void)",
        "int libreplace_new(int n)\n{\n\treturn n;\n}\n\nunsigned libreplace_depth(void)",
    ),
]


@contextlib.contextmanager
def changed(built, edits):
    """Build with the edits. At the end, restore the files; the next build compiles them again."""
    before = {path: (built.parent / path).read_text() for path, _, _ in edits}
    try:
        for path, old, new in edits:
            text = (built.parent / path).read_text()
            assert text.count(old) == 1, (path, old)
            (built.parent / path).write_text(text.replace(old, new))
        compile_again(built)
        yield
    finally:
        for path, text in before.items():
            (built.parent / path).write_text(text)


@pytest.mark.parametrize("edits", BREAKS.values(), ids=BREAKS)
def test_change_that_breaks_programs_is_found(built, edits):
    with changed(built, edits):
        found = abi.compare(built)
    assert [difference.breaks for difference in found] == [True]
    assert "docs/packaging.md, The ABI" in abi.advice(found)


def test_new_function_breaks_nothing_and_asks_for_an_update(built):
    with changed(built, ADDITION):
        found = abi.compare(built)
    assert [difference.breaks for difference in found] == [False]
    assert "libreplace_new" in found[0].text
    assert abi.advice(found).endswith("Compiled programs still work. Then: python tests/programs/abi.py update BUILD")


@pytest.mark.parametrize("arguments", [[], ["check"], ["show", "BUILD"], ["check", "BUILD", "BUILD"]])
def test_wrong_arguments_are_refused(arguments, capsys):
    assert abi.main(arguments) == 2
    assert capsys.readouterr().err == "usage: abi.py check BUILD | update BUILD\n"


def test_folder_without_a_shared_library_is_refused(tmp_path, capsys):
    assert abi.main(["update", str(tmp_path)]) == 2
    assert "-Ddefault_library=shared" in capsys.readouterr().err
