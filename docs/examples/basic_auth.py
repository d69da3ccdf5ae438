# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The users of fastapi_server.py, flask_server.py and webdav_server.py, from a file with their passwords."""

import base64
import hmac

from beneath import client_identity, private_file


class Users:
    """The passwords and the identities of users. A line of the file is `name:password`."""

    def __init__(self, path):
        with private_file(path) as file:
            lines = [line.rstrip("\n").partition(":") for line in file]
        if not all(name and password for name, _, password in lines):
            raise ValueError(f"a line of {path} is not name:password")
        self.passwords = {name: password for name, _, password in lines}
        self.clients = {name: client_identity(name) for name in self.passwords}

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
