# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The users of flask_server.py and webdav_server.py, from a file with their passwords."""

import base64
import hmac
import os

import replace


class Users:
    """The passwords and the identities of users. A line of the file is `name:password`."""

    def __init__(self, path):
        with open(path) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ValueError(f"other users have rights on {path}, which contains passwords; run chmod 600 on it")
            self.passwords = dict(line.rstrip("\n").split(":", 1) for line in file)
        self.clients = {name: replace.Identity.from_user(name) for name in self.passwords}
        for name, client in self.clients.items():
            if client.has_root:
                raise ValueError(f"{name} has uid 0, gid 0 or group 0; remove this user from {path}")

    def identify(self, environ):
        """Return the identity of the user who sent a WSGI request with Basic authentication, or None."""
        scheme, _, login = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            name, _, password = base64.b64decode(login).decode().partition(":")
        except ValueError:
            return None
        right = self.passwords.get(name)
        if scheme.lower() != "basic" or right is None or not hmac.compare_digest(password.encode(), right.encode()):
            return None
        return self.clients[name]
