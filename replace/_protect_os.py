# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""protect_os(): turn calls that would break identities into exceptions.

The setters of os are refused while a thread is switched. A thread that holds an identity cannot start a thread or a
process, because the new one would inherit the identity.
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

_protected = {"os": False}


def protect_os(*, children: Literal["refuse", "inherit"] = "refuse") -> None:
    """Turn calls that would break identities into exceptions. Call this once, at program start.

    While any thread holds an identity, ``os.setuid`` and the other setters of os raise IdentityRefused. Without
    protect_os(), they abort the process, or make that thread root. In a thread that holds an identity, starting a
    thread or a process raises IdentityRefused, because the new one would inherit the identity and could leave it.
    Running code in another interpreter raises it, too. Other threads can start threads and processes as before.

    You cannot undo the call. A later call can only add protection. The call replaces functions in all modules, under
    any name.

    The protection does not cover:

    * calls and threads of C libraries, of PAM and of ctypes;
    * functions that were stored before in a class, a closure or a default argument;
    * work that is passed to threads and processes that already run: they do it as the server.

    A ThreadPoolExecutor queues a task before it starts a thread. If this start is refused, submit() raises, but another
    worker may still run the task.

    With ``children="refuse"``, the call raises the audit event ``replace.refuse_starts``.

    Args:
        children: ``"refuse"``; or ``"inherit"``, to allow starts of threads and processes under an identity. They
            inherit the identity. A program that is started under it has the real uid of every switched thread, so it
            can kill the server.

    Warns:
        RuntimeWarning: Once, if ordinary users cannot read an entry of sys.path. Imports under an identity will fail.

    Raises:
        ValueError: ``children`` has another value. Nothing changed.
        IdentityRefused: Another audit hook vetoes the hook of this package, which needs it to see starts.
    """
    if children not in ("refuse", "inherit"):
        raise ValueError(f"children should be refuse or inherit, not {children!r}")
    if not _protected["os"]:
        put_in_place([StandIn(original, _guard_setter) for original in OS_CALLS.values()])
        _protected["os"] = True
    if children == "refuse":
        refuse_starts(_every_start)
    warn_of_closed_folders()


def _guard_setter(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return alone_or_refused(lambda: original(*args, **kwargs), (), public_name(original))


def _every_start(starter: str) -> bool:
    """Refuse every start: the argument of refuse_starts() for ``children="refuse"``."""
    return True
