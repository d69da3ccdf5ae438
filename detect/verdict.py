# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The one place where a decision is made: answers in, verdict out.

A pure function of the answers, so that the verdict for any platform can be
computed anywhere.  No run probe and no privilege changes it: those only warn.
generate.py turns the verdict into sources.  As a script it is run by Meson at
configure time, prints the lines of the summary, and refuses what cannot be
honoured with exit status 1 and the reason.
"""

import json
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

from bodies import emulation
from calls import CALLS, FAMILIES, WIDE, Call

Answers = Dict[str, Any]
THREAD = "libreplace_have_linux_thread_credentials"
BROADCAST = "libreplace_libc_reaches_threads"
#: What every face of the build tells under the same name (tests/test_facts.py).
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
    """What was asked for cannot be honoured; the text says why and what to do."""


class Chosen(NamedTuple):
    """What one uniform call is on this platform."""

    call: Call
    backend: str  # syscall | libc | emulated | none
    symbol: str  # what is called in the end
    scope: str  # thread | process | none


class Verdict(NamedTuple):
    backend: str  # syscall | libc: what the setters of ids use
    scope: str  # thread | process: replace.SCOPE
    rule: str  # which rule decided, in a sentence
    system: str
    libc: str
    wide: bool  # USE_LINUX_32BIT_SYSCALLS
    size_t_groups: bool  # setgroups() takes a size_t
    id_bits: int
    family: str  # Samba's macro for effective ids
    calls: Tuple[Chosen, ...]
    warnings: Tuple[str, ...]


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

    if defined("uclibc"):  # defines __GLIBC__ too, and is not glibc
        return "uclibc"
    if defined("bionic"):
        return "bionic"
    if defined("glibc"):
        return "glibc"
    return "musl" if system == "linux" else "system"  # musl has no macro of its own, by design


def _wide(answers: Answers) -> bool:
    """USE_LINUX_32BIT_SYSCALLS: all seven or none."""
    have = [n for n in WIDE if yes(answers, f"sys_{n}32")]
    if have and len(have) < len(WIDE):
        missing = ", ".join(f"SYS_{n}32" for n in WIDE if n not in have)
        raise Refused(
            f"the headers have SYS_{have[0]}32 but not {missing}: a mixture of 16-bit and 32-bit credential calls "
            "would truncate ids. Use complete kernel headers, or -Dcredentials=libc"
        )
    return bool(have)


def _why_no_raw(answers: Answers, system: str, wide: bool) -> str:
    """Why raw system calls are impossible here; empty if they are possible."""
    suffix = "32" if wide else ""
    missing = [f"SYS_{n}{suffix}" for n in WIDE if not yes(answers, f"sys_{n}{suffix}")]
    if system != "linux":
        return f"only Linux has per-thread credentials, and this is {system}"
    if missing:
        return "the headers have no " + ", ".join(missing)
    if not yes(answers, "have_syscall"):
        return "libc has no syscall()"
    return ""


def _decide(answers: Answers, system: str, libc: str, wide: bool) -> Tuple[str, str]:
    option = answers.get("option:credentials", "auto")
    given = answers.get(THREAD) if how(answers, THREAD) in EXPLICIT else None
    impossible = _why_no_raw(answers, system, wide)
    if given == "yes" and impossible:
        raise Refused(f"the {how(answers, THREAD)} says OK to thread-specific credentials, but {impossible}")
    if option == "libc":
        return "libc", "option: -Dcredentials=libc, so plain libc calls"
    if option == "syscall":
        if impossible:
            raise Refused(f"-Dcredentials=syscall cannot be honoured: {impossible}")
        if given == "no":
            raise Refused(f"-Dcredentials=syscall cannot be honoured: the {how(answers, THREAD)} says NO")
        return "syscall", "option: -Dcredentials=syscall, so raw system calls"
    if impossible:
        return "libc", f"auto: {impossible}, so plain libc calls"
    if given == "no":
        return (
            "libc",
            f"answer: the {how(answers, THREAD)} says NO to thread-specific credentials, so plain libc calls",
        )
    if libc != "glibc":
        return "libc", f"auto: Linux with {libc}, so plain libc calls; -Dcredentials=syscall would work here"
    return "syscall", "auto: Linux with glibc whose headers have the numbers, so raw system calls"


def _libc_form(answers: Answers, call: Call, system: str) -> Tuple[str, str]:
    for name in (call.function, *call.instead[:1]):
        if yes(answers, "have_" + name):
            return "libc", name
    emulated = emulation(call, system)
    return ("emulated", ", ".join(emulated.calls)) if emulated else ("none", "ENOSYS")


def _choose(answers: Answers, call: Call, backend: str, system: str, libc: str, wide: bool) -> Chosen:
    """The back end of one call.  Setters go raw, getters use libc."""
    form, symbol = _libc_form(answers, call, system)
    if backend == "syscall" and call.raw:
        number = call.raw[0] + ("32" if wide else "")
        if yes(answers, "sys_" + number) and all(yes(answers, "have_" + name) for name in call.needs):
            form, symbol = "syscall", "SYS_" + number
        elif not call.thread_only:
            form, symbol = "none", "ENOSYS"  # libc's form would reach every thread
    alone = call.thread_only or call.kind == "getter" or libc == "bionic"
    scope = "thread" if form == "syscall" or alone else "process"
    return Chosen(call, form, symbol, "none" if form == "none" else scope)


def _family(answers: Answers, backend: str) -> str:
    if backend == "syscall":
        return "USE_LINUX_THREAD_CREDENTIALS"
    for name in FAMILIES:
        if yes(answers, "have_" + name):
            return "USE_" + name.upper()
    return ""


def _warnings(answers: Answers, backend: str, libc: str) -> List[str]:
    """Evidence against the decision: said, never acted upon."""
    found = []
    if backend == "syscall" and answers.get(THREAD) == "no":
        found.append(
            "raw system calls were chosen, but the probe says that they do not work on the running kernel: "
            + str(answers.get(THREAD + ":evidence", ""))
        )
    if backend == "libc" and libc != "bionic" and answers.get(BROADCAST) == "no":
        found.append(
            "plain libc calls were chosen as process-wide, but the probe saw one change its own thread only: "
            + str(answers.get(BROADCAST + ":evidence", ""))
        )
    return found


def decide(answers: Answers) -> Verdict:
    """The verdict for these answers.  Raises Refused."""
    for kind in ("uid_t", "gid_t"):
        if int(answers.get(f"libreplace_sizeof_{kind}", 4)) != 4:
            raise Refused(
                f"{kind} has {answers['libreplace_sizeof_' + kind]} bytes here; libreplace knows 32-bit ids only"
            )
    system = _system(answers)
    libc = _libc(answers, system)
    wide = system == "linux" and _wide(answers)
    backend, rule = _decide(answers, system, libc, wide)
    chosen = tuple(_choose(answers, call, backend, system, libc, wide) for call in CALLS)
    return Verdict(
        backend=backend,
        scope="thread" if backend == "syscall" or libc == "bionic" else "process",
        rule=rule,
        system=system,
        libc=libc,
        wide=wide and backend == "syscall",
        size_t_groups=yes(answers, "setgroups_size_t"),
        id_bits=32,
        family=_family(answers, backend),
        calls=chosen,
        warnings=tuple(_warnings(answers, backend, libc)),
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
    print(f"call\tdecided by\t{verdict.rule}")
    for name in FACTS:
        print(f"fact\t{name}\t{getattr(verdict, name)}")
    for warning in verdict.warnings:
        print(f"warning\t-\t{' '.join(warning.split())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
