# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""acting_as() and run_as(): functions that run as somebody else, and which of them are lazy.

Each enters, calls and leaves inside one C function (native/guard_type.c, native_run), so that
there is no line of Python at which an interrupt could leave the thread switched.
"""

from __future__ import annotations

from ._errors import IdentityRefused
from ._identity import check_identity
from ._impersonate import check_options, impersonate
from ._native import LAZY_CODE, depth, run, tainted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, TypeVar

    from ._identity import Identity

    T = TypeVar("T")


async def _never() -> None: ...


async def _stream() -> AsyncIterator[None]:
    yield


_coroutine = _never()
_coroutine.close()
# types.GeneratorType, CoroutineType, AsyncGeneratorType
_LAZY_TYPES: tuple[type[Any], ...] = (type(_ for _ in ()), type(_coroutine), type(_stream()))
_OPTIONS = frozenset(check_options.__annotations__) - {"return"}
_ADVICE = "its body would run as the server, not as the user; use replace.impersonated(), or return a value"


def refuse_lazy_function(function: Callable[..., Any]) -> None:
    """TypeError for what cannot be called, and for a generator or coroutine function."""
    code = getattr(function, "__code__", None)
    if code is None:
        if not callable(function):
            raise TypeError(f"function should be callable, not {type(function).__name__}")
        if type(function) is type(len):
            return
        plain = getattr(function, "func", function)  # functools.partial
        code = getattr(plain, "__code__", None) or getattr(getattr(plain, "__call__", None), "__code__", None)  # noqa: B004
        if code is None:
            return
    if code.co_flags & LAZY_CODE:
        raise TypeError(f"{function!r} is a generator or coroutine function: {_ADVICE}")


def refuse_lazy_result(function: Callable[..., Any], result: Any) -> None:
    """TypeError for a generator or coroutine, which is closed: its body would run later, as the server."""
    if isinstance(result, _LAZY_TYPES):
        if hasattr(result, "close"):  # an asynchronous generator is closed by being dropped
            result.close()
        raise TypeError(f"{function!r} returned something lazy ({type(result).__name__}): {_ADVICE}")


def _eager(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call it; a lazy result is refused, and closed, while the identity is still held."""
    result = function(*args, **kwargs)
    refuse_lazy_result(function, result)
    return result


class acting_as:  # noqa: N801  (used like a function)
    """A callable that runs a function as another user: ``acting_as(identity, function)(*args, **kwargs)``.

    It can be pickled if the function can, so it runs on any executor or distributed engine. It may be called in
    generators and coroutines, and on the thread of an event loop: a plain function cannot cross an await.

    Args:
        identity: Whom the function runs as.
        function: A plain function. The result or exception of a call is the function's.
        options: Those of impersonate(), but for ``across_yield``.

    Raises:
        TypeError: ``function`` is a generator or coroutine function; or, when it is called, it returns a generator or
            coroutine, whose body would run later, as the server. Such a result is closed as the identity.
        IdentityRefused, IdentityError: As impersonate(), when it is called.
    """

    __slots__ = ("__wrapped__", "_options", "identity")

    def __init__(self, identity: Identity, function: Callable[..., Any], /, **options: Any) -> None:
        refuse_lazy_function(function)
        check_identity(identity, options.get("allow_root", False))
        unknown = options.keys() - _OPTIONS
        if unknown:
            raise TypeError(
                f"{', '.join(sorted(unknown))}: not an option of impersonate(); "
                "for keyword arguments of the function use functools.partial"
            )
        check_options(**options)  # wrong ones are an error here, not in some worker
        self.identity, self.__wrapped__, self._options = identity, function, options

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return run(impersonate(self.identity, **self._options), _eager, (self.__wrapped__, args, kwargs), None)

    def __reduce__(self) -> tuple[Any, ...]:
        from functools import partial

        return (partial(type(self), **self._options), (self.identity, self.__wrapped__))

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"acting_as({self.identity!r}, {self.__wrapped__!r}{options})"


async def run_as(identity: Identity, function: Callable[..., T], /, *args: Any, **options: Any) -> T:
    """Run a function as another user in a worker thread of asyncio's: ``await run_as(identity, function, *args)``.

    The worker belongs to the loop's default executor. Context variables are handed on. If the awaiting task is
    cancelled, the function still runs to its end, because a thread cannot be stopped.

    Args:
        identity: Whom the function runs as.
        function: A plain function. For keyword arguments use functools.partial.
        args: Its arguments.
        options: Those of impersonate(), but for ``across_yield``.

    Returns:
        What the function returns.

    Raises:
        IdentityRefused: As impersonate(); or the loop's own thread is switched, and a new worker would inherit that; or
            the worker holds an identity that somebody entered in it and never left.
        TypeError, IdentityError: As acting_as().
    """
    import asyncio  # running this means that it has been imported

    if tainted():
        raise IdentityRefused(
            "the event loop's own thread is tainted: an identity of another thread was left or dropped here; end the "
            "process, since a new worker might inherit wrong ids",
            identity,
        )
    if depth():
        raise IdentityRefused("the event loop's own thread is switched, and a new worker would inherit that", identity)
    return await asyncio.to_thread(_in_worker, acting_as(identity, function, **options), args)


def _in_worker(call: acting_as, args: tuple[Any, ...]) -> Any:
    """Whoever left an identity on this worker would have all later tasks run as that user."""
    if depth():
        raise IdentityRefused(
            "this worker thread of the event loop still holds an identity that was entered in it and never left",
            call.identity,
        )
    return call(*args)
