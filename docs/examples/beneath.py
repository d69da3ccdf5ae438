# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Serve the files below one folder, by names that clients send. It is for servers whose library opens paths itself.

The identity decides what a client may do with a file. This module decides which files a client can name: no name
leads out of the folder or into /proc, and only regular files are opened. Each call resolves a name once, with
open_beneath(), and then uses the descriptor. It needs Linux 5.6. ../limits.md, "Files that clients name", explains it.
"""

import contextlib
import errno
import os

import replace


class Folder:
    """A served folder. Paths are relative to it, with or without a slash at the beginning."""

    def __init__(self, path):
        self._top = os.open(path, os.O_PATH | os.O_DIRECTORY)
        os.close(self._opened("", os.O_PATH | os.O_DIRECTORY))  # fails now if the kernel is too old

    def _opened(self, path, flags, **options):
        return replace.open_beneath(self._top, path.lstrip("/") or ".", flags, 0o666, **options)

    @contextlib.contextmanager
    def _descriptor(self, path, flags, **options):
        descriptor = self._opened(path, flags, **options)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _parent(self, path):
        """The last part of the path, and a descriptor of its parent folder."""
        parent, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        with self._descriptor(parent, os.O_PATH | os.O_DIRECTORY) as descriptor:
            yield name, descriptor

    @contextlib.contextmanager
    def _file_or_folder(self, path):
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(self._descriptor(path, os.O_RDONLY))
            except IsADirectoryError:
                descriptor = stack.enter_context(self._descriptor(path, os.O_RDONLY | os.O_DIRECTORY))
            yield descriptor

    def open(self, path, mode="rb"):
        """Open a regular file, as the built-in open() does."""
        return open(path, mode, opener=self._opened)

    def stat(self, path):
        with self._descriptor(path, os.O_PATH, regular=False) as descriptor:
            return os.fstat(descriptor)

    def lstat(self, path):
        with self._descriptor(path, os.O_PATH | os.O_NOFOLLOW, regular=False) as descriptor:
            return os.fstat(descriptor)

    def listdir(self, path):
        with self._descriptor(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            return os.listdir(descriptor)

    def readlink(self, path):
        with self._parent(path) as (name, parent):
            return os.readlink(name, dir_fd=parent)

    def mkdir(self, path):
        with self._parent(path) as (name, parent):
            os.mkdir(name, dir_fd=parent)

    def rmdir(self, path):
        with self._parent(path) as (name, parent):
            os.rmdir(name, dir_fd=parent)

    def remove(self, path):
        with self._parent(path) as (name, parent):
            os.remove(name, dir_fd=parent)

    def rename(self, path, new):
        with self._parent(path) as (name, parent), self._parent(new) as (new_name, new_parent):
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)

    def chmod(self, path, mode):
        """Change the mode of a file or folder that the client may read."""
        with self._file_or_folder(path) as descriptor:
            os.fchmod(descriptor, mode)

    def utime(self, path, seconds):
        """Set both times of a file or folder that the client may read."""
        with self._file_or_folder(path) as descriptor:
            os.utime(descriptor, (seconds, seconds))
