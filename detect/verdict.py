# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The decision: which back end each call gets.

The decision is a list of steps. Each answer leads to the next step or to a result. The first step that leads to a
result decides, and its sentence is the report's `rule`. The verdict depends only on the answers, so it can be computed
for any platform anywhere. Run probes and privileges never change it. If a run probe contradicts it, that is a warning.

Meson runs this file as a script at configure time. It prints the lines of the summary. If an option or answer is not
possible, it prints the reason and exits with 1.
"""

import json
import os
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # PYTHONSAFEPATH leaves it out

from bodies import emulation
from calls import CALLS, FAMILIES, WIDE, Call
from overrides import EXPLICIT, NAMES, Unused, not_used
from questions import NEWER, THREAD

Answers = Dict[str, Any]
LIBC_REACHES_THREADS = "libreplace_libc_reaches_threads"
_USE = "libreplace_use_"  # begins the ids of the questions about Samba's families of calls
#: The facts that the summary, the report, the .pc file, C and Python give under the same names (tests/test_facts.py).
FACTS = ("backend", "scope", "system", "libc")

SYSTEMS = (
    ("linux", "linux"),
    ("apple", "darwin"),
    ("freebsd", "freebsd"),
    ("netbsd", "netbsd"),
    ("openbsd", "openbsd"),
    ("dragonfly", "dragonfly"),
    ("aix", "aix"),
    ("sun", "sunos"),
)


class Refused(Exception):
    """An option or answer is not possible here. The text says why, and what to do."""


class Chosen(NamedTuple):
    """How one uniform call is implemented on this platform."""

    call: Call
    backend: str  # syscall | libc | emulated | none
    symbol: str  # the system call number or the libc function behind it
    scope: str  # thread | process | none


class Step(NamedTuple):
    """One step of the decision, in words for people."""

    question: str
    answer: str  # the answer of one of the exits
    detail: str  # the reason for the answer, in a few words
    exits: Tuple[Tuple[str, str], ...]  # (answer, next | syscall | libc | refused)
    rule: str  # the sentence for the report, if this step decides
    questions: Tuple[str, ...] = ()  # the ids of the questions that the answer depends on

    @property
    def leads_to(self) -> str:
        return dict(self.exits)[self.answer]


class Verdict(NamedTuple):
    backend: str  # syscall | libc: how the setters change ids
    scope: str  # thread | process: replace.SCOPE
    rule: str  # the sentence of the step that decided
    system: str
    libc: str
    wide: bool  # USE_LINUX_32BIT_SYSCALLS
    size_t_groups: bool  # setgroups() takes a size_t
    family: str  # Samba's macro for effective ids
    calls: Tuple[Chosen, ...]
    process_wide: Tuple[Chosen, ...]  # libc's forms of the calls with which the whole process drops its privileges
    no_ring: str  # why there is no ring (io_uring); "" if there is one
    warnings: Tuple[str, ...]
    steps: Tuple[Step, ...]  # all steps, including those after the one that decided
    moot: Dict[str, str]  # each run question -> why its answer does not matter here, or ""
    used: Tuple[str, ...]  # the ids of the questions that were answered by hand, if the answer matters
    unused: Tuple[Unused, ...]  # the other answers given by hand


def cross_answer(question_id: str, answers: Answers, verdict: Verdict) -> str:
    """The answer to a run question with which an answers file leads to this verdict again: OK or NO.

    This is not always the result of the run: a result never changes the verdict, and an answer in a file does.
    """
    if question_id == THREAD:
        return "OK" if verdict.backend == "syscall" else "NO"
    if question_id == LIBC_REACHES_THREADS:
        return "NO" if answers.get(question_id) == "no" else "OK"
    return "OK" if _has_family(answers, question_id[len(_USE) :]) else "NO"


def yes(answers: Answers, name: str) -> bool:
    return answers.get("libreplace_" + name) == "yes"


def how(answers: Answers, name: str) -> str:
    return str(answers.get(name + ":how", ""))


def given(answers: Answers, name: str) -> str:
    """The answer that somebody gave by hand to a run question: yes, no, or "" if nobody did."""
    answer = str(answers.get(name, "")) if how(answers, name) in EXPLICIT else ""
    return answer if answer in ("yes", "no") else ""


def has_32_bit(answers: Answers) -> bool:
    """Whether the headers have the numbers of 32-bit system calls, beside 16-bit ones. Samba then asks differently."""
    return yes(answers, "sys_setresuid32")


def _system(answers: Answers) -> str:
    for macro, system in SYSTEMS:
        if answers.get("libreplace_define_" + macro, "no") != "no":
            return system
    return "unknown"


def _libc(answers: Answers, system: str) -> str:
    def defined(name: str) -> bool:
        return bool(answers.get("libreplace_define_" + name, "no") != "no")

    if defined("uclibc"):  # ask this first: uClibc defines __GLIBC__, too
        return "uclibc"
    if defined("bionic"):
        return "bionic"
    if defined("glibc"):
        return "glibc"
    return "musl" if system == "linux" else "system"  # musl defines no macro, by design


def glibc_version(answers: Answers) -> str:
    return ".".join(str(answers.get("libreplace_define_" + m, "")) for m in ("glibc", "glibc_minor"))


def _yes_or_no(holds: bool) -> str:
    return "yes" if holds else "no"


def _steps(answers: Answers, system: str, libc: str) -> List[Step]:
    """All steps, in order. The first one whose answer does not lead to the next step decides."""
    option = str(answers.get("option:credentials", "auto"))
    by_hand, source = given(answers, THREAD), how(answers, THREAD)
    # Where a step leads if raw calls are impossible: to an error if an option or answer asks for them, otherwise to
    # libc's calls.
    instead = "refused" if option == "syscall" or by_hand == "yes" else "libc"

    def impossible(why: str) -> str:
        if option == "syscall":
            return f"-Dcredentials=syscall is not possible: {why}. Use -Dcredentials=libc"
        if by_hand == "yes":
            return f"The {source} says OK to thread-specific credentials, but {why}. Change this answer to NO"
        return f"{why[0].upper()}{why[1:]}, so libc's calls are used"

    have_wide = [name for name in WIDE if yes(answers, f"sys_{name}32")]
    suffix = "32" if have_wide else ""
    lacking = [f"SYS_{name}{suffix}" for name in WIDE if not yes(answers, f"sys_{name}{suffix}")]
    numbers = "mixed" if have_wide and lacking else _yes_or_no(not lacking)
    mixture = (
        f"The headers have SYS_{have_wide[0] if have_wide else ''}32 but not {', '.join(lacking)}. A mixture of 16-bit "
        "and 32-bit credential calls would truncate ids. Use complete kernel headers, or -Dcredentials=libc"
    )
    macros = {name: "libreplace_define_" + macro for macro, name in SYSTEMS}
    says = NAMES.get(by_hand, "nothing")
    if by_hand == "no":
        why = f"the {source} says NO to thread-specific credentials"
    elif option == "syscall":
        why = "-Dcredentials=syscall is set"
    else:
        why = f"the {source} says OK to thread-specific credentials"
    return [
        Step(
            "What is the value of -Dcredentials?",
            option,
            "",
            (("auto", "next"), ("syscall", "next"), ("libc", "libc")),
            "-Dcredentials=libc is set, so libc's calls are used",
        ),
        Step(
            "Is the system Linux?",
            _yes_or_no(system == "linux"),
            "" if system == "linux" else system,
            (("yes", "next"), ("no", instead)),
            impossible(f"only Linux has per-thread credentials, and this system is {system}"),
            (macros[system],) if system in macros else tuple(macros.values()),
        ),
        Step(
            "Do the headers have the system call numbers?",
            numbers,
            f"{len(WIDE) - len(lacking)} of {len(WIDE)}" + (", for 32-bit ids" if have_wide else ""),
            (("yes", "next"), ("no", instead), ("mixed", "refused")),
            mixture if numbers == "mixed" else impossible("the headers have no " + ", ".join(lacking)),
            tuple(f"libreplace_sys_{name}{suffix}" for name in WIDE),
        ),
        Step(
            "Does libc have syscall()?",
            _yes_or_no(yes(answers, "have_syscall")),
            "",
            (("yes", "next"), ("no", instead)),
            impossible("libc has no syscall()"),
            ("libreplace_have_syscall",),
        ),
        Step(
            "What does an answer given by hand say?",
            says,
            f"{source}: {says}" if by_hand else "no answer was given",
            (("OK", "syscall"), ("NO", instead), ("nothing", "syscall" if option == "syscall" else "next")),
            impossible(why) if by_hand == "no" else f"{why[0].upper()}{why[1:]}, so raw system calls are used",
            (THREAD,),
        ),
        Step(
            "Is the C library glibc?",
            _yes_or_no(libc == "glibc"),
            f"glibc {glibc_version(answers)}" if libc == "glibc" else libc,
            (("yes", "syscall"), ("no", "libc")),
            "This is Linux with glibc, and the headers have the system call numbers, so raw system calls are used"
            if libc == "glibc"
            else f"This is Linux with {libc}, so libc's calls are used; -Dcredentials=syscall would work here",
            tuple("libreplace_define_" + macro for macro in ("glibc", "uclibc", "bionic")),
        ),
    ]


def _libc_form(answers: Answers, call: Call, system: str) -> Tuple[str, str]:
    for name in (call.function, *call.instead[:1]):
        if yes(answers, "have_" + name):
            return "libc", name
    emulated = emulation(call, system)
    return ("emulated", ", ".join(emulated.calls)) if emulated else ("none", "ENOSYS")


def _choose(answers: Answers, call: Call, backend: str, system: str, libc: str, wide: bool) -> Chosen:
    """The back end of one call. With raw system calls, only setters are raw; getters use libc."""
    form, symbol = _libc_form(answers, call, system)
    if backend == "syscall" and call.raw:
        number = call.raw[0] + ("32" if wide else "")
        if yes(answers, "sys_" + number) and all(yes(answers, "have_" + name) for name in call.needs):
            form, symbol = "syscall", "SYS_" + number
        elif not call.thread_only:
            form, symbol = "none", "ENOSYS"  # libc's function would change every thread
    one_thread = call.thread_only or call.kind == "getter" or libc == "bionic"
    scope = "thread" if form == "syscall" or one_thread else "process"
    return Chosen(call, form, symbol, "none" if form == "none" else scope)


def _has_family(answers: Answers, name: str) -> bool:
    """Whether libc has the function, unless an answer given by hand says NO."""
    return yes(answers, "have_" + name) and given(answers, _USE + name) != "no"


def _family(answers: Answers) -> str:
    """Samba's way to set effective ids with libc's calls: the first one that libc has. Raises Refused."""
    for name in FAMILIES:
        if _has_family(answers, name):
            return name
        if given(answers, _USE + name) == "yes":
            source = how(answers, _USE + name)
            raise Refused(f"The {source} says OK to {name}, but libc has no {name}. Change this answer to NO")
    return ""


def _moot(answers: Answers, steps: List[Step], backend: str, libc: str, family: str) -> Dict[str, str]:
    """Each run question -> why its answer does not matter for this verdict and its warnings, or ""."""
    rule = steps[-1].rule[:1].lower() + steps[-1].rule[1:]
    found = {THREAD: "" if any(THREAD in step.questions for step in steps) else rule}
    found[LIBC_REACHES_THREADS] = "bionic's own calls change one thread" if libc == "bionic" else ""
    for name in FAMILIES:
        later = family and FAMILIES.index(name) > FAMILIES.index(family)
        lacking = "" if yes(answers, "have_" + name) else f"libc has no {name}"
        found[_USE + name] = f"{family} comes first" if later else lacking
    if backend == "syscall":
        found.update({name: rule for name in found if name != THREAD})
    return found


def _warnings(answers: Answers, backend: str, libc: str) -> List[str]:
    """The evidence that contradicts the decision. It does not change it."""
    found = []
    if backend == "syscall" and answers.get(THREAD) == "no":
        found.append(
            "raw system calls are used, but the probe found that they do not work on the running kernel: "
            + str(answers.get(THREAD + ":evidence", ""))
        )
    if backend == "libc" and libc != "bionic" and answers.get(LIBC_REACHES_THREADS) == "no":
        source = "in the probe a call changed only the calling thread"
        if given(answers, LIBC_REACHES_THREADS):
            source = f"the {how(answers, LIBC_REACHES_THREADS)} says that a call changes only the calling thread"
        evidence = str(answers.get(LIBC_REACHES_THREADS + ":evidence", ""))
        found.append(f"libc's calls are expected to change the whole process, but {source}: {evidence}")
    return found


def _lacking(answers: Answers, files: str) -> List[str]:
    """The numbers of system calls that files of replace/core/ need, and the headers do not have."""
    return [f"SYS_{call}" for call in NEWER[files] if not yes(answers, f"sys_{call}")]


def _no_ring(answers: Answers, backend: str) -> str:
    """The threads that store the credentials of users in a ring need calls that change one thread."""
    lacking = _lacking(answers, "ring")
    if backend != "syscall":
        return "the build changes ids with libc's calls"
    return f"the headers have no {', '.join(lacking)}" if lacking else ""


def decide(answers: Answers) -> Verdict:
    """The verdict for these answers. Raises Refused."""
    for kind in ("uid_t", "gid_t"):
        if int(answers.get(f"libreplace_sizeof_{kind}", 4)) != 4:
            raise Refused(
                f"{kind} has {answers['libreplace_sizeof_' + kind]} bytes here, but libreplace supports only 32-bit ids"
            )
    system = _system(answers)
    libc = _libc(answers, system)
    steps = _steps(answers, system, libc)
    end = next(step for step in steps if step.leads_to != "next")
    backend, rule = end.leads_to, end.rule
    if backend == "refused":
        raise Refused(rule)
    family = "" if backend == "syscall" else _family(answers)
    moot = _moot(answers, steps[: steps.index(end) + 1], backend, libc, family)
    wide = backend == "syscall" and all(yes(answers, f"sys_{name}32") for name in WIDE)
    chosen = tuple(_choose(answers, call, backend, system, libc, wide) for call in CALLS)
    return Verdict(
        backend=backend,
        scope="thread" if backend == "syscall" or libc == "bionic" else "process",
        rule=rule,
        system=system,
        libc=libc,
        wide=wide,
        size_t_groups=yes(answers, "setgroups_size_t"),
        family="USE_LINUX_THREAD_CREDENTIALS" if backend == "syscall" else "USE_" + family.upper() if family else "",
        calls=chosen,
        process_wide=tuple(_choose(answers, call, "libc", system, libc, wide) for call in CALLS if call.drops),
        no_ring=_no_ring(answers, backend),
        warnings=tuple(_warnings(answers, backend, libc)),
        steps=tuple(steps),
        moot=moot,
        used=tuple(name for name, why in moot.items() if given(answers, name) and not why),
        unused=tuple(not_used(answers, moot, backend, has_32_bit(answers))),
    )


def variants(answers: Answers) -> Dict[str, str]:
    """The variants of the files of replace/core/ that are compiled: which ids_*.c and the like, users_*.c,
    open_beneath_*.c and ring_*.c."""
    return {
        "kernel": "linux" if _system(answers) == "linux" else "none",
        "users": "libc" if yes(answers, "have_getgrouplist") else "none",
        "open_beneath": "none" if _lacking(answers, "open_beneath") else "linux",
        "ring": "none" if decide(answers).no_ring else "linux",
    }


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        answers = json.load(file)
    try:
        verdict = decide(answers)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    width = max(len(chosen.symbol) for chosen in verdict.calls)
    for chosen in verdict.calls:
        print(f"call\t{chosen.call.name}\t{chosen.backend:9}{chosen.symbol:{width}}  {chosen.scope}")
    print(f"call\trule\t{verdict.rule}")
    for name in FACTS:
        print(f"fact\t{name}\t{getattr(verdict, name)}")
    print(f"file\tring\t{f'ENOSYS: {verdict.no_ring}' if verdict.no_ring else 'SYS_io_uring_setup'}")
    for name, variant in variants(answers).items():
        print(f"variant\t{name}\t{variant}")
    for warning in verdict.warnings:
        print(f"warning\t-\t{' '.join(warning.split())}")
    ignored = [unused.text for unused in verdict.unused if unused.contradicts]
    if ignored:
        print(f"warning\t-\tanswers that were not used: {', '.join(ignored)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
