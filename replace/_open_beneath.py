# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""open_beneath() and Resolve. The function is in native/open_beneath.c; Python's os has no such constants."""

from __future__ import annotations

from . import _native
from ._native import open_beneath

__all__ = ["Resolve", "open_beneath"]


class Resolve:
    """How :func:`open_beneath` walks a path: integers that you combine with ``|``.

    The kernel applies the rules. ``BENEATH | IN_ROOT`` is refused with ``EINVAL``, and so is an unknown number.

    Attributes:
        BENEATH: Stay below the folder. An absolute path or link, or a ``..`` that leads out of the folder, fails with
            ``EXDEV``.
        IN_ROOT: Use the folder as the root, as after chroot(2). Absolute paths and links begin there, and ``..`` stays
            there.
        NO_MAGICLINKS: Follow none of the links in /proc that lead to a process's open files (``/proc/self/fd/N``,
            ``cwd``, ``root``). They fail with ``ELOOP``.
        NO_SYMLINKS: Follow no symbolic link. Such a link fails with ``ELOOP``.
        NO_XDEV: Stay in one mount. Another mount fails with ``EXDEV``; bind mounts count, too.
        CACHED: Fail with ``EAGAIN`` if the kernel would have to wait (Linux 5.12).

    Source: openat2(2).
    """

    BENEATH = _native.RESOLVE_BENEATH
    IN_ROOT = _native.RESOLVE_IN_ROOT
    NO_MAGICLINKS = _native.RESOLVE_NO_MAGICLINKS
    NO_SYMLINKS = _native.RESOLVE_NO_SYMLINKS
    NO_XDEV = _native.RESOLVE_NO_XDEV
    CACHED = _native.RESOLVE_CACHED
