# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the servers share: the files below one folder, by names that clients send, and the start of a server.

The identity decides what a client may do with a file. This module decides which files a client can name: no name
leads out of the folder or into /proc, and only regular files are opened. Each call resolves a name once, with
open_beneath(), and then uses the descriptor. It needs Linux 5.6. ../limits.md, "Files that clients name", explains it.
"""

import contextlib
import errno
import os

import replace


def private_file(path):
    """Open a file with passwords or keys."""
    file = open(path)  # noqa: SIM115
    if os.fstat(file.fileno()).st_mode & 0o077:
        raise ValueError(f"other users have rights on {path}, which contains secrets; run chmod 600 on it")
    return file


def client_identity(name):
    """Look up a user of the users file. Root is refused."""
    try:
        client = replace.Identity.from_user(name)
    except KeyError as error:
        raise ValueError(f"{error.args[0]}; remove this user from the users file") from None
    if client.has_root:
        raise ValueError(f"{name} has uid 0, gid 0 or group 0; remove this user from the users file")
    return client


class Folder:
    """A served folder. Paths are str or bytes, and relative to it, with or without a slash at the beginning."""

    def __init__(self, path):
        self._top = os.open(path, os.O_PATH | os.O_DIRECTORY)
        with self._descriptor("", os.O_PATH | os.O_DIRECTORY) as descriptor:
            os.stat(f"/proc/self/fd/{descriptor}")  # fails now if the kernel is too old or /proc is missing

    def os_open(self, path, flags, mode=0o666):
        """Open a regular file, or a folder with O_DIRECTORY, as os.open() does."""
        return self._opened(path, flags, mode)

    def _opened(self, path, flags, mode=0o666, **options):  # fuse_mount.py has rules of its own
        return replace.open_beneath(self._top, os.fsdecode(path).lstrip("/") or ".", flags, mode, **options)

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
        parent, _, name = os.fsdecode(path).rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        with self._descriptor(parent, os.O_PATH | os.O_DIRECTORY) as descriptor:
            yield name, descriptor

    @contextlib.contextmanager
    def pinned(self, path):
        """A name for calls that take no O_PATH descriptor. It leads to this file, whatever happens to the path.

        The client may have no right to open the file. The kernel checks what the call needs.
        """
        with self._descriptor(path, os.O_PATH, regular=False) as descriptor:
            yield f"/proc/self/fd/{descriptor}"

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

    def mkdir(self, path, mode=0o777):
        with self._parent(path) as (name, parent):
            os.mkdir(name, mode, dir_fd=parent)

    def rmdir(self, path):
        with self._parent(path) as (name, parent):
            os.rmdir(name, dir_fd=parent)

    def remove(self, path):
        with self._parent(path) as (name, parent):
            os.remove(name, dir_fd=parent)

    def rename(self, path, new, replace=True):
        with self._parent(path) as (name, parent), self._parent(new) as (new_name, new_parent):
            if not replace:
                with contextlib.suppress(FileNotFoundError):
                    os.lstat(new_name, dir_fd=new_parent)
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)

    def link(self, path, new):
        with self._parent(path) as (name, parent), self._parent(new) as (new_name, new_parent):
            os.link(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent, follow_symlinks=False)

    def symlink(self, target, path):
        """Make a link. Its target may be any text: no call follows a link out of the folder."""
        with self._parent(path) as (name, parent):
            os.symlink(os.fsdecode(target), name, dir_fd=parent)

    def chmod(self, path, mode):
        with self.pinned(path) as file:
            os.chmod(file, mode)

    def utime(self, path, seconds):
        """Set both times of a file or folder."""
        with self.pinned(path) as file:
            os.utime(file, (seconds, seconds))
