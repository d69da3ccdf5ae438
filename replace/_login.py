# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(login=True): the environment, directory, umask and files of a user's own process, not the server's.

The rest needs system calls in the child: native/child.c.
"""

from __future__ import annotations

import os
import sys

from ._errors import IdentityRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._account import Account
    from ._identity import Identity

PATH = "/usr/local/bin:/usr/bin:/bin"
UMASK = 0o22


def set_login_options(identity: Identity, account: Account | None, options: dict[str, Any]) -> bytes | None:
    """Set the options of Popen for a login. Return the directory that the child enters, or None if ``cwd`` is set."""
    if not options["start_new_session"]:
        raise ValueError("login gives the child a session of its own; omit start_new_session=False")
    account = _checked(identity, account)
    home = account.home or "/"
    environment = {
        "HOME": home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell or "/bin/sh",
        "PATH": PATH,
        "LANG": os.environ.get("LANG") or "C.UTF-8",
    }
    for name, value in environment.items():
        if "\0" in value:
            raise ValueError(f"the account has a null byte in its {name}: {value!r}")
    given = options.get("env") or {}
    options["env"] = environment | {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
    if options.get("umask", -1) == -1:
        options["umask"] = UMASK
    if options.get("stdin") is None:
        options["stdin"] = -3  # subprocess.DEVNULL
    return os.fsencode(home) if options.get("cwd") is None else None


def _checked(identity: Identity, account: Account | None) -> Account:
    from ._account import Account

    if account is None:
        try:
            return Account.lookup(identity.uid)
        except KeyError as error:
            raise KeyError(f"{error.args[0]}, so it has no home directory or shell; pass account=") from None
    if not isinstance(account, Account):
        raise TypeError(f"account should be an Account, not {type(account).__name__}")
    if account.uid != identity.uid:
        raise IdentityRefused(f"the account {account.name!r} has another uid, {account.uid}", identity)
    return account


def forbid_reading(identity: Identity, options: dict[str, Any], opened: list[int]) -> None:
    """Open the terminals to which the child writes for writing only. Add the new descriptors, for you to close.

    A terminal is usually open for reading, too. The child could read what somebody types there. If no session has it as
    its controlling terminal, the child could take it, and then push input into it (TIOCSTI). The kernel gives a
    terminal only to a process that may read from it. A terminal that is also the child's input stays as it is.

    Source: ioctl_tty(2); tiocsctty() in drivers/tty/tty_jobctrl.c.
    """
    own = _terminal(options["stdin"])
    for name, inherited in (("stdout", 1), ("stderr", 2)):
        given = options.get(name)
        descriptor = inherited if given is None else given
        if _terminal(descriptor) in (None, own):
            continue
        try:
            path = f"/proc/self/fd/{descriptor}" if sys.platform == "linux" else os.ttyname(descriptor)
            opened.append(os.open(path, os.O_WRONLY | os.O_NOCTTY))
        except OSError as error:
            reason = f"{name} is a terminal that cannot be opened for writing only ({error.strerror}); pass {name}="
            raise IdentityRefused(reason, identity, error.errno or 0) from None
        options[name] = opened[-1]


def _terminal(descriptor: int) -> int | None:
    """The number of the terminal's device; None for other files, and for the side of a terminal that plays the user."""
    if descriptor < 0 or not os.isatty(descriptor):
        return None
    device = os.fstat(descriptor).st_rdev
    return None if device == os.makedev(5, 2) else device  # /dev/ptmx
