# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Answers for a cross build: from a file, an emulator or both, as in Samba's build, and from a machine file."""

import json
import os
import re
import sys

import pytest
from support.builds import report_of, run, tool
from support.children import needs_root
from test_build import meson

CROSS = """[binaries]
c = 'cc'
ar = 'ar'
{wrapper}
[properties]
needs_exe_wrapper = true
{properties}
[host_machine]
system = 'linux'
cpu_family = 'x86_64'
cpu = 'x86_64'
endian = 'little'
"""
EMULATOR = "exe_wrapper = ['env', 'EMULATED=1']"
FOREIGN = """# made for another project
Checking uname sysname type: "Linux"
Checking for large file support without additional flags: OK
Checking for -D_FILE_OFFSET_BITS=64: NO
Checking simple C program: (0, "works")
rpath library support: (255, "")
Checking for something else: maybe, {perhaps} : or not

no colon here
"""


@pytest.fixture
def setup(source, tmp_path):
    """setup(wrapper, text of the answers file, properties) returns Meson's run, its answers and the answers file."""
    counter = iter(range(9))

    def configure(wrapper="", text=None, properties=""):
        number = next(counter)
        (tmp_path / "cross.ini").write_text(CROSS.format(wrapper=wrapper, properties=properties))
        options = ["-Dpython=false", "--cross-file", tmp_path / "cross.ini"]
        answers = tmp_path / "answers.txt"
        if text is not None:
            answers.write_text(text)
            options.append(f"-Dcross_answers={answers}")
        out = meson("setup", tmp_path / f"b{number}", source, *options)
        found = tmp_path / f"b{number}" / "detect" / "answers.json"
        return out, json.loads(found.read_text()) if found.exists() else {}, answers

    return configure


def write(path, text):
    path.write_text(text)
    return path


def run_questions(answers):
    return {key[:-4]: value for key, value in answers.items() if key.endswith(":how") and value != "compiled"}


def test_emulator_answers_every_run_question(setup):
    out, answers, _ = setup(EMULATOR)
    assert out.returncode == 0, out.stdout
    assert set(run_questions(answers).values()) == {"ran under an exe wrapper"}
    assert answers["libreplace_have_linux_thread_credentials"] == "yes"


def test_completed_answers_file_is_enough_without_an_emulator(setup):
    out, _, answers = setup(text=FOREIGN)
    assert out.returncode != 0
    text = answers.read_text()
    assert text.startswith(FOREIGN), "lines of other projects are unchanged"
    out, found, _ = setup(text=text.replace("UNKNOWN", "OK"))
    assert out.returncode == 0, out.stdout
    assert set(run_questions(found).values()) == {"answers file"}


def test_emulator_results_are_added_to_the_answers_file(setup):
    needs_root()  # only root can test whether libc's call changes the other threads
    out, found, answers = setup(EMULATOR, FOREIGN + "Checking whether seteuid is available: UNKNOWN\n")
    assert out.returncode == 0, out.stdout
    text = answers.read_text()
    assert text.startswith(FOREIGN + "Checking whether seteuid is available: OK\n"), "UNKNOWN is replaced"
    assert text.count("Checking whether") == 6
    assert "UNKNOWN" not in text
    assert "Checking whether setuidx is available: NO\n" in text
    again, same, _ = setup(text=text)  # without the emulator, the verdict is the same
    assert again.returncode == 0, again.stdout
    verdict = re.compile(r"^ +\w+ +: .*$", re.M)
    assert [m.group(0) for m in verdict.finditer(again.stdout)] == [m.group(0) for m in verdict.finditer(out.stdout)]
    assert {k: same[k] for k in run_questions(found)} == {k: found[k] for k in run_questions(found)}


def test_answers_file_takes_precedence_over_the_emulator(setup):
    needs_root()
    words = "Checking whether we can use Linux thread-specific credentials"
    out, found, _ = setup(EMULATOR, f"{words}: NO\n{words}: OK\n")
    assert out.returncode == 0, out.stdout
    assert found["libreplace_have_linux_thread_credentials"] == "no"
    assert "says NO to thread-specific credentials" in " ".join(out.stdout.split())


def test_samba_wording_of_a_question_is_understood(setup):
    words = "Checking whether we can use Linux thread-specific credentials with 32-bit system calls"
    out, found, answers = setup(EMULATOR, f"{words}: NO\n")
    assert found["libreplace_have_linux_thread_credentials"] == "no", out.stdout
    assert answers.read_text().count("thread-specific") == 1, "the question is not added again"


@pytest.mark.parametrize(
    ("compiler", "options", "properties"),
    [
        ("cc", [], ""),
        ("cc", ["-Dcredentials=libc"], ""),
        ("cc", [], "libreplace_have_linux_thread_credentials = 'NO'"),
        ("musl-gcc", [], ""),
        ("musl-gcc", ["-Dcredentials=syscall"], ""),
    ],
    ids=str,
)
def test_exported_answers_give_the_same_verdict(source, tmp_path, compiler, options, properties):
    """A native build exports its answers. Another native build and a cross build without an emulator use them."""
    tool(compiler, "a C compiler")
    (tmp_path / "native.ini").write_text(f"[binaries]\nc = '{compiler}'\n[properties]\n{properties}\n")
    (tmp_path / "cross.ini").write_text(CROSS.format(wrapper="", properties="").replace("'cc'", f"'{compiler}'"))

    def build(name, *more):
        out = meson("setup", tmp_path / name, source, "-Dpython=false", *options, *more)
        assert out.returncode == 0, out.stdout
        return report_of(tmp_path / name)

    before = build("before", "--native-file", tmp_path / "native.ini")
    report = tmp_path / "before/replace/build_report.json"
    text = run(sys.executable, "-m", "replace", "report", "--answers", report, cwd="/")
    assert text.returncode == 0, text.stderr
    (tmp_path / "answers.txt").write_text(text.stdout)
    given = f"-Dcross_answers={tmp_path / 'answers.txt'}"
    native = build("native", "--native-file", write(tmp_path / "n.ini", f"[binaries]\nc = '{compiler}'\n"), given)
    cross = build("cross", "--cross-file", tmp_path / "cross.ini", given)
    assert (tmp_path / "answers.txt").read_text() == text.stdout, "every question had an answer"
    for after in (native, cross):
        assert len(after["overrides"]["used"]) == 6
        after["verdict"]["rule"] = after["verdict"]["rule"].replace("answers file says", "machine file says")
        assert after["verdict"] == before["verdict"]


def test_machine_file_answers_a_question(setup):
    out, found, _ = setup(properties="libreplace_have_linux_thread_credentials = 'NO'")
    assert out.returncode == 0, out.stdout
    assert found["libreplace_have_linux_thread_credentials:how"] == "machine file"


def test_bad_answer_error_names_file_and_line(setup):
    out, _, answers = setup(text=FOREIGN + "Checking whether setreuid is available: perhaps\n")
    assert out.returncode != 0
    line = len(FOREIGN.splitlines()) + 1
    assert f"{answers}:{line}: bad answer 'perhaps'" in out.stdout.replace("\n", "")


def test_read_only_answers_file_is_completed_in_a_copy(source, tmp_path):
    """Root can write to read-only files, so the test uses a read-only mount."""
    (tmp_path / "cross.ini").write_text(CROSS.format(wrapper="", properties=""))
    answers = tmp_path / "answers.txt"
    answers.write_text(FOREIGN)
    command = f'mount --bind {answers} {answers} && mount -o remount,bind,ro {answers} && exec "$@"'
    out = run(
        tool("unshare", "a mount namespace"), "-rm" if os.geteuid() else "-m", "sh", "-c", command, "sh",
        sys.executable, "-m", "mesonbuild.mesonmain", "setup", tmp_path / "b", source,
        "-Dpython=false", "--cross-file", tmp_path / "cross.ini", f"-Dcross_answers={answers}",
    )  # fmt: skip
    assert out.returncode != 0
    copy = re.search(r"the completed copy is (\S+)", out.stdout.replace("\n", " "))
    assert copy, out.stdout
    with open(copy.group(1)) as file:
        assert file.read().count("UNKNOWN") == 6
    assert answers.read_text() == FOREIGN
