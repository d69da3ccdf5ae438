# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Process credentials, one uniform module.

On Linux with glibc every setter here changes **the calling thread alone**
(``SCOPE == "thread"``); elsewhere they are libc's and change the whole process
(``SCOPE == "process"``).  ``report()`` says what was built and why;
``libreplace verify`` proves it on the machine at hand.
"""

from __future__ import annotations

from ._calls import (
    SCOPE,
    getfsgid,
    getfsuid,
    getgroups,
    getresgid,
    getresuid,
    initgroups,
    setegid,
    seteuid,
    setfsgid,
    setfsuid,
    setgid,
    setgroups,
    setregid,
    setresgid,
    setresuid,
    setreuid,
    setuid,
)
from ._errors import CapabilitiesRemain, IdentityChanged, IdentityError, IdentityRefused, ThreadTainted
from ._identity import Identity
from ._impersonate import impersonate
from ._report import report

__all__ = [
    "SCOPE",
    "CapabilitiesRemain",
    "Identity",
    "IdentityChanged",
    "IdentityError",
    "IdentityRefused",
    "ThreadTainted",
    "getfsgid",
    "getfsuid",
    "getgroups",
    "getresgid",
    "getresuid",
    "impersonate",
    "initgroups",
    "report",
    "setegid",
    "seteuid",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setuid",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # in one place: meson.build, from there in the report
        return str(report()["version"])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
