# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The objects that protect_os() puts in the place of built-in functions.

They look like these functions, so pickles, help() and inspect.signature() see no difference.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

ModuleType = type(sys)


class StandIn:
    """A callable in the place of a built-in function. It calls ``guard(original, args, kwargs)``.

    A Python function would not do. As an attribute of a class, it becomes a method and gets ``self``; a built-in
    function does not, and neither does this object.
    """

    def __init__(self, original: Callable[..., Any], guard: Callable[..., Any]) -> None:
        self.__wrapped__, self._guard = original, guard
        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__text_signature__", "__self__"):
            if hasattr(original, name):
                setattr(self, name, getattr(original, name))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._guard(self.__wrapped__, args, kwargs)

    def __get__(self, instance: object, owner: object = None) -> StandIn:
        return self  # never a bound method; inspect and help() show an object as a function only if it has a __get__

    def __reduce__(self) -> str:
        return self.__name__  # a pickle contains only the names of module and function, as for any function

    def __repr__(self) -> str:
        return f"<{self.__wrapped__!r}, guarded by replace.protect_os()>"

    __name__: str


def put_in_place(stand_ins: Iterable[StandIn]) -> None:
    """Replace each original function in all modules, under any name."""
    found = {id(stand_in.__wrapped__): stand_in for stand_in in stand_ins}
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType):
            names = object.__getattribute__(module, "__dict__")  # vars() would load lazy modules (importlib.util)
            for name, value in names.copy().items():
                if id(value) in found:
                    names[name] = found[id(value)]


def public_name(original: Callable[..., Any]) -> str:
    """The function's name for messages, with the module that programs import."""
    return f"{original.__module__}.{original.__name__}".replace("posix.", "os.")
