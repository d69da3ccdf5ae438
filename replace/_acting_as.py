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
from ._native import depth, run, tainted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, TypeVar

    from ._identity import Identity

    T = TypeVar("T")

# inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR; importing inspect costs more than this package
_LAZY_CODE = 0x20 | 0x80 | 0x200


async def _never() -> None: ...


async def _stream() -> AsyncIterator[None]:
    yield


_coroutine = _never()
_coroutine.close()
# types.GeneratorType, CoroutineType, AsyncGeneratorType
_LAZY_TYPES: tuple[type[Any], ...] = (type(_ for _ in ()), type(_coroutine), type(_stream()))
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
    if code.co_flags & _LAZY_CODE:
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
    """acting_as(identity, function): a callable that runs function as identity.

    Picklable where function is, so it runs on any executor or distributed engine; called
    with the arguments of function, whose result or exception it hands on.  The options
    are those of impersonate().  A generator or coroutine function is a TypeError, and so
    is a generator or coroutine as the result: its body would run later, as the server.
    Raises what impersonate() raises, when it is called.
    """

    __slots__ = ("__wrapped__", "_options", "identity")

    def __init__(self, identity: Identity, function: Callable[..., Any], /, **options: Any) -> None:
        refuse_lazy_function(function)
        check_identity(identity, options.get("allow_root", False))
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
    """await run_as(identity, function, *args): function as identity, in a worker thread of asyncio's.

    Never on the loop's own thread, where the identity would cross every other task's
    await.  options are those of impersonate(); for keyword arguments of function use
    functools.partial.  The worker belongs to the loop's default executor; context
    variables are handed on.  When the awaiting task is cancelled, function still runs to
    its end, as a thread cannot be stopped.  Raises what impersonate() and function raise;
    IdentityRefused if the loop's thread is switched, since its workers would be, too.
    """
    import asyncio  # running this means that it has been imported

    if depth() or tainted():
        raise IdentityRefused("the event loop's own thread is switched, and a new worker would inherit that", identity)
    return await asyncio.to_thread(acting_as(identity, function, **options), *args)
