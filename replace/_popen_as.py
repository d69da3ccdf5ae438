# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): start a child process that becomes another user for good."""

from __future__ import annotations

from ._errors import IdentityRefused
from ._identity import Identity, check_identity
from ._impersonate import impersonate, running_loop
from ._native import SCOPE, run
from ._starts import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any


def popen_as(identity: Identity, args: Any, /, *, allow_root: bool = False, **options: Any) -> subprocess.Popen[Any]:
    """Start a child process that has become another user for good.

    The real, effective and saved ids and the groups of the child are the identity's. The child keeps no capability, so
    it cannot become root again. The program is looked up, and files are opened, as the user. The call returns when the
    program runs. The user can stop the child before that, so the call is refused on an event loop's thread. You may
    call it while the thread holds another identity, if you have imported subprocess before.

    The child has its own session, so it cannot type into the server's terminal (ioctl_tty(2), TIOCSTI). It inherits the
    server's standard files, environment, working directory and session keyring. Pass ``stdin``, ``stdout``, ``stderr``,
    ``env`` and ``cwd`` to change them. The user can stop or trace the child, so it may take long until the child ends.

    Args:
        identity: The user that the child becomes.
        args: The program and its arguments, as for subprocess.Popen.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        options: As for subprocess.Popen, without ``user``, ``group`` and ``extra_groups``. ``start_new_session`` is
            True by default.

    Returns:
        A subprocess.Popen.

    Raises:
        TypeError: ``user``, ``group`` or ``extra_groups`` is given.
        IdentityRefused: As for :func:`impersonate`; or an event loop runs in this thread.
        IdentityError: A step failed. ``state`` says what the thread is now.
        OSError: As for subprocess.Popen.
        subprocess.SubprocessError: As for subprocess.Popen.
    """
    import subprocess

    check_identity(identity, allow_root)
    for name in ("user", "group", "extra_groups"):
        if name in options:
            raise TypeError(f"popen_as() sets {name} from the identity; omit this argument")
    options.setdefault("start_new_session", True)
    if running_loop():
        raise IdentityRefused(
            "an event loop runs in this thread, and popen_as() waits for the child, which the user can stop; call it "
            "in a worker thread, for example `await asyncio.to_thread(popen_as, ...)`",
            identity,
        )
    if SCOPE != "thread":
        return subprocess.Popen(
            args, user=identity.uid, group=identity.gid, extra_groups=list(identity.groups), **options
        )
    # user= makes Popen use fork() instead of vfork(), so core/fork.c turns the child into the user at once. The child's
    # own setuid calls then only repeat this.
    popen = subprocess.Popen.__new__(subprocess.Popen)
    before = getattr(starting, "popen", None)
    starting.popen = popen  # protect_os() permits only this object to start a process
    try:
        guard = impersonate(identity, allow_root=allow_root)
        run(guard, popen.__init__, (args,), {"user": identity.uid, "group": identity.gid, **options})  # type: ignore[misc]
    finally:
        starting.popen = before
    return popen
