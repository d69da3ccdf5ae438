# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A WebDAV server on a pool of threads, in which each request is carried out with its user's rights.

    python3 docs/examples/webdav_server.py --port 8080 dav-users.txt /srv/dav

A line of the file is `name:password`; ids and groups are those of the user database.
Needs root, Linux 5.6, WsgiDAV and cheroot. ../servers.md says why it is written like this; stop it with SIGINT or
SIGTERM.
"""

import argparse
import mimetypes
import os
import re
import shutil
import signal
import stat
import threading

from beneath import Folder
from cheroot.wsgi import Server
from wsgidav import util
from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider
from wsgidav.error_printer import ErrorPrinter
from wsgidav.http_authenticator import HTTPAuthenticator
from wsgidav.mw.base_mw import BaseMiddleware
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp

import replace


class AsTheUser(BaseMiddleware):
    """What comes after it in the stack runs as the user that HTTPAuthenticator has found."""

    def __call__(self, environ, start_response):
        client = self.config["clients"][environ["wsgidav.auth.user_name"]]
        with replace.impersonate(client):
            body = self.next_app(environ, start_response)
        # WsgiDAV's applications are generators: nothing has run yet.  All of it runs in next() and close(), which
        # hold the identity; between two chunks, while the client is being waited for, the thread is the server.
        return replace.impersonated(client, body)


NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


class Resource:
    """What a file and a folder have in common. WsgiDAV's own would open paths by themselves."""

    def __init__(self, path, environ, entry):
        super().__init__(path, environ)
        self.folder, self.entry = self.provider.folder, entry

    def get_creation_date(self):
        return self.entry.st_ctime

    def get_last_modified(self):
        return self.entry.st_mtime

    def set_last_modified(self, dest_path, time_stamp, *, dry_run):
        if not dry_run:
            self.folder.utime(dest_path, util.parse_time_string(time_stamp))
        return True

    def support_recursive_move(self, dest_path):
        return True

    def move_recursive(self, dest_path):
        self.folder.rename(self.path, dest_path)


class File(Resource, DAVNonCollection):
    def get_content_length(self):
        return self.entry.st_size

    def get_content_type(self):
        return util.guess_mime_type(self.path)

    def get_etag(self):
        return f"{self.entry.st_ino}-{self.entry.st_mtime_ns}-{self.entry.st_size}"

    def support_etag(self):
        return True

    def support_ranges(self):
        return True

    def get_content(self):
        return self.folder.open(self.path)

    def begin_write(self, *, content_type=None):
        return self.folder.open(self.path, "wb")

    def delete(self):
        self.folder.remove(self.path)

    def copy_move_single(self, dest_path, *, is_move):
        with self.folder.open(self.path) as source, self.folder.open(dest_path, "wb") as copy:
            shutil.copyfileobj(source, copy)


class Collection(Resource, DAVCollection):
    def get_etag(self):
        return None

    def get_member_names(self):
        return [member.name for member in self.get_member_list()]

    def get_member_list(self):
        """Without what is no member, was removed meanwhile, or has a name that XML cannot hold."""
        names = [name for name in self.folder.listdir(self.path) if not NOT_IN_XML.search(name)]
        return [member for member in map(self.get_member, names) if member is not None]

    def get_member(self, name):
        return self.provider.get_resource_inst(util.join_uri(self.path, name), self.environ)

    def create_empty_resource(self, name):
        self.folder.open(f"{self.path}/{name}", "xb").close()
        return self.get_member(name)

    def create_collection(self, name):
        self.folder.mkdir(f"{self.path}/{name}")

    def delete(self):  # after its members
        for name in self.folder.listdir(self.path):  # links, FIFOs and the like, which are none
            self.folder.remove(f"{self.path}/{name}")
        self.folder.rmdir(self.path)

    def copy_move_single(self, dest_path, *, is_move):
        if self.provider.get_resource_inst(dest_path, self.environ) is None:
            self.folder.mkdir(dest_path)


class Provider(DAVProvider):
    """The folder that is served: regular files and folders. Links lead on in the middle of a path only."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def get_resource_inst(self, path, environ):
        try:
            entry = self.folder.lstat(path)
        except (OSError, ValueError):
            return None
        if stat.S_ISDIR(entry.st_mode):
            return Collection(path, environ, entry)
        return File(path, environ, entry) if stat.S_ISREG(entry.st_mode) else None


def application(users, folder):
    """The WSGI application, with what is the server's own (sockets, passwords, errors) outside of AsTheUser."""
    return WsgiDAVApp(
        {
            "provider_mapping": {"/": Provider(folder)},
            "clients": {name: replace.Identity.from_user(name) for name in users},
            "simple_dc": {"user_mapping": {"*": {name: {"password": word} for name, word in users.items()}}},
            "middleware_stack": [ErrorPrinter, HTTPAuthenticator, AsTheUser, RequestResolver],
            # Locks and dead properties are rows in the server's memory, and WsgiDAV asks no permission for them:
            # who sees a file could lock it, or give it properties.  So there are none.
            "lock_storage": None,
            "property_manager": None,
            "verbose": 1,
        }
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("users", type=argparse.FileType())
    parser.add_argument("folder", type=Folder)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    if os.fstat(options.users.fileno()).st_mode & 0o077:
        parser.error(f"{options.users.name} holds passwords; let nobody else read it")
    app = application(dict(line.rstrip("\n").split(":", 1) for line in options.users), options.folder)
    for name, client in app.config["clients"].items():
        if client.has_root:
            parser.error(f"{name} has uid 0, gid 0 or group 0")

    mimetypes.init()  # else the first GET would do it, as its user
    replace.protect_os()
    # An interrupt between two lines of cheroot's queue can lose a thread's wake-up, and stop() waits for it for ever.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = Server(("127.0.0.1", options.port), app, numthreads=50)
    server.max_request_header_size = 1 << 16  # else a line that never ends is kept in memory
    server.prepare()
    loop = threading.Thread(target=server.serve)
    loop.start()
    print("listening on port", server.bind_addr[1], flush=True)
    signal.sigwait(signals)
    server.stop()
    loop.join()


if __name__ == "__main__":
    main()
