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
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

from bodies import emulation
from calls import CALLS, FAMILIES, WIDE, Call

Answers = Dict[str, Any]
THREAD = "libreplace_have_linux_thread_credentials"
LIBC_REACHES_THREADS = "libreplace_libc_reaches_threads"
#: The facts that the summary, the report, the .pc file, C and Python give under the same names (tests/test_facts.py).
FACTS = ("backend", "scope", "system", "libc")
EXPLICIT = ("machine file", "answers file")

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
    warnings: Tuple[str, ...]
    steps: Tuple[Step, ...]  # all steps, including those after the one that decided


def cross_answer(question_id: str, answers: Answers, verdict: Verdict) -> str:
    """The answer to a run question with which an answers file leads to this verdict again: OK or NO.

    Usually this is the result of the run. But a result of a run never changes the verdict, and an answer in a file
    does. So if the file's answer would then change the verdict, this function returns the other answer.
    """
    found = str(answers.get(question_id, ""))
    if question_id == THREAD:
        if verdict.backend == "syscall":
            return "OK"
        option, *possible, given_no = verdict.steps[:5]  # possible: the steps that ask whether raw calls can be used
        if given_no.answer == "yes" or any(step.answer != "yes" for step in possible):
            return "NO"  # OK would be an error, or would lead to raw calls
        return "NO" if option.leads_to == "libc" and found == "no" else "OK"
    if found not in ("yes", "no"):  # no result of a run: use the linker's answer, whether libc has the function
        found = str(answers.get(question_id.replace("_use_", "_have_"), "yes"))
    return "NO" if found == "no" else "OK"


def yes(answers: Answers, name: str) -> bool:
    return answers.get("libreplace_" + name) == "yes"


def how(answers: Answers, name: str) -> str:
    return str(answers.get(name + ":how", ""))


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
    explicit = how(answers, THREAD) in EXPLICIT
    given = str(answers.get(THREAD, "")) if explicit else ""
    source = how(answers, THREAD)
    # Where a step leads if raw calls are impossible: to an error if an option or answer asks for them, otherwise to
    # libc's calls.
    instead = "refused" if option == "syscall" or given == "yes" else "libc"

    def impossible(why: str) -> str:
        if option == "syscall":
            return f"-Dcredentials=syscall is not possible: {why}. Use -Dcredentials=libc"
        if given == "yes":
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
    refusal = f"The {source} says NO to thread-specific credentials, so libc's calls are used"
    if option == "syscall":
        refusal = impossible(f"the {source} says NO to thread-specific credentials")
    steps = [
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
            "Does an answer given by hand say NO?",
            _yes_or_no(given == "no"),
            f"{source}: {given}" if given else "no answer was given",
            (("yes", instead), ("no", "syscall" if option == "syscall" else "next")),
            refusal if given == "no" else "-Dcredentials=syscall is set, so raw system calls are used",
            (THREAD,),
        ),
    ]
    if option == "syscall":
        return steps
    return [
        *steps,
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


def _family(answers: Answers, backend: str) -> str:
    if backend == "syscall":
        return "USE_LINUX_THREAD_CREDENTIALS"
    for name in FAMILIES:
        if yes(answers, "have_" + name):
            return "USE_" + name.upper()
    return ""


def _warnings(answers: Answers, backend: str, libc: str) -> List[str]:
    """The results of run probes that contradict the decision. They do not change it."""
    found = []
    if backend == "syscall" and answers.get(THREAD) == "no":
        found.append(
            "raw system calls are used, but the probe found that they do not work on the running kernel: "
            + str(answers.get(THREAD + ":evidence", ""))
        )
    if backend == "libc" and libc != "bionic" and answers.get(LIBC_REACHES_THREADS) == "no":
        found.append(
            "libc's calls are expected to change the whole process, but in the probe a call changed only the calling "
            "thread: " + str(answers.get(LIBC_REACHES_THREADS + ":evidence", ""))
        )
    return found


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
        family=_family(answers, backend),
        calls=chosen,
        warnings=tuple(_warnings(answers, backend, libc)),
        steps=tuple(steps),
    )


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
    for warning in verdict.warnings:
        print(f"warning\t-\t{' '.join(warning.split())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
