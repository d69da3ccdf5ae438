# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""acting_as(): functions that run as another user.

One C function (native/guard_type.c, native_run) enters, calls and leaves. No other Python code runs in between, so an
interrupt cannot leave the thread switched.
"""

from __future__ import annotations

from ._identity import check_identity
from ._impersonate import DEFAULT_LEVEL, changed_options, check_options, impersonate
from ._native import LAZY_CODE, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from typing import Any, Generic, NoReturn, ParamSpec, TypeVar

    from ._identity import Identity
    from ._options import Level, OnFailure

    P = ParamSpec("P")
    T = TypeVar("T")
else:  # typing loads slower than this package, so the class is generic only for checkers
    P = T = None
    Generic = {(P, T): object}


async def _never() -> None: ...


async def _stream() -> AsyncIterator[None]:
    yield


_coroutine = _never()
_coroutine.close()
# types.GeneratorType, CoroutineType, AsyncGeneratorType
LAZY_TYPES: tuple[type[Any], ...] = (type(_ for _ in ()), type(_coroutine), type(_stream()))
_ADVICE = (
    "its body would run later, as the server; for a generator use replace.impersonated(), otherwise use a plain "
    "function that returns a value"
)
#: Attributes that an acting_as object copies from its function, as functools.wraps() does.
_METADATA = ("__module__", "__name__", "__qualname__", "__doc__")
_MISSING = object()


def refuse_lazy_function(function: Callable[..., Any]) -> None:
    """Raise TypeError for an object that cannot be called, and for a generator or coroutine function."""
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
    """Close a generator or coroutine and raise TypeError: its body would run later, as the server."""
    if isinstance(result, LAZY_TYPES):
        if hasattr(result, "close"):  # an asynchronous generator has none; it is closed when the last reference goes
            result.close()
        raise TypeError(f"{function!r} returned an object of type {type(result).__name__}: {_ADVICE}")


def _eager(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """Call the function. Refuse and close a lazy result while the identity is still held."""
    result = function(*args, **kwargs)
    refuse_lazy_result(function, result)
    return result


def refuse_unknown_options(caller: str, names: Collection[str]) -> None:
    """Raise TypeError if there are names: they are not options of the function `caller`."""
    if names:
        raise TypeError(
            f"{caller}(): unknown option{'s' * (len(names) > 1)} {', '.join(map(repr, sorted(names)))} (keyword "
            "arguments of the function: use functools.partial)"
        )


class acting_as(Generic[P, T]):  # noqa: N801  (used like a function)
    """Make a callable that runs a function as another user: ``acting_as(identity, function)(*args, **kwargs)``.

    The callable can be pickled if the function can, so you can use it with any executor or distributed engine. You can
    call it in generators and coroutines, and on an event loop's thread, because a plain function contains no await.
    It has the function's ``__name__``, ``__qualname__``, ``__doc__`` and ``__module__``. Its ``__wrapped__`` is the
    function. In a class it becomes a method if the function would, so ``@functools.partial(acting_as, identity)``
    decorates functions and methods.

    Args:
        identity: The user to run the function as.
        function: A plain function. Its result or exception is the result of the call.
        level: As for :func:`impersonate`.
        allow_root: As for :func:`impersonate`.
        allow_process: As for :func:`impersonate`.
        on_restore_failure: As for :func:`impersonate`.
        unknown: No other keyword arguments are accepted. Bind those of the function with functools.partial.

    Raises:
        TypeError: An argument is wrong, or ``function`` is a generator or coroutine function. A call of the result
            raises it if the function returns a generator or coroutine. The body would run later, as the server, so the
            generator or coroutine is closed as the user.
        ValueError: An option is wrong.
        IdentityRefused: As for :func:`impersonate`, at once or when you call the result.
        IdentityError: A step of the call failed. ``state`` says what the thread is now.
    """

    # __wrapped__ is in __dict__: as a slot, it would make inspect.signature() of the class fail.
    __slots__ = ("__dict__", "_options", "identity")

    if TYPE_CHECKING:  # at run time, every object would have these as its own __annotations__
        identity: Identity
        __wrapped__: Callable[P, T]
        _options: dict[str, Any]

    def __init__(
        self,
        identity: Identity,
        function: Callable[P, T],
        /,
        *,
        level: Level = DEFAULT_LEVEL,
        allow_root: bool = False,
        allow_process: bool = False,
        on_restore_failure: OnFailure = "taint",
        **unknown: NoReturn,
    ) -> None:
        refuse_unknown_options("acting_as", unknown)
        refuse_lazy_function(function)
        check_identity(identity, allow_root)
        check_options(level, allow_root, allow_process, on_restore_failure)
        self._options = changed_options(level, allow_root, allow_process, on_restore_failure)
        self.identity, self.__wrapped__ = identity, function
        for name in _METADATA:
            value = getattr(function, name, _MISSING)
            if value is not _MISSING:  # a functools.partial has no __name__
                setattr(self, name, value)

    if not TYPE_CHECKING:  # with __get__(), mypy would take each annotated field with an acting_as for a method

        def __get__(self, instance, owner=None, /):
            bind = getattr(type(self.__wrapped__), "__get__", None)
            bound = self.__wrapped__ if bind is None else bind(self.__wrapped__, instance, owner)
            return self if bound is self.__wrapped__ else type(self)(self.identity, bound, **self._options)

        __class_getitem__ = classmethod(type(list[int]))  # types.GenericAlias, for annotations: acting_as[[int], str]

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(impersonate(self.identity, **self._options), _eager, (self.__wrapped__, args, kwargs), None)  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        from functools import partial

        return (partial(type(self), **self._options), (self.identity, self.__wrapped__))

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"acting_as({self.identity!r}, {self.__wrapped__!r}{options})"
