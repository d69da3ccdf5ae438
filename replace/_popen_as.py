# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): start a child process that becomes another user for good."""

from __future__ import annotations

from ._errors import UNCHANGED, CapabilitiesRemain, IdentityError, IdentityRefused
from ._event_loops import call_in_thread, description, running_loop
from ._identity import Identity, check_identity
from ._impersonate import impersonate, refuse_greenlets
from ._native import ALLOW_ROOT, SCOPE, STEP_CAPABILITIES, is_itself, run, start_child, step_name
from ._starts import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    import sys
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import IO, Any, Literal, TypeAlias, TypedDict, overload

    from _typeshed import StrOrBytesPath
    from typing_extensions import Unpack

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


if TYPE_CHECKING:

    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        text: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[str]: ...
    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        text: bool | None = None,
        encoding: str,
        errors: str | None = None,
        universal_newlines: bool | None = None,
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[str]: ...
    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str,
        universal_newlines: bool | None = None,
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[str]: ...
    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        universal_newlines: Literal[True],
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[str]: ...
    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        universal_newlines: Literal[False] | None = None,
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[bytes]: ...
    @overload
    def popen_as(
        identity: Identity, args: Arguments, /, *, allow_root: bool = False, **options: Unpack[AnyOptions]
    ) -> subprocess.Popen[Any]: ...


def popen_as(identity: Identity, args: Any, /, *, allow_root: bool = False, **options: Any) -> subprocess.Popen[Any]:
    """Start a child process that has become another user for good.

    The real, effective and saved ids and the groups of the child are the identity's. The child keeps no capability, so
    it cannot become root again. The program is looked up, and files are opened, as the user. The call returns when the
    program runs. The user can stop the child before that, so the call is refused on an event loop's thread. If an
    exception ends the call (KeyboardInterrupt, for example), the child is ended, too. Your own code in the arguments
    (``__fspath__()``, an iterator) runs before the thread holds the identity, and codecs and modules are looked up
    before, too. You may call it while the thread holds another identity, if you have called :func:`preload` before;
    then all this happens under that identity, which may forbid to end a child.

    The child has its own session, so it cannot type into the server's terminal (ioctl_tty(2), TIOCSTI). No signal is
    ignored or blocked in it, and it gives up real-time scheduling and a nice value below 0. It inherits the server's
    standard files, environment, working directory and session keyring. Pass ``stdin``, ``stdout``, ``stderr``, ``env``
    and ``cwd`` to change them. It also inherits the umask, resource limits, CPU affinity, I/O priority, OOM score,
    securebits, bounding set, cgroup and name spaces. The user can stop or trace the child, so it may take long until
    the child ends.

    If the calls of this build change the whole process, the child drops its privileges as :func:`drop_privileges`
    does. This needs /proc, gives the child a new session keyring, and fails while the process holds an identity.

    Args:
        identity: The user that the child becomes.
        args: The program and its arguments, as for subprocess.Popen.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        options: As for subprocess.Popen, without ``user``, ``group`` and ``extra_groups``. ``start_new_session`` is
            True by default. With ``restore_signals=False``, ignored and blocked signals stay so.

    Returns:
        A subprocess.Popen.

    Raises:
        TypeError: ``user``, ``group`` or ``extra_groups`` is given, or another option is wrong.
        LookupError: There is no codec ``encoding`` or error handler ``errors``. Nothing was started.
        IdentityRefused: As for :func:`impersonate`; or an event loop runs in this thread.
        IdentityError: A step failed. ``state`` says what the thread is now. If the child could not become the user for
            good, it was ended before it ran the program. If a signal killed it before, ``errno`` is ESRCH.
        CapabilitiesRemain: The thread has the securebit NO_SETUID_FIXUP without NOROOT. In the child, set-user-ID
            programs would keep root's capabilities after they have given root up.
        OSError: As for subprocess.Popen.
        subprocess.SubprocessError: As for subprocess.Popen.

    Source: credentials(7), capabilities(7), fork(2), execve(2).
    """
    import subprocess

    check_identity(identity, allow_root)
    for name in ("user", "group", "extra_groups"):
        if name in options:
            raise TypeError(f"popen_as() sets {name} from the identity; omit this argument")
    options.setdefault("start_new_session", True)
    loop = running_loop()
    if loop:
        raise IdentityRefused(
            f"{description(loop)} is running in this thread, and popen_as() waits for the child, which the user can "
            f"stop; use {call_in_thread(loop, 'popen_as, ...')}",
            identity,
        )
    refuse_greenlets(identity)
    words, converted = _converted(args, options)
    _load(converted)
    # user= makes Popen use fork() instead of vfork(), so the fork handlers turn the child into the user at once. The
    # child's own setuid calls then only repeat this.
    converted["user"] = identity.uid
    popen = subprocess.Popen.__new__(subprocess.Popen)
    call: tuple[Any, tuple[Any, ...], dict[str, Any]] = (popen.__init__, (words,), converted)  # type: ignore[misc]
    if SCOPE == "thread":
        call = (run, (impersonate(identity, allow_root=allow_root), *call), {})
    flags = ALLOW_ROOT if allow_root else 0
    restore_signals = bool(converted.get("restore_signals", True))
    before = getattr(starting, "popen", None)
    starting.popen = popen  # protect_os() permits only this object to start a process
    try:
        called, step, error = start_child(
            identity.uid, identity.gid, identity._groups, flags, restore_signals, popen, *call
        )
    except BaseException:
        _end(popen)
        raise
    finally:
        starting.popen = before
    if not called:
        raise _forbidden(identity, step, error)
    popen.args = args
    if step:
        raise _ended(popen, identity, step, error)
    return popen


def _load(options: dict[str, Any]) -> None:
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


def _converted(args: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments of Popen, as plain numbers, strings and bytes. Otherwise Popen would call the caller's objects, as
    the user: os.PathLike, iterables, mappings, subclasses of str, objects that have a truth value, and objects with
    fileno(), which the caller must keep alive."""
    import os

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


def _forbidden(identity: Identity, step: int, error: int) -> IdentityError:
    """The exception if the securebits of the thread forbid the child."""
    if step == STEP_CAPABILITIES:
        where = "a set-user-ID program in the child would keep root's capabilities: securebit NO_SETUID_FIXUP"
        return CapabilitiesRemain(error, identity, step_name(step), UNCHANGED, where)
    where = "the securebits cannot be read, which decide whether set-user-ID programs in the child keep capabilities"
    return IdentityError(error, identity, step_name(step), UNCHANGED, where)


def _end(popen: subprocess.Popen[Any]) -> None:
    """End the process, if it was started: nobody else will. A stopped child would keep the server's files open."""
    if getattr(popen, "pid", None) is None:
        return
    try:
        if popen.returncode is None:
            popen.kill()
            popen.wait()
    except PermissionError:
        pass  # the thread holds another identity
    for stream in (popen.stdin, popen.stdout, popen.stderr):
        if stream is not None:
            stream.close()


def _ended(popen: subprocess.Popen[Any], identity: Identity, step: int, error: int) -> IdentityError:
    """End a child that may not be the user, and return the exception."""
    from errno import ESRCH

    _end(popen)
    if popen.returncode is None:
        popen.wait()  # it has become the user, and ends
    where = "the child could not become the user for good, so it was ended"
    if error == 0:
        where = "the child has not said that it is the user; a signal killed it, or it was not started with fork(2)"
    return IdentityError(error or ESRCH, identity, step_name(step), UNCHANGED, where)
