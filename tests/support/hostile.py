# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Attack a server: try to read or change files outside the served folder, or files of other users.

The attacks do not depend on a server: an adapter (support/adapters.py) sends the requests. Every file that the
attacker must not read contains a secret, and no answer may contain a secret.

Usage, as root: python hostile.py FOLDER. It becomes the attacker and swaps names until it is killed.
"""

import contextlib
import hashlib
import os
import secrets
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import replace

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.servers import IDS

OWNER, BYSTANDER, ATTACKER = "alice", "bob", "heidi"
SECRET = b"SECRET-" + secrets.token_hex(8).encode()
#: Two contents that the attacker may read, and the content that the attacker tries to write.
NOTES, PLAIN, PLANTED = b"notes for everybody", b"the attacker's own", b"planted by the attacker"
LARGE = 8 << 20
#: More requests than a server of docs/examples/ has workers.
MANY = 60


class Attack(NamedTuple):
    """A requested name, and the contents that an answer may have. A refusal is always right."""

    name: str
    path: bytes
    allowed: tuple[bytes, ...] = ()
    #: Also try to write, rename and delete the file. Only for files whose loss cannot harm the machine.
    write: bool = False


def lay_out(world: Path) -> None:
    """Make the served folder and the files beside it."""
    for name in ("outside", "outside/drop", "served", *(f"served/{user}" for user in (OWNER, BYSTANDER, ATTACKER))):
        (world / name).mkdir()
    (world / "served" / OWNER / "closed").mkdir()
    large = (SECRET + b" of a closed folder\n") * (LARGE // 40)
    for name, data, mode in (
        ("outside/secret", SECRET + b" beside the folder", 0o644),
        ("outside/writable", SECRET + b" beside the folder", 0o666),
        ("served/public", NOTES, 0o644),
        (f"served/{OWNER}/notes", NOTES, 0o644),
        (f"served/{OWNER}/private", SECRET + b" of a closed file", 0o600),
        (f"served/{OWNER}/closed/draft", large, 0o644),
        (f"served/{OWNER}/closed/writable", large, 0o666),
        (f"served/{OWNER}/closed/small", SECRET + b" small", 0o644),
        (f"served/{OWNER}/closed/{SECRET.decode()}", b"", 0o644),
        (f"served/{ATTACKER}/plain", PLAIN, 0o644),
        (f"served/{ATTACKER}/split", PLAIN, 0o644),
    ):
        (world / name).write_bytes(data)
        (world / name).chmod(mode)
    (world / "outside" / "drop").chmod(0o777)
    (world / "served" / OWNER / "closed").chmod(0o700)
    for user in (OWNER, BYSTANDER, ATTACKER):
        for path in (world / "served" / user, *(world / "served" / user).rglob("*")):
            os.chown(path, *IDS[user])


def snapshot(world: Path) -> dict[str, tuple[object, ...]]:
    """Return all that the attacker must not change: names, owners, modes, times and contents."""
    found: dict[str, tuple[object, ...]] = {}
    for top in ("outside", "served"):
        for path in (world / top, *(world / top).rglob("*")):
            if not {BYSTANDER, ATTACKER} & set(path.parts):
                entry = path.lstat()
                data = hashlib.sha256(path.read_bytes()).digest() if stat.S_ISREG(entry.st_mode) else b""
                time = 0 if stat.S_ISDIR(entry.st_mode) else entry.st_mtime_ns
                found[str(path)] = (entry.st_mode, entry.st_uid, entry.st_gid, time, data)
    return found


def listable(world: Path) -> set[bytes]:
    """Return the names that the attacker may list."""
    folders = ("served", *(f"served/{user}" for user in (OWNER, BYSTANDER, ATTACKER)))
    return {os.fsencode(name) for folder in folders for name in os.listdir(world / folder)}


class Home:
    """The attacker's own folder, where the attacker may create any file."""

    def __init__(self, world: Path) -> None:
        self.folder = world / "served" / ATTACKER
        self._count = 0

    def new(self) -> tuple[Path, bytes]:
        """Return an unused name: its path on this machine, and its path below the served folder."""
        self._count += 1
        name = f"n{self._count}"
        return self.folder / name, f"{ATTACKER}/{name}".encode()

    def link(self, target: str | Path) -> bytes:
        path, name = self.new()
        path.symlink_to(target)
        os.chown(path, *IDS[ATTACKER], follow_symlinks=False)
        return name

    def hard_link(self, target: Path) -> bytes:
        path, name = self.new()
        path.hardlink_to(target)
        return name

    def node(self, mode: int, device: int = 0) -> bytes:
        path, name = self.new()
        os.mknod(path, mode | 0o666, device)
        path.chmod(0o666)
        os.chown(path, *IDS[ATTACKER])
        return name


def names_for(home: Home, target: str) -> Iterator[tuple[str, bytes]]:
    """Yield different names for a path of this machine: absolute, with ".." and through links."""
    name = target.encode()
    yield "absolute", name
    yield "two slashes", b"/" + name
    yield "dot", b"/." + name
    yield "up", b"../" * 20 + name[1:]
    yield "up from a folder", f"{ATTACKER}/".encode() + b"../" * 20 + name[1:]
    yield "up, absolute", b"/.." * 20 + name
    yield "up after a file", f"{ATTACKER}/plain/".encode() + b"../" * 20 + name[1:]
    yield "link", home.link(target)
    yield "link up", home.link("../" * 20 + target[1:])
    yield "link to a link", home.link(Path(os.fsdecode(home.link(target))).name)
    yield "link to the root", home.link("/") + name
    yield "link to its folder", home.link(os.path.dirname(target)) + b"/" + os.path.basename(name)
    yield "link, and a slash", home.link(target) + b"/"


def proc_names(world: Path, pid: int, numbers: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield the names in /proc for the server's process, and whether the test may write to each."""
    threads = sorted(os.listdir(f"/proc/{pid}/task"), key=int)
    for number in numbers:  # files that another user's request has open
        for process in ("self", "thread-self", str(pid), *(f"self/task/{thread}" for thread in threads[:2])):
            yield f"/proc/{process}/fd/{number}", process in ("self", str(pid))
        yield f"/dev/fd/{number}", True
    for process in ("self", str(pid), "1"):
        for name in ("environ", "cmdline", "maps", "mem", "status", "mountinfo", "auxv", "syscall", "net/unix"):
            yield f"/proc/{process}/{name}", False
    for process in ("self", "thread-self", str(pid)):
        for name in ("root", "cwd"):
            yield f"/proc/{process}/{name}{world}/outside/writable", process != "thread-self"
            yield f"/proc/{process}/{name}{world}/served/{OWNER}/closed/draft", False
    for name in (
        "/proc/self/fd",
        "/proc/self/task",
        "/proc/self/root",
        "/dev/fd",
        "/proc",
        "/dev/stdin",
        "/dev/stdout",
    ):
        yield name, False


def attacks(world: Path, pid: int, numbers: list[str]) -> Iterator[Attack]:
    """Yield all attacks. The files that an attack needs are created just before it."""
    home = Home(world)
    for target, write in proc_names(world, pid, numbers):
        for kind, path in names_for(home, target):
            yield Attack(f"{target}, {kind}", path, write=write)
    for name in ("outside/secret", "outside/writable", "outside/drop/new", "users"):
        for kind, path in names_for(home, f"{world}/{name}"):
            yield Attack(f"{name}, {kind}", path, write=True)
    for target in ("/etc/passwd", "/dev/null", "/dev/zero", "/dev/tty", "/"):
        for kind, path in names_for(home, target):
            yield Attack(f"{target}, {kind}", path)
    yield from below_the_folder(home, world)
    yield from odd_names(world)


def below_the_folder(home: Home, world: Path) -> Iterator[Attack]:
    """Yield names below the served folder that the attacker must not open, or that are not files."""
    served = world / "served"
    for name in ("private", "closed/draft", "closed/writable", "closed/small", "closed", "closed/new"):
        yield Attack(name, f"{OWNER}/{name}".encode(), write=True)
        yield Attack(f"{name}, link", home.link(f"../{OWNER}/{name}"), write=True)
        yield Attack(f"{name}, absolute link", home.link(served / OWNER / name), write=True)
        yield Attack(f"{name}, up", f"{ATTACKER}/../{OWNER}/./{name}".encode(), write=True)
    for name in ("notes", "private"):
        yield Attack(f"{name}, hard link", home.hard_link(served / OWNER / name), (NOTES,))
    yield Attack("notes", f"{OWNER}/notes".encode(), (NOTES,), write=True)
    yield Attack("notes, up", f"{ATTACKER}/../{OWNER}/notes".encode(), (NOTES,), write=True)
    yield Attack("notes, link", home.link(f"../{OWNER}/notes"), (NOTES,), write=True)
    yield Attack("a link to itself", home.link(f"n{home._count + 1}"), write=True)
    yield Attack("a folder", f"{OWNER}".encode())
    yield Attack("the folder", b".")
    yield Attack("the folder above", b"..")


def odd_names(world: Path) -> Iterator[Attack]:
    """Yield names that a parser, a line protocol, a decoder or a length limit may read wrongly."""
    up, outside = b"../" * 20, f"{world}/outside/writable".encode()[1:]
    tops = {
        "percent": b"%2e%2e%2f" * 20,
        "percent twice": b"%252e%252e%252f" * 20,
        "backslash": b"..\\" * 20,
        "overlong": b"\xc0\xae\xc0\xae/" * 20,
        "overlong slash": b"..\xc0\xaf" * 20,
        "full width": "．．/".encode() * 20,
        "dots and slashes": b"....//" * 20,
        "semicolon": b"..;/" * 20,
        "spaces": b".. /" * 20,
        "tilde": b"~/" + up,
        "host": b"//localhost/" + up,
        "url": b"file:///",
        "many slashes": b"/" * 1000,
        "many dots": b"./" * 1000 + up,
        "soft hyphen": b"\xe2\x80\x8b" + up,
    }
    for name, top in tops.items():
        yield Attack(f"up, {name}", top + outside, write=True)
    own, split = (f"{ATTACKER}/{name}".encode() for name in ("plain", "split"))
    for name, path in {
        "empty": b"",
        "space": b" ",
        "slash": b"/",
        "NUL": b"\0",
        "NUL and up": own + b"\0/" + up + outside,
        "up and NUL": up + outside + b"\0" + own,
        "newline": split + b"\n" + up + outside,
        "CR": split + b"\r" + up + outside,
        "CR and newline": split + b"\r\n\r\n" + up + outside,
        "newline first": b"\n" + up + outside,
        "tab": own + b"\t" + up + outside,
        "not UTF-8": b"\xff\xfe/" + up + outside,
        "half a character": own + b"\xe2\x82",
        "a surrogate": b"\xed\xa0\x80",
        "telnet": b"\xff\xf4\xff\xf2" + up + outside,
        "256 characters": b"n" * 256,
        "4095 characters": (b"n" * 254 + b"/") * 16 + b"n" * 15,
        "5000 characters": b"n/" * 2500,
        "100000 characters": b"n/" * 50000,
        "a long way": b"./" * 2000 + own,
        "a glob": b"*/../*",
        "an option": b"-la " + up + outside,
        "a pipe": b"|cat " + b"/" + outside,
    }.items():
        yield Attack(name, path, (PLAIN, PLANTED), write=outside in path)


# ---- Special files


def special_files(home: Home) -> Iterator[tuple[str, bytes]]:
    """Yield devices, a terminal and a socket in the attacker's folder. The other end of the terminal stays open."""
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("tty", 5, 0)):
        yield name, home.node(stat.S_IFCHR, os.makedev(major, minor))
    master, terminal = os.openpty()
    try:
        os.write(master, b"\n")
        yield "a terminal", home.node(stat.S_IFCHR, os.fstat(terminal).st_rdev)
    finally:
        os.close(master)
        os.close(terminal)
    path, socket_name = home.new()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        os.chown(path, *IDS[ATTACKER])
        path.chmod(0o777)
        listener.listen()
        yield "a socket", socket_name


@contextlib.contextmanager
def fifos(home: Home) -> Iterator[list[bytes]]:
    """Make many FIFOs. Every second one is held open for reading and writing, but no data is written."""
    names = [home.node(stat.S_IFIFO) for _ in range(MANY)]
    held = [os.open(home.folder / os.path.basename(os.fsdecode(name)), os.O_RDWR) for name in names[::2]]
    try:
        yield names
    finally:
        for descriptor in held:
            os.close(descriptor)


# ---- Names that change

#: The names that swap() changes. The last one is long, so that its folder can move while the kernel resolves it.
SWAPPED = [
    f"{ATTACKER}/{name}".encode() for name in ("flip", "folder/writable", f"way/inner/{'./' * 1700}../../writable")
]


def swap(served: Path) -> None:
    """Change the targets of three names as fast as possible, without end."""
    outside = served.parent / "outside"
    replace.drop_privileges(replace.Identity(*IDS[ATTACKER]))
    os.chdir(served / ATTACKER)
    for folder in ("kept", "way", "way/inner"):
        os.mkdir(folder)
    for name in ("kept/writable", "writable", "spare"):
        Path(name).write_bytes(PLAIN)
    os.symlink(outside / "writable", "link")
    os.symlink(outside, "link-to-folder")
    os.link("spare", "flip")
    print("swapping", flush=True)
    while True:
        os.symlink(outside / "writable", "next")
        os.rename("next", "flip")
        os.rename("link-to-folder", "folder")
        os.rename("way/inner", outside / "drop" / "inner")
        with contextlib.suppress(OSError):  # a server may have created this name for a write request
            os.link("spare", "next")
            os.rename("next", "flip")
        os.rename("folder", "link-to-folder")
        os.rename("kept", "folder")
        os.rename("folder", "kept")
        os.rename(outside / "drop" / "inner", "way/inner")


def try_swapped(served: Path, path: bytes) -> bytes:
    """Return what a careless server would read now."""
    attacker = replace.Identity(*IDS[ATTACKER])
    try:
        with replace.impersonate(attacker), open(os.fsencode(served) + b"/" + path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return b""


if __name__ == "__main__":
    swap(Path(sys.argv[1]))
