# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Process credentials, one uniform module.

On Linux with glibc every setter here changes **the calling thread alone**
(``SCOPE == "thread"``); elsewhere they are libc's and change the whole process
(``SCOPE == "process"``).  ``report()`` says what was built and why;
``libreplace verify`` proves it on the machine at hand.
"""

from __future__ import annotations

from ._acting_as import acting_as, run_as
from ._build import get_include, report
from ._drop_privileges import drop_privileges
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
from ._impersonated import impersonated
from ._import_caches import keep_import_caches_clean
from ._native import (
    # generated: begin import
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
    # generated: end
)
from ._open_beneath import Resolve, open_beneath
from ._popen_as import popen_as
from ._preload import preload
from ._protect_os import protect_os
from ._threads import ThreadCredentials, assert_clean, thread_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._account import Account
    from ._executor import IdentityExecutor
    from ._replace import ffi, lib

__all__ = [
    "SCOPE",
    "Account",
    "CapabilitiesRemain",
    "DropFailed",
    "ForkedUnderIdentity",
    "Identity",
    "IdentityChanged",
    "IdentityError",
    "IdentityExecutor",
    "IdentityRefused",
    "Resolve",
    "ThreadCredentials",
    "ThreadTainted",
    "ThreadsDiffer",
    "acting_as",
    "assert_clean",
    "drop_privileges",
    "ffi",
    "get_include",
    "impersonate",
    "impersonated",
    "lib",
    "open_beneath",
    "popen_as",
    "preload",
    "protect_os",
    "report",
    "run_as",
    "thread_credentials",
    # generated: begin names
    "getfsgid",
    "getfsuid",
    "getgroups",
    "getresgid",
    "getresuid",
    "initgroups",
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
    # generated: end
]


#: Loaded when asked for: name -> module.  typing, threading, concurrent.futures and cffi cost more than this package.
_LATER = {"Account": "._account", "IdentityExecutor": "._executor", "ffi": "._replace", "lib": "._replace"}


def __getattr__(name: str) -> object:
    if name in _LATER:
        from importlib import import_module

        value: object = getattr(import_module(_LATER[name], __name__), name)
        if isinstance(value, type):
            value.__module__ = __name__
        globals()[name] = value
        return value
    if name == "__version__":  # in one place: meson.build, from there in the report
        return str(report()["version"])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


keep_import_caches_clean()

# Pickles and help() name this package and not its private files, which may move.
for _name in __all__:
    if hasattr(globals().get(_name), "__module__"):
        globals()[_name].__module__ = __name__
del _name
