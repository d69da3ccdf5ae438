# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""An SFTP server on an event loop. Worker threads carry out each request with the rights of its user.

    python3 docs/examples/sftp_server.py --port 8022 host-key sftp-users.txt /srv/sftp

A line of the users file is `name:password`, `name::public key` or `name:password:public key`. Ids and groups come from
the user database. The server needs root, Linux 5.6 and asyncssh. Stop it with SIGINT or SIGTERM. ../sftp.md explains
the design.
"""

import argparse
import asyncio
import resource
import secrets
import signal
import weakref

import asyncssh
from beneath import Folder, client_identity, private_file
from sftp_files import ClientFiles

import replace

MAX_LOGINS = 100  # connections that have not logged in yet
MAX_CONNECTIONS = MAX_SESSIONS = 100  # of one user
WORKERS, WORKERS_OF_ONE_USER = 32, 4  # seven users whose file systems hang leave four workers


class Account:
    """A user. The password or the key may be missing."""

    def __init__(self, name, password="", key=""):
        self.name, self.password, self.key = name, password, asyncssh.import_public_key(key) if key else None
        self.client, self.connections = client_identity(name), set()
        self.sessions, self.handles = weakref.WeakSet(), weakref.WeakSet()


class Login(asyncssh.SSHServer):
    """A connection. asyncssh refuses a shell, commands and forwarding, because this class does not offer them."""

    waiting = set()

    def __init__(self):
        self.account, self.writable = None, asyncio.Event()

    def connection_made(self, connection):
        # asyncio calls these two functions when the socket is full and when it is free. asyncssh's own do nothing.
        connection.pause_writing, connection.resume_writing = self.writable.clear, self.writable.set
        self.writable.set()
        self.connection = connection
        self.waiting.add(self)
        if len(self.waiting) > MAX_LOGINS:
            connection.abort()

    def connection_lost(self, error):
        self.waiting.discard(self)
        if self.account:
            self.account.connections.discard(self)
        self.writable.set()

    def password_auth_supported(self):
        return True

    public_key_auth_supported = password_auth_supported

    def validate_password(self, username, password):
        account = self.accounts.get(username)
        expected = account and account.password
        return bool(expected) and secrets.compare_digest(password.encode(), expected.encode())

    def validate_public_key(self, username, key):
        account = self.accounts.get(username)
        return account is not None and key == account.key

    def auth_completed(self):
        self.waiting.discard(self)
        self.account = self.accounts[self.connection.get_extra_info("username")]
        self.account.connections.add(self)
        if len(self.account.connections) > MAX_CONNECTIONS:
            self.connection.abort()


def start_session(channel):
    login = channel.get_connection().get_owner()
    if sum(session.is_in_use() for session in login.account.sessions) >= MAX_SESSIONS:
        raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, "Too many sessions.")
    session = ClientFiles(channel, login)
    login.account.sessions.add(session)
    return session


OPTIONS = {"server_factory": Login, "sftp_factory": start_session, "agent_forwarding": False, "allow_pty": False}
OPTIONS |= {"compression_algs": None, "gss_host": None, "line_editor": False}
OPTIONS |= {"keepalive_interval": 300, "login_timeout": 30}


async def serve(port, key):
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncssh.listen("127.0.0.1", port, server_host_keys=[key], **OPTIONS)
    print("listening on port", server.get_port(), flush=True)
    await stop.wait()
    server.close()


def main():
    parser = argparse.ArgumentParser()
    for name in ("key", "users", "folder"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int, default=8022)
    options = parser.parse_args()
    try:
        with private_file(options.key) as key, private_file(options.users) as lines:
            key = asyncssh.import_private_key(key.read())
            accounts = [Account(*line.rstrip("\n").split(":", 2)) for line in lines]
        Login.accounts, Login.folder = {account.name: account for account in accounts}, Folder(options.folder)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    replace.preload()
    replace.protect_os()
    with replace.IdentityExecutor(WORKERS, max_per_identity=WORKERS_OF_ONE_USER) as Login.pool:
        asyncio.run(serve(options.port, key))


if __name__ == "__main__":
    main()
