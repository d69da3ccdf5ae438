# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A WebDAV server on a pool of threads, in which each request is carried out with its user's rights.

    python3 docs/examples/webdav_server.py --port 8080 dav-users.txt /srv/dav

A line of the file is `name:password`; ids and groups are those of the user database.
Needs root, Linux, WsgiDAV and cheroot.  ../servers.md says why it is written like this; stop it with SIGINT or SIGTERM.
"""

import argparse
import mimetypes
import os
import signal
import threading

from cheroot.wsgi import Server
from without_proc import without_proc
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


def application(users, root):
    """The WSGI application, with what is the server's own (sockets, passwords, errors) outside of AsTheUser."""
    return WsgiDAVApp(
        {
            "provider_mapping": {"/": root},
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
    parser.add_argument("root")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    if os.fstat(options.users.fileno()).st_mode & 0o077:
        parser.error(f"{options.users.name} holds passwords; let nobody else read it")
    app = application(dict(line.rstrip("\n").split(":", 1) for line in options.users), options.root)
    for name, client in app.config["clients"].items():
        if client.has_root:
            parser.error(f"{name} has uid 0, gid 0 or group 0")

    mimetypes.init()  # else the first GET would do it, as its user
    replace.protect_os()
    without_proc()
    # An interrupt between two lines of cheroot's queue can lose a thread's wake-up, and stop() waits for it for ever.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = Server(("127.0.0.1", options.port), app, numthreads=10)
    server.prepare()
    loop = threading.Thread(target=server.serve)
    loop.start()
    print("listening on port", server.bind_addr[1], flush=True)
    signal.sigwait(signals)
    server.stop()
    loop.join()


if __name__ == "__main__":
    main()
