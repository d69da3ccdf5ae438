# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonated(): an iterable whose items are made as somebody else.

The identity is held inside each next() and close() alone, by one C function
(native/guard_type.c, native_run), so no interrupt leaves the thread switched.
"""

from __future__ import annotations

from _thread import start_new_thread

from ._errors import IdentityRefused
from ._identity import check_identity
from ._impersonate import check_options, impersonate
from ._native import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    from ._identity import Identity

    T = TypeVar("T")


class _Impersonated:
    """What impersonated() returns."""

    __slots__ = ("_identity", "_iterator", "_options", "_source")

    def __init__(self, identity: Identity, iterable: Iterable[Any], options: dict[str, Any]) -> None:
        check_identity(identity, options.get("allow_root", False))
        check_options(**options)
        self._identity, self._options, self._source = identity, options, iterable
        self._iterator: Any = None

    def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return run(impersonate(self._identity, **self._options), function, args, None)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._run(iter, self._source)
        return self._run(next, self._iterator)

    def close(self) -> None:
        """Close the iterable (or its iterator) as the identity; harmless when there is nothing to close."""
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
            except IdentityRefused:  # greenlets switch in this thread; the body shall not end as the server
                start_new_thread(self._close, rest)


def impersonated(identity: Identity, iterable: Iterable[T], **options: Any) -> Iterator[T]:
    """Iterate over iterable with the identity held inside each next() and close() alone.

    For response bodies of WSGI and generators: between two items the thread is itself
    again, so another thread may take the next one, or drop it.  The options are those of
    impersonate().  Call close() when done early (WSGI servers do): a generator that is
    collected instead is closed as the identity, too.
    Raises what impersonate() raises, at once or from next() and close().
    """
    return _Impersonated(identity, iterable, options)
