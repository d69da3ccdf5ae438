# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Adapters for support/hostile.py. There is one for each server, and all have the same methods."""

import asyncio
import base64
import contextlib
import ftplib
import functools
import http.client
import os
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote_to_bytes

import replace
from support.builds import imported
from support.children import HANG
from support.hostile import ATTACKER, PLANTED
from support.servers import IDS

#: Two files of the attacker. Attacks copy and rename the first to a name of another user, and a file of another user
#: to the second.
OWN = [f"{ATTACKER}/{name}".encode() for name in ("spare", "taken")]


T = TypeVar("T")


def receive_all(connection: socket.socket, limit: int = 64 << 20) -> bytes:
    """Read until the server closes or resets the connection."""
    found = []
    with contextlib.suppress(ConnectionError):
        while limit > 0 and (chunk := connection.recv(1 << 16)):
            found.append(chunk)
            limit -= len(chunk)
    return b"".join(found)


class Adapter:
    """Ask a server for one path as one user. A path is absolute, or relative to the folder that the server serves."""

    #: What the server does: it writes files, lists folders, reads request lines.
    writes = lists = lines = True
    #: Whether the server resolves the client's paths. Otherwise the client's kernel asks it for one name at a time.
    resolves = True
    #: Whether read() of a folder returns the names in it.
    reads_folders = False
    #: Whether the server starts a thread for each connection.
    starts_threads = False
    #: Whether the server has an IdentityExecutor, whose idle workers keep an identity.
    has_pool = False
    #: The prefix of a relative path.
    base = b""

    def __init__(self, address: str) -> None:
        self.address = address
        #: The error texts that the attacker received.
        self.refusals: list[bytes] = []
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        self._open.close()

    def full_path(self, path: bytes) -> bytes:
        return path if path.startswith(b"/") else self.base + path

    def record_refusal(self, user: str, reason: bytes | str) -> None:
        if user == ATTACKER:
            self.refusals.append(reason.encode("latin-1") if isinstance(reason, str) else reason)

    def connect(self, user: str | replace.Identity) -> socket.socket:
        """Connect as this user."""
        connection = self._open.enter_context(socket.socket(socket.AF_UNIX))
        identity = replace.Identity(*IDS[user]) if isinstance(user, str) else user
        with replace.impersonate(identity):  # SO_PEERCRED is read at connect
            connection.connect(self.address)  # waits if many clients connect
        connection.settimeout(HANG)
        return connection

    def read(self, user: str, path: bytes) -> bytes | None:
        """Return the content of a file, or None if the server refuses."""
        raise NotImplementedError

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        """Return the names in a folder, or None if the server refuses."""
        raise NotImplementedError

    def write(self, user: str, path: bytes, data: bytes) -> bool:
        """Write a file; return whether the server reports success."""
        raise NotImplementedError

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        """Send all other requests about this path; yield the answers."""
        return iter(())

    def begin(self, user: str, path: bytes) -> socket.socket:
        """Ask for a file and read nothing; return the connection for the file."""
        raise NotImplementedError

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        """Announce a million bytes and send half of them; return the connection."""
        raise NotImplementedError

    def begin_line(self, user: str) -> socket.socket:
        """Return a connection on which the next bytes of the client continue or begin a request line."""
        raise NotImplementedError


class Tutorial(Adapter):
    """The servers of docs/start-python.md: a request is a line with a path, and the answer is the content."""

    writes = lists = False
    starts_threads = True

    def begin(self, user: str, path: bytes) -> socket.socket:
        connection = self.connect(user)
        with contextlib.suppress(ConnectionError):  # the server may close before it has read the whole line
            connection.sendall(self.full_path(path) + b"\n")
        return connection

    def read(self, user: str, path: bytes) -> bytes | None:
        with self.begin(user, path) as connection:
            return receive_all(connection) or None

    def begin_line(self, user: str) -> socket.socket:
        return self.connect(user)


class FileService(Adapter):
    """docs/examples/file_service.py."""

    has_pool = True

    def begin(self, user: str | replace.Identity, path: bytes, verb: bytes = b"GET ") -> socket.socket:
        connection = self.connect(user)
        with contextlib.suppress(ConnectionError):
            connection.sendall(verb + self.full_path(path) + b"\n")
        return connection

    def _ask(self, user: str, verb: bytes, path: bytes, body: bytes = b"") -> bytes | None:
        with self.begin(user, path, verb) as connection, connection.makefile("rb") as answers:
            try:
                line = answers.readline()
                if line == b"SEND\n":
                    connection.sendall(body)
                    line = answers.readline()
                if line.startswith(b"OK "):
                    return answers.read(int(line[3:]))
            except ConnectionError:
                return None
            self.record_refusal(user, line)
            connection.shutdown(socket.SHUT_WR)
            self.record_refusal(user, receive_all(connection))  # a newline in the path makes two requests
            return None

    def read(self, user: str, path: bytes) -> bytes | None:
        return self._ask(user, b"GET ", path)

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        answer = self._ask(user, b"LIST ", path)
        return None if answer is None else set(answer.splitlines())

    def write(self, user: str, path: bytes, data: bytes) -> bool:
        return self._ask(user, b"PUT %d " % len(data), path, data) is not None

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        connection = self.begin(user, path, b"PUT 1000000 ")
        assert connection.recv(100) == b"SEND\n"
        connection.sendall(bytes(500_000))
        return connection

    def begin_line(self, user: str) -> socket.socket:
        return self.begin(user, b"", b"GET /")  # one complete request; the next one begins after it


class Ftp(Adapter):
    """docs/examples/ftp_server.py. Each user's session stays open until a request fails."""

    starts_threads = True
    base = b"/"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._sessions: dict[str, ftplib.FTP] = {}

    def close(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()
        super().close()

    def _name(self, path: bytes) -> str:
        return self.full_path(path).decode("latin-1")

    def login(self, user: str) -> ftplib.FTP:
        session = ftplib.FTP(timeout=HANG, encoding="latin-1")  # keeps bytes unchanged
        session.connect("127.0.0.1", int(self.address))
        session.login(user, f"word of {user}")
        return session

    def _try(self, user: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return function(session, *arguments), or None if the server refuses."""
        if user not in self._sessions:
            self._sessions[user] = self.login(user)
        try:
            return function(self._sessions[user], *arguments)
        except ftplib.error_perm as error:
            self.record_refusal(user, str(error))
        except (ftplib.Error, EOFError, OSError) as error:
            self.record_refusal(user, str(error))
            self._sessions.pop(user).close()
        return None

    def _raw(self, user: str, line: bytes) -> None:
        """Send a line that contains line ends, and record all answers."""
        with contextlib.closing(self.login(user)) as session:
            sock = cast(socket.socket, session.sock)
            with contextlib.suppress(ConnectionError):
                sock.sendall(line + b"\r\nQUIT\r\n")
            self.record_refusal(user, receive_all(sock))

    def read(self, user: str, path: bytes) -> bytes | None:
        if {*b"\r\n"} & {*path}:
            self._raw(user, b"MLST " + self.full_path(path))
            self._raw(user, b"RETR " + self.full_path(path))
            return None
        found: list[bytes] = []
        done = self._try(user, ftplib.FTP.retrbinary, "RETR " + self._name(path), found.append)
        return b"".join(found) if done else None

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        if {*b"\r\n"} & {*path}:
            return None
        lines: list[str] = []
        verb = "NLST " + self._name(path)
        if self._try(user, ftplib.FTP.retrlines, verb, lines.append) is None:
            return None
        for verb in ("LIST ", "MLSD "):
            found: list[str] = []
            self._try(user, ftplib.FTP.retrlines, verb + self._name(path), found.append)
            self.record_refusal(user, "\n".join(found))
        return {line.encode("latin-1") for line in lines}

    def write(self, user: str, path: bytes, data: bytes, verb: str = "STOR ") -> bool:
        def store(session: ftplib.FTP) -> str:
            with session.transfercmd(verb + self._name(path)) as connection:
                connection.sendall(data)
            return session.voidresp()

        return not {*b"\r\n"} & {*path} and self._try(user, store) is not None

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        name, spare, taken = (self._name(one) for one in (path, *OWN))
        if {*b"\r\n"} & {*path}:
            return
        self.write(user, path, PLANTED, "APPE ")
        self.write(user, path + b"/new", PLANTED)
        for line in ("SIZE ", "MDTM ", "MLST ", "STAT ", "CWD ", "MKD ", "SITE CHMOD 777 ", "MFMT 20200101000000 "):
            yield (self._try(user, ftplib.FTP.sendcmd, line + name) or "").encode("latin-1")
        self._try(user, ftplib.FTP.sendcmd, "CWD " + os.path.dirname(spare))
        self._try(user, ftplib.FTP.rename, name, taken)
        yield self.read(user, OWN[1]) or b""
        self._try(user, ftplib.FTP.delete, taken)
        self.write(user, OWN[0], PLANTED)
        self._try(user, ftplib.FTP.rename, spare, name)
        for line in ("DELE ", "RMD "):
            yield (self._try(user, ftplib.FTP.sendcmd, line + name) or "").encode("latin-1")

    def begin(self, user: str, path: bytes, verb: str = "RETR ") -> socket.socket:
        session = self.login(user)
        self._open.callback(session.close)
        connection = socket.create_connection(session.makepasv(), HANG)
        self._open.enter_context(connection)
        session.putcmd(verb + self._name(path))
        return connection

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        connection = self.begin(user, path, "STOR ")
        connection.sendall(bytes(500_000))
        return connection

    def begin_line(self, user: str) -> socket.socket:
        sock = self._open.enter_context(cast(socket.socket, self.login(user).sock))
        sock.sendall(b"RETR ")
        return sock


class Web(Adapter):
    """A server that answers HTTP: GET and PUT of a file, GET of a folder with the names in it, one in each line."""

    base = b"/"
    reads_folders = True

    def _head(self, user: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:word of {user}".encode()).decode()}

    def _ask(self, user: str, method: str, url: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        session = http.client.HTTPConnection("127.0.0.1", int(self.address), timeout=HANG)
        # WsgiDAV's answer to ".." announces a body that it does not send. "close" makes the client not wait for it.
        headers = {**self._head(user), "Connection": "close", **headers}
        with contextlib.closing(session):
            try:
                session.request(method, url, body or None, headers)
                answer = session.getresponse()
                status, data = answer.status, answer.read()
            except (http.client.HTTPException, ConnectionError) as error:
                status, data = 0, getattr(error, "partial", b"") + str(error).encode()
        if not 200 <= status < 300:
            self.record_refusal(user, data)
        return status, data

    def _url(self, path: bytes) -> str:
        return quote(self.full_path(path))

    def read(self, user: str, path: bytes) -> bytes | None:
        status, data = self._ask(user, "GET", self._url(path))
        return data if status == 200 else None

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        status, data = self._ask(user, "GET", self._url(path))
        return set(data.splitlines()) if status == 200 else None

    def write(self, user: str, path: bytes, data: bytes) -> bool:
        return self._ask(user, "PUT", self._url(path), data)[0] in (201, 204)

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        url = self._url(path)
        for spelling in (quote(path, safe=""), url.replace(".", "%2e"), quote(url), url.replace("/", "//")):
            yield self._ask(user, "GET", "/" + spelling.lstrip("/"))[1]
        yield self._ask(user, "GET", "http://localhost" + url)[1]
        yield self._ask(user, "GET", url, Range="bytes=0-99")[1]
        for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
            yield self._ask(user, method, url)[1]
        self.write(user, path + b"/new", PLANTED)

    def _begin(self, user: str, start: bytes, end: bytes = b"") -> socket.socket:
        connection = self._open.enter_context(socket.create_connection(("127.0.0.1", int(self.address)), HANG))
        authorization = self._head(user)["Authorization"].encode()
        connection.sendall(start + (b" HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + end if end else b""))
        return connection

    def begin(self, user: str, path: bytes) -> socket.socket:
        return self._begin(user, b"GET " + self._url(path).encode(), b"\r\n\r\n")

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        end = b"\r\nContent-Length: 1000000\r\n\r\n" + bytes(500_000)
        return self._begin(user, b"PUT " + self._url(path).encode(), end)

    def begin_line(self, user: str) -> socket.socket:
        return self._begin(user, b"GET /")


class FastApi(Web):
    """docs/examples/fastapi_server.py."""

    has_pool = True


class Dav(Web):
    """docs/examples/webdav_server.py."""

    reads_folders = False

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        status, data = self._ask(user, "PROPFIND", self._url(path), Depth="1")
        if status != 207:
            return None
        names = [unquote_to_bytes(name) for name in re.findall(rb"<(?:\w+:)?href>([^<]*)<", data)]
        return {os.path.basename(name.rstrip(b"/")) for name in names[1:]}  # the first is the folder itself

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        url, spare, taken = (self._url(one) for one in (path, *OWN))
        for method in ("MKCOL", "LOCK", "PROPPATCH"):
            yield self._ask(user, method, url)[1]
        for method in ("COPY", "MOVE"):
            yield self._ask(user, method, url, Destination=taken)[1]
            yield self.read(user, OWN[1]) or b""
            yield self._ask(user, "DELETE", taken)[1]
        self.write(user, OWN[0], PLANTED)
        for method in ("COPY", "MOVE"):
            yield self._ask(user, method, spare, Destination=url)[1]
        yield from super().others(user, path)


class SftpStream:
    """The part of a socket that the tests use: one open file on a connection that is not read between two calls."""

    def __init__(self, adapter: "Sftp", connection: Any, file: Any) -> None:
        self._adapter, self._connection, self._file, self._offset = adapter, connection, file, 0
        self._answers: list[asyncio.Task[tuple[bytes, bool]]] = []

    async def ask(self, size: int, repeat: int = 1) -> None:
        """Send requests for the whole file, and read no answers."""
        ask, handle = self._file._handler.read, self._file.handle
        for _ in range(repeat):
            self._answers += [asyncio.ensure_future(ask(handle, at, 1 << 16)) for at in range(0, size, 1 << 16)]
        asyncio.gather(*self._answers, return_exceptions=True)  # nobody waits for answers after the end
        await asyncio.sleep(0)  # the tasks send their requests
        self._connection._transport.pause_reading()

    def recv(self, size: int) -> bytes:
        async def receive() -> bytes:
            self._connection._transport.resume_reading()
            answer, _ = await self._answers.pop(0)
            self._connection._transport.pause_reading()
            return answer

        return self._adapter.run(receive())

    async def _write(self, data: bytes) -> None:
        await self._file.write(data, self._offset)
        self._offset += len(data)

    def sendall(self, data: bytes) -> None:
        self._adapter.run(self._write(data))

    def close(self) -> None:
        self._adapter.run(self._adapter.disconnect(self._connection))

    def __enter__(self) -> "SftpStream":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Sftp(Adapter):
    """docs/examples/sftp_server.py. The client is asyncssh's, on a loop in another thread. A user has one session."""

    has_pool = True
    base = b"/"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.asyncssh = imported("asyncssh")
        self._sessions: dict[str, Any] = {}
        self._connections: set[Any] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start = threading.Lock()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for its result. The first call starts the loop."""
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(HANG)

    def close(self) -> None:
        async def disconnect_all() -> None:
            for connection in list(self._connections):
                await self.disconnect(connection)

        super().close()
        if self._loop is not None:
            self._sessions.clear()
            self.run(disconnect_all())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    async def disconnect(self, connection: Any) -> None:
        self._connections.discard(connection)
        connection.abort()
        await connection.wait_closed()

    async def login(self, user: str, **options: Any) -> Any:
        """Connect as this user; return the connection."""
        fast = {"encryption_algs": ["aes128-gcm@openssh.com"], "kex_algs": ["curve25519-sha256"]}
        options = {"password": f"word of {user}", **fast, **options}
        for name in ("client_keys", "known_hosts", "agent_path", "config"):
            options.setdefault(name, None)
        connection = await self.asyncssh.connect("127.0.0.1", int(self.address), username=user, **options)
        self._connections.add(connection)
        return connection

    async def session(self, user: str) -> Any:
        """Return the user's session."""
        if user not in self._sessions:
            self._sessions[user] = await (await self.login(user)).start_sftp_client(path_encoding=None)
        return self._sessions[user]

    async def _try(self, user: str, request: Coroutine[Any, Any, T]) -> T | None:
        """Return the request's result, or None if the server refuses."""
        try:
            return await request
        except (self.asyncssh.Error, OSError) as error:
            self.record_refusal(user, str(error))
        return None

    async def _read(self, user: str, path: bytes) -> bytes:
        async with (await self.session(user)).open(path, "rb") as file:
            found = [await file.read(1 << 18)]  # without a size, the client sends two other requests first
            while len(found[-1]) == 1 << 18:
                found.append(await file.read(1 << 18))
            return b"".join(found)

    async def _write(self, user: str, path: bytes, data: bytes, mode: str = "wb") -> bool:
        async with (await self.session(user)).open(path, mode) as file:
            await file.write(data)
        return True

    async def _list(self, user: str, path: bytes) -> set[bytes]:
        return {name.filename for name in await (await self.session(user)).readdir(path)}

    async def _others(self, user: str, path: bytes) -> tuple[bytes, ...]:
        session, (spare, taken) = await self.session(user), map(self.full_path, OWN)
        asks = (session.lstat, session.stat, session.readlink)
        answers = [str(await self._try(user, ask(path))).encode() for ask in asks]
        await self._try(user, session.chmod(path, 0o777))
        await self._try(user, session.utime(path, (0, 0)))
        await self._try(user, self._write(user, path, PLANTED, "ab"))
        await self._try(user, session.mkdir(path + b"/new"))
        for copy in (session.remote_copy, session.link, session.posix_rename):
            await self._try(user, copy(path, taken))
            answers.append(await self._try(user, self._read(user, taken)) or b"")
            await self._try(user, session.remove(taken))
        await self._try(user, self._write(user, spare, PLANTED))
        await self._try(user, session.posix_rename(spare, path))
        for ask in (session.remove, session.rmdir):
            await self._try(user, ask(path))
        return tuple(answers)

    def read(self, user: str, path: bytes) -> bytes | None:
        return self.run(self._try(user, self._read(user, self.full_path(path))))

    def list(self, user: str, path: bytes) -> set[bytes] | None:
        return self.run(self._try(user, self._list(user, self.full_path(path))))

    def write(self, user: str, path: bytes, data: bytes) -> bool:
        return bool(self.run(self._try(user, self._write(user, self.full_path(path), data))))

    def others(self, user: str, path: bytes) -> Iterator[bytes]:
        yield from self.run(self._others(user, self.full_path(path)))

    async def stream(self, user: str, path: bytes, mode: str, window: int = 1 << 21) -> SftpStream:
        """Connect and open one file. The server may send as much as the window says before the client reads."""
        connection = await self.login(user)
        connection.open_session = functools.partial(connection.open_session, window=window)
        session = await connection.start_sftp_client(path_encoding=None)
        file = await self._try(user, session.open(self.full_path(path), mode).__aenter__())
        return SftpStream(self, connection, file)

    def begin(self, user: str, path: bytes) -> socket.socket:
        async def ask() -> SftpStream:
            stream = await self.stream(user, path, "rb")
            if stream._file:
                await stream.ask((await stream._file.stat()).size)
            return stream

        return cast(socket.socket, self.run(ask()))

    def begin_write(self, user: str, path: bytes) -> socket.socket:
        stream = self.run(self.stream(user, path, "wb"))
        stream.sendall(bytes(500_000))
        return cast(socket.socket, stream)

    def begin_line(self, user: str) -> socket.socket:
        connection = self._open.enter_context(socket.create_connection(("127.0.0.1", int(self.address)), HANG))
        connection.sendall(b"SSH-2.0-")
        return connection
