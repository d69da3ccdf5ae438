# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""An FTP server with a thread a client, in which each thread has the rights of its own client.

    python3 docs/examples/ftp_server.py --port 2121 ftp-users.txt

A line of the file is `name:password:home`; ids and groups are those of the user database.
Needs root, Linux and pyftpdlib.  ../servers.md says why it is written like this; stop it with SIGINT or SIGTERM.
"""

import argparse
import functools
import inspect
import os
import signal
from contextlib import suppress

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import UnixFilesystem
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer
from without_proc import without_proc

import replace

# Generators and name service look-ups.  They need no rights of their own: what they read of files they read
# through lstat(), stat() and readlink() of the same object.
AS_THE_SERVER = {"format_list", "format_mlsx", "get_user_by_uid", "get_group_by_gid"}


def as_the_client(filesystem):
    """Class decorator: every public method runs as the client, those of future versions of pyftpdlib included."""

    def wrapped(function):
        @functools.wraps(function)
        def method(self, *args, **kwargs):
            with replace.impersonate(self.client):
                return function(self, *args, **kwargs)

        return method

    for name, function in inspect.getmembers(filesystem, inspect.isfunction):
        if not name.startswith("_") and name not in AS_THE_SERVER:
            setattr(filesystem, name, wrapped(function))
    return filesystem


class WrittenFile:
    """A file that is written as the client, too: root is above quotas and reserved blocks, and keeps set-uid bits."""

    def __init__(self, file, client):
        self._file, self._client = file, client

    def write(self, data):
        with replace.impersonate(self._client):
            return self._file.write(data)

    def close(self):  # writes what is buffered
        with replace.impersonate(self._client):
            self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


@as_the_client
class ClientFilesystem(UnixFilesystem):
    """The real file system, seen by the user that this object was made for at the login."""

    def __init__(self, home, handler):
        super().__init__(home, handler)
        self.client = handler.authorizer.clients[handler.username]

    def open(self, filename, mode):
        file = super().open(filename, mode)
        return file if mode == "rb" else WrittenFile(file, self.client)

    def mkstemp(self, *args, **kwargs):
        return WrittenFile(super().mkstemp(*args, **kwargs), self.client)

    def chdir(self, path):
        # Not os.chdir(): the working directory is the whole process's.  This asks the kernel the same question.
        os.stat(os.path.join(path, "."))
        self.cwd = self.fs2ftp(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("users", type=argparse.FileType())
    parser.add_argument("--port", type=int, default=2121)
    options = parser.parse_args()
    if os.fstat(options.users.fileno()).st_mode & 0o077:
        parser.error(f"{options.users.name} holds passwords; let nobody else read it")

    authorizer = DummyAuthorizer()
    authorizer.clients = {}
    for line in options.users:
        name, password, home = line.rstrip("\n").split(":")
        authorizer.clients[name] = client = replace.Identity.from_user(name)
        if client.has_root:
            parser.error(f"{name} has uid 0, gid 0 or group 0")
        authorizer.add_user(name, password, home, perm="elradfmwMT")  # the file system says what is permitted

    class Handler(FTPHandler):
        abstracted_fs = ClientFilesystem

    Handler.authorizer = authorizer
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as on Ctrl-C
    replace.protect_os()
    without_proc()
    with suppress(KeyboardInterrupt), ThreadedFTPServer(("127.0.0.1", options.port), Handler) as server:
        print("listening on port", server.address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
