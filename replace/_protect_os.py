# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""protect_os(): what would break identities raises instead.

os's own calls are refused while a thread is switched. In a thread that holds an identity,
a new thread or process would inherit that identity, so starting one is refused, too.
"""

from __future__ import annotations

from ._closed_folders import warn_of_closed_folders
from ._drop_privileges import OS_CALLS, alone_or_refused
from ._stand_in import StandIn, public_name, put_in_place
from ._starts import refuse_starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    Children = Literal["refuse", "inherit"]

_protected = {"os": False}


def protect_os(*, children: Children = "refuse") -> None:
    """Turn what would break identities into exceptions. Call it once, at the start of the program.

    ``os.setuid`` and its brothers raise IdentityRefused while any thread holds an identity. Without this call they
    abort the process, or make that thread root. Starting a thread or a process raises IdentityRefused in a thread that
    holds an identity, because the new one would inherit it and could come back from it. So does running code in another
    interpreter. Other threads are free to start what they like.

    The call cannot be undone, and a later call can only add to it. What it replaces, it replaces in all modules, under
    any name.

    It cannot see calls and threads of C libraries, of PAM and of ctypes. It does not see functions that were stored
    before in a class, a closure or a default argument. It does not see work for threads and processes that run already:
    they do it as the server. A ThreadPoolExecutor queues a task before it starts a thread for it, so it may still run
    a task whose ``submit()`` was refused.

    Args:
        children: ``"refuse"``, or ``"inherit"``: threads and processes may be started inside, and inherit the identity.
            A program that is started inside has the real uid of every switched thread, so it can kill the server.

    Warns:
        RuntimeWarning: Once, if users in general cannot read an entry of sys.path: imports under an identity will fail.

    Raises:
        ValueError: ``children`` is something else. Nothing changed.
        IdentityRefused: Another audit hook vetoes ours, so starts would not be seen.

    Audit event: ``replace.refuse_starts``, with ``children="refuse"``.
    """
    if children not in ("refuse", "inherit"):
        raise ValueError(f"children should be refuse or inherit, not {children!r}")
    if not _protected["os"]:
        put_in_place([StandIn(original, _guard_setter) for original in OS_CALLS.values()])
        _protected["os"] = True
    if children == "refuse":
        refuse_starts(_everything)
    warn_of_closed_folders()


def _guard_setter(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return alone_or_refused(lambda: original(*args, **kwargs), (), public_name(original))


def _everything(what: str) -> bool:
    return True
