# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The questions, in the order in which detect/meson.build asks them.

Each has a row with its stable id and its kind (how it is asked). The row also has its words, which are Samba's words if
Samba asks the same question. Its subject is a header, a symbol, a macro, a type or the file name of a probe.
programs.py writes the program of each row.
"""

import re
from typing import Dict, List, NamedTuple, Tuple

from calls import CALLS, FAMILIES, SYSTEM_CALLS


class Question(NamedTuple):
    id: str
    kind: str  # header | symbol | define | number | type | link | run
    words: str
    subject: str
    includes: Tuple[str, ...] = ()
    args: str = ""  # compiler arguments of a probe
    expected: str = ""  # the answer to a control question: with another answer, no answer can be trusted
    uses: Tuple[str, ...] = ()  # functions without which a run probe cannot be linked


_SYSCALL = ("sys/syscall.h",)
#: Files of replace/core/ that need newer headers than all others -> the system calls whose numbers they need.
NEWER = {
    "open_beneath": ("openat2",),
    "ring": ("openat2", "io_uring_setup", "io_uring_enter", "io_uring_register"),
}

#: Asked before all others. A compiler option can break every program, or accept every program.
_CONTROLS = (
    Question("libreplace_control_macro", "define", "Checking for macro __STDC__", "__STDC__", ("limits.h",), "", "1"),
    Question(
        "libreplace_control_no_macro",
        "define",
        "Checking that a macro that nobody defines is not found",
        "LIBREPLACE_NO_SUCH_MACRO",
        ("limits.h",),
        "",
        "no",
    ),
    Question(
        "libreplace_control_program", "link", "Checking that a program can call setuid", "control.c", (), "", "yes"
    ),
    Question(
        "libreplace_control_no_function",
        "link",
        "Checking that a function that does not exist is not found",
        "control_no_function.c",
        (),
        "",
        "no",
    ),
)
#: The headers that Samba's code asks for; the answers go into samba_config.h.
_HEADERS = ("unistd.h", "grp.h", "sys/types.h", "sys/syscall.h", "syscall.h", "sys/id.h", "sys/priv.h")
_MACROS = (
    "__linux__",
    "__APPLE__",
    "__FreeBSD__",
    "__NetBSD__",
    "__OpenBSD__",
    "__DragonFly__",
    "_AIX",
    "__sun",
    "__GLIBC__",
    "__GLIBC_MINOR__",
    "__UCLIBC__",
    "__BIONIC__",
)
#: Functions of libc that are not uniform calls -> the header that declares them.
_OTHERS = {"setuidx": "sys/id.h", "setgidx": "sys/id.h", "syscall": "unistd.h"}

THREAD_CREDENTIALS = "Checking whether we can use Linux thread-specific credentials"
#: Its id. This is the run question whose answer given by hand decides.
THREAD = "libreplace_have_linux_thread_credentials"
#: Samba adds these words, if the headers have the numbers of 32-bit system calls beside 16-bit ones (i386 and arm).
_32_BIT = " with 32-bit system calls"


def _macro_id(name: str) -> str:
    return name.strip("_").lower()


def _symbols() -> Dict[str, str]:
    """The functions of libc that a uniform call may use -> the header that declares them."""
    found = {}
    for call in CALLS:
        found[call.function] = call.header
        for name in (*call.instead[:1], *call.needs):
            found.setdefault(name, "")
    return {**found, **_OTHERS}


def _includes(header: str) -> Tuple[str, ...]:
    return ("sys/types.h", header) if header else ("sys/types.h", "unistd.h", "grp.h")


def questions() -> List[Question]:
    rows = [
        *_CONTROLS,
        *(
            Question("libreplace_header_" + re.sub(r"\W", "_", h), "header", f"Checking for header {h}", h, (h,))
            for h in _HEADERS
        ),
    ]
    rows += [
        Question(f"libreplace_define_{_macro_id(m)}", "define", f"Checking for macro {m}", m, ("limits.h",))
        for m in _MACROS
    ]
    rows += [
        Question(f"libreplace_have_{name}", "symbol", f"Checking for {name}", name, _includes(header))
        for name, header in _symbols().items()
    ]
    rows += [
        Question(
            "libreplace_setgroups_size_t",
            "link",
            "Checking whether setgroups takes a size_t",
            "setgroups_size_t.c",
        ),
        Question("libreplace_sizeof_uid_t", "type", "Checking size of uid_t", "uid_t", ("sys/types.h",)),
        Question("libreplace_sizeof_gid_t", "type", "Checking size of gid_t", "gid_t", ("sys/types.h",)),
        Question("libreplace_thread_local", "link", "Checking for thread local storage", "thread_local.c"),
    ]
    rows += [
        Question(f"libreplace_sys_{n}{w}", "number", f"Checking for SYS_{n}{w}", f"SYS_{n}{w}", _SYSCALL)
        for n in SYSTEM_CALLS
        for w in ("", "32")
    ]
    rows += [
        *(
            Question(f"libreplace_sys_{n}", "number", f"Checking for SYS_{n}", f"SYS_{n}", _SYSCALL)
            for n in NEWER["ring"]
        ),
        Question(
            "libreplace_have_linux_thread_credentials",
            "run",
            THREAD_CREDENTIALS,
            "thread_credentials.c",
            uses=("syscall", "getresuid"),
        ),
        Question(
            "libreplace_libc_reaches_threads",
            "run",
            "Checking whether libc's own setresuid reaches the other threads",
            "libc_reaches_threads.c",
            uses=("seteuid",),
        ),
    ]
    rows += [
        Question(
            f"libreplace_use_{n}",
            "run",
            f"Checking whether {n} is available",
            "effective_family.c",
            args=f"-DUSE_{n.upper()}=1",
            uses=(n,),
        )
        for n in FAMILIES
    ]
    return rows


def words(question: Question, wide: bool) -> str:
    """The question in Samba's words, for headers with or without the numbers of 32-bit system calls."""
    return question.words + _32_BIT if wide and question.id == THREAD else question.words
