# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
# pyright: strict
"""Right uses of the package, with the types that they have. tests/test_typing.py lets type checkers read this file."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import socket
import subprocess
import wsgiref.simple_server
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from typing_extensions import assert_type

import replace
import replace.aio
import replace.wsgi
from replace import Guard, Identity, IdentityExecutor, Level, OnFailure, acting_as, impersonate, impersonated, run_as

P = ParamSpec("P")
T = TypeVar("T")
alice = Identity(80001, 80011, [80021])
level: Level = "real"
on_restore_failure: OnFailure = "abort"


def read(name: str, size: int = -1, *, strict: bool = True) -> bytes:
    return pathlib.Path(name).read_bytes()[:size] if strict else b""


def same(item: T) -> list[T]:
    return [item]


async def later() -> int:
    return 1


class Server:
    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, size: int) -> bytes:
        return read(self.name, size)

    def __call__(self, word: str) -> str:
        return self.name + word

    @classmethod
    def make(cls, name: str) -> Server:
        return cls(name)


server = Server("name")


# ---- Identities


def identities(connection: socket.socket) -> None:
    assert_type(Identity.from_user("alice"), Identity)
    assert_type(Identity.from_user(80001), Identity)
    assert_type(Identity.from_peer(connection), Identity)
    assert_type(Identity.of_process(1), Identity)
    assert_type(Identity.current().groups, tuple[int, ...])
    assert_type(alice.uid, int)
    assert_type(alice.has_root, bool)
    account = replace.Account.lookup("alice")
    assert_type(account.identity, Identity)
    assert_type(account.home, str)
    assert_type({alice: 1}[alice], int)
    match alice:
        case Identity(uid, gid, groups):
            assert_type(uid, int)
            assert_type(gid, int)
            assert_type(groups, tuple[int, ...])


# ---- with impersonate()


def blocks() -> None:
    with impersonate(alice, level=level, on_restore_failure=on_restore_failure) as who:
        assert_type(who, Identity)
    guard = impersonate(alice, allow_root=True, allow_process=True, across_yield=True)
    assert_type(guard, Guard)
    assert_type(guard.check(), bool)
    assert_type(guard.changes, int)
    with contextlib.ExitStack() as stack:
        assert_type(stack.enter_context(impersonate(alice)), Identity)


def returns_from_a_block() -> int:  # a checker must know that the block passes exceptions on
    with impersonate(alice):
        return 1


@contextlib.contextmanager
def as_alice() -> Generator[Identity, None, None]:
    with impersonate(alice, across_yield=True) as who:
        yield who


# ---- acting_as()


def decorated(function: Callable[P, T]) -> acting_as[P, T]:
    return acting_as(alice, function, level="shielded")


@decorated
def size_of(name: str, *, strict: bool = True) -> int:
    return len(read(name, strict=strict))


def decorated_method(function: Callable[P, T]) -> Callable[P, T]:
    return acting_as(alice, function)


class Handler:
    size_of: acting_as[[str], int]

    def __init__(self, job: acting_as[[str], int]) -> None:
        self.size_of = self.own = job

    @decorated_method
    def get(self, path: str) -> bytes:
        return read(path)

    @classmethod
    @decorated_method
    def make(cls, path: str) -> Handler:
        return cls(annotated_size)

    @staticmethod
    @decorated_method
    def at(path: str) -> bytes:
        return read(path)


@dataclasses.dataclass
class Task:
    call: acting_as[[str], int]


class Row(NamedTuple):
    call: acting_as[[str], int]


def calls() -> None:
    job = acting_as(alice, read, level="real", allow_root=True, allow_process=True, on_restore_failure="abort")
    assert_type(job("name", 5, strict=False), bytes)
    assert_type(job.identity, Identity)
    assert_type(job.__wrapped__("name"), bytes)
    assert_type(acting_as(alice, len)([1]), int)
    assert_type(acting_as(alice, functools.partial(read, "name", strict=False))(5), bytes)
    assert_type(acting_as(alice, lambda: 5)(), int)
    assert_type(acting_as(alice, lambda: open("name", "rb"))(), io.BufferedReader)  # noqa: SIM115
    assert_type(acting_as(alice, same)(5), list[int])
    assert_type(acting_as(alice, server.read)(5), bytes)
    assert_type(acting_as(alice, server)("word"), str)
    assert_type(acting_as(alice, Server)("name"), Server)
    assert_type(acting_as(alice, Server.make)("name"), Server)
    assert_type(acting_as(alice, Server.read)(server, 5), bytes)
    assert_type(acting_as(alice, str.upper)("name"), str)
    assert_type(acting_as(alice, acting_as(alice, read))("name"), bytes)
    assert_type(size_of("name", strict=False), int)
    handler = Handler(annotated_size)
    assert_type(handler.get("path"), bytes)
    assert_type(Handler.get(handler, "path"), bytes)
    assert_type(handler.make("path"), Handler)
    assert_type(handler.at("path"), bytes)
    assert_type(handler.size_of("name"), int)
    assert_type(handler.own("name"), int)
    assert_type(Task(annotated_size).call("name"), int)
    assert_type(Row(annotated_size).call("name"), int)
    with IdentityExecutor() as pool:
        assert_type(list(pool.bound(alice).map(acting_as(alice, size_of), ["name"])), list[int])


def length(name: str) -> int:
    return len(name)


annotated_size: acting_as[[str], int] = acting_as(alice, length)


def takes_a_callable(function: Callable[[str], int]) -> int:
    return function("name")


takes_a_callable(acting_as(alice, size_of))


# ---- run_as()


async def awaits() -> None:
    assert_type(await run_as(alice, read, "name"), bytes)
    assert_type(await run_as(alice, read, "name", 5, level="effective", allow_root=True), bytes)
    assert_type(await run_as(alice, functools.partial(read, "name", strict=False)), bytes)
    assert_type(await run_as(alice, lambda: 5), int)
    assert_type(await run_as(alice, same, 5), list[int])
    assert_type(await run_as(alice, server.read, 5, on_restore_failure="abort"), bytes)
    assert_type(await run_as(alice, server, "word"), str)
    assert_type(await run_as(alice, Server, "name"), Server)
    assert_type(await run_as(alice, print, 1, "two"), None)
    assert_type(await run_as(alice, os.listdir, b"name"), list[bytes])
    assert_type(await run_as(alice, size_of, "name"), int)
    assert_type(await asyncio.gather(run_as(alice, size_of, "name"), run_as(alice, read, "name")), tuple[int, bytes])
    assert_type(await asyncio.wait_for(run_as(alice, size_of, "name"), 1), int)
    task = asyncio.create_task(run_as(alice, size_of, "name"))
    assert_type(await task, int)
    assert_type(await run_as(alice, read, "name", 5, abandon_on_cancel=True), bytes)
    loop = asyncio.get_running_loop()
    with IdentityExecutor() as pool:
        assert_type(await run_as(alice, size_of, "name", executor=pool), int)
        assert_type(await loop.run_in_executor(pool.bound(alice), size_of, "name"), int)


# ---- Pools


def pools() -> None:
    with IdentityExecutor(8, "prefix", print, ("one", 2), level="real", allow_root=True, private_fs=True) as pool:
        assert_type(pool, IdentityExecutor)
        assert_type(pool.submit(alice, read, "name", 5, strict=False), Future[bytes])
        assert_type(pool.submit(alice, read, name="name").result(), bytes)
        assert_type(pool.submit(alice, open, "name", "rb").result(), io.BufferedReader)
        assert_type(pool.submit(alice, lambda: 5).result(), int)
        assert_type(pool.submit(alice, same, 5).result(), list[int])
        assert_type(pool.submit(alice, acting_as(alice, read), "name").result(), bytes)
        assert_type(pool.map(alice, read, ["name"], [5]), Iterator[bytes])
        assert_type(list(pool.map(alice, read, ["name"], timeout=1.5, chunksize=2)), list[bytes])
        bound = pool.bound(alice)
        assert_type(bound, Executor)
        assert_type(bound.submit(read, "name", strict=False), Future[bytes])
        assert_type(bound.map(read, ["name"]), Iterator[bytes])
        pool.shutdown(wait=False, cancel_futures=True)
        stats = pool.stats()
        assert_type(stats, replace.PoolStats)
        assert_type(stats.tasks + stats.switches + stats.retired, int)
        assert_type(stats.waiting, dict[Identity, int])
        assert_type(stats.running.get(alice), int | None)
    IdentityExecutor(isolation="thread", keyrings=False, max_per_identity=2).shutdown()


# ---- Iterators


def numbers() -> Generator[int, None, None]:
    yield 1


def iterators(lines: io.BufferedReader) -> None:
    assert_type(list(impersonated(alice, numbers(), level="real")), list[int])
    assert_type(next(impersonated(alice, lines)), bytes)
    with contextlib.closing(impersonated(alice, [1, 2])) as items:
        for item in items:
            assert_type(item, int)
    impersonated(alice, [1]).close()
    iterator: Iterator[int] = impersonated(alice, range(3))
    print(iterator)


# ---- Files and processes


def files(folder: int) -> None:
    assert_type(replace.open_beneath(folder, "name", 0), int)
    assert_type(replace.open_beneath(folder, b"name", 0, 0o644, resolve=replace.Resolve.IN_ROOT, regular=False), int)
    assert_type(replace.open_beneath(folder, pathlib.Path("name"), 0), int)


def processes(text: bool, options: dict[str, Any]) -> None:
    assert_type(replace.popen_as(alice, ["true"]), subprocess.Popen[bytes])
    assert_type(replace.popen_as(alice, "true", shell=True, text=False), subprocess.Popen[bytes])
    assert_type(replace.popen_as(alice, ["true"], text=True, cwd=pathlib.Path("/")), subprocess.Popen[str])
    assert_type(replace.popen_as(alice, ["true"], encoding="utf-8", env={"A": "b"}), subprocess.Popen[str])
    assert_type(replace.popen_as(alice, ["true"], errors="replace"), subprocess.Popen[str])
    assert_type(replace.popen_as(alice, ["true"], universal_newlines=True), subprocess.Popen[str])
    assert_type(replace.popen_as(alice, ["true"], login=True, no_new_privs=True), subprocess.Popen[bytes])
    account = replace.Account.lookup("alice")
    assert_type(replace.popen_as(account.identity, ["true"], account=account, text=True), subprocess.Popen[str])
    process = replace.popen_as(alice, [b"true"], stdin=subprocess.PIPE, stdout=-1, pass_fds=[3], umask=0o77)
    assert_type(process.communicate(b"input"), tuple[bytes, bytes])
    with replace.popen_as(alice, ["true"], text=text, allow_root=True, preexec_fn=print) as either:
        assert_type(either, subprocess.Popen[Any])
    replace.popen_as(alice, ["true"], **options)


def whole_process() -> None:
    replace.protect_os(children="inherit")
    replace.preload("json", "email.mime.text")
    replace.drop_privileges(alice, allow_root=True, allow_io_uring=True)
    replace.assert_clean()
    assert_type(replace.thread_credentials(1)[0].uids, tuple[int, ...])
    assert_type(replace.thread_credentials()[0].effective, int)
    assert_type(replace.report()["calls"], Any)
    assert_type(replace.get_include(), str)
    assert_type(replace.__version__, str)
    if replace.SCOPE == "thread":
        assert_type(replace.SCOPE, Literal["thread"])


# ---- Exceptions


def failures() -> None:
    try:
        blocks()
    except replace.IdentityRefused as error:
        assert_type(error.identity, Identity | None)
        assert_type(error.errno, int)
        assert_type(error.state, str)
        assert_type(error.step, str)
    except (replace.IdentityChanged, replace.ThreadTainted) as error:
        assert_type(error.identity, Identity | None)
        if error.identity is not None:
            assert_type(error.identity.uid, int)
    except replace.IdentityError as error:
        assert_type(error.identity, Identity | None)
        assert_type(error.state, str)
        assert_type(error.hint, str)
        assert_type(error.errno, int | None)
    except replace.ThreadsDiffer as error:
        assert_type(error.threads, tuple[replace.ThreadCredentials, ...])


# ---- WSGI


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    return []


def identify(environ: dict[str, Any]) -> Identity | None:
    return alice if "HTTP_AUTHORIZATION" in environ else None


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
    return print


def frameworks() -> None:
    wrapped = replace.wsgi.AsClient(application, identify, anonymous_as_server=True, challenge="Basic", level=level)
    assert_type(wrapped({}, start_response), Iterable[bytes])
    wsgiref.simple_server.make_server("", 0, replace.wsgi.AsClient(wrapped, identify))


# ---- Files from an event loop


async def in_a_loop() -> None:
    async with replace.aio.Files(backend="threads", max_workers=4, allow_root=True) as found:
        assert_type(found, replace.aio.Files)
        assert_type(await found.open(alice, "name", os.O_RDONLY), int)
        assert_type(await found.open(alice, pathlib.Path("name"), os.O_RDONLY, 0o640, dir_fd=3, resolve=0), int)
        assert_type(await found.stat(alice, b"name", follow_symlinks=False), os.stat_result)
        assert_type(found.backends, dict[str, str])
        await found.mkdir(alice, "name", 0o750)
        await found.unlink(alice, "name", dir_fd=None)
        await found.rename(alice, "name", b"other", dir_fd=3, dst_dir_fd=4)
        await found.link(alice, "name", "other", resolve=replace.Resolve.BENEATH)
        await found.symlink(alice, "text", "name")
        await found.close()


# ---- The calls underneath


def underneath() -> None:
    replace.setresuid(-1, 80001, -1)
    replace.setgroups([80021])
    replace.initgroups("alice", 80011)
    assert_type(replace.getresuid(), tuple[int, int, int])
    assert_type(replace.getgroups(), list[int])
    assert_type(replace.lib.libreplace_seteuid(80001), int)
    assert_type(replace.lib.LIBREPLACE_LEVEL_REAL, int)
    euid = replace.ffi.new("uid_t *")
    print(euid[0], replace.ffi.typeof(euid), replace.ffi.from_buffer(b"bytes"))
