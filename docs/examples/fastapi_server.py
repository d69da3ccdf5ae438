# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file server with FastAPI. Each request has the rights of its user.

    python3 docs/examples/fastapi_server.py --port 8080 web-users.txt /srv/web

A line of the users file is `name:password`. GET sends a file, or the names in a folder. PUT stores a file. The server
needs root, Linux 5.6, FastAPI and uvicorn. Stop it with SIGINT or SIGTERM. ../asgi.md explains the design.
"""

import argparse
import contextlib
import os
import signal
import socket
from typing import Annotated

import uvicorn
from basic_auth import Users
from beneath import Folder
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

import replace

CHUNK = 1 << 16
#: A user whose file system hangs occupies at most PER_USER workers.
WORKERS, PER_USER = 32, 8
app = FastAPI(openapi_url=None)


async def find_client(request: Request):
    client = app.state.users.identify({"HTTP_AUTHORIZATION": request.headers.get("Authorization", "")})
    if client is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
    return client


Client = Annotated[replace.Identity, Depends(find_client)]


def as_client(client, function, *args):
    """Await a function that runs as the client, in a worker of the pool."""
    return replace.run_as(client, function, *args, executor=app.state.pool)


def opened(path):
    """Open a file, or list a folder. This runs as the client."""
    try:
        return app.state.folder.open(path)
    except IsADirectoryError:
        return [os.fsencode(name) + b"\n" for name in sorted(app.state.folder.listdir(path))]


async def chunks(client, file):
    """Read an open file. It needs no rights, but a worker of this client. If the client reads slowly, so does this."""
    try:
        while chunk := await as_client(client, file.read, CHUNK):
            yield chunk
    finally:
        app.state.pool.submit(client, file.close)  # close() waits for a read that hangs, so nobody waits for it


@app.get("/{path:path}")
async def get(path: str, client: Client):
    found = await as_client(client, opened, path)
    return Response(b"".join(found)) if isinstance(found, list) else StreamingResponse(chunks(client, found))


@app.put("/{path:path}", status_code=204)
async def put(path: str, client: Client, request: Request):
    file = await as_client(client, app.state.folder.open, path, "wb")
    try:
        async for chunk in request.stream():
            await as_client(client, file.write, chunk)  # as the client: root ignores quotas
    except ClientDisconnect:
        raise HTTPException(400) from None
    finally:
        await as_client(client, file.close)


@app.exception_handler(OSError)
@app.exception_handler(ValueError)  # a NUL in the path
async def refuse(request: Request, error: Exception):
    return Response(status_code=403 if isinstance(error, PermissionError) else 404)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("users")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    try:
        app.state.users, app.state.folder = Users(options.users), Folder(options.folder)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    replace.preload()
    replace.protect_os()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as on Ctrl-C
    listener = socket.create_server(("127.0.0.1", options.port), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # otherwise a small answer may wait 40 ms
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    app.state.pool = replace.IdentityExecutor(WORKERS, max_per_identity=PER_USER)
    with contextlib.suppress(KeyboardInterrupt), app.state.pool:
        print("listening on port", listener.getsockname()[1], flush=True)
        server.run(sockets=[listener])  # after it has stopped, uvicorn raises the signal again


if __name__ == "__main__":
    main()
