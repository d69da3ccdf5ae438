# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""private_fs=True of IdentityExecutor: the working directory and the umask that each task of a worker starts with."""

from __future__ import annotations

import os
from contextlib import suppress

from ._native import O_PATH, private_fs


class PrivateFs:
    """The calling thread's own working directory and umask. Used only in that thread."""

    __slots__ = ("_directory", "_umask")

    def __init__(self) -> None:
        """End the sharing with other threads. Raises OSError if that is impossible."""
        private_fs()
        self._directory, self._umask = -1, 0

    def remember(self) -> None:
        """Remember the present directory and umask. Call this after the initializer."""
        self._umask = os.umask(0o077)  # no other thread shares it
        os.umask(self._umask)
        self._directory = os.open(".", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def restore(self) -> bool:
        """Set both again, always: a bind mount of the same folder has another "..". False if that failed.

        It fails under the identity of a user who may not enter the directory.
        """
        os.umask(self._umask)
        try:
            os.fchdir(self._directory)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the descriptor of the directory. Raises nothing, because a task may have closed it."""
        directory, self._directory = self._directory, -1
        if directory >= 0:
            with suppress(OSError):
                os.close(directory)
