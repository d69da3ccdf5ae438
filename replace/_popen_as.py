# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(): a child process that has become somebody for good."""

from __future__ import annotations

from ._identity import Identity, check_identity
from ._impersonate import impersonate
from ._native import SCOPE
from ._starts import starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any


def popen_as(identity: Identity, args: Any, /, *, allow_root: bool = False, **options: Any) -> subprocess.Popen[Any]:
    """subprocess.Popen(args, **options), as a child that has become identity for good.

    Real, effective and saved ids and the groups are the identity's, and no capability is
    left, so the child cannot come back.  The program is looked up, and options' files are
    used, as the identity.  May be called while the thread holds another identity; import
    subprocess before, then, or it is imported as that user.
    options: those of subprocess.Popen, but for user, group and extra_groups.
    Raises what impersonate() and subprocess.Popen raise; TypeError.
    """
    import subprocess

    check_identity(identity, allow_root)
    for name in ("user", "group", "extra_groups"):
        if name in options:
            raise TypeError(f"popen_as() sets {name} from the identity")
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
        with impersonate(identity, allow_root=allow_root):
            subprocess.Popen.__init__(popen, args, user=identity.uid, group=identity.gid, **options)
    finally:
        starting.popen = before
    return popen
