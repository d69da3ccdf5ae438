# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Per-thread user and group ids: each thread of a server can act as a different user.

Act as a user:
    impersonate         act as another user in the calling thread, in a ``with`` block
    acting_as           make a callable that runs a function as another user
    impersonated        iterate as another user
    Identity            a user's ids and groups, from a name, a socket, a process or numbers
    Account             a user's entry in the user database
    Guard               the type of the object that impersonate() returns
    Level, OnFailure    the types of two options

Pools and event loops:
    IdentityExecutor    a thread pool that runs each task as a user
    PoolStats           what its stats() returns
    run_as              await a function that runs as another user, under asyncio or trio

WSGI, after ``import replace.wsgi``:
    wsgi.AsClient       run an application as its clients

Files from an event loop, after ``import replace.aio``:
    aio.Files           open and change files as many users, from one thread of asyncio or trio

Files and processes:
    open_beneath        open a path that a client sends, below a folder
    Resolve             how open_beneath() walks a path
    popen_as            start a child process as another user

Whole process:
    drop_privileges     become another user for good
    protect_os          turn calls that would break identities into exceptions
    preload             import modules at start, before a thread needs them under an identity

Look and check:
    assert_clean        check that all threads have the same ids
    thread_credentials  read the ids of all threads, each as a ThreadCredentials
    report              read the build report
    get_include         find the C headers
    SCOPE               what one of the calls below changes: "thread" or "process"

Exceptions:
    IdentityRefused     refused before anything changed
    IdentityError       a step failed; its subclasses are CapabilitiesRemain, ThreadTainted,
                        IdentityChanged, ForkedUnderIdentity and DropFailed
    ThreadsDiffer       threads have different ids

The calls underneath:
    setresuid, setgroups and the other calls of os, for the calling thread
    ffi, lib            the C library, by cffi
"""

from __future__ import annotations

try:
    from ._native import (
        # generated: begin import
        SCOPE,
        Guard,
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
except ImportError as _error:
    from ._native_missing import explained

    raise explained(_error, __name__, __path__[0]) from _error

from . import _native
from ._acting_as import acting_as
from ._build import report
from ._c_library import get_include
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
from ._open_beneath import Resolve, open_beneath
from ._popen_as import popen_as
from ._preload import preload
from ._protect_os import protect_os
from ._run_as import run_as
from ._threads import ThreadCredentials, assert_clean, thread_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._account import Account
    from ._executor import IdentityExecutor
    from ._options import Level, OnFailure
    from ._pool_stats import PoolStats
    from ._replace import ffi, lib

__all__ = [
    "SCOPE",
    "Account",
    "CapabilitiesRemain",
    "DropFailed",
    "ForkedUnderIdentity",
    "Guard",
    "Identity",
    "IdentityChanged",
    "IdentityError",
    "IdentityExecutor",
    "IdentityRefused",
    "Level",
    "OnFailure",
    "PoolStats",
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


__version__ = _native.VERSION


def _load(name: str) -> object:
    """Load a name on first use: typing, threading, concurrent.futures and cffi load slower than this package.

    The imports are statements, because tools that freeze a program collect the modules of import statements.
    """
    module: Any
    if name == "Account":
        from . import _account as module
    elif name == "IdentityExecutor":
        from . import _executor as module
    elif name in ("Level", "OnFailure"):
        from . import _options as module
    elif name == "PoolStats":
        from . import _pool_stats as module
    elif name in ("ffi", "lib"):
        from . import _replace as module
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(module, name)
    if isinstance(value, type):
        value.__module__ = __name__
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # with a __getattr__(), checkers would accept every misspelled name
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted(__all__)


keep_import_caches_clean()

# Pickles and help() then name this package, not its private files, which may move.
for _name in __all__:
    if hasattr(globals().get(_name), "__module__"):
        globals()[_name].__module__ = __name__
del _name
