# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Questions to the compiler: the programs, the controls, and a "no" that a compiler option or a missing file causes.

Two cells of the matrix of compiler options are here; tests/system/test_flags.py has the others.
"""

import json
import re
import shlex
import sys

import golden
import pytest
from programs import FIELD, RECORD, SIZE, source
from questions import questions
from support.builds import ROOT, report_of, run, tool
from support.children import call_number, needs_root
from support.configure import ARCHITECTURES, MACHINE, answers_of, calls_of, configure
from verdict import decide

import replace

DETECT = ROOT / "detect"
GLIBC = replace.report()["verdict"]["libc"] == "glibc"


@pytest.fixture(scope="module")
def cc():
    return tool("cc", "the compiler that is asked")


def ask_again(compiler, linker, *items):
    """Run ask_again.py as Meson does."""
    words = [FIELD.join(shlex.split(word)) for word in (compiler, linker)]
    return run(sys.executable, DETECT / "ask_again.py", *words, *(item.replace(" ", FIELD) for item in items), cwd="/")


def refused(out, *patterns):
    assert out.returncode == 1, out.stdout
    for pattern in patterns:
        assert re.search(pattern, out.stderr), out.stderr
    assert "-Dc_args" in out.stderr, "the message says where options come from"


# ---- The programs


def test_every_program_fits_through_meson():
    """Meson reads the programs from a pipe, in the encoding of the user's locale."""
    for question in questions():
        text = source(question, SIZE)
        assert text.isascii(), question.id
        assert text.endswith("\n"), question.id
        assert not {FIELD, RECORD} & set(text), question.id


def test_programs_need_no_option_against_warnings(cc, tmp_path):
    """-w keeps warnings out; a compiler without it must get the same answers."""
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-result", "-D_GNU_SOURCE"]
    for question in replace.report()["questions"]:
        if question["answer"] != "no" and question["kind"] != "run":
            (tmp_path / "question.c").write_text(question["source"])
            out = run(cc, *strict, "-fsyntax-only", tmp_path / "question.c")
            assert out.returncode == 0, question["id"] + out.stderr


@pytest.mark.parametrize(
    "script", [path.name for path in sorted(DETECT.glob("*.py")) if "__main__" in path.read_text()]
)
def test_script_finds_its_neighbours_without_the_usual_search_path(script):
    """As with PYTHONSAFEPATH=1 or python -P: the folder of the script is not in sys.path."""
    out = run(sys.executable, "-I", DETECT / script, cwd="/")
    assert "ModuleNotFoundError" not in out.stderr


# ---- A "no" that is not believed


def test_evidence_of_a_no_is_the_command_and_the_first_message(cc):
    out = ask_again(f"{cc} -D_GNU_SOURCE", "-Wl,--as-needed", "libreplace_have_setuidx no compiled")
    key, answer, evidence = out.stdout.strip(RECORD).split(FIELD)
    assert (key, answer) == ("libreplace_have_setuidx", "no"), out.stderr
    assert evidence.startswith(f"{cc} -D_GNU_SOURCE -o question question.c -Wl,--as-needed: question.c:")
    assert "sys/id.h" in evidence


def test_evidence_has_no_colors(cc):
    """The report goes into files and web pages."""
    compiler = f"{cc} -fdiagnostics-color=always"
    out = ask_again(compiler, "", "libreplace_have_setuidx no compiled")
    assert "error: sys/id.h" in out.stdout or "error: 'sys/id.h'" in out.stdout, out.stdout + out.stderr
    out = ask_again(compiler + " -Dsetuid=", "", "libreplace_control_program no compiled")
    refused(out, "every answer would be no", "error: ")
    assert "\x1b" not in out.stderr


def test_evidence_with_any_character_is_printed(cc):
    items = (FIELD.join([cc, "-I/\u00fc"]), "", FIELD.join(["libreplace_have_setuidx", "no", "compiled"]))
    out = run(sys.executable, DETECT / "ask_again.py", *items, env={"PYTHONIOENCODING": "ascii"}, cwd="/")
    assert r"-I/\xfc" in out.stdout, out.stderr


def test_value_of_a_macro_comes_from_the_preprocessor(cc):
    out = ask_again(f"{cc} -D__sun=7", "", "libreplace_define_sun yes compiled")
    assert out.stdout == FIELD.join(["libreplace_define_sun", "7", ""]) + RECORD, out.stderr


def test_control_that_fails_stops_with_the_message_and_the_missing_package(cc):
    """Without the headers of the C library, every question would be answered with no."""
    own = run(cc, "-print-file-name=include").stdout.strip()  # the compiler's own headers
    compiler = f"{cc} -nostdinc -isystem {own}"
    if run("sh", "-c", f"echo '#include <unistd.h>' | {compiler} -E -").returncode == 0:
        pytest.skip("needs a compiler with which -nostdinc hides the C library; musl-gcc names the folder itself")
    refused(
        ask_again(compiler, "", "libreplace_control_macro no compiled"),
        "every answer would be no",
        r"limits\.h",
        "libc6-dev",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-Wl,--unresolved-symbols=ignore-all", "exit status 0, no message"),
        ("-Wl,--warn-unresolved-symbols", "warning: undefined "),
    ],
)
def test_control_that_must_fail_and_does_not_stops(cc, options, message):
    """With these options, the linker accepts every function."""
    out = ask_again(cc, options, "libreplace_control_no_function yes compiled")
    refused(out, "every answer would be yes", re.escape(options), message)


@pytest.mark.skipif(not GLIBC, reason="needs glibc: it has linker warnings")
def test_function_that_the_system_certainly_has_is_an_error(cc):
    """The linker warns about initgroups() in static programs, and this option makes the warning an error."""
    system = [f"libreplace_define_{name} yes compiled" for name in ("linux", "glibc", "glibc_minor")]
    options = "-static -Wl,--fatal-warnings"
    out = ask_again(f"{cc} -D_GNU_SOURCE", options, *system, "libreplace_have_initgroups no compiled")
    refused(out, r"the system certainly has it \(linux, glibc\)", "initgroups|-lc")
    assert ask_again(cc, options, *system, "libreplace_have_setuidx no compiled").returncode == 0


def test_two_answers_of_one_compiler_are_an_error(cc):
    refused(
        ask_again(cc, "", "libreplace_have_setuid no compiled"), "two answers", "second time, it was built", "--wipe"
    )
    out = ask_again(cc, "", "libreplace_control_no_function yes compiled")
    refused(out, "two answers", "second time, it was not built", "libreplace_no_such_function")


def test_compiler_without_a_message_is_shown_with_its_exit_status(tmp_path):
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o755)
    refused(
        ask_again(shlex.quote(str(killed)), "", "libreplace_control_macro no compiled"), "exit status -9, no message"
    )


def test_probe_that_ran_a_function_that_is_not_found_is_an_error(cc):
    out = ask_again(cc, "", "libreplace_have_setuidx no compiled", "libreplace_use_setuidx unknown ran")
    refused(out, r"effective_family\.c, which calls it, was linked and ran", r"sys/id\.h")
    out = ask_again(cc, "", "libreplace_have_setuidx no compiled", "libreplace_use_setuidx no compiled")
    assert out.returncode == 0, out.stderr


def test_type_without_a_known_size_is_an_error(cc):
    out = ask_again(f"{cc} -Dsizeof(x)=3", "", "libreplace_sizeof_uid_t no compiled")
    refused(out, "size of uid_t: it is not 2, 4 or 8", "negative")


# ---- The run probes


@pytest.mark.parametrize("call", ["setresuid", "setgroups"])
def test_probe_that_a_filter_kills_cannot_tell(cc, tmp_path, call):
    needs_root()
    call_number(call)
    probes = DETECT / "probes"
    out = run(cc, "-D_GNU_SOURCE", "-pthread", "-o", tmp_path / "probe", probes / "thread_credentials.c")
    assert out.returncode == 0, out.stderr
    odd = ROOT / "tests" / "support" / "odd_machine.py"
    out = run(sys.executable, odd, "filter", call, "KILL_PROCESS", tmp_path / "probe")
    assert "killed by signal 31" in out.stdout
    assert out.returncode == 77


# ---- The whole configuration

RECORDER = """#!/bin/sh
for word; do
	case $word in
	*/testfile.c) cp "$word" "$(mktemp "$RECORD/XXXXXX")" ;;
	esac
done
exec cc "$@"
"""


def test_report_shows_the_programs_that_were_compiled(cc, source, tmp_path):
    """The compiler's name for each program that Meson writes is testfile.c. These flags break Meson's own programs."""
    record = tmp_path / "record"
    record.mkdir()
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    env = {"CC": str(recorder), "RECORD": str(record), "CFLAGS": "-Wpedantic -Werror"}
    out = configure(source, tmp_path / "b", env=env)
    assert out.returncode == 0, out.stdout
    compiled = {path.read_text() for path in record.iterdir()}
    expected = {question["id"]: question for question in replace.report()["questions"]}
    for question in report_of(tmp_path / "b")["questions"]:
        assert question["source"] in compiled, question["id"]
        if question["kind"] != "run":
            assert question["answer"] == expected[question["id"]]["answer"], question["id"]
        needs_evidence = question["answer"] == "no" or "control" in question["id"]
        assert (f"{recorder} -Wpedantic -Werror " in question["evidence"]) == needs_evidence, question


@pytest.mark.skipif(MACHINE not in ("x86_64", "i686"), reason="needs x86: -m32 is an option of its compilers")
def test_werror_on_32_bits_changes_no_answer(source, tmp_path):
    """With -Werror, Meson's own check for a function fails on 32 bits: it casts a pointer to a larger integer."""
    compiler = tool("gcc", "C compiler") + ARCHITECTURES["i386"]
    (tmp_path / "a.c").write_text(
        "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { return SYS_setuid32; }\n"
    )
    if run("sh", "-c", f"{compiler} a.c", cwd=tmp_path).returncode != 0:
        pytest.skip("needs a C library for -m32 (Debian: gcc-multilib, or libc6-dev-i386)")
    out = configure(source, tmp_path / "b", "-Dc_args=-Werror", env={"CC": compiler})
    assert out.returncode == 0, out.stdout
    answers = json.loads((golden.GOLDEN / "linux-glibc-i386" / "answers.json").read_text())
    assert calls_of(tmp_path / "b") == decide(answers).calls
    assert answers_of(tmp_path / "b")["libreplace_sys_setuid32"] == "yes"


@pytest.mark.parametrize(("system", "platform"), [("windows", "win32"), ("cygwin", "cygwin")])
def test_windows_is_refused_with_the_marker_for_dependents(cc, source, tmp_path, system, platform):
    machine = f"[host_machine]\nsystem = '{system}'\ncpu_family = 'x86_64'\ncpu = 'x86_64'\nendian = 'little'\n"
    (tmp_path / "cross.ini").write_text(f"[binaries]\nc = '{cc}'\n{machine}")
    out = configure(source, tmp_path / "b", "--cross-file", tmp_path / "cross.ini")
    assert out.returncode != 0
    assert "nothing to offer here" in out.stdout
    marker = f'libreplace; sys_platform != "{platform}"'
    assert marker in out.stdout
    assert marker in (ROOT / "docs" / "packaging.md").read_text() or system == "cygwin"
