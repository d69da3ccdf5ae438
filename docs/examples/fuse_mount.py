# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A FUSE file system that shows a folder. Each request has the rights of the thread that makes it.

    python3 docs/examples/fuse_mount.py /srv/files /mnt/files

It needs root, Linux 5.6, libfuse 3.12 and mfusepy. Stop it with SIGINT or SIGTERM. ../fuse.md explains the design.
"""

import argparse
import contextlib
import errno
import inspect
import os
import sys
import threading
import time
from types import SimpleNamespace

from beneath import Folder
from mfusepy import FUSE, fuse_get_context

import replace

RULES = replace.Resolve.BENEATH | replace.Resolve.NO_SYMLINKS | replace.Resolve.NO_MAGICLINKS
FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND | os.O_SYNC | os.O_DSYNC
STAT = [name for name in dir(os.stat_result) if name.startswith("st_") and not name.endswith("time")]
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def caller():
    """The identity of the thread that makes this request, with the groups that it has now."""
    uid, gid, thread = fuse_get_context()
    identity = replace.Identity.of_process(thread)
    if (identity.uid, identity.gid) != (uid, gid):
        raise PermissionError(errno.EACCES, "the request has other ids than its thread")
    return identity


def with_identity(operations):
    """Class decorator: run each operation as its caller, or as the thread that opened the file."""

    def wrapped(function):
        has_handle = "fh" in inspect.signature(function).parameters  # always the last one

        def operation(self, *args):
            try:
                client = self._client(function.__name__, args[0], args[-1] if has_handle else None)
                guard = replace.impersonate(client)
            except replace.IdentityRefused as error:  # root, a thread of the kernel, or outside of the PID namespace
                raise PermissionError(errno.EACCES, str(error)) from error
            with guard:
                return function(self, *args)

        operation.__signature__ = inspect.signature(function)  # mfusepy counts the parameters of create()
        return operation

    for name, function in inspect.getmembers(operations, inspect.isfunction):
        if not name.startswith("_") and name not in ("init", "pinned"):  # operations call pinned()
            setattr(operations, name, wrapped(function))
    return operations


@with_identity
class Operations(Folder):
    """The operations that mfusepy finds here. The kernel refuses those that are missing, or does without them."""

    use_ns = True  # times are integers

    def __init__(self, folder):
        super().__init__(folder)
        self._lock, self._files, self._closed = threading.Lock(), {}, {}

    def _client(self, operation, path, handle):
        if handle is not None:
            return self._files[handle].opener
        # While a removed file is open, libfuse gives it a hidden name. The thread of libfuse that has closed it then
        # removes this name, and nobody asks for that. Do it as the caller who removed the file.
        closed = self._closed.get(threading.get_native_id())
        if operation == "unlink" and closed and closed.path == path and fuse_get_context() == (0, 0, 0):
            return closed.renamer or caller()
        return caller()

    def _opened(self, path, flags, mode=0, **options):
        # The kernel has followed the links. One that it does not know took the place of a file or folder just now.
        return replace.open_beneath(self._top, path.lstrip("/") or ".", flags, mode, resolve=RULES, **options)

    @contextlib.contextmanager
    def pinned(self, path):
        with self._descriptor(path, os.O_PATH | os.O_NOFOLLOW, regular=False) as descriptor:
            yield f"/proc/self/fd/{descriptor}"

    def _kept(self, path, descriptor):
        """The handle of an open file. A folder has no path here."""
        entry, opener = os.fstat(descriptor), replace.Identity.current()
        new = SimpleNamespace(opener=opener, file=(entry.st_dev, entry.st_ino), path=path, renamer=None)
        with self._lock:
            # The kernel has one page cache for each name. Two files must not share it: mmap(2) would show the other.
            if all(old.file == new.file for old in self._files.values() if path and old.path == path):
                self._files[descriptor] = new
                return descriptor
        os.close(descriptor)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    def init(self, path):
        print("mounted on", sys.argv[-1], flush=True)

    def getattr(self, path, fh):
        entry = super().lstat(path) if fh is None else os.fstat(fh)
        return {name.removesuffix("_ns"): getattr(entry, name) for name in STAT}

    def chown(self, path, uid, gid):
        with self.pinned(path) as name:
            os.chown(name, uid, gid)

    def truncate(self, path, length):
        with self.pinned(path) as name:
            os.truncate(name, length)

    def utimens(self, path, times):
        with self.pinned(path) as name:
            if set(times) == {UTIME_NOW}:
                return os.utime(name)  # needs only the right to write
            entry, now = os.stat(name), time.time_ns()
            new = [{UTIME_NOW: now, UTIME_OMIT: old} for old in (entry.st_atime_ns, entry.st_mtime_ns)]
            return os.utime(name, ns=tuple(map(dict.get, new, times, times)))

    def statfs(self, path):
        with self._descriptor(path, os.O_PATH, regular=False) as descriptor:
            found = os.statvfs(descriptor)
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}

    def unlink(self, path):
        super().remove(path)

    def symlink(self, path, target):
        super().symlink(target, path)

    def link(self, path, old):
        super().link(old, path)

    def rename(self, path, new):
        super().rename(path, new)
        with self._lock:
            for file in self._files.values():
                if file.path == path:
                    file.path, file.renamer = new, replace.Identity.current()
                elif file.path and file.path.startswith(f"{path}/"):
                    file.path = new + file.path[len(path) :]

    def open(self, path, flags):
        return self._kept(path, self._opened(path, flags & FLAGS))

    def create(self, path, mode, flags):
        return self._kept(path, self._opened(path, flags & FLAGS | os.O_CREAT, mode & 0o7777))

    def opendir(self, path):
        return self._kept(None, self._opened(path, os.O_RDONLY | os.O_DIRECTORY))

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def readdir(self, path, fh):
        with os.scandir(fh) as entries:
            return [(entry.name, {"st_ino": entry.inode(), "st_mode": 0}, 0) for entry in entries]

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        with self._lock:
            self._closed[threading.get_native_id()] = self._files.pop(fh)
        os.close(fh)

    releasedir = release


class Mount(FUSE):
    def rename_fuse_3(self, old, new, flags):
        # mfusepy ignores the flags. An exchange would lose one of the two files.
        return -errno.EINVAL if flags else super().rename_fuse_3(old, new, flags)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Operations)
    parser.add_argument("mountpoint")
    options = parser.parse_args()
    os.umask(0)  # the kernel has applied the caller's umask
    replace.protect_os()
    caches = {"entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0, "direct_io": True}
    others = {"allow_other": True, "default_permissions": True, "nosuid": True, "nodev": True}
    more = {"use_ino": True, "max_threads": 32, "max_idle_threads": 32, "encoding": sys.getfilesystemencoding()}
    try:
        Mount(options.folder, options.mountpoint, foreground=True, **caches, **others, **more)
    except RuntimeError as error:
        if error.args != (8,):  # libfuse's result after a signal; it has unmounted
            raise


if __name__ == "__main__":
    main()
