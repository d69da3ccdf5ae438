# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The questions, in the order in which detect/meson.build asks them.

One row each: the stable id, the kind (how it is asked), the question in words
(Samba's where Samba asks the same), the subject (a header, a symbol, a macro, a
type or a probe's file name) and the includes it needs.  `python3 questions.py`
prints the rows for Meson, which has no tables of its own.
"""

from typing import List, NamedTuple

from calls import WIDE, WIDE_FS


class Question(NamedTuple):
    id: str
    kind: str  # header | symbol | define | type | link | run
    words: str
    subject: str
    includes: str = ""
    args: str = ""  # compiler arguments of a probe


_IDS = "#include <sys/types.h> #include <unistd.h> #include <grp.h>"
_SYSCALL = "#include <sys/syscall.h>"

_HEADERS = (
    "unistd.h",
    "grp.h",
    "sys/types.h",
    "sys/syscall.h",
    "sys/fsuid.h",
    "sys/id.h",
    "linux/capability.h",
    "pthread.h",
    "stdatomic.h",
)
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
_SYMBOLS = {
    _IDS: (
        "setresuid",
        "setresgid",
        "setreuid",
        "setregid",
        "seteuid",
        "setegid",
        "setuid",
        "setgid",
        "setgroups",
        "initgroups",
        "getgrouplist",
        "getgroups",
        "getresuid",
        "getresgid",
    ),
    "#include <sys/types.h> #include <sys/id.h>": ("setuidx", "setgidx"),
    "#include <sys/types.h> #include <sys/fsuid.h>": ("setfsuid", "setfsgid"),
}
_FAMILIES = ("setreuid", "setresuid", "seteuid", "setuidx")  # Samba's order

THREAD_CREDENTIALS = "Checking whether we can use Linux thread-specific credentials"
#: Samba's other wording of the same question, in the answers files of i386 and arm.
ALIASES = {THREAD_CREDENTIALS + " with 32-bit system calls": "libreplace_have_linux_thread_credentials"}


def _macro_id(name: str) -> str:
    return name.strip("_").lower()


def questions() -> List[Question]:
    rows = [
        Question("libreplace_header_" + h.replace("/", "_").replace(".", "_"), "header", f"Checking for header {h}", h)
        for h in _HEADERS
    ]
    rows += [
        Question(f"libreplace_define_{_macro_id(m)}", "define", f"Checking for macro {m}", m, "#include <limits.h>")
        for m in _MACROS
    ]
    for includes, names in _SYMBOLS.items():
        rows += [Question(f"libreplace_have_{n}", "symbol", f"Checking for {n}", n, includes) for n in names]
    rows += [
        Question("libreplace_have_syscall", "symbol", "Checking for syscall", "syscall", "#include <unistd.h>"),
        Question(
            "libreplace_setgroups_size_t",
            "link",
            "Checking whether setgroups takes a size_t",
            "setgroups_size_t.c",
        ),
        Question("libreplace_sizeof_uid_t", "type", "Checking size of uid_t", "uid_t", "#include <sys/types.h>"),
        Question("libreplace_sizeof_gid_t", "type", "Checking size of gid_t", "gid_t", "#include <sys/types.h>"),
        Question("libreplace_thread_local", "link", "Checking for thread local storage", "thread_local.c"),
        Question("libreplace_sys_capget", "number", "Checking for SYS_capget", "SYS_capget", _SYSCALL),
    ]
    rows += [
        Question(f"libreplace_sys_{n}{w}", "number", f"Checking for SYS_{n}{w}", f"SYS_{n}{w}", _SYSCALL)
        for n in WIDE + WIDE_FS
        for w in ("", "32")
    ]
    rows += [
        Question(
            "libreplace_use_linux_32bit_syscalls",
            "link",
            "Checking whether Linux should use 32-bit credential calls",
            "linux_32bit_syscalls.c",
        ),
        Question(
            "libreplace_have_linux_thread_credentials",
            "run",
            THREAD_CREDENTIALS,
            "thread_credentials.c",
        ),
        Question(
            "libreplace_libc_reaches_threads",
            "run",
            "Checking whether libc's own setresuid reaches the other threads",
            "libc_reaches_threads.c",
        ),
    ]
    rows += [
        Question(
            f"libreplace_use_{n}",
            "run",
            f"Checking whether {n} is available",
            "effective_family.c",
            "",
            f"-DUSE_{n.upper()}=1",
        )
        for n in _FAMILIES
    ]
    return rows


if __name__ == "__main__":
    for row in questions():
        print("\t".join(field or "-" for field in row))
