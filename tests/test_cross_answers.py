# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Files of answers in Samba's format: what is read, what is added, and which answers are reported as not used."""

import json
import os
import stat
import sys

import cross_answers
import golden
import pytest
from questions import THREAD, questions
from support.builds import ROOT, run
from verdict import Refused, decide, has_32_bit

WORDS = "Checking whether we can use Linux thread-specific credentials"
WORDS_32 = WORDS + " with 32-bit system calls"
SETREUID, SETRESUID = "Checking whether setreuid is available", "Checking whether setresuid is available"
REACHES = "Checking whether libc's own setresuid reaches the other threads"
AARCH64, ARM, MUSL = "linux-glibc-x86_64", "linux-glibc-i386", "linux-musl-x86_64"  # families with the same numbers


def platform_answers(platform, **changes):
    found = json.loads((golden.GOLDEN / platform / "answers.json").read_text())
    return {**found, **{key.replace("__", ":"): value for key, value in changes.items()}}


def answers_with(platform, text, machine_file=(), **changes):
    """Take the answers from a file's text as detect/meson.build does."""
    found = platform_answers(platform, **changes)
    lines = cross_answers.lines("a.txt", text if isinstance(text, bytes) else text.encode())
    found["overrides:answers_file"] = "\n".join(f"{line.number}\t{line.id}\t{line.answer}" for line in lines)
    found["overrides:machine_file"] = "\n".join(f"{name}\t{answer}" for name, answer in machine_file)
    first = {line.id: line.answer for line in reversed(lines)}
    counts = {name: answer for name, answer in first.items() if not name.startswith(THREAD)}
    counts[THREAD] = first.get(THREAD + ":32" * has_32_bit(found), "unknown")
    for name, answer in counts.items():
        found.update({name: answer, name + ":how": "answers file"} if answer != "unknown" else {})
    for name, answer in machine_file:
        found.update({name: answer, name + ":how": "machine file"})
    return found


def complete(path, answers):
    """Complete the file. Return what the packager is told, and the file's bytes."""
    said = cross_answers.complete(str(path), answers, f"{path}.copy")
    return said, path.read_bytes()


def program(command, path, answers=()):
    """Run the program as Meson does."""
    return run(sys.executable, ROOT / "detect" / "cross_answers.py", command, path, *answers, timeout=30)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("OK", "yes"),
        ("YES", "yes"),
        ("NO", "no"),
        ("FAIL", "no"),
        ("UNKNOWN", "unknown"),
        ('"it ran"', "yes"),
        ("'it ran'", "yes"),
        ('""', "yes"),
        ('(0, "")', "yes"),
        ('( 0 , "it: ran" )', "yes"),
        ('(1, "")', "no"),
        ('(-11, "")', "no"),
        ('(254, "")', "unknown"),
    ],
)
def test_values_mean_what_they_mean_to_samba(text, answer):
    (line,) = cross_answers.lines("a.txt", f" {WORDS} :  {text}\n".encode())
    assert (line.number, line.id, line.answer) == (1, THREAD, answer)


@pytest.mark.parametrize("text", ["", "perhaps", '"open', "(OK)", '(1, "")x', "65", "\ufffd", "N\u00d6"])
def test_bad_answer_names_file_and_line(text):
    with pytest.raises(cross_answers.BadAnswer, match=r"a\.txt:2: bad answer .*; write OK, NO, ") as error:
        cross_answers.lines("a.txt", f"something else: perhaps\n{SETREUID}: {text}\n".encode())
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        f"#{WORDS}: NO\n",
        f"  # {WORDS}: NO\n",
        f"{WORDS} on the moon: NO\n",
        f"not {WORDS}: NO\n",
        f"{WORDS}\n",
        f"Checking for something: {WORDS}: NO\n",
        "x" * 10**6 + ": NO\n",
    ],
)
def test_other_lines_are_not_read(text):
    assert cross_answers.lines("a.txt", text.encode()) == []


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=repr)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte-order mark"])
@pytest.mark.parametrize("last", [True, False], ids=["final newline", "no final newline"])
def test_file_keeps_its_bytes_and_its_line_endings(ending, mark, last, tmp_path):
    """The first line has an answer: a byte-order mark once hid it, and OK was appended to a file that says NO."""
    foreign = [b"Checking for na\xefve: OK", b"\t" + b"y" * 100000 + b": \xff ", b"", b"# the end"]
    before = mark + ending.encode().join([f"{WORDS}: NO".encode(), *foreign, b""][: None if last else -1])
    path = tmp_path / "a.txt"
    path.write_bytes(before)
    path.chmod(0o640)
    found = answers_with(MUSL, before)
    assert decide(found).used == (THREAD,)
    _, after = complete(path, found)
    end = "" if last else ending
    assert after == before + f"{end}{REACHES}: UNKNOWN{ending}{SETREUID}: UNKNOWN{ending}".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert complete(path, found)[1] == after, "nothing is added twice"


def test_unknown_gets_its_answer_and_nothing_else_changes(tmp_path):
    path = tmp_path / "a.txt"
    before = b"\xef\xbb\xbf  %s :\tUNKNOWN \r\nother: UNKNOWN\n%s: UNKNOWN" % (WORDS.encode(), SETREUID.encode())
    path.write_bytes(before)
    ran = {THREAD: "yes", THREAD + ":how": "ran under an exe wrapper"}
    said, after = complete(path, {**answers_with(AARCH64, before), **ran})
    assert after == before.replace(b"\tUNKNOWN ", b"\tOK "), "setreuid does not matter with raw calls"
    assert said == []


def test_several_unknowns_get_their_answers_in_any_order():
    text = f"{SETREUID}: UNKNOWN\n# between\n{REACHES}: UNKNOWN\n{WORDS}: UNKNOWN".encode()
    ran = dict.fromkeys(("libreplace_use_setreuid", "libreplace_libc_reaches_threads", THREAD), "yes")
    completed, _ = cross_answers.completed("a.txt", text, {**answers_with(MUSL, text), **ran})
    assert completed == f"{SETREUID}: OK\n# between\n{REACHES}: OK\n{WORDS}: UNKNOWN".encode()


@pytest.mark.parametrize("content", [None, b"", b"\xef\xbb\xbf", b"# only a comment\n", b"\n\n"], ids=repr)
def test_file_without_answers_is_created_or_completed(content, tmp_path):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    (tmp_path / "b.json").write_text(json.dumps(platform_answers(AARCH64)))
    assert program("read", path).stdout == ""
    out = program("complete", path, [tmp_path / "b.json"])
    assert out.returncode == 0, out.stderr
    assert path.read_bytes() == (content or b"") + f"{WORDS}: UNKNOWN\n".encode()
    assert f"{path} does not answer: {WORDS}\n" in out.stdout
    assert "This is Linux with glibc" in out.stdout, "it says what the default is"


def test_symbolic_link_and_hard_link_stay(tmp_path):
    real, link, other = tmp_path / "real.txt", tmp_path / "link.txt", tmp_path / "other.txt"
    link.symlink_to("real.txt")
    complete(link, platform_answers(AARCH64))  # the link's target does not exist yet
    os.link(real, other)
    _, after = complete(link, platform_answers(MUSL))
    assert after.count(b"UNKNOWN") == 3
    assert (link.is_symlink(), real.read_bytes(), other.read_bytes()) == (True, after, after)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("utf-16", "save it as UTF-8"),
        ("utf-16-le", "save it as UTF-8"),
        ("nul", "save it as UTF-8"),
        ("folder", "not a regular file"),
        ("fifo", "not a regular file"),
        ("device", "not a regular file"),
        ("nowhere", "No such file or directory"),
    ],
)
def test_what_is_no_text_file_is_refused(content, message, tmp_path):
    path = tmp_path / "a.txt"
    if content == "folder":
        path.mkdir()
    elif content == "fifo":
        os.mkfifo(path)
    elif content == "device":
        path.symlink_to("/dev/null")
    elif content == "nowhere":
        path = tmp_path / "no" / "a.txt"
    else:
        path.write_bytes(b"a\0" if content == "nul" else f"{WORDS}: NO\n".encode(content))
    (tmp_path / "b.json").write_text(json.dumps(platform_answers(AARCH64)))
    for out in (program("read", path), program("complete", path, [tmp_path / "b.json"])):
        assert out.returncode == 1
        assert str(path) in out.stderr
        assert message in out.stderr
        assert "Traceback" not in out.stderr


def test_unreadable_answers_of_the_build_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("")
    out = program("complete", tmp_path / "a.txt", [tmp_path / "b.json"])
    assert out.stderr == f"cannot read {tmp_path}/b.json: No such file or directory\n"


@pytest.mark.parametrize("first", [WORDS, WORDS_32])
@pytest.mark.parametrize(("platform", "fits"), [(AARCH64, WORDS), (ARM, WORDS_32)])
def test_wording_that_fits_the_headers_counts(platform, fits, first):
    other = {WORDS: WORDS_32, WORDS_32: WORDS}
    for answer, backend in (("OK", "syscall"), ("NO", "libc")):
        text = "".join(
            f"{words}: {answer if words == fits else {'OK': 'NO', 'NO': 'OK'}[answer]}\n"
            for words in (first, other[first])
        )
        found = answers_with(platform, text)
        verdict = decide(found)
        assert verdict.backend == backend
        assert verdict.used == (THREAD,)
        (unused,) = verdict.unused
        assert "Samba's other words count" in unused.text
        assert unused.contradicts, "the packager gets a warning"
        after, still_open = cross_answers.completed("a.txt", text.encode(), found)
        assert still_open == [] if backend == "syscall" else WORDS not in str(still_open)
        assert after.count(b"thread-specific") == 2


@pytest.mark.parametrize(("platform", "fits"), [(AARCH64, WORDS), (ARM, WORDS_32)])
def test_wording_that_does_not_fit_does_not_count_alone(platform, fits):
    """Samba would ask the other question. So do we: it is added, and the default decides."""
    text = f"{WORDS if fits == WORDS_32 else WORDS_32}: NO\n"
    found = answers_with(platform, text)
    verdict = decide(found)
    assert (verdict.backend, verdict.used) == ("syscall", ())
    assert [unused.contradicts for unused in verdict.unused] == [True]
    after, still_open = cross_answers.completed("a.txt", text.encode(), found)
    assert (after, still_open) == (text.encode() + f"{fits}: UNKNOWN\n".encode(), [fits])


@pytest.mark.parametrize(
    ("text", "machine_file", "option", "used", "unused"),
    [
        (f"{WORDS}: NO\n", (), "auto", [THREAD], []),
        (f"{WORDS}: OK\n{SETREUID}: OK\n", (), "auto", [THREAD], ["use_setreuid (answers file, line 2: OK; the answ"]),
        (f"{WORDS}: NO\n{WORDS}: OK\n{WORDS}: NO\n", (), "auto", [THREAD], ["answers file, line 1 counts first!"]),
        (f"{WORDS}: UNKNOWN\n{WORDS}: NO\n", (), "auto", [], ["line 2: NO; answers file, line 1 counts first!"]),
        (f"{WORDS}: OK\n", (), "libc", [], ["line 1: OK; -Dcredentials=libc is set, so libc's calls are used!"]),
        (f"{WORDS}: NO\n", (), "libc", [], ["line 1: NO; -Dcredentials=libc is set, so libc's calls are used"]),
        (f"{WORDS}: OK\n", (), "syscall", [THREAD], []),
        (f"{WORDS}: OK\n", [(THREAD, "no")], "auto", [THREAD], ["line 1: OK; machine file counts first!"]),
        (f"{WORDS}: NO\n", [(THREAD, "no")], "auto", [THREAD], []),
        ("", [("libreplace_have_setuid", "no")], "auto", [], ["machine file: NO; the compiler answers this question!"]),
        (f"{WORDS}: NO\n{SETREUID}: OK\n{SETRESUID}: OK\n", (), "auto", [THREAD, "libreplace_use_setreuid"],
         ["use_setresuid (answers file, line 3: OK; setreuid comes first"]),
        (f"{WORDS}: NO\n{SETREUID}: OK\n{SETREUID}: NO\n", (), "auto", [THREAD, "libreplace_use_setreuid"],
         ["use_setreuid (answers file, line 3: NO; answers file, line 2 counts first!"]),
        (f"{REACHES}: OK\n", (), "auto", [], ["line 1: OK; this is Linux with glibc"]),
        (f"{REACHES}: OK\n", (), "libc", ["libreplace_libc_reaches_threads"], []),
    ],
)  # fmt: skip
def test_every_given_answer_is_used_or_has_a_reason(text, machine_file, option, used, unused):
    """A ! marks an answer that the build contradicts: configure warns."""
    verdict = decide(answers_with(AARCH64, text, machine_file, option__credentials=option))
    assert list(verdict.used) == used
    assert len(verdict.unused) == len(unused)
    for found, expected in zip(verdict.unused, unused, strict=True):
        assert expected.rstrip("!") in found.text
        assert found.contradicts == expected.endswith("!"), found


def test_run_result_that_would_change_the_verdict_is_not_written(tmp_path):
    """On musl a probe finds that raw calls work. As an answer in the file, OK would select them the next time."""
    for platform, ran, backend in ((MUSL, "yes", "libc"), (AARCH64, "no", "syscall")):
        found = platform_answers(platform, **{THREAD: ran})
        found[THREAD + ":how"] = "ran under an exe wrapper"
        after, _ = cross_answers.completed("a.txt", b"", found)
        assert f"{WORDS}: UNKNOWN\n".encode() in after
        assert decide(answers_with(platform, after)).backend == decide(found).backend == backend


@pytest.mark.parametrize("ran", ["yes", "no", "unknown"])
@pytest.mark.parametrize("option", ["auto", "syscall", "libc"])
@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda path: path.name)
def test_completed_file_leads_to_the_same_verdict_again(platform, option, ran):
    """Otherwise the second run of configure would build something else than the first."""
    for text in ("", f"{WORDS}: NO\n", f"{WORDS_32}: OK\n", f"{SETREUID}: NO\n", f"{WORDS}: UNKNOWN\n{WORDS}: OK\n"):
        runs = {q.id: ran for q in questions() if q.kind == "run"}
        found = answers_with(platform.name, text, option__credentials=option, **runs)
        try:
            before = decide(found)
        except Refused:
            continue
        completed, still_open = cross_answers.completed("a.txt", text.encode(), found)
        again = answers_with(platform.name, completed, option__credentials=option, **runs)
        after = decide(again)
        assert [after.calls, after.scope, after.family] == [before.calls, before.scope, before.family], completed
        assert cross_answers.completed("a.txt", completed, again) == (completed, still_open)


def test_function_that_libc_lacks_is_not_asked_about():
    """macOS has no setresuid. Without setreuid, the next family is seteuid's."""
    text = f"{SETREUID}: NO\n"
    found = answers_with("macos-aarch64", text)
    assert decide(found).family == "USE_SETEUID"
    after, still_open = cross_answers.completed("a.txt", text.encode(), found)
    assert still_open == [REACHES, "Checking whether seteuid is available"]
    assert SETRESUID.encode() not in after


def test_packager_is_told_to_configure_again(tmp_path):
    """Meson does not notice that an answers file changes."""
    said, _ = complete(tmp_path / "a.txt", platform_answers(AARCH64))
    assert "meson setup --reconfigure" in said[-1]
    said, _ = complete(tmp_path / "a.txt", {**platform_answers(AARCH64), THREAD: "yes"})
    assert said == []


def test_packager_is_told_that_a_file_is_new(tmp_path):
    """A relative path starts in the source folder, so it may name another file than the packager's."""
    answers = {**platform_answers(AARCH64), THREAD: "yes"}
    said, _ = complete(tmp_path / "a.txt", answers)
    assert said == [f"{tmp_path}/a.txt did not exist and was created"]
    said, _ = complete(tmp_path / "a.txt", answers)
    assert said == []


FIXTURES = sorted((ROOT / "tests" / "answers").glob("*.txt"))


@pytest.mark.parametrize("option", ["auto", "syscall", "libc"])
@pytest.mark.parametrize("platform", [AARCH64, ARM, MUSL])
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_packagers_files_leave_nothing_open_if_the_wording_fits(path, platform, option):
    """tests/system/test_cross.py configures with these files. No question may stop them, and none is asked twice."""
    text = path.read_bytes()
    found = answers_with(platform, text, option__credentials=option)
    counts = [line for line in cross_answers.lines("a.txt", text) if line.id == THREAD + ":32" * has_32_bit(found)]
    if option == "syscall" and counts and counts[0].answer == "no":
        with pytest.raises(Refused, match="answers file says NO"):
            decide(found)
        return
    verdict = decide(found)
    default = "libc" if platform == MUSL else "syscall"
    given = {"yes": "syscall", "no": "libc"}[counts[0].answer] if counts else default
    assert verdict.backend == (given if option == "auto" else option)
    after, still_open = cross_answers.completed("a.txt", text, found)
    assert after.startswith(text)
    assert (WORDS_32 if has_32_bit(found) else WORDS) not in still_open or not counts
    assert cross_answers.completed("a.txt", after, found) == (after, still_open)
    if counts and verdict.backend == "syscall":
        assert after == text
