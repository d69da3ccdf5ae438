# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The arguments of popen_as(), made ready for Popen, which uses them under the identity."""

from __future__ import annotations

import os

from ._native import is_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sys
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import IO, Any, TypeAlias, TypedDict

    from _typeshed import StrOrBytesPath

    Arguments: TypeAlias = StrOrBytesPath | Sequence[StrOrBytesPath]
    File: TypeAlias = int | IO[Any] | None

    class BytesOptions(TypedDict, total=False):
        """The options of subprocess.Popen that do not change the type of its files."""

        bufsize: int
        executable: StrOrBytesPath | None
        stdin: File
        stdout: File
        stderr: File
        preexec_fn: Callable[[], object] | None
        close_fds: bool
        shell: bool
        cwd: StrOrBytesPath | None
        env: Mapping[bytes, StrOrBytesPath] | Mapping[str, StrOrBytesPath] | None
        restore_signals: bool
        start_new_session: bool
        pass_fds: Collection[int]
        umask: int
        pipesize: int

    if sys.version_info >= (3, 11):

        class PopenOptions(BytesOptions, total=False):
            process_group: int | None
    else:
        PopenOptions = BytesOptions

    class AnyOptions(PopenOptions, total=False):
        """All options. With one of these four, the files of the process are text files."""

        text: bool | None
        encoding: str | None
        errors: str | None
        universal_newlines: bool | None


def converted_arguments(args: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of Popen, as plain numbers, strings and bytes. Otherwise Popen would call the caller's objects, as
    the user: os.PathLike, iterables, mappings, subclasses of str, objects that have a truth value, and objects with
    fileno(), which the caller must keep alive."""

    def path(value: Any) -> Any:
        return _plain(os.fspath(value) if isinstance(value, os.PathLike) else value)

    options = {name: path(value) if name in ("executable", "cwd") else _plain(value) for name, value in options.items()}
    for name in _SWITCHES:
        if options.get(name) is not None:
            options[name] = bool(options[name])
    for name in ("stdin", "stdout", "stderr"):
        if hasattr(options.get(name), "fileno"):
            options[name] = _plain(options[name].fileno())
    if options.get("env") is not None:
        options["env"] = {path(name): path(value) for name, value in options["env"].items()}
    if options.get("pass_fds"):
        options["pass_fds"] = tuple(map(int, options["pass_fds"]))
    if isinstance(args, (str, bytes)):
        return _plain(args), options
    if isinstance(args, os.PathLike):
        return (args if options.get("shell") else path(args)), options  # Popen refuses a path with shell=True
    return list(map(path, args)), options


#: The options that are true or false.
_SWITCHES = ("close_fds", "restore_signals", "shell", "start_new_session", "text", "universal_newlines")


def _plain(value: Any) -> Any:
    """The same text or number, without the methods of a subclass."""
    if isinstance(value, str):
        return "".join((value,))
    if isinstance(value, bytes):
        return b"".join((value,))
    return int.__index__(value) if isinstance(value, int) else value


def load(options: dict[str, Any]) -> None:
    """Load what Popen would load under the identity: the codec of its streams, and the modules that show a warning.

    The user may be unable to read Python's files. A wrong codec is found before anything starts.
    """
    import codecs
    import io

    encoding, errors = options.get("encoding"), options.get("errors")
    if encoding or errors or options.get("text") or options.get("universal_newlines"):
        io.TextIOWrapper(io.BytesIO(), "locale" if encoding is None else encoding, errors)
        if errors is not None:
            codecs.lookup_error(errors)
    if is_itself():
        try:
            import linecache  # noqa: F401
            import locale  # noqa: F401
            import tokenize  # noqa: F401
            import tracemalloc  # noqa: F401
        except ImportError:
            pass  # the server cannot read them either
