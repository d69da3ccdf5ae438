# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The temporary folder of `libreplace verify`: every user may make files in it, but only this process can reach it.

The checks act as users that have no account, and each needs a place for a new file. A folder with mode 0777 in /tmp
would let everybody in. So this folder is inside another one, with mode 0700. Nobody else can enter that one, and the
checks need no path: a descriptor of the inner folder is enough for openat(2).

Everything goes through descriptors. The folder for temporary files may belong to a user, for example after `sudo -E`,
who may rename what is in there and put a symbolic link in its place at any moment.
"""

from __future__ import annotations

import os
from contextlib import suppress

from .._native import O_PATH
from .observe import new_name

#: The inner folder. A fixed name is enough, because nobody else can make one there.
_INNER = "files"
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class CheckFolder:
    """The folder, in the first place where it can be made.

    Attributes:
        descriptor: The inner folder. It is open until close().

    Raises:
        OSError: It can be made nowhere.
    """

    __slots__ = ("_name", "_outer", "_place", "descriptor")

    def __init__(self) -> None:
        reason = OSError()
        for place in dict.fromkeys([os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp"]):
            self._place = self._outer = self.descriptor = -1
            try:
                self._make(place)
                return
            except OSError as error:
                reason = error
                self.remove()
                self.close()
        raise reason

    def _make(self, place: str) -> None:
        self._name = f"libreplace-verify-{new_name()}"
        self._place = os.open(place, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.mkdir(self._name, 0o700, dir_fd=self._place)
        outer = os.open(self._name, os.O_RDONLY | _FOLDER, dir_fd=self._place)
        try:
            _must_be_new_and_ours(outer, place)
        except OSError:
            os.close(outer)
            raise
        self._outer = outer
        os.mkdir(_INNER, 0o700, dir_fd=outer)
        self.descriptor = os.open(_INNER, os.O_RDONLY | _FOLDER, dir_fd=outer)
        # fchmod() also clears the set-group-ID bit, with which new files get the folder's group
        os.fchmod(self.descriptor, 0o777)

    def remove(self) -> None:
        """Remove the folder and all files in it. It may be called more than once, and in several processes."""
        with suppress(OSError):
            for name in os.listdir(self.descriptor):
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)
        with suppress(OSError):
            os.rmdir(_INNER, dir_fd=self._outer)
        with suppress(OSError):  # rmdir() follows no link, and removes only an empty folder
            os.rmdir(self._name, dir_fd=self._place)

    def close(self) -> None:
        for descriptor in (self.descriptor, self._outer, self._place):
            if descriptor != -1:
                os.close(descriptor)


def _must_be_new_and_ours(folder: int, place: str) -> None:
    """Raise OSError if this is not what mkdir() made. The owner of the place may have put another folder there."""
    found = os.fstat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or os.listdir(folder):
        raise OSError(0, f"somebody else changes {place}")
