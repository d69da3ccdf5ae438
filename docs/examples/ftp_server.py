# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""An FTP server with one thread for each client. Each thread has the rights of its client.

    python3 docs/examples/ftp_server.py --port 2121 ftp-users.txt /srv/ftp

A line of the users file is `name:password:home`. The home is a folder below the served folder. Ids and groups come
from the user database. The server needs root, Linux 5.6 and pyftpdlib. Stop it with SIGINT or SIGTERM.
../servers.md explains the design.
"""

import argparse
import functools
import inspect
import secrets
import signal
import stat
from contextlib import suppress

from beneath import Folder, client_identity, private_file
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

import replace

# These methods need no rights. They compute names, look up user names, or call the wrapped methods lstat(), stat() and
# readlink() of the same object.
AS_THE_SERVER = {
    "ftpnorm",
    "ftp2fs",
    "fs2ftp",
    "format_list",
    "format_mlsx",
    "get_user_by_uid",
    "get_group_by_gid",
}


def as_the_client(filesystem):
    """Class decorator: run the class's own methods as the client; refuse inherited ones, which open paths."""

    def wrapped(function):
        @functools.wraps(function)
        def method(self, *args, **kwargs):
            with replace.impersonate(self.client):
                return function(self, *args, **kwargs)

        return method

    def refused(self, *args, **kwargs):
        raise FilesystemError("Not supported.")

    for name, function in inspect.getmembers(filesystem, inspect.isfunction):
        if not name.startswith("_") and name not in AS_THE_SERVER:
            setattr(filesystem, name, wrapped(function) if name in vars(filesystem) else refused)
    return filesystem


class WrittenFile:
    """A file whose data is written as the client: root ignores quotas and reserved blocks, and keeps set-uid bits."""

    def __init__(self, file, client):
        self._file, self._client = file, client

    def write(self, data):
        with replace.impersonate(self._client):
            return self._file.write(data)

    def close(self):  # writes buffered data
        with replace.impersonate(self._client):
            self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


@as_the_client
class ClientFilesystem(AbstractedFS):
    """The served folder, as one user sees it. pyftpdlib makes one object for each login."""

    def __init__(self, root, handler):
        super().__init__(root, handler)
        self.folder = handler.folder
        self.client, self.cwd = handler.authorizer.clients[handler.username]

    def open(self, filename, mode):
        file = self.folder.open(filename, mode)
        return file if mode == "rb" else WrittenFile(file, self.client)

    def mkstemp(self, suffix="", prefix="", dir="", mode="wb"):
        name = f"{dir}/{prefix}{secrets.token_hex(4)}{suffix}"
        return WrittenFile(self.folder.open(name, "xb"), self.client)

    def chdir(self, path):
        # Not os.chdir(), which changes the whole process. stat() makes the same permission check.
        self.folder.stat(f"{path}/.")
        self.cwd = path

    def listdir(self, path):
        return self.folder.listdir(path)

    def mkdir(self, path):
        self.folder.mkdir(path)

    def rmdir(self, path):
        self.folder.rmdir(path)

    def remove(self, path):
        self.folder.remove(path)

    def rename(self, src, dst):
        self.folder.rename(src, dst)

    def chmod(self, path, mode):
        self.folder.chmod(path, mode)

    def utime(self, path, timeval):
        self.folder.utime(path, timeval)

    def stat(self, path):
        return self.folder.stat(path)

    def lstat(self, path):
        return self.folder.lstat(path)

    def readlink(self, path):
        return self.folder.readlink(path)

    def getsize(self, path):
        return self.folder.stat(path).st_size

    def getmtime(self, path):
        return self.folder.stat(path).st_mtime

    def isfile(self, path):
        with suppress(OSError):
            return stat.S_ISREG(self.folder.stat(path).st_mode)
        return False

    def isdir(self, path):
        with suppress(OSError):
            return stat.S_ISDIR(self.folder.stat(path).st_mode)
        return False

    def lexists(self, path):
        with suppress(OSError):
            return bool(self.folder.lstat(path))
        return False

    # The kernel decides where a name leads, when the file is opened.

    def realpath(self, path):
        return path

    def validpath(self, path):
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("users")
    parser.add_argument("folder", type=Folder)
    parser.add_argument("--port", type=int, default=2121)
    options = parser.parse_args()

    authorizer = DummyAuthorizer()
    authorizer.clients = {}
    try:
        with private_file(options.users) as lines:
            for name, password, home in (line.rstrip("\n").split(":") for line in lines):
                if not password:
                    raise ValueError(f"{name} has no password in {options.users}, so everybody could log in")
                authorizer.clients[name] = client_identity(name), home
                authorizer.add_user(name, password, "/", perm="elradfmwMT")  # the file system checks the rights
    except (OSError, ValueError) as error:
        parser.error(str(error))

    class Handler(FTPHandler):
        abstracted_fs = ClientFilesystem
        folder = options.folder

    Handler.authorizer = authorizer
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as on Ctrl-C
    replace.protect_os()
    with suppress(KeyboardInterrupt), ThreadedFTPServer(("127.0.0.1", options.port), Handler) as server:
        print("listening on port", server.address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
