# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The choice of the back end, which depends only on the answers to the build's questions."""

import json

import cross_answers
import golden
import pytest
import report
from calls import WIDE
from questions import questions
from verdict import Refused, decide

THREAD = "libreplace_have_linux_thread_credentials"
SYSCALL = "libreplace_have_syscall"


def answers(platform="linux-glibc-x86_64", **changes):
    found = json.loads((golden.GOLDEN / platform / "answers.json").read_text())
    return {**found, **{k.replace("__", ":"): v for k, v in changes.items()}}


def given(value):
    return {THREAD: value, THREAD + ":how": "answers file"}


@pytest.mark.parametrize(
    ("platform", "backend", "rule"),
    [
        ("linux-glibc-x86_64", "syscall", "Linux with glibc"),
        ("linux-glibc-i386", "syscall", "Linux with glibc"),
        ("linux-musl-x86_64", "libc", "would work here"),
        ("macos-aarch64", "libc", "Only Linux has"),
        ("freebsd-x86_64", "libc", "Only Linux has"),
        ("netbsd-x86_64", "libc", "Only Linux has"),
        ("nothing", "libc", "Only Linux has"),
    ],
)
def test_auto_chooses_a_back_end_for_each_platform(platform, backend, rule):
    verdict = decide(answers(platform))
    assert verdict.backend == backend
    assert rule in verdict.rule


@pytest.mark.parametrize("result", ["yes", "no", "unknown"])
@pytest.mark.parametrize("platform", ["linux-glibc-x86_64", "linux-musl-x86_64"])
def test_result_of_a_run_probe_does_not_change_the_decision(platform, result):
    ran = {THREAD: result, THREAD + ":how": "ran"}
    assert decide({**answers(platform), **ran}).backend == decide(answers(platform)).backend


def test_evidence_against_the_decision_is_a_warning():
    verdict = decide({**answers(), THREAD: "no", THREAD + ":how": "ran", THREAD + ":evidence": "ENOSYS"})
    assert verdict.backend == "syscall"
    assert "ENOSYS" in verdict.warnings[0]


def test_credentials_option_overrides_auto():
    assert decide(answers(option__credentials="libc")).backend == "libc"
    assert decide(answers("linux-musl-x86_64", option__credentials="syscall")).backend == "syscall"


@pytest.mark.parametrize(("platform", "why"), [("macos-aarch64", "only Linux"), ("nothing", "only Linux")])
def test_option_syscall_is_refused_with_the_reason(platform, why):
    with pytest.raises(Refused, match=why):
        decide(answers(platform, option__credentials="syscall"))


def expected(found):
    """Return the expected back end or "refused", from a short and independent form of the rules."""
    option, platform = found["option:credentials"], found["platform"]
    given = found[THREAD] if found[THREAD + ":how"] == "answers file" else ""
    wide = [found[f"libreplace_sys_{name}32"] == "yes" for name in WIDE]
    plain = [found[f"libreplace_sys_{name}"] == "yes" for name in WIDE]
    if option == "libc":
        return "libc"
    if platform.startswith("linux") and any(wide) and not all(wide):
        return "refused"
    if not platform.startswith("linux") or not all(wide if any(wide) else plain) or found[SYSCALL] != "yes":
        return "refused" if option == "syscall" or given == "yes" else "libc"
    if given == "no":
        return "refused" if option == "syscall" else "libc"
    return "syscall" if option == "syscall" or "glibc" in platform else "libc"


@pytest.mark.parametrize("given_answer", ["yes", "no", ""])
@pytest.mark.parametrize("option", ["auto", "syscall", "libc"])
@pytest.mark.parametrize("lack", ["", "libreplace_sys_setgroups", "libreplace_sys_setgroups32", SYSCALL])
@pytest.mark.parametrize("platform", golden.platforms(), ids=lambda p: p.name)
def test_every_decision_follows_the_rules_and_lists_its_steps(platform, lack, option, given_answer):
    found = {**answers(platform.name, option__credentials=option), **(given(given_answer) if given_answer else {})}
    found.update({lack: "no"} if lack else {})
    wanted = expected({**found, "platform": platform.name})
    if wanted == "refused":
        with pytest.raises(Refused):
            decide(found)
        return
    verdict = decide(found)
    assert verdict.backend == wanted
    ends = [step.leads_to for step in verdict.steps]
    (end,) = [step for step, place in zip(verdict.steps, ends, strict=True) if place != "next"][:1]
    assert (end.leads_to, end.rule) == (verdict.backend, verdict.rule)
    assert {i for step in verdict.steps for i in step.questions} <= {q.id for q in questions()}
    steps = report.build({**golden.complete(found), **found}, False)["decision"]
    answered = [bool(step["answer"]) for step in steps]
    decided = verdict.steps.index(end) + 1
    assert answered == [True] * decided + [False] * (len(steps) - decided)


def test_missing_system_call_number_excludes_syscall():
    without = answers(libreplace_sys_setgroups="no")
    assert decide(without).backend == "libc"
    with pytest.raises(Refused, match="no SYS_setgroups"):
        decide({**without, "option:credentials": "syscall"})
    with pytest.raises(Refused, match="says OK .* no SYS_setgroups"):
        decide({**without, **given("yes")})


def test_given_answer_no_excludes_syscall_and_yes_confirms_it():
    assert decide({**answers(), **given("no")}).backend == "libc"
    assert decide({**answers(), **given("yes")}).backend == "syscall"
    with pytest.raises(Refused, match="says NO"):
        decide({**answers(option__credentials="syscall"), **given("no")})


def test_mixture_of_16_and_32_bit_calls_is_refused():
    with pytest.raises(Refused, match="mixture.*truncate"):
        decide(answers("linux-glibc-i386", libreplace_sys_setgroups32="no"))
    libc = decide(answers("linux-glibc-i386", libreplace_sys_setgroups32="no", option__credentials="libc"))
    assert (libc.backend, libc.wide) == ("libc", False), "the error message recommends this option"


def test_32_bit_numbers_are_used_for_every_call():
    symbols = {c.symbol for c in decide(answers("linux-glibc-i386")).calls if c.backend == "syscall"}
    assert symbols
    assert all(symbol.endswith("32") for symbol in symbols)


def test_uclibc_is_not_taken_for_glibc():
    verdict = decide(answers(libreplace_define_uclibc="1"))
    assert (verdict.libc, verdict.backend) == ("uclibc", "libc")


def test_16_bit_ids_are_refused():
    with pytest.raises(Refused, match="2 bytes"):
        decide(answers(libreplace_sizeof_uid_t="2"))


def test_initgroups_without_getgrouplist_has_no_back_end():
    calls = {c.call.name: c for c in decide(answers(libreplace_have_getgrouplist="no")).calls}
    assert calls["initgroups"].backend == "none"


# ---- Samba's cross-answers format

SAMBA = """# comment
Checking uname machine type: "i386"
vfs_fileid checking for statfs() and struct statfs.f_fsid: NO
for QUOTACTL_4A: long quotactl(int cmd, char *special): what/ever
Checking whether setreuid is available: (0, "ok")
Checking whether we can use Linux thread-specific credentials with 32-bit system calls: OK
Checking whether setreuid is available: NO
Checking whether seteuid is available: "yes it is"
Checking whether setuidx is available: (1, "no")
"""


def test_answers_file_of_samba_is_read(tmp_path):
    path = tmp_path / "answers.txt"
    path.write_text(SAMBA)
    found = {k: v[0] for k, v in cross_answers.read(str(path)).items()}
    assert found == {
        THREAD: "yes",
        "libreplace_use_setreuid": "yes",
        "libreplace_use_seteuid": "yes",
        "libreplace_use_setuidx": "no",
    }


def test_bad_answer_names_file_and_line(tmp_path):
    path = tmp_path / "answers.txt"
    path.write_text("something else: perhaps\nChecking whether seteuid is available: perhaps\n")
    with pytest.raises(cross_answers.BadAnswer, match=r"answers.txt:2: bad answer 'perhaps'"):
        cross_answers.read(str(path))


def test_unanswered_questions_are_appended_once(tmp_path):
    path = tmp_path / "answers.txt"
    path.write_text(SAMBA.rstrip("\n"))
    answered = {k: v[0] for k, v in cross_answers.read(str(path)).items()}
    unanswered = cross_answers.complete(str(path), answered)
    assert len(unanswered) == 2
    text = path.read_text()
    assert text.startswith(SAMBA)
    assert text.count("UNKNOWN") == 2
    assert cross_answers.complete(str(path), answered) == unanswered
    assert path.read_text() == text
