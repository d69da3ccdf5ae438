# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A WebDAV server on a thread pool. Each request has the rights of its user.

    python3 docs/examples/webdav_server.py --port 8080 dav-users.txt /srv/dav

A line of the users file is `name:password`. Ids and groups come from the user database. The server needs root, Linux
5.6, WsgiDAV and cheroot. Stop it with SIGINT or SIGTERM. ../servers.md explains the design.
"""

import mimetypes
import re
import shutil
import stat

import cheroot_server
from basic_auth import Users
from beneath import Folder
from wsgidav import util
from wsgidav.dav_provider import DAVCollection, DAVNonCollection, DAVProvider
from wsgidav.error_printer import ErrorPrinter
from wsgidav.http_authenticator import HTTPAuthenticator
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp

import replace.wsgi

NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


class Resource:
    """The common part of files and folders. WsgiDAV's own classes open paths directly."""

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
        """The files and folders in this folder, without removed ones and names that XML cannot contain."""
        names = [name for name in self.folder.listdir(self.path) if not NOT_IN_XML.search(name)]
        return [member for member in map(self.get_member, names) if member is not None]

    def get_member(self, name):
        return self.provider.get_resource_inst(util.join_uri(self.path, name), self.environ)

    def create_empty_resource(self, name):
        self.folder.open(f"{self.path}/{name}", "xb").close()
        return self.get_member(name)

    def create_collection(self, name):
        self.folder.mkdir(f"{self.path}/{name}")

    def delete(self):  # WsgiDAV has deleted the members before
        for name in self.folder.listdir(self.path):  # links and FIFOs, which are not members
            self.folder.remove(f"{self.path}/{name}")
        self.folder.rmdir(self.path)

    def copy_move_single(self, dest_path, *, is_move):
        if self.provider.get_resource_inst(dest_path, self.environ) is None:
            self.folder.mkdir(dest_path)


class Provider(DAVProvider):
    """The regular files and folders below the served folder. A link is followed only in the middle of a path."""

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


def create_app(users, folder):
    """Return the application. The server itself handles sockets, passwords and errors, outside of AsClient."""
    users = Users(users)

    def identify(environ):
        return users.clients[environ["wsgidav.auth.user_name"]]  # from HTTPAuthenticator

    as_client = {"class": "replace.wsgi.AsClient", "kwargs": {"app": "${application}", "identify": identify}}
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": Provider(Folder(folder))},
            "simple_dc": {"user_mapping": {"*": {name: {"password": word} for name, word in users.passwords.items()}}},
            "middleware_stack": [ErrorPrinter, HTTPAuthenticator, as_client, RequestResolver],
            # Locks and dead properties are rows in the server's memory, and WsgiDAV checks no permission for them:
            # a user who can see a file could lock it, or give it properties. So both are off.
            "lock_storage": None,
            "property_manager": None,
            "verbose": 1,
        }
    )
    mimetypes.init()  # otherwise the first GET does it, as its user
    replace.protect_os()
    return app


if __name__ == "__main__":
    cheroot_server.main(create_app)
