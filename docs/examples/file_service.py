# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A file service on asyncio. One thread opens the files of all clients, each with the client's own rights.

    python3 docs/examples/file_service.py /run/files.socket /srv/files

The kernel says which user a client is (replace.Identity.from_peer). A request is one line. The path is relative to
the served folder, and may contain spaces. The service needs root and Linux 5.6. `--backend threads` opens the files in
threads, as where the kernel has no io_uring. Stop it with SIGINT or SIGTERM. ../servers.md explains the design.

    request              answer
    GET path             OK 1234, then 1234 bytes
    LIST path            OK 1234, then 1234 bytes: one name per line
    PUT 1234 path        SEND; then the client sends 1234 bytes, and the answer is OK 0

If a request fails, the answer is ERR with an error name, for example ERR EACCES.
"""

import argparse
import asyncio
import collections
import contextlib
import errno
import os
import resource
import signal

import replace
import replace.aio

CHUNK = 1 << 16
#: A user whose files do not answer occupies at most PER_USER workers.
WORKERS, PER_USER = 32, 8
#: Connections of one user, and bytes of one list.
CONNECTIONS, LIST = 100, 1 << 20
buffer = memoryview(bytearray(CHUNK))


def in_memory(file, offset):
    """Read what the kernel has in memory. None: a read could wait for a disk, or for the file server of a user."""
    try:
        return bytes(buffer[: os.preadv(file, [buffer], offset, os.RWF_NOWAIT)])
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
            return None
        raise


def write(file, data):
    """Write to a file. This runs as the client, because root's writes ignore quotas."""
    while data:
        data = data[os.write(file, data) :]


def names(folder):
    """Return the names in an open folder, and close it. This runs as the client."""
    found, left = [], LIST
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append(os.fsencode(entry.name) + b"\n")
                left -= len(found[-1])
                if left < 0:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    finally:
        os.close(folder)
    return b"".join(sorted(found))


class Client:
    """A connection. Its task holds no identity: the kernel checks each open as the client, and so do the workers.

    Nothing cancels the task. So no worker uses a descriptor that the task has closed: its number may then be that of
    another user's file.
    """

    def __init__(self, service, reader, writer):
        self.service, self.reader, self.writer = service, reader, writer
        self.identity = replace.Identity.from_peer(writer.get_extra_info("socket"))
        self.note_progress()

    def note_progress(self):
        self.progress = asyncio.get_running_loop().time()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # now others have their turn: without it, a client with many requests keeps the loop
        self.note_progress()

    def open(self, path, flags):
        return self.service.files.open(self.identity, path, flags, 0o666, dir_fd=self.service.folder)

    def in_worker(self, function, *args):
        return replace.run_as(self.identity, function, *args, executor=self.service.pool)

    async def get(self, path):
        file, data = await self.open(path, os.O_RDONLY), None
        try:
            data = in_memory(file, 0)
            status = os.fstat(file) if data is not None else await self.in_worker(os.fstat, file)
            await self.send_file(file, data, status.st_size)
        finally:
            if data is not None and os.fstat(file).st_nlink:
                os.close(file)
            else:  # the file system may ask a server; or this may free the blocks of a deleted file, for seconds
                await self.in_worker(os.close, file)

    async def send_file(self, file, data, size):
        head, offset = b"OK %d\n" % size, 0
        while head or offset < size:
            if not data and offset < size:
                data = in_memory(file, offset) or await self.in_worker(os.pread, file, CHUNK, offset)
                if not data:
                    raise ConnectionError("the file became shorter; it is too late to send ERR")
            data = (data or b"")[: size - offset]
            await self.send(head + data)
            head, offset, data = b"", offset + len(data), None

    async def put(self, argument):
        length, _, path = argument.partition(b" ")
        left, failure = int(length), None
        if left < 0:
            raise ValueError(length)
        file = await self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            await self.send(b"SEND\n")
            while left > 0:
                chunk = await self.reader.read(min(left, CHUNK))
                if not chunk:
                    raise ConnectionError("the client has gone")
                self.note_progress()
                left -= len(chunk)
                if failure is None:  # after a failure, read and ignore the rest, up to the next request
                    try:
                        await self.in_worker(write, file, chunk)
                    except OSError as error:
                        failure = error
        finally:
            await self.in_worker(os.close, file)
        if failure:
            raise failure
        await self.send(b"OK 0\n")

    async def list(self, path):
        listing = await self.in_worker(names, await self.open(path, os.O_RDONLY | os.O_DIRECTORY))
        await self.send(b"OK %d\n" % len(listing) + listing)

    VERBS = {b"GET": get, b"PUT": put, b"LIST": list}

    async def serve(self):
        while (line := await self.reader.readline()).endswith(b"\n"):  # the path of a line that is cut off is wrong
            self.note_progress()
            verb, _, argument = line[:-1].partition(b" ")
            try:
                await self.VERBS[verb](self, argument)
            except ConnectionError:
                break
            except (OSError, ValueError, KeyError) as error:
                code = getattr(error, "errno", None) or errno.EINVAL
                await self.send(b"ERR %s\n" % errno.errorcode.get(code, "EIO").encode())


class Service:
    def __init__(self, folder, files, pool):
        self.folder, self.files, self.pool = folder, files, pool
        self.clients = {}  # the clients, and their tasks
        self.users = collections.Counter()

    async def serve(self, reader, writer):
        """Serve one connection. It counts for its user until its last byte is sent, or nothing moves for too long."""
        try:
            client = Client(self, reader, writer)
        except KeyError:  # the client is unknown
            writer.close()
            return
        user = client.identity.uid
        self.clients[client] = asyncio.current_task()
        self.users[user] += 1
        try:
            if self.users[user] > CONNECTIONS:
                writer.write(b"ERR EAGAIN\n")
            else:
                await client.serve()
        except replace.IdentityRefused:  # the client is root
            writer.write(b"ERR EPERM\n")
        except (ConnectionError, RuntimeError, ValueError):
            pass  # the client has gone, the service ends, or the line is too long
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.users[user] -= 1
            del self.clients[client]

    async def end_idle_clients(self, timeout):
        while True:
            await asyncio.sleep(timeout / 4)
            oldest = asyncio.get_running_loop().time() - timeout
            for client in [client for client in self.clients if client.progress < oldest]:
                client.writer.transport.abort()


async def main(options):
    replace.preload()
    replace.protect_os()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = os.open(options.folder, os.O_PATH | os.O_DIRECTORY)
    os.close(replace.open_beneath(folder, ".", os.O_PATH | os.O_DIRECTORY))  # fails now if the kernel is too old
    with contextlib.suppress(FileNotFoundError):
        os.unlink(options.socket)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with replace.IdentityExecutor(WORKERS, max_per_identity=PER_USER) as pool:
        async with replace.aio.Files(backend=options.backend) as files:
            service = Service(folder, files, pool)
            server = await asyncio.start_unix_server(service.serve, options.socket, backlog=1024)
            idle = asyncio.ensure_future(service.end_idle_clients(options.timeout))
            os.chmod(options.socket, 0o666)
            print(f"files are opened by {files.backends['open']}\nlistening on {options.socket}", flush=True)
            await stop.wait()
            server.close()
            idle.cancel()
        while service.clients:  # an open that waited has ended with `files`
            for client in service.clients:
                client.writer.transport.abort()
            await asyncio.wait(service.clients.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("folder")
    parser.add_argument("--backend", choices=["auto", "io_uring", "threads"], default="auto")
    parser.add_argument("--timeout", type=float, default=60, help="seconds without progress of a client")
    asyncio.run(main(parser.parse_args()))
