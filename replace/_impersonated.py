# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonated(): an iterator that produces its items as another user.

One C function (native/guard_type.c, native_run) holds the identity during each next() and close(), so an interrupt
cannot leave the thread switched.
"""

from __future__ import annotations

from _thread import start_new_thread

from ._errors import IdentityRefused
from ._identity import check_identity
from ._impersonate import DEFAULT_LEVEL, changed_options, impersonate
from ._native import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Generic, TypeVar

    from ._identity import Identity
    from ._options import Level, OnFailure

    T = TypeVar("T")
else:  # typing loads slower than this package, so the class is generic only for checkers
    T = None
    Generic = {T: object}


class _Impersonated(Generic[T]):
    """The iterator that impersonated() returns."""

    __slots__ = ("_identity", "_iterator", "_options", "_source")

    def __init__(self, identity: Identity, iterable: Iterable[T], options: dict[str, Any]) -> None:
        self._identity, self._options, self._source = identity, options, iterable
        self._iterator: Any = None

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return run(impersonate(self._identity, **self._options), function, args, None)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._iterator is None:
            self._iterator = self._run(iter, self._source)
        return self._run(next, self._iterator)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the iterable, or its iterator, as the user. Do nothing if neither has a close()."""
        source, iterator = self._source, self._iterator
        self._source, self._iterator = (), iter(())
        self._close(iterator, source)

    def _close(self, iterator: Any, source: Any) -> None:
        for thing in (iterator, source):
            close = getattr(thing, "close", None)
            if close is not None:
                self._run(close)
                if thing is source or iterator is source:
                    break

    def __reduce__(self) -> tuple[Any, ...]:
        from functools import partial

        rest = self._source if self._iterator is None else self._iterator
        return (partial(impersonated, **self._options), (self._identity, rest))

    def __del__(self) -> None:
        if hasattr(self, "_iterator"):
            rest = (self._iterator, self._source)
            try:
                self.close()
            except IdentityRefused:  # for example, greenlets switch in this thread; close it as the user in another one
                start_new_thread(self._close, rest)


def impersonated(
    identity: Identity,
    iterable: Iterable[T],
    *,
    level: Level = DEFAULT_LEVEL,
    allow_root: bool = False,
    allow_process: bool = False,
    on_restore_failure: OnFailure = "taint",
) -> _Impersonated[T]:
    """Iterate as another user, for example over a generator or a response body of WSGI.

    The thread holds the identity only during each next() and close(). Between two items it has its own ids, so another
    thread may take the next item, or drop the iterator.

    Args:
        identity: The user to iterate as.
        iterable: An iterable, for example a generator.
        level: As for :func:`impersonate`.
        allow_root: As for :func:`impersonate`.
        allow_process: As for :func:`impersonate`.
        on_restore_failure: As for :func:`impersonate`.

    Returns:
        An iterator with a method ``close()``. Call it if you stop early; WSGI servers do. If the iterator is collected
        instead, a generator is closed as the user, too.

    Raises:
        IdentityRefused: As for :func:`impersonate`, at once or in next() and close().
        IdentityError: A step of next() or close() failed. ``state`` says what the thread is now.
        TypeError: An argument is wrong.
        ValueError: An option is wrong.
    """
    check_identity(identity, allow_root)
    return _Impersonated(identity, iterable, changed_options(level, allow_root, allow_process, on_restore_failure))
