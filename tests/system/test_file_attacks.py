# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A user swaps the folders of a path for links that lead out, while 64 users work there with replace.aio.Files.

Everybody may do everything in the folder outside, so only `resolve` can protect it. Each attack is also tried with
resolve=0, which follows the links. It must succeed there: otherwise the refusals would prove nothing.
"""

import asyncio
import contextlib
import errno
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from support.children import HANG, needs_root

import replace
import replace.aio

pytestmark = pytest.mark.per_thread

ATTACKER = replace.Identity(80900, 80900)
USERS = [replace.Identity(80901 + number, 80901 + number) for number in range(64)]
INSIDE, OUTSIDE = b"inside", b"outside"
#: Where the attacker swaps -> the path of the folder, what the folder really is, and how the rules refuse the way out.
#: The second path is long, so that its last folder can move while the kernel walks it. The kernel then begins again.
PLACES = {
    "way": ("pit/way/", "pit/way", errno.EXDEV),
    "moved": (f"pit/deep/inner/{'./' * 1700}../", "pit/deep", errno.ENOENT),
}
#: How a request may end, too: the name was missing at this moment, or the kernel saw it move each time.
SWAPPED = {errno.ENOENT, errno.EAGAIN}
DEFAULT = replace.Resolve.BENEATH | replace.Resolve.NO_MAGICLINKS


def put(folder, name, data):
    path = Path(folder, name)
    path.write_bytes(data)
    path.chmod(0o666)


def repair(folder, data):
    for entry in list(os.scandir(folder)):
        if entry.name.startswith("new"):
            (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
    for name in {f"file{number}" for number in range(len(USERS))} - set(os.listdir(folder)):
        put(folder, name, data)


class World:
    """The served folder, the folder outside, and their files. Each user has one of the files in each folder."""

    def __init__(self, name):
        self.folder = Path(name)
        self.folder.chmod(0o711)
        for path in ("outside", "served", "served/homes", "served/pit", "served/pit/way", "served/pit/deep"):
            (self.folder / path).mkdir()
            (self.folder / path).chmod(0o777)
        (self.folder / "served/pit/deep/inner").mkdir()
        self.outside = self.folder / "outside"
        for number, one in enumerate(USERS):
            put(self.outside, f"file{number}", OUTSIDE)
            put(self.folder / "served/homes", f"{number}", b"%d" % number)
            os.chown(self.folder / "served/homes" / f"{number}", one.uid, one.gid)
            os.chmod(self.folder / "served/homes" / f"{number}", 0o600)
        os.symlink("../../outside", self.folder / "served/pit/trap")
        for path in (self.folder / "served/pit", *(self.folder / "served/pit").rglob("*")):
            os.chown(path, ATTACKER.uid, ATTACKER.gid, follow_symlinks=False)
        self.served = os.open(self.folder / "served", os.O_RDONLY)
        #: They stay the real folders, whatever their names are.
        self.real = {place: os.open(f"{name}/served/{real}", os.O_RDONLY) for place, (_, real, _) in PLACES.items()}
        self.repair()
        self.whole = self.look()

    def look(self):
        """What is outside, but for the folder that the attacker moves there."""
        return {entry.name: entry.inode() for entry in os.scandir(self.outside) if entry.name != "inner"}

    def repair(self):
        """Make the files of the real folders again, and remove all others."""
        for folder in self.real.values():
            repair(f"/proc/self/fd/{folder}", INSIDE)

    def restore(self):
        """Do the same outside, after an attack that was to get there."""
        repair(self.outside, OUTSIDE)
        self.whole = self.look()

    def close(self):
        for descriptor in (self.served, *self.real.values()):
            os.close(descriptor)


def swap(folder):
    """As the attacker, change where the names lead, without end."""
    replace.drop_privileges(ATTACKER)
    os.chdir(folder / "served/pit")
    while True:
        os.rename("way", "kept")
        os.rename("trap", "way")
        os.rename("deep/inner", folder / "outside/inner")
        os.rename("way", "trap")
        os.rename("kept", "way")
        os.rename(folder / "outside/inner", "deep/inner")


@contextlib.contextmanager
def swapped_world():
    """Yield a World whose names the attacker changes until the end of the block."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-attack-") as name:
        world = World(name)
        child = os.fork()
        if child == 0:
            try:
                swap(world.folder)
            finally:
                os._exit(1)
        try:
            yield world
        finally:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            world.close()
        assert os.WTERMSIG(status) == signal.SIGKILL, "the attacker ended early"


async def read(files, one, path, **options):
    descriptor = await files.open(one, path, os.O_RDONLY, **options)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


async def create(files, one, path, **options):
    os.close(await files.open(one, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, **options))


async def size(files, one, path, **options):
    return INSIDE if (await files.stat(one, path, **options)).st_size == len(INSIDE) else OUTSIDE


#: The request for (files, user, folder, the user's number).
REQUESTS = {
    "open": lambda files, one, at, n, **more: read(files, one, f"{at}file{n}", **more),
    "stat": lambda files, one, at, n, **more: size(files, one, f"{at}file{n}", **more),
    "create": lambda files, one, at, n, **more: create(files, one, f"{at}new{n}", **more),
    "mkdir": lambda files, one, at, n, **more: files.mkdir(one, f"{at}new{n}", **more),
    "unlink": lambda files, one, at, n, **more: files.unlink(one, f"{at}file{n}", **more),
    "rename": lambda files, one, at, n, **more: files.rename(one, f"{at}file{n}", f"{at}new{n}", **more),
    "link": lambda files, one, at, n, **more: files.link(one, f"{at}file{n}", f"{at}new{n}", **more),
    "symlink": lambda files, one, at, n, **more: files.symlink(one, "file", f"{at}new{n}", **more),
}


async def outcome(request):
    """What a request read, None if it had another effect, or its errno."""
    try:
        return await request
    except OSError as error:
        return error.errno


async def own_files(files, world, ended):
    """Let each user open the own file and that of another user, all the time. Return the number of rounds."""
    rounds = 0
    while not ended.is_set():
        numbers = range(len(USERS))
        own = (outcome(read(files, USERS[n], f"homes/{n}", dir_fd=world.served)) for n in numbers)
        other = (outcome(read(files, USERS[n], f"homes/{n - 1 if n else 1}", dir_fd=world.served)) for n in numbers)
        assert await asyncio.gather(*own) == [b"%d" % n for n in numbers]
        assert set(await asyncio.gather(*other)) == {errno.EACCES}
        rounds += 1
    return rounds


async def attack(files, world, request, place, resolve, is_enough):
    """Let all users make the request until is_enough(outcomes, rounds), or until it got out.

    Return the outcomes, the number of rounds, and whether it got out.
    """
    path, found, rounds, got_out = PLACES[place][0], set(), 0, False
    deadline = time.monotonic() + HANG
    while not (got_out or is_enough(found, rounds)):
        assert time.monotonic() < deadline, found
        options = {"dir_fd": world.served, "resolve": resolve}
        requests = (REQUESTS[request](files, one, path, n, **options) for n, one in enumerate(USERS))
        found |= set(await asyncio.gather(*map(outcome, requests)))
        rounds += 1
        got_out = OUTSIDE in found or world.look() != world.whole
        world.repair()
    return found, rounds, got_out


async def enter(stack, backend):
    try:
        return await stack.enter_async_context(replace.aio.Files(backend=backend))
    except OSError as error:
        pytest.skip(
            f"needs io_uring, which is not permitted here: {error.strerror}; try sysctl kernel.io_uring_disabled=0"
        )


#: In the second place, mkdir stands for all calls that open the folder first.
CASES = [*((kind, "way") for kind in REQUESTS), *((kind, "moved") for kind in ("open", "stat", "mkdir"))]


@pytest.mark.parametrize(("kind", "place"), CASES)
@pytest.mark.parametrize("backend", ["io_uring", "threads"])
def test_folder_swapped_by_another_process_never_leads_out(backend, kind, place):
    right, refused = INSIDE if kind in ("open", "stat") else None, PLACES[place][2]

    async def body():
        async with contextlib.AsyncExitStack() as stack:
            files = await enter(stack, backend)
            world = stack.enter_context(swapped_world())
            _, enough, got_out = await attack(files, world, kind, place, 0, lambda found, rounds: False)
            assert got_out, "without the rules, the same request leads out"
            world.restore()
            ended = asyncio.Event()
            others = asyncio.create_task(own_files(files, world, ended))
            found, _, got_out = await attack(
                *(files, world, kind, place, DEFAULT),
                lambda found, rounds: {right, refused} <= found and rounds >= 2 * enough,
            )
            ended.set()
            assert await others > 0
            assert not got_out
            assert found <= {right, errno.EXDEV, *SWAPPED}

    asyncio.run(body())
