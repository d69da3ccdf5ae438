# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file service on asyncio: whoever connects to its socket gets what they may read, and may write what is theirs.

    python3 docs/examples/file_service.py /run/files.socket

Who the client is, the kernel says (replace.Identity.from_peer).  Requests are lines; a path is absolute, and all that
follows the space.  Needs root and Linux.  ../servers.md says why it is written like this.
Stop it with SIGINT or SIGTERM.

    GET /path            OK 1234, then 1234 bytes
    LIST /path           OK 1234, then 1234 bytes: names, one a line
    PUT 1234 /path       SEND; then the client sends 1234 bytes, and gets OK 0
                         and to each, instead: ERR EACCES
"""

import asyncio
import contextlib
import errno
import os
import signal
import stat
import sys

from without_proc import without_proc

import replace

CHUNK = 1 << 16


def without_waiting(path, flags):
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666)  # a fifo would keep the worker thread


def absolute(path):
    if not path.startswith(b"/"):
        raise OSError(errno.EINVAL, "not absolute")
    return path


def opened(path, mode):
    """A regular file, opened.  Runs as the client."""
    file = open(absolute(path), mode, opener=without_waiting)  # noqa: SIM115  (returned)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


async def get(client, path, reader, writer):
    file = await replace.run_as(client, opened, path, "rb")
    with file:  # open is open: the rest needs no rights, and only has to stay off the loop's thread
        left = os.fstat(file.fileno()).st_size
        writer.write(b"OK %d\n" % left)
        while left:
            try:
                chunk = await asyncio.to_thread(file.read, min(left, CHUNK))
            except OSError:
                chunk = b""
            if not chunk:
                raise ConnectionError("shorter than it was, or unreadable; too late for an ERR")
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()


async def put(client, argument, reader, writer):
    length, _, path = argument.partition(b" ")
    left, failure = int(length), None
    if left < 0:
        raise ValueError(length)
    file = await replace.run_as(client, opened, path, "wb")
    try:
        writer.write(b"SEND\n")
        await writer.drain()
        while left > 0:
            chunk = await reader.readexactly(min(left, CHUNK))
            left -= len(chunk)
            if failure is None:  # else the rest is read, and dropped, so that the next line is a request again
                try:
                    await replace.run_as(client, file.write, chunk)  # as the client: root is above quotas
                except OSError as error:
                    failure = error
    finally:
        await replace.run_as(client, file.close)
    if failure:
        raise failure
    writer.write(b"OK 0\n")


async def list_(client, path, reader, writer):
    names = await replace.run_as(client, os.listdir, absolute(path))
    answer = b"".join(name + b"\n" for name in sorted(names))
    writer.write(b"OK %d\n" % len(answer) + answer)


VERBS = {b"GET": get, b"PUT": put, b"LIST": list_}


async def serve(reader, writer):
    """One connection; the coroutine holds no identity, only the worker threads that it awaits do."""
    try:
        client = replace.Identity.from_peer(writer.get_extra_info("socket"))
        while line := await reader.readline():
            verb, _, argument = line.rstrip(b"\n").partition(b" ")
            try:
                await VERBS[verb](client, argument, reader, writer)
            except ConnectionError:
                break
            except (OSError, ValueError, KeyError) as error:
                code = getattr(error, "errno", None) or errno.EINVAL
                writer.write(b"ERR %s\n" % errno.errorcode[code].encode())
            await writer.drain()
    except (KeyError, replace.IdentityRefused):  # not known, or root
        writer.write(b"ERR EPERM\n")
    except (ConnectionError, EOFError, ValueError):  # gone, in the middle of a PUT perhaps; or a line without end
        pass
    finally:
        writer.close()


async def main(path):
    replace.protect_os()
    without_proc()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = await asyncio.start_unix_server(serve, path)
    os.chmod(path, 0o666)
    print("listening on", path, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as on Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
