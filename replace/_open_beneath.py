# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""open_beneath(), which is in C (native/open_beneath.c), and its numbers, which Python's os does not have."""

from __future__ import annotations

from . import _native
from ._native import open_beneath

__all__ = ["Resolve", "open_beneath"]


class Resolve:
    """How `open_beneath()` walks a name: integers, to be combined with `|`.

    The kernel's own rules apply.  BENEATH and IN_ROOT together are EINVAL, and so is an unknown number.

    Attributes:
        BENEATH: Nothing outside of the folder.  An absolute name or link, or a `..` that leads out, is EXDEV.
        IN_ROOT: The folder is the root.  Absolute names and links begin there, and `..` stays there, as after
            chroot(2).
        NO_MAGICLINKS: None of the links in /proc that lead to what a process has open (`/proc/self/fd/N`, `cwd`,
            `root`).  They are ELOOP.
        NO_SYMLINKS: No symbolic link at all.  They are ELOOP.
        NO_XDEV: No other mount, bind mounts included.  It is EXDEV.
        CACHED: Only if the kernel need not wait (Linux 5.12); else EAGAIN.

    Source: openat2(2).
    """

    BENEATH = _native.RESOLVE_BENEATH
    IN_ROOT = _native.RESOLVE_IN_ROOT
    NO_MAGICLINKS = _native.RESOLVE_NO_MAGICLINKS
    NO_SYMLINKS = _native.RESOLVE_NO_SYMLINKS
    NO_XDEV = _native.RESOLVE_NO_XDEV
    CACHED = _native.RESOLVE_CACHED
