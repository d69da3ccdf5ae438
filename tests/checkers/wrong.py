# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Wrong uses of the package. tests/test_typing.py lets type checkers read this file.

The comment `# E: CODE, RULE` names the error that the checkers must find in its line: mypy's code and pyright's rule.
No other line may have an error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import replace
import replace.aio
import replace.wsgi
from replace import Identity, IdentityExecutor, Level, acting_as, impersonate, impersonated, run_as

P = ParamSpec("P")
T = TypeVar("T")
alice = Identity(80001, 80011, [80021])


def read(name: str, size: int = -1, *, strict: bool = True) -> bytes:
    return b""


async def later() -> int:
    return 1


def decorated(function: Callable[P, T]) -> Callable[P, T]:
    return acting_as(alice, function)


class Handler:
    @decorated
    def get(self, path: str) -> bytes:
        return b""


# ---- Identities and levels

Identity("alice", 5)  # E: arg-type, reportArgumentType
Identity(5)  # E: call-arg, reportCallIssue
Identity(5, 5, 5)  # E: arg-type, reportArgumentType
alice.uid = 0  # E: misc, reportAttributeAccessIssue
wrong_level: Level = "root"  # E: assignment, reportAssignmentType
impersonate(alice, level="root")  # E: arg-type, reportArgumentType
impersonate(alice, levels="real")  # E: call-arg, reportCallIssue
impersonate("alice")  # E: arg-type, reportArgumentType
impersonate(alice, on_restore_failure="ignore")  # E: arg-type, reportArgumentType
replace.impersonat(alice)  # E: attr-defined, reportAttributeAccessIssue
replace.Guard().enter()  # E: attr-defined, reportAttributeAccessIssue


def blocks() -> None:
    with impersonate(alice) as who:
        print(who.name)  # E: attr-defined, reportAttributeAccessIssue
    with impersonate:  # E: attr-defined, reportGeneralTypeIssues
        pass


async def asynchronous_block() -> None:
    async with impersonate(alice):  # E: attr-defined, reportGeneralTypeIssues
        pass


# ---- acting_as()

acting_as(alice, 5)  # E: arg-type, reportArgumentType
acting_as("alice", read)  # E: arg-type, reportArgumentType
acting_as(alice, read, level="root")  # E: arg-type, reportArgumentType
acting_as(alice, read, strict=False)  # E: arg-type, reportArgumentType
acting_as(alice, read, "name")  # E: call-arg, reportCallIssue
acting_as(alice, read)(5)  # E: arg-type, reportArgumentType
acting_as(alice, read)()  # E: call-arg, reportCallIssue
acting_as(alice, read)("name", level="real")  # E: call-arg, reportCallIssue
acting_as(alice, read)("name", strict="no")  # E: arg-type, reportArgumentType
acting_as(alice, read)("name").upper().encode()  # E: attr-defined, reportAttributeAccessIssue
text: str = acting_as(alice, read)("name")  # E: assignment, reportAssignmentType
job: acting_as[[int], bytes] = acting_as(alice, read)  # E: arg-type, reportAssignmentType
number: int = acting_as(alice, later)()  # E: assignment, reportAssignmentType
Handler().get(5)  # E: arg-type, reportArgumentType
Handler().get()  # E: call-arg, reportCallIssue
Handler.get("path")  # E: call-arg, reportCallIssue


# ---- run_as()


async def awaits() -> None:
    run_as(alice, read, "name")  # E: unused-coroutine, reportUnusedCoroutine
    run_as(alice, read, "name").decode()  # E: attr-defined, reportAttributeAccessIssue
    data: bytes = run_as(alice, read, "name")  # E: assignment, reportAssignmentType
    await run_as(alice, read, 5)  # E: arg-type, reportArgumentType
    await run_as(alice, read)  # E: arg-type, reportArgumentType
    await run_as(alice, read, "name", 5, 6)  # E: arg-type, reportArgumentType
    await run_as(alice, read, "name", strict=False)  # E: arg-type, reportArgumentType
    await run_as(alice, read, "name", level="root")  # E: arg-type, reportArgumentType
    await run_as(alice, read, "name", executor=ThreadPoolExecutor())  # E: arg-type, reportArgumentType
    await run_as("alice", read, "name")  # E: arg-type, reportArgumentType
    await run_as(alice, 5)  # E: arg-type, reportArgumentType
    number: int = await run_as(alice, later)  # E: arg-type, reportAssignmentType
    text: str = await run_as(alice, read, "name")  # E: arg-type, reportAssignmentType
    print(data, number, text)


# ---- Pools

pool = IdentityExecutor(level="root")  # E: arg-type, reportArgumentType
IdentityExecutor(isolation="process")  # E: arg-type, reportArgumentType
IdentityExecutor(max_per_identity="2")  # E: arg-type, reportArgumentType
pool.submit(alice, read, 5)  # E: arg-type, reportArgumentType
pool.submit(alice, read)  # E: call-arg, reportCallIssue
pool.submit(alice, read, "name", level="real")  # E: call-arg, reportCallIssue
pool.submit(read, "name")  # E: arg-type, reportArgumentType
pool.submit(alice, read, "name").decode()  # E: attr-defined, reportAttributeAccessIssue
pool.submit(alice, read, "name").result().encode()  # E: attr-defined, reportAttributeAccessIssue
pool.map(alice, read, 5)  # E: arg-type, reportArgumentType
pool.map(alice, read, ["name"], time_out=5)  # E: call-arg, reportCallIssue
pool.map(read, ["name"])  # E: arg-type, reportArgumentType
list(pool.map(alice, read, ["name"]))[0].encode()  # E: attr-defined, reportAttributeAccessIssue
pool.bound("alice")  # E: arg-type, reportArgumentType
pool.bound(alice).submit(read, 5)  # E: arg-type, reportArgumentType
pool.bound(alice).bound(alice)  # E: attr-defined, reportAttributeAccessIssue

# ---- Iterators

impersonated(alice, 5)  # E: arg-type, reportArgumentType
impersonated("alice", [5])  # E: arg-type, reportArgumentType
impersonated(alice, [5], level="root")  # E: arg-type, reportArgumentType
impersonated(alice, [5]).send(None)  # E: attr-defined, reportAttributeAccessIssue
next(impersonated(alice, [5])).upper()  # E: attr-defined, reportAttributeAccessIssue

# ---- Files and processes

replace.open_beneath("folder", "name", 0)  # E: arg-type, reportArgumentType
replace.open_beneath(3, "name")  # E: call-arg, reportCallIssue
replace.popen_as(alice, ["true"], user="bob")  # E: call-overload, reportCallIssue
replace.popen_as(alice, ["true"], cwd=5)  # E: call-overload, reportCallIssue
replace.popen_as(alice, ["true"], account="alice")  # E: call-overload, reportCallIssue
replace.popen_as("alice", ["true"])  # E: call-overload, reportCallIssue
process: subprocess.Popen[str] = replace.popen_as(alice, ["true"])  # E: assignment, reportAssignmentType
replace.protect_os(children="allow")  # E: arg-type, reportArgumentType
replace.preload(5)  # E: arg-type, reportArgumentType
replace.drop_privileges(80001)  # E: arg-type, reportArgumentType

# ---- Exceptions


def failures() -> None:
    try:
        blocks()
    except replace.IdentityError as error:
        print(error.identity.uid)  # E: union-attr, reportOptionalMemberAccess
        print(error.reason)  # E: attr-defined, reportAttributeAccessIssue
    except replace.IdentityRefused as error:
        print(error.identity.uid)  # E: union-attr, reportOptionalMemberAccess


# ---- WSGI

replace.wsgi.AsClient(read, lambda environ: alice)  # E: arg-type, reportArgumentType
replace.wsgi.AsClient(lambda environ, start_response: [], later)  # E: arg-type, reportArgumentType

# ---- Files from an event loop

replace.aio.Files(backend="fast")  # E: arg-type, reportArgumentType
replace.aio.Files(4)  # E: call-arg, reportCallIssue


async def in_a_loop(found: replace.aio.Files) -> None:
    await found.open("alice", "name", 0)  # E: arg-type, reportArgumentType
    await found.open(alice, 5, 0)  # E: arg-type, reportArgumentType
    await found.open(alice, "name")  # E: call-arg, reportCallIssue
    await found.rename(alice, "name")  # E: call-arg, reportCallIssue
    found.backends = {}  # E: misc, reportAttributeAccessIssue


# ---- The calls underneath

replace.setresuid(0, 0)  # E: call-arg, reportCallIssue
replace.setuid("alice")  # E: arg-type, reportArgumentType
replace.setgroups(5)  # E: arg-type, reportArgumentType
replace.lib.libreplace_setuid("alice")  # E: arg-type, reportArgumentType
replace.lib.setuid(5)  # E: attr-defined, reportAttributeAccessIssue
replace.ffi.new_("uid_t *")  # E: attr-defined, reportAttributeAccessIssue
