# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonated(): an iterator that produces its items as another user.

native/impersonated_type.c holds the identity during each next() and close(), so an interrupt cannot leave the thread
switched. It holds the only reference to the iterable, so the iterable ends as the user, too.
"""

from __future__ import annotations

import atexit
import sys
from _thread import start_new_thread
from gc import get_referents
from time import sleep

from . import _native
from ._acting_as import LAZY_TYPES
from ._errors import IdentityRefused
from ._identity import check_identity
from ._impersonate import DEFAULT_LEVEL, changed_options, check_options
from ._tracebacks import clear_locals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from ._identity import Identity
    from ._native import Impersonated
    from ._options import Level, OnFailure

    T = TypeVar("T")

#: Py_TPFLAGS_HEAPTYPE, and Py_TPFLAGS_IMMUTABLETYPE beside it: a class that Python code made has only the first one.
_HEAP = 1 << 9
_CHANGEABLE = _HEAP | 1 << 8

# native/impersonated_type.c calls the next four functions.


def _reduce(identity: Identity, iterable: Any, options: dict[str, Any], /) -> tuple[Any, ...]:
    from functools import partial

    return (partial(impersonated, **options), (identity, iterable))


def _start(iterator: Impersonated[Any], /, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
    """Close a dropped iterator as its user in a new thread: greenlets switch in this one, for example.

    When the interpreter exits, the names of this file may be gone.
    """
    if is_finalizing():
        raise RuntimeError("the interpreter is shutting down, so no thread can start")
    _real_start_new_thread()(_native.finish, (iterator,))


def _abandoned(identity: Identity, iterator: str, error: Exception, before: Exception | None, /) -> IdentityRefused:
    """The report that nobody could close an iterator. `before` is why another thread was needed."""
    reason = f"{error}" if before is None else f"{before}; in a new thread: {error}"
    report = IdentityRefused(
        f"{iterator} could not be closed as its user: {reason}. Its iterable is abandoned: its remaining code, such "
        "as finally blocks, never runs, and its memory is not freed; give the iterable a close(), keep no other "
        "reference to it, and call close() of the iterator in a thread that may enter the identity",
        identity,
    )
    report.__cause__ = error
    return report


def _real_start_new_thread() -> Callable[..., Any]:
    """gevent and eventlet put functions that start greenlets in the place of start_new_thread()."""
    gevent, eventlet = map(sys.modules.get, ("gevent.monkey", "eventlet.patcher"))
    if gevent is not None:
        return gevent.get_original("_thread", "start_new_thread")  # type: ignore[no-any-return]
    if eventlet is not None:
        return eventlet.original("_thread").start_new_thread  # type: ignore[no-any-return]
    return start_new_thread


def _wait() -> None:
    """When the interpreter exits, wait until the threads of _start() have closed their iterators."""
    while _native.closing(True):  # C counts them, because an interrupt could come between two lines of Python
        sleep(0.005)


atexit.register(_wait)


def _is_over(iterator: Any, /) -> bool:
    """Whether nothing in an iterator that has come to its end can still run.

    Only the iterators of Python itself are known: a class may do anything. zip(), for example, may hold a generator
    that is paused.
    """
    found: list[Any] = [iterator]
    known: dict[int, Any] = {}
    while found:
        one = found.pop()
        kind = type(one)
        if id(one) in known:
            continue
        known[id(one)] = one
        if kind in LAZY_TYPES:
            if any(getattr(one, name, None) is not None for name in ("gi_frame", "cr_frame", "ag_frame")):
                return False  # it is paused, or has not begun
        elif hasattr(kind, "__next__"):
            if kind.__flags__ & _CHANGEABLE == _HEAP:
                return False
            found += get_referents(one)
        elif kind in (tuple, list):
            found += get_referents(one)
    return True


_native.setup_impersonated(type(_ for _ in ()), _is_over, clear_locals, _reduce, _start, _abandoned)


def impersonated(
    identity: Identity,
    iterable: Iterable[T],
    *,
    level: Level = DEFAULT_LEVEL,
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> Impersonated[T]:
    """Iterate as another user, for example over a generator or a response body of WSGI.

    The thread holds the identity only during each next() and close(). Between two items it has its own ids, so another
    thread may take the next item, or drop the iterator.

    The iterable ends as the user, or not at all: if you drop the iterator instead of closing it, it is closed then. If
    the thread cannot enter the identity at that moment, a new thread does it. If that is impossible,
    ``sys.unraisablehook`` gets a report, and the iterable is abandoned: its ``finally`` blocks never run. The same is
    true, without a report, for an iterator to which its own iterable refers (a reference cycle), until you close it.

    If the iterable raises an exception, the local variables in its traceback are cleared, and so is the ``obj`` of an
    AttributeError.

    Args:
        identity: The user to iterate as.
        iterable: An iterable, for example a generator. Keep no other reference to it.
        level: As for :func:`impersonate`.
        allow_root: As for :func:`impersonate`.
        allow_process: As for :func:`impersonate`.
        on_restore_failure: As for :func:`impersonate`.

    Returns:
        An iterator with a method ``close()``. Call it if you stop early; WSGI servers do. If it is refused, nothing
        has changed: call it again in another thread.

    Raises:
        IdentityRefused: As for :func:`impersonate`, at once or in next() and close().
        IdentityError: A step of next() or close() failed. ``state`` says what the thread is now.
        TypeError: An argument is wrong.
        ValueError: An option is wrong.
    """
    check_identity(identity, allow_root)
    kind = type(iterable)
    if not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
        raise TypeError(f"iterable should be iterable, not {kind.__name__}")
    number, flags = check_options(level, allow_root, allow_process, on_restore_failure)
    options = changed_options(level, allow_root, allow_process, on_restore_failure)
    return _native.make_impersonated(
        identity, identity.uid, identity.gid, identity._groups, number, flags, options, iterable
    )
