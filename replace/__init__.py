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
from ._config import get_include
from ._errors import (
    CapabilitiesRemain,
    DropFailed,
    ForkedUnderIdentity,
    IdentityChanged,
    IdentityError,
    IdentityRefused,
    ThreadsDiffer,
    ThreadTainted,
)
from ._identity import Identity
from ._impersonate import impersonate
from ._process import drop_privileges, popen_as, protect_os
from ._report import report
from ._run import acting_as, impersonated, run_as
from ._threads import ThreadCredentials, assert_clean, thread_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._executor import IdentityExecutor

__all__ = [
    "SCOPE",
    "CapabilitiesRemain",
    "DropFailed",
    "ForkedUnderIdentity",
    "Identity",
    "IdentityChanged",
    "IdentityError",
    "IdentityExecutor",
    "IdentityRefused",
    "ThreadCredentials",
    "ThreadTainted",
    "ThreadsDiffer",
    "acting_as",
    "assert_clean",
    "drop_privileges",
    "get_include",
    "getfsgid",
    "getfsuid",
    "getgroups",
    "getresgid",
    "getresuid",
    "impersonate",
    "impersonated",
    "initgroups",
    "popen_as",
    "protect_os",
    "report",
    "run_as",
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
    "thread_credentials",
]


def __getattr__(name: str) -> object:
    if name == "IdentityExecutor":  # when asked for: threading and concurrent.futures cost more than this package
        from ._executor import IdentityExecutor

        globals()[name] = IdentityExecutor
        return IdentityExecutor
    if name == "__version__":  # in one place: meson.build, from there in the report
        return str(report()["version"])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
