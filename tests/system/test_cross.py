# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Answers for a cross build: from a file, an emulator or both, as in Samba's build, and from a machine file."""

import json
import os
import re
import sys

import pytest
from support.builds import ROOT, needs_package, report_of, run, tool
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
WORDS = "Checking whether we can use Linux thread-specific credentials"
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
        out = meson("setup", tmp_path / f"b{number}", source, "-Dtests=false", *options)
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


def test_emulator_that_cannot_run_a_probe_gives_no_answer(setup):
    """It runs Meson's own program, but not the probes. 126 is the shell's status for a program that it cannot run."""
    wrapper = """exe_wrapper = ['sh', '-c', 'case $0 in *sanity*) exec "$0";; esac; exit 126']"""
    out, answers, file = setup(wrapper, "")
    assert out.returncode == 0, out.stdout
    assert answers["libreplace_have_linux_thread_credentials"] == "unknown"
    assert answers["libreplace_have_linux_thread_credentials:evidence"] == "exit status 126"
    assert "WARNING: raw system calls" not in one_line(out)
    assert file.read_text() == f"{WORDS}: UNKNOWN\n"


def one_line(out):
    return " ".join(out.stdout.split())


def test_question_without_an_answer_is_added_and_stops_nothing(setup):
    out, found, answers = setup(text=FOREIGN)
    assert out.returncode == 0, out.stdout
    assert f"-Dcross_answers: {answers} does not answer: {WORDS}" in one_line(out)
    assert "decides without these answers: This is Linux with glibc" in one_line(out)
    assert answers.read_text() == f"{FOREIGN}{WORDS}: UNKNOWN\n", "only what can still change the verdict"
    assert set(run_questions(found).values()) == {"not run"}
    out, found, _ = setup(text=answers.read_text().replace("UNKNOWN", "NO"))
    assert out.returncode == 0, out.stdout
    assert "The answers file says NO to thread-specific credentials" in one_line(out)
    added = answers.read_text().removeprefix(f"{FOREIGN}{WORDS}: NO\n").splitlines()
    assert added == [
        "Checking whether libc's own setresuid reaches the other threads: UNKNOWN",
        "Checking whether setreuid is available: UNKNOWN",
    ], "with libc's calls, these matter for the warnings and for samba_config.h"


def test_answers_file_that_does_not_exist_is_created(source, tmp_path):
    (tmp_path / "cross.ini").write_text(CROSS.format(wrapper="", properties=""))
    options = ("-Dpython=false", "--cross-file", tmp_path / "cross.ini", f"-Dcross_answers={tmp_path}/new.txt")
    out = meson("setup", tmp_path / "b", source, "-Dtests=false", *options)
    assert out.returncode == 0, out.stdout
    assert (tmp_path / "new.txt").read_text() == f"{WORDS}: UNKNOWN\n"


def test_emulator_results_are_added_to_the_answers_file(setup):
    needs_root()  # only root can test whether libc's call changes the other threads
    text = FOREIGN + f"  {WORDS}: UNKNOWN \nChecking whether setuidx is available: UNKNOWN\n"
    out, found, answers = setup(EMULATOR, text)
    assert out.returncode == 0, out.stdout
    assert answers.read_text() == text.replace(": UNKNOWN ", ": OK "), "setuidx does not matter with raw calls"
    again, same, _ = setup(text=answers.read_text())  # without the emulator, the verdict is the same
    assert again.returncode == 0, again.stdout
    calls = re.compile(r"^ +(?!rule)\w+ +: .*$", re.M)
    assert [m.group(0) for m in calls.finditer(again.stdout)] == [m.group(0) for m in calls.finditer(out.stdout)]
    assert same["libreplace_have_linux_thread_credentials:how"] == "answers file"


def test_answers_file_takes_precedence_over_the_emulator(setup):
    needs_root()
    out, found, _ = setup(EMULATOR, f"{WORDS}: NO\n{WORDS}: OK\n")
    assert out.returncode == 0, out.stdout
    assert found["libreplace_have_linux_thread_credentials"] == "no"
    assert "says NO to thread-specific credentials" in one_line(out)
    assert "answers file, line 2: OK; answers file, line 1 counts first" in one_line(out)


def test_machine_file_counts_before_the_answers_file(setup):
    machine = "libreplace_have_linux_thread_credentials = '{}'\nlibreplace_have_setuid = 'no'"
    out, found, _ = setup(text=f"{WORDS}: OK\n", properties=machine.format("NO"))
    assert found["libreplace_have_linux_thread_credentials:how"] == "machine file", out.stdout
    assert "answers file, line 1: OK; machine file counts first" in one_line(out)
    assert "libreplace_have_setuid (machine file: NO; the compiler answers this question)" in one_line(out)
    out, found, _ = setup(text=f"{WORDS}: NO\n", properties=machine.format("UNKNOWN"))
    assert found["libreplace_have_linux_thread_credentials:how"] == "answers file", "UNKNOWN is no answer"
    assert "The answers file says NO" in one_line(out)


def test_wording_for_32_bit_numbers_does_not_count_on_x86_64(setup):
    out, found, answers = setup(text=f"{WORDS} with 32-bit system calls: NO\n{WORDS}: OK\n")
    assert found["libreplace_have_linux_thread_credentials"] == "yes", out.stdout
    assert "line 1: NO; the headers have no SYS_setresuid32, so Samba's other words count" in one_line(out)
    assert answers.read_text().count("thread-specific") == 2, "the question is not added again"


@pytest.fixture
def configured(source, tmp_path):
    """configured(platform, text, options) returns Meson's run, the report and the answers file, without an emulator."""

    def configure(platform, text, *options):
        zig = "-musl" in platform
        needs_package(*["ziglang"] if zig else [])
        name = "linux-musl-x86_64" if zig else platform
        ini = (ROOT / "tests" / "cross" / f"{name}.ini").read_text()
        ini = ini.replace("x86_64-linux-musl", platform)  # another target of the same compiler
        ini = "".join(line for line in ini.splitlines(True) if not line.startswith("exe_wrapper"))
        if not zig:
            tool(ini.split("c = '")[1].split("'")[0], "a cross compiler")
        (tmp_path / "cross.ini").write_text(ini)
        (tmp_path / "answers.txt").write_bytes(text)
        given = ("--cross-file", tmp_path / "cross.ini", f"-Dcross_answers={tmp_path}/answers.txt", *options)
        out = meson("setup", tmp_path / "b", source, "-Dtests=false", "-Dpython=false", *given)
        return out, report_of(tmp_path / "b") if out.returncode == 0 else {}, (tmp_path / "answers.txt").read_bytes()

    return configure


ARM, AARCH64 = "linux-glibc-armhf", "linux-glibc-aarch64"


@pytest.mark.parametrize(
    ("fixture", "platform", "backend", "unused"),
    [
        ("one-wording", AARCH64, "syscall", 0),
        ("one-wording", "x86_64-linux-musl", "syscall", 0),
        ("other-wording", ARM, "syscall", 0),
        ("other-wording", "arm-linux-musleabihf", "syscall", 0),
        ("both-wordings", AARCH64, "syscall", 6),
        ("both-wordings", ARM, "libc", 4),
    ],
)
def test_packagers_files_configure_unchanged(configured, fixture, platform, backend, unused):
    """Each file is in the style of a distribution's file for Samba."""
    text = (ROOT / "tests" / "answers" / f"{fixture}.txt").read_bytes()
    out, report, after = configured(platform, text)
    assert out.returncode == 0, out.stdout
    assert report["verdict"]["backend"] == backend
    assert "The answers file says" in report["verdict"]["rule"]
    overrides = report["overrides"]
    thread = "libreplace_have_linux_thread_credentials"
    family = ["libreplace_use_setreuid", "libreplace_use_setresuid"] if backend == "libc" else []
    assert overrides["used"] == [thread, *family]
    assert len(overrides["unused"]) == unused, overrides["unused"]
    if backend == "syscall":
        assert after == text, "nothing else can change the verdict"
        assert report["verdict"]["samba_macro"] == "USE_LINUX_THREAD_CREDENTIALS"
    else:
        reaches = b"Checking whether libc's own setresuid reaches the other threads: UNKNOWN\n"
        assert after == text + reaches, "the family was answered by hand"
        assert report["verdict"]["samba_macro"] == "USE_SETRESUID", "setreuid: FAIL"


def test_answer_that_cannot_be_honoured_is_an_error(configured):
    text = f"{WORDS} with 32-bit system calls: NO\r\n".encode()
    out, _, after = configured(ARM, text, "-Dcredentials=syscall")
    assert out.returncode != 0
    assert "-Dcredentials=syscall is not possible: the answers file says NO" in one_line(out)
    assert after == text


@pytest.mark.parametrize(
    ("compiler", "options", "properties"),
    [
        ("cc", [], ""),
        ("cc", ["-Dcredentials=libc"], ""),
        ("cc", [], "libreplace_have_linux_thread_credentials = 'NO'"),
        ("musl-gcc", [], ""),
        ("musl-gcc", ["-Dcredentials=syscall"], ""),
        ("musl-gcc", ["-Dcredentials=libc"], ""),
        ("musl-gcc", [], "libreplace_have_linux_thread_credentials = 'OK'"),
        ("musl-gcc", [], "libreplace_use_setreuid = 'NO'"),
    ],
    ids=str,
)
def test_exported_answers_give_the_same_verdict(source, tmp_path, compiler, options, properties):
    """A native build exports its answers. Another native build and a cross build without an emulator use them."""
    tool(compiler, "a C compiler")
    (tmp_path / "native.ini").write_text(f"[binaries]\nc = '{compiler}'\n[properties]\n{properties}\n")
    (tmp_path / "cross.ini").write_text(CROSS.format(wrapper="", properties="").replace("'cc'", f"'{compiler}'"))

    def build(name, *more):
        out = meson("setup", tmp_path / name, source, "-Dtests=false", "-Dpython=false", *options, *more)
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
        assert len(after["overrides"]["used"]) + len(after["overrides"]["unused"]) == 6
        assert {**after["verdict"], "rule": ""} == {**before["verdict"], "rule": ""}


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
        sys.executable, "-m", "mesonbuild.mesonmain", "setup", tmp_path / "b", source, "-Dtests=false",
        "-Dpython=false", "--cross-file", tmp_path / "cross.ini", f"-Dcross_answers={answers}",
    )  # fmt: skip
    assert out.returncode == 0, out.stdout
    copy = tmp_path / "b" / "detect" / "cross_answers.txt"
    assert f"cannot write {answers} (Read-only file system); the completed copy is {copy}" in one_line(out)
    assert copy.read_text() == f"{FOREIGN}{WORDS}: UNKNOWN\n"
    assert answers.read_text() == FOREIGN
