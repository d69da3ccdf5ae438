# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): a child process that has become somebody for good."""

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

    Real, effective and saved ids and the groups are the identity's, and no capability is left, so the child cannot come
    back. The program is looked up, and files are opened, as the identity. You may call it while the thread holds
    another identity (import subprocess before). It waits until the program runs, and its user can stop it before
    that, so it is refused on the thread of an event loop.

    The child has a session of its own, so that it cannot type into the server's terminal (ioctl_tty(2), TIOCSTI). It
    keeps the server's standard files, environment, working directory and session keyring: pass ``stdin``, ``stdout``,
    ``stderr``, ``env`` and ``cwd``. Its user controls it, and can stop or trace it, so that waiting for it takes long.

    Args:
        identity: Whom the child becomes.
        args: The program and its arguments, as for subprocess.Popen.
        allow_root: Accept uid 0, gid 0 or group 0 in ``identity``.
        options: Those of subprocess.Popen, but for ``user``, ``group`` and ``extra_groups``. ``start_new_session`` is
            True unless you say otherwise.

    Returns:
        A subprocess.Popen.

    Raises:
        TypeError: One of ``user``, ``group`` and ``extra_groups`` is given.
        IdentityRefused, IdentityError: As impersonate(); or an event loop runs in this thread.
        OSError, subprocess.SubprocessError: As subprocess.Popen.
    """
    import subprocess

    check_identity(identity, allow_root)
    for name in ("user", "group", "extra_groups"):
        if name in options:
            raise TypeError(f"popen_as() sets {name} from the identity")
    options.setdefault("start_new_session", True)
    if running_loop():
        raise IdentityRefused(
            "popen_as() waits for the child, whose user can stop it, and an event loop runs in this thread; call it in "
            "a worker thread: `await asyncio.to_thread(popen_as, ...)`",
            identity,
        )
    if SCOPE != "thread":
        return subprocess.Popen(
            args, user=identity.uid, group=identity.gid, extra_groups=list(identity.groups), **options
        )
    # Under the identity, user= makes the child fork (not vfork), so that it becomes the user at once (core/fork.c);
    # what it asks for itself then is a second lock on the same door.
    popen = subprocess.Popen.__new__(subprocess.Popen)
    before = getattr(starting, "popen", None)
    starting.popen = popen  # protect_os() lets this object start, and nothing else
    try:
        guard = impersonate(identity, allow_root=allow_root)
        run(guard, popen.__init__, (args,), {"user": identity.uid, "group": identity.gid, **options})  # type: ignore[misc]
    finally:
        starting.popen = before
    return popen
