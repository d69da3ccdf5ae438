# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file service on asyncio. Each client reads and writes files with its own rights.

    python3 docs/examples/file_service.py /run/files.socket /srv/files

The kernel says which user a client is (replace.Identity.from_peer). A request is one line. The path is relative to
the served folder, and may contain spaces. The service needs root and Linux 5.6. Stop it with SIGINT or SIGTERM.
../servers.md explains the design.

    request              answer
    GET path             OK 1234, then 1234 bytes
    LIST path            OK 1234, then 1234 bytes: one name per line
    PUT 1234 path        SEND; then the client sends 1234 bytes, and the answer is OK 0

If a request fails, the answer is ERR with an error name, for example ERR EACCES.
"""

import asyncio
import contextlib
import errno
import functools
import os
import signal
import sys

import replace

CHUNK = 1 << 16


def opened(folder, path, mode):
    """Open a regular file below the folder. This runs as the client."""
    return open(path, mode, opener=lambda path, flags: replace.open_beneath(folder, path, flags, 0o666))


def listed(folder, path):
    """List the names in a folder below the served folder. This runs as the client."""
    descriptor = replace.open_beneath(folder, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sorted(map(os.fsencode, os.listdir(descriptor)))
    finally:
        os.close(descriptor)


async def get(client, folder, path, reader, writer):
    file = await replace.run_as(client, opened, folder, path, "rb")
    with file:  # reading an open file needs no rights; a worker thread keeps the event loop free
        left = os.fstat(file.fileno()).st_size
        writer.write(b"OK %d\n" % left)
        while left:
            try:
                chunk = await asyncio.to_thread(file.read, min(left, CHUNK))
            except OSError:
                chunk = b""
            if not chunk:
                raise ConnectionError("the file became shorter or unreadable; it is too late to send ERR")
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()


async def put(client, folder, argument, reader, writer):
    length, _, path = argument.partition(b" ")
    left, failure = int(length), None
    if left < 0:
        raise ValueError(length)
    file = await replace.run_as(client, opened, folder, path, "wb")
    try:
        writer.write(b"SEND\n")
        await writer.drain()
        while left > 0:
            chunk = await reader.readexactly(min(left, CHUNK))
            left -= len(chunk)
            if failure is None:  # after a failure, read and ignore the rest, up to the next request
                try:
                    await replace.run_as(client, file.write, chunk)  # as the client: root ignores quotas
                except OSError as error:
                    failure = error
    finally:
        await replace.run_as(client, file.close)
    if failure:
        raise failure
    writer.write(b"OK 0\n")


async def list_(client, folder, path, reader, writer):
    names = await replace.run_as(client, listed, folder, path)
    answer = b"".join(name + b"\n" for name in names)
    writer.write(b"OK %d\n" % len(answer) + answer)


VERBS = {b"GET": get, b"PUT": put, b"LIST": list_}


async def serve(folder, reader, writer):
    """Serve one connection. The coroutine holds no identity; the worker threads that it awaits do."""
    try:
        client = replace.Identity.from_peer(writer.get_extra_info("socket"))
        while line := await reader.readline():
            verb, _, argument = line.rstrip(b"\n").partition(b" ")
            try:
                await VERBS[verb](client, folder, argument, reader, writer)
            except ConnectionError:
                break
            except (OSError, ValueError, KeyError) as error:
                code = getattr(error, "errno", None) or errno.EINVAL
                writer.write(b"ERR %s\n" % errno.errorcode[code].encode())
            await writer.drain()
    except (KeyError, replace.IdentityRefused):  # the client is unknown, or root
        writer.write(b"ERR EPERM\n")
    except (ConnectionError, EOFError, ValueError):  # the client has gone, or its line is too long
        pass
    finally:
        writer.close()


async def main(path, folder):
    replace.protect_os()
    top = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    os.close(replace.open_beneath(top, ".", os.O_PATH | os.O_DIRECTORY))  # fails now if the kernel is too old
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = await asyncio.start_unix_server(functools.partial(serve, top), path)
    os.chmod(path, 0o666)
    print("listening on", path, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as on Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
