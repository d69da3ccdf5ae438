# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Destroys what only an exception refers to: local variables, and the object that lacks an attribute.

A pool does it for the exception of a task (_worker.py), and impersonated() for that of an iterable
(native/impersonated_type.c).
"""

from __future__ import annotations

import builtins
import gc
import sys

from ._native import LAZY_CODE, keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

#: How often it is tried.
_ATTEMPTS = 3
#: A group of exceptions: BaseExceptionGroup, since Python 3.11.
_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())
# The attributes of Python's classes: a subclass may have properties with these names.
_traceback: Any = BaseException.__traceback__
_cause: Any = BaseException.__cause__
_context: Any = BaseException.__context__
_members: Any = getattr(_GROUP, "exceptions", None)
_obj: Any = getattr(AttributeError, "obj", None)


def clear_locals(problem: BaseException, outer: BaseException | None = None, /) -> None:
    """Destroy the local variables in an exception's traceback, as the user whose code made them.

    Otherwise the thread that frees the exception destroys them, with the server's ids. A destructor may, for example,
    remove a folder by name. The same is done for causes, contexts and the members of groups. The frames of running
    functions and of paused generators keep their variables. If it fails, the exception is never freed.

    Args:
        problem: The exception.
        outer: The exception that the caller was handling before. It stays as it is, and so does what led to it, unless
            the user's code has raised it again.
    """
    for _ in range(_ATTEMPTS):
        try:
            _clear_chain(problem, outer)
            return
        except BaseException:  # noqa: S112  # an audit hook has a veto, or an interrupt came
            continue
    keep(problem)


def _clear_chain(problem: BaseException, outer: BaseException | None) -> None:
    known: dict[int, BaseException | None] = {} if problem is outer else {id(outer): outer}
    found: list[Any] = [problem]
    while found:
        one = found.pop()
        if one is None or id(one) in known:
            continue
        known[id(one)] = one
        trace = _traceback.__get__(one)
        while trace is not None:
            _clear(trace.tb_frame)
            trace = trace.tb_next
        if isinstance(one, AttributeError) and _obj is not None:
            _obj.__set__(one, None)
        found += [_cause.__get__(one), _context.__get__(one)]
        if isinstance(one, _GROUP):
            found += _members.__get__(one)


def _clear(frame: FrameType) -> None:
    if frame.f_code.co_flags & LAZY_CODE and _may_be_paused(frame):
        return
    try:
        frame.clear()
    except RuntimeError:  # it is running; or, since Python 3.13, paused
        return


def _may_be_paused(frame: FrameType) -> bool:
    """Whether clear() would end a generator or coroutine that has caught the exception and stored it."""
    if sys.version_info >= (3, 13):
        return False
    if sys.version_info >= (3, 11):  # only a frame that has ended refers to its code
        return not any(one is frame.f_code for one in gc.get_referents(frame))
    from types import AsyncGeneratorType, CoroutineType, GeneratorType

    kinds = (GeneratorType, CoroutineType, AsyncGeneratorType)  # those that have ended do not refer to their frame
    return any(type(one) in kinds for one in gc.get_referrers(frame))
