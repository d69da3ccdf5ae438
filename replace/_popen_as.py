# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): start a child process that becomes another user for good."""

from __future__ import annotations

import os

from ._errors import UNCHANGED, CapabilitiesRemain, IdentityError, IdentityRefused
from ._event_loops import call_in_thread, description, running_loop
from ._identity import Identity, check_identity
from ._impersonate import impersonate, refuse_greenlets
from ._login import forbid_reading, set_login_options
from ._native import (
    ALLOW_ROOT,
    SCOPE,
    STEP_CAPABILITIES,
    STEP_PRIVILEGE,
    STEP_REFUSED,
    run,
    start_child,
    step_name,
)
from ._popen_arguments import converted_arguments, load
from ._program import explained, packed, path_to_ask, paths
from ._starts import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Any, Literal, overload

    from typing_extensions import Unpack

    from ._account import Account
    from ._popen_arguments import AnyOptions, Arguments, PopenOptions


if TYPE_CHECKING:

    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
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
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
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
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
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
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
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
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
        text: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        universal_newlines: Literal[False] | None = None,
        **options: Unpack[PopenOptions],
    ) -> subprocess.Popen[bytes]: ...
    @overload
    def popen_as(
        identity: Identity,
        args: Arguments,
        /,
        *,
        allow_root: bool = False,
        login: bool = False,
        account: Account | None = None,
        no_new_privs: bool = False,
        **options: Unpack[AnyOptions],
    ) -> subprocess.Popen[Any]: ...


def popen_as(
    identity: Identity,
    args: Any,
    /,
    *,
    allow_root: bool = False,
    login: bool = False,
    account: Account | None = None,
    no_new_privs: bool = False,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start a child process that has become another user for good.

    The real, effective and saved ids and the groups of the child are the identity's. The child keeps no capability, so
    it cannot become root again. The program is looked up, and files are opened, as the user. The call returns when the
    program runs. The user can stop the child before that, so the call is refused on an event loop's thread. If an
    exception ends the call (KeyboardInterrupt, for example), the child is ended, too. Your own code in the arguments
    (``__fspath__()``, an iterator) runs before the thread holds the identity, and codecs and modules are looked up
    before, too. You may call it while the thread holds another identity, if you have called :func:`preload` before;
    then all this happens under that identity, which may forbid to end a child.

    No signal is ignored or blocked in the child, and it gives up real-time scheduling and a nice value below 0. The
    user can stop or trace the child, so it may take long until the child ends.

    With ``login``, the child is like a process of the user's own login. It has:

    - the environment variables HOME, USER, LOGNAME, SHELL, PATH (``/usr/local/bin:/usr/bin:/bin``), LANG and those in
      ``env``, and no other.
    - the user's home directory as working directory, or ``/`` if the user cannot enter it; the umask 022;
      ``/dev/null`` as standard input. ``cwd``, ``umask`` and ``stdin`` change them.
    - a new session, without a controlling terminal. If its standard output or standard error is a terminal that is not
      its standard input, it can write to this terminal, but cannot read from it or push input into it.
    - a new session keyring, which belongs to the user. If keyctl(2) is forbidden, it keeps the server's.
    - no capability in any set, the bounding set included. So a set-user-ID program gets no capabilities.

    Without ``login``, the child has a new session, so it cannot type into the server's terminal (ioctl_tty(2),
    TIOCSTI). But it inherits the server's environment with all secrets in it, the working directory, the umask, the
    standard files (often a terminal, which it can read from), the session keyring and the bounding set.

    In both cases, it inherits the files in ``pass_fds``, resource limits, CPU affinity, a nice value above 0, I/O
    priority, OOM score, timer slack, securebits, no_new_privs, seccomp filters, the security context, root directory,
    cgroup and name spaces.

    If the calls of this build change the whole process, the child drops its privileges as :func:`drop_privileges`
    does. This needs /proc, gives the child a new session keyring, and fails while the process holds an identity.

    Args:
        identity: The user that the child becomes.
        args: The program and its arguments, as for subprocess.Popen.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        login: Look the account up by its uid, and start the child as described above.
        account: The account, if you have it already. This implies ``login``.
        no_new_privs: Set no_new_privs: no program that the child executes gets more rights, for example by a
            set-user-ID bit.
        options: As for subprocess.Popen, without ``user``, ``group`` and ``extra_groups``. ``start_new_session`` is
            True by default, so ``process_group`` needs ``start_new_session=False``. With ``restore_signals=False``,
            ignored and blocked signals stay so.

    Returns:
        A subprocess.Popen.

    Raises:
        TypeError: ``user``, ``group`` or ``extra_groups`` is given, or another option is wrong.
        LookupError: There is no codec ``encoding`` or error handler ``errors``. Nothing was started.
        KeyError: With ``login``: no user has this uid. Nothing was started.
        ValueError: ``start_new_session=False`` with ``login``; or ``process_group`` with a new session; or another
            option is wrong.
        IdentityRefused: As for :func:`impersonate`; or an event loop runs in this thread. With ``login``: the account
            has another uid; or the bounding set cannot be emptied, because CAP_SETPCAP is missing; or a terminal cannot
            be opened for writing only. With ``no_new_privs``: this system has no no_new_privs. Nothing was started.
        IdentityError: A step failed. ``state`` says what the thread is now. If the child could not become the user for
            good, it was ended before it ran the program. If a signal killed it before, ``errno`` is ESRCH.
        CapabilitiesRemain: The thread has the securebit NO_SETUID_FIXUP without NOROOT. In the child, set-user-ID
            programs would keep root's capabilities after they have given root up.
        FileNotFoundError: There is no such program, or no such ``cwd``.
        PermissionError: The user may not execute the program, or not enter ``cwd``. With ``login``: the program needs
            file capabilities, as some builds of ping do.
        OSError: As for subprocess.Popen.
        subprocess.SubprocessError: As for subprocess.Popen.

    Source: credentials(7), capabilities(7), session-keyring(7), environ(7), fork(2), execve(2).
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
    words, converted = converted_arguments(args, options)
    if converted["start_new_session"] and converted.get("process_group") not in (None, -1):
        raise ValueError("a new session has its own process group; omit process_group, or use start_new_session=False")
    home: bytes | None = None
    login = login or account is not None
    if login:
        home = set_login_options(identity, account, converted)
    load(converted)
    # user= makes Popen use fork() instead of vfork(), so the fork handlers turn the child into the user at once. The
    # child's own setuid calls then only repeat this.
    converted["user"] = identity.uid
    child = (ALLOW_ROOT if allow_root else 0, login, bool(no_new_privs), home)
    found = paths(words, converted)
    opened: list[int] = []
    popen = subprocess.Popen.__new__(subprocess.Popen)
    try:
        try:
            if login:
                forbid_reading(identity, converted, opened)
            problem, seen = _start(popen, identity, *child, words, converted, packed(found, converted))
            if problem is not None and (path := path_to_ask(problem, seen, found)) is not None:
                popen = subprocess.Popen.__new__(subprocess.Popen)
                converted["executable"] = path
                problem, _ = _start(popen, identity, *child, words, converted, None)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        if problem is not None:
            try:
                raise explained(problem, seen)
            finally:
                del problem  # its traceback refers to this frame
        popen.args = args
        return popen
    except BaseException:
        _end(popen)
        raise


def _start(
    popen: subprocess.Popen[Any],
    identity: Identity,
    flags: int,
    login: bool,
    no_new_privs: bool,
    home: bytes | None,
    words: Any,
    options: dict[str, Any],
    looked_for: bytes | None,
) -> tuple[OSError | None, int]:
    """Start a process. Return the exception of Popen or None, and the result of find_program()."""

    def attempt() -> OSError | None:
        try:
            popen.__init__(words, **options)  # type: ignore[misc]
        except OSError as problem:
            return problem
        return None

    call: Callable[[], OSError | None] = attempt
    if SCOPE == "thread":
        guard = impersonate(identity, allow_root=flags == ALLOW_ROOT)

        def call() -> OSError | None:
            return run(guard, attempt, (), None)

    restore_signals = bool(options.get("restore_signals", True))
    before = getattr(starting, "popen", None)
    starting.popen = popen  # protect_os() permits only this object to start a process
    try:
        started = start_child(
            identity.uid,
            identity.gid,
            identity._groups,
            flags,
            restore_signals,
            login,
            no_new_privs,
            home,
            looked_for,
            popen,
            call,
        )
    finally:
        starting.popen = before
    if len(started) == 2:
        raise _forbidden(identity, *started)
    problem, step, error, seen = started
    try:
        if problem is not None:
            _end(popen)
        elif step:
            raise _ended(popen, identity, step, error)
        return problem, seen
    finally:
        del problem, started  # its traceback refers to this frame


def _forbidden(identity: Identity, step: int, error: int) -> Exception:
    """The exception if the child may not start. Nothing has changed."""
    if step == STEP_REFUSED:
        return IdentityRefused("no_new_privs=True needs PR_SET_NO_NEW_PRIVS, which this system lacks", identity, error)
    if step == STEP_PRIVILEGE:
        return IdentityRefused(
            "login=True empties the bounding set of the child, which needs CAP_SETPCAP, and this thread lacks it; "
            "give the server CAP_SETPCAP beside CAP_SETUID and CAP_SETGID, or start it with an empty bounding set "
            "(systemd: CapabilityBoundingSet=)",
            identity,
            error,
        )
    if step == STEP_CAPABILITIES:
        where = "a set-user-ID program in the child would keep root's capabilities: securebit NO_SETUID_FIXUP"
        return CapabilitiesRemain(error, identity, step_name(step), UNCHANGED, where)
    where = "the securebits or capabilities of this thread cannot be read, which decide what the child would keep"
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
