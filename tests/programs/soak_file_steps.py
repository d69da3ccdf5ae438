# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What one task of soak_files.py does: operations with files, as one random user after the other, and their checks."""

import asyncio
import os
import random
import stat

from soak import PUBLIC

CANCELLED = 1 / 8  # of the operations


class Stopped(Exception):
    """The operation was cancelled or met a filter, so nobody knows what it did."""


class Client:
    """One of the tasks.  The same random numbers make the same choices."""

    def __init__(self, soak, numbers, name):
        self.soak, self.numbers, self.name, self.steps = soak, numbers, name, 0

    async def work(self, files, share):
        """Do at least so many operations, as one random user after the other."""
        while share > 0:
            self.steps += 1
            step = Step(self.soak, files, random.Random(self.numbers.getrandbits(64)), f"{self.name}-{self.steps}")
            try:
                await step.take()
            except Stopped:
                self.soak.count["stopped"] += 1
            except FileNotFoundError:
                self.soak.note("a file is missing after an operation")
            share -= step.operations


class Step:
    """Some operations of one user."""

    def __init__(self, soak, files, numbers, name):
        self.soak, self.files, self.random, self.operations = soak, files, numbers, 0
        self.number = numbers.randrange(len(soak.people))
        self.one = soak.people[self.number]
        self.home = f"{self.number}/"
        self.name = self.home + name  # nobody else uses a name that begins like this

    async def take(self):
        kind, other = self.random.random(), self.random.randrange(len(self.soak.people))
        if kind < 0.35:
            await self.read(other)
        elif kind < 0.7:
            await self.trespass(other if other != self.number else (other + 1) % len(self.soak.people))
        else:
            await self.live()

    async def do(self, kind, *arguments, may=True):
        """Await an operation, or cancel it.  Return its result, or None if the user may not do that, and cannot."""
        soak, method = self.soak, "open" if kind == "create" else kind
        self.operations += 1
        soak.count["operations"] += 1
        operation = getattr(self.files, method)(self.one, *arguments, dir_fd=soak.root)
        try:
            result = await (self.cancelled(operation) if self.random.random() < CANCELLED else operation)
        except (OSError, RuntimeError) as problem:  # IdentityError, IdentityRefused and BrokenThreadPool are such
            if soak.may_fail(self.number, kind):
                soak.count["failed by a filter"] += 1
            elif type(problem) is PermissionError and not may:
                soak.count["refused"] += 1
                return None
            else:
                reason = getattr(problem, "strerror", problem)
                soak.note(f"a permitted {kind} failed: {type(problem).__name__} {reason}")
            raise Stopped from None
        soak.count["done"] += 1
        soak.count[kind] += 1
        if not may:
            soak.note(f"a forbidden {kind} succeeded")
            if method == "open":
                os.close(result)
        return result

    async def cancelled(self, operation):
        """Cancel the operation some turns of the loop later, or some time.  Return its result if it was done first."""
        task, turns = asyncio.ensure_future(operation), self.random.randrange(8)
        for _ in range(turns % 4):
            await asyncio.sleep(0.0005 if turns > 4 else 0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            self.soak.count["cancelled"] += 1
            raise Stopped from None

    def check_owner(self, status, mode=None):
        self.soak.note("wrong owner", (status.st_uid, status.st_gid) == (self.one.uid, self.one.gid))
        self.soak.note("wrong mode", mode in (None, stat.S_IMODE(status.st_mode)))

    def status(self, name):
        return os.stat(name, dir_fd=self.soak.root, follow_symlinks=False)

    async def read(self, other):
        """Open and look at a file of any user."""
        name = self.random.choice(("secret", "shared", "closed/inside"))
        own = other == self.number
        may = own or (name == "shared" and PUBLIC in self.one.groups)
        descriptor = await self.do("open", f"{other}/{name}", os.O_RDWR if own else os.O_RDONLY, may=may)
        if descriptor is not None and may:
            content = b"" if name == "closed/inside" else b"%d" % other
            self.soak.note("another user's content", os.pread(descriptor, 9, 0) == content)
            os.close(descriptor)
        status = await self.do("stat", f"{other}/{name}", may=own or "/" not in name)
        if status is not None:
            self.soak.note("another file's status", status == self.status(f"{other}/{name}"))

    async def trespass(self, other):
        """Try one thing that the user may not do with another user's files."""
        home, new = f"{other}/", self.name + "x"
        kind, *arguments = self.random.choice(
            (
                ("open", home + "secret", os.O_RDONLY),
                ("open", home + "closed/inside", os.O_RDWR),
                ("open", home + "secret", os.O_WRONLY | os.O_TRUNC),
                ("create", home + "x", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
                ("stat", home + "closed/inside"),
                ("mkdir", home + "x"),
                ("unlink", home + "secret"),
                ("unlink", home + "closed/inside"),
                ("rename", home + "secret", new),
                ("rename", self.home + "secret", home + "x"),
                ("rename", self.home + "secret", home + "secret"),
                ("link", home + "closed/inside", new),
                ("link", self.home + "secret", home + "x"),
                ("symlink", "secret", home + "x"),
            )
        )
        await self.do(kind, *arguments, may=False)

    async def live(self):
        """Make a file, give it other names, make a folder and a link, and remove them all."""
        first, second, link, symlink, folder = (self.name + letter for letter in "ablsd")
        descriptor = await self.do("create", first, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        self.check_owner(os.fstat(descriptor), 0o640)
        os.close(descriptor)
        await self.do("rename", first, second)
        status = self.status(second)
        self.check_owner(status, 0o640)
        await self.do("link", second, link)
        self.soak.note("link to another file", os.path.samestat(status, self.status(link)))
        await self.do("symlink", "secret", symlink)
        self.check_owner(self.status(symlink))
        self.soak.note("another file's status", (await self.do("stat", symlink)) == self.status(self.home + "secret"))
        await self.do("mkdir", folder, 0o750)
        self.check_owner(self.status(folder), 0o750)
        os.rmdir(folder, dir_fd=self.soak.root)
        for name in (second, link, symlink):
            await self.do("unlink", name)
            self.soak.note("a name stays after unlink", not os.path.lexists(f"{self.soak.folder}/{name}"))
