# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The choice of the back end, which depends only on the answers to the build's questions."""

import json

import golden
import pytest
import report
from calls import WIDE
from questions import THREAD, questions
from verdict import Refused, decide, variants

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
        ("openbsd-x86_64", "libc", "Only Linux has"),
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
    return "syscall" if option == "syscall" or given == "yes" or "glibc" in platform else "libc"


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


@pytest.mark.parametrize("changes", [{}, {"libreplace_define_uclibc": "1"}, {"libreplace_define_bionic": "1"}], ids=str)
@pytest.mark.parametrize("platform", ["linux-glibc-x86_64", "linux-glibc-i386", "linux-musl-x86_64"])
def test_given_answer_decides_with_every_c_library_of_linux(platform, changes):
    found = answers(platform, **changes)
    verdict = decide({**found, **given("yes")})
    assert (verdict.backend, verdict.scope) == ("syscall", "thread")
    assert verdict.rule == "The answers file says OK to thread-specific credentials, so raw system calls are used"
    assert verdict.used == (THREAD,)
    verdict = decide({**found, **given("no")})
    assert verdict.backend == "libc"
    assert "answers file says NO" in verdict.rule
    assert verdict.used == (THREAD,)
    with pytest.raises(Refused, match="says NO"):
        decide({**found, **given("no"), "option:credentials": "syscall"})


@pytest.mark.parametrize("platform", ["macos-aarch64", "freebsd-x86_64", "netbsd-x86_64", "openbsd-x86_64", "nothing"])
def test_given_answer_ok_is_refused_where_raw_calls_are_impossible(platform):
    with pytest.raises(Refused, match="answers file says OK .* only Linux .* Change this answer to NO"):
        decide({**answers(platform), **given("yes")})


def test_given_answer_no_to_a_family_selects_the_next_one():
    musl = answers("linux-musl-x86_64")
    no = {"libreplace_use_setreuid": "no", "libreplace_use_setreuid:how": "answers file"}
    assert decide(musl).family == "USE_SETREUID"
    verdict = decide({**musl, **no})
    assert (verdict.family, verdict.used) == ("USE_SETRESUID", ("libreplace_use_setreuid",))
    assert decide({**musl, **no, "libreplace_use_setreuid:how": "ran"}).family == "USE_SETREUID"


def test_given_answer_ok_to_a_family_that_libc_lacks_is_refused():
    ok = {"libreplace_use_setreuid": "yes", "libreplace_use_setreuid:how": "machine file"}
    without = {"libreplace_have_setreuid": "no"}
    with pytest.raises(Refused, match="machine file says OK to setreuid, but libc has no setreuid"):
        decide({**answers("linux-musl-x86_64"), **without, **ok})
    raw = golden.complete({**answers(), **without, **ok})
    assert decide(raw).backend == "syscall", "the answer does not matter"
    shown = {question["id"]: question for question in report.build(raw, True)["questions"]}
    assert shown["libreplace_use_setreuid"]["cross_answer"] == "NO"


def test_warning_about_a_given_answer_names_no_probe():
    given_no = {"libreplace_libc_reaches_threads": "no", "libreplace_libc_reaches_threads:how": "answers file"}
    (warning,) = decide({**answers("linux-musl-x86_64"), **given_no}).warnings
    assert "the answers file says" in warning
    assert "probe" not in warning


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


@pytest.mark.parametrize(
    ("platform", "changes", "reason"),
    [
        ("linux-glibc-x86_64", {}, ""),
        ("linux-glibc-i386", {}, ""),
        ("linux-musl-x86_64", {"option:credentials": "syscall"}, ""),
        ("linux-musl-x86_64", {}, "the build changes ids with libc's calls"),
        ("linux-glibc-x86_64", {"option:credentials": "libc"}, "the build changes ids with libc's calls"),
        ("freebsd-x86_64", {}, "the build changes ids with libc's calls"),
        (
            "linux-glibc-x86_64",
            {"libreplace_sys_openat2": "no", "libreplace_sys_io_uring_register": "no"},
            "the headers have no SYS_openat2, SYS_io_uring_register",
        ),
    ],
)
def test_build_without_a_ring_says_why(platform, changes, reason):
    found = {**answers(platform), **changes}
    assert decide(found).no_ring == reason
    assert variants(found)["ring"] == ("none" if reason else "linux")
