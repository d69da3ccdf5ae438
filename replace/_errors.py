# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What can go wrong when a thread takes an identity on or gives it back."""

from __future__ import annotations

import os
from typing import Any

#: enum rep_state in words
STATES = ("unchanged", "switched", "rolled back", "tainted", "restored")
#: enum rep_step in words
STEPS = (
    "none", "refused", "reading the ids", "going back to the privileged id", "setgroups", "setting the gid",
    "setting the uid", "verifying", "checking capabilities", "comparing with what enter had set", "leaving in order",
)  # fmt: skip


class IdentityError(OSError):
    """An identity could not be taken on or given back.

    identity: whom the thread was to be; step: where it failed; errno: why; state: what
    the thread is now: "unchanged", "rolled back" (both: the ids from before), "restored",
    or "tainted" (its ids are not known to be right: end the thread).
    """

    hint = "read `libreplace verify --explain`"

    def __init__(self, error: int, identity: object, step: str, state: str) -> None:
        self.identity, self.step, self.state = identity, step, state
        super().__init__(error, f"{os.strerror(error)} in {step}; the thread is {state}; {self.hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.errno, self.identity, self.step, self.state))


class CapabilitiesRemain(IdentityError):
    """After the switch the thread still had capabilities with which it could act as root."""

    hint = "clear the securebits (PR_SET_SECUREBITS, 0) before serving"


class ThreadTainted(IdentityError):
    """The thread could not be brought back once, or left identities in the wrong order; it refuses more."""

    hint = "end this thread and start another"


class IdentityChanged(IdentityError):
    """On leaving, the ids were not those that entering had set: something else called set*id.

    A call of libc's in another thread changes every thread; the ids from before are back.
    """

    hint = "find the caller of libc's set*id; replace.protect_os() turns those of os into exceptions"


class IdentityRefused(RuntimeError):
    """The identity, or the place it was to be taken on, is refused before anything is changed."""
