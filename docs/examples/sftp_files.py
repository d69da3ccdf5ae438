# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The served folder of sftp_server.py, as one user sees it. ../sftp.md explains the design."""

import asyncio
import inspect
import itertools
import os
import posixpath
import stat

import asyncssh

import replace

MAX_HANDLES = 500  # open files and folders of one user
CHUNK = 1 << 18  # the largest part of a file that is read at once
ACCESS = [os.O_RDONLY, os.O_RDONLY, os.O_WRONLY, os.O_RDWR]  # by the two bits FXF_READ and FXF_WRITE
FLAGS = {asyncssh.FXF_APPEND: os.O_APPEND, asyncssh.FXF_CREAT: os.O_CREAT}
FLAGS |= {asyncssh.FXF_TRUNC: os.O_TRUNC, asyncssh.FXF_EXCL: os.O_EXCL}

# These methods touch no file, or call the others. The event loop's thread runs them.
NEW = {"entries", "wait_for_reader", "is_in_use", "add_handle"}
OVERRIDDEN = {"realpath", "scandir", "format_user", "format_group"}
INHERITED = {"convert_attrs", "format_longname", "exit"}
ON_THE_LOOP = NEW | OVERRIDDEN | INHERITED


def as_the_client(server):
    """Class decorator: run the class's own methods as the client, in a worker thread; refuse inherited ones."""

    def wrapped(function):
        async def method(self, *args):
            self.requests += 1
            try:
                await self.wait_for_reader()
                return await replace.run_as(self.client, function, self, *args, executor=self.pool)
            finally:
                self.requests -= 1

        return method

    def refused(self, *args, **kwargs):
        raise asyncssh.SFTPOpUnsupported("Not supported.")

    for name, function in inspect.getmembers(server, callable):
        if not name.startswith("__") and name not in ON_THE_LOOP:
            setattr(server, name, wrapped(function) if name in vars(server) else refused)
    return server


class Handle:
    """An open file or folder. asyncssh finds only seek() in it, so it cannot touch the file on the loop's thread."""

    def __init__(self, descriptor):
        self.descriptor, self.entries = descriptor, None

    def seek(self, offset, whence):
        """Answer asyncssh's question for the next data or the next hole: all is data."""
        return offset if whence == os.SEEK_DATA else 1 << 63

    def close(self):
        descriptor, self.descriptor = self.descriptor, -1
        if self.entries:
            self.entries.close()
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


def attributes(entry):
    """The attributes of SFTP version 3. asyncssh's from_local() also looks up names of users."""
    atime, mtime = (min(max(int(time), 0), 0xFFFFFFFF) for time in (entry.st_atime, entry.st_mtime))
    return asyncssh.SFTPAttrs(
        size=entry.st_size, uid=entry.st_uid, gid=entry.st_gid, permissions=entry.st_mode, atime=atime, mtime=mtime
    )


def mode_of(attrs, default):
    return default if attrs.permissions is None else stat.S_IMODE(attrs.permissions)


def set_attributes(file, attrs):
    if attrs.size is not None:
        os.truncate(file, attrs.size)
    if attrs.uid is not None:
        os.chown(file, attrs.uid, attrs.gid)
    if attrs.permissions is not None:
        os.chmod(file, mode_of(attrs, None))
    if attrs.mtime is not None:
        os.utime(file, (attrs.atime, attrs.mtime))


def of_folder(name):
    return lambda self, *paths: getattr(self.folder, name)(*paths)


@as_the_client
class ClientFiles(asyncssh.SFTPServer):
    """The served folder, as one user sees it. asyncssh makes one object for each session."""

    def __init__(self, channel, login):
        super().__init__(channel)
        self.folder, self.pool, self.writable = login.folder, login.pool, login.writable
        self.client, self.handles, self.requests = login.account.client, login.account.handles, 0

    def is_in_use(self):
        """Whether the client may send requests, or a request has not ended. Its file system may not answer."""
        return self.requests > 0 or not self.channel.is_closing()

    async def wait_for_reader(self):
        """Wait until the client has read most of the answers. asyncssh keeps any number of them."""
        await self.writable.wait()
        while self.channel.get_write_buffer_size() > CHUNK:
            await asyncio.sleep(0.02)

    def add_handle(self, handle):
        if len(self.handles) >= MAX_HANDLES:
            raise asyncssh.SFTPFailure("Too many open files.")
        self.handles.add(handle)
        return handle

    def open(self, path, pflags, attrs):
        handle = self.add_handle(Handle(-1))
        flags = sum(flag for bit, flag in FLAGS.items() if pflags & bit) | ACCESS[pflags & 3]
        handle.descriptor = self.folder.os_open(path, flags, mode_of(attrs, 0o666))
        return handle

    def read(self, handle, offset, size):
        if self.channel.is_closing():  # ends a copy from file to file if the client has gone
            raise asyncssh.SFTPConnectionLost("The client has gone.")
        return os.pread(handle.descriptor, min(size, CHUNK), offset)

    def write(self, handle, offset, data):
        done = 0
        while done < len(data):
            done += os.pwrite(handle.descriptor, data[done:], offset + done)
        return done

    def close(self, handle):
        handle.close()

    def fstat(self, handle):
        return attributes(os.fstat(handle.descriptor))

    def fsetstat(self, handle, attrs):
        set_attributes(handle.descriptor, attrs)

    def fstatvfs(self, handle):
        return os.statvfs(handle.descriptor)

    def fsync(self, handle):
        os.fsync(handle.descriptor)

    def scandir(self, path):
        return self.add_handle(self.entries(path))

    async def entries(self, path):
        folder = await self.opendir(path)
        try:
            while names := await self.readdir(folder):
                for name in names:
                    yield name
        finally:
            await self.close(folder)

    def opendir(self, path):
        folder = Handle(self.folder.os_open(path, os.O_RDONLY | os.O_DIRECTORY))
        self.handles.add(folder)  # until it is closed, which may be after its client has forgotten it
        folder.entries = os.scandir(folder.descriptor)
        return folder

    def readdir(self, folder):
        names = []
        for entry in itertools.islice(folder.entries, 100):
            try:
                attrs = attributes(entry.stat(follow_symlinks=False))
            except OSError:  # removed, or in a folder that the client may list but not enter
                attrs = asyncssh.SFTPAttrs()
            names.append(asyncssh.SFTPName(os.fsencode(entry.name), attrs=attrs))
        return names

    def mkdir(self, path, attrs):
        self.folder.mkdir(path, mode_of(attrs, 0o777))

    def stat(self, path):
        return attributes(self.folder.stat(path))

    def lstat(self, path):
        return attributes(self.folder.lstat(path))

    def setstat(self, path, attrs):
        with self.folder.pinned(path) as file:
            set_attributes(file, attrs)

    def statvfs(self, path):
        with self.folder.pinned(path) as file:
            return os.statvfs(file)

    def rename(self, path, new):
        self.folder.rename(path, new, replace=False)

    posix_rename, link, symlink, remove, rmdir = map(of_folder, ["rename", "link", "symlink", "remove", "rmdir"])

    def readlink(self, path):
        return os.fsencode(self.folder.readlink(path))

    async def realpath(self, path):  # the kernel decides where a name leads, when it is used
        await self.wait_for_reader()
        return posixpath.normpath(b"/" + path.lstrip(b"/"))

    def format_user(self, uid):
        return str(uid)

    format_group = format_user
