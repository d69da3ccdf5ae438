# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The headers and functions that a system certainly has: system and C library -> ids without `libreplace_`.

Written by tests/programs/golden.py: all golden answers of the system are yes. If the compiler or the linker refuses one
of them, ask_again.py stops the configuration, because an option or a missing file must be the cause.
"""

from typing import Dict

KNOWN: Dict[str, str] = {
    "darwin system": (
        "header_unistd_h header_grp_h header_sys_types_h have_setuid have_seteuid have_setreuid have_setgid "
        "have_setegid have_setregid have_setgroups have_initgroups have_getgrouplist have_getgroups have_syscall "
    ),
    "freebsd system": (
        "header_unistd_h header_grp_h header_sys_types_h header_sys_syscall_h header_sys_priv_h have_setuid "
        "have_seteuid have_setresuid have_setreuid have_getresuid have_setgid have_setegid have_setresgid "
        "have_setregid have_getresgid have_setgroups have_initgroups have_getgrouplist have_getgroups have_syscall "
    ),
    "linux glibc": (
        "header_unistd_h header_grp_h header_sys_types_h header_sys_syscall_h header_syscall_h have_setuid "
        "have_seteuid have_setresuid have_setreuid have_getresuid have_setfsuid have_setgid have_setegid "
        "have_setresgid have_setregid have_getresgid have_setfsgid have_setgroups have_initgroups have_getgrouplist "
        "have_getgroups have_syscall "
    ),
    "linux musl": (
        "header_unistd_h header_grp_h header_sys_types_h header_sys_syscall_h header_syscall_h have_setuid "
        "have_seteuid have_setresuid have_setreuid have_getresuid have_setfsuid have_setgid have_setegid "
        "have_setresgid have_setregid have_getresgid have_setfsgid have_setgroups have_initgroups have_getgrouplist "
        "have_getgroups have_syscall "
    ),
    "netbsd system": (
        "header_unistd_h header_grp_h header_sys_types_h header_sys_syscall_h have_setuid have_seteuid have_setreuid "
        "have_setgid have_setegid have_setregid have_setgroups have_initgroups have_getgrouplist have_getgroups "
        "have_syscall "
    ),
    "openbsd system": (
        "header_unistd_h header_grp_h header_sys_types_h header_sys_syscall_h have_setuid have_seteuid have_setresuid "
        "have_setreuid have_getresuid have_setgid have_setegid have_setresgid have_setregid have_getresgid "
        "have_setgroups have_initgroups have_getgrouplist have_getgroups "
    ),
}
