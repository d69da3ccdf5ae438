# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify`: runs the checks of checks.py, each in a child process of its own.

So the caller's ids never change, whatever a check does and however it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import time
from typing import Any, NamedTuple

from .._build import report
from . import checks, explain, user_checks
from .observe import NotHere
from .text import say, table

_SECONDS = 30  # for one check

HELP = "prove on this machine, with real ids in child processes, what the build decided"
DESCRIPTION = (
    "Without --as: make real switches, in child processes, and compare them with what the build decided. "
    "With --as USER: check that an import under USER's identity can succeed. An import runs with the ids of its "
    "thread, so USER must be able to read Python's files. A child process becomes USER, with USER's groups, and opens "
    "every entry of sys.path, the standard library, the interpreter and the files of this package. The output names "
    "what is closed, and the folder on the way that closes it. It also names each relative entry of sys.path, which is "
    "dangerous. sys.path is that of this command: run it with the server's Python and the server's PYTHONPATH."
)
EPILOG = (
    "exit status: 0 all proved; 1 something contradicts, or is closed to USER; 2 something could not run (needs root, "
    "say), or there is no such USER"
)

PROVED, CONTRADICTED, NOT_RUN = "proved", "contradicted", "not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="user",
        metavar="USER",
        help="check instead that USER, a name or a uid, can read Python's files: imports under that identity need it",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--tap", action="store_true", help="Test Anything Protocol, version 14")
    form.add_argument(
        "--explain",
        action="store_true",
        help="say first what this kernel, container and environment allow, and what to change",
    )


class Result(NamedTuple):
    name: str
    claim: str
    status: str
    detail: str


def _in_child(check: checks.Check, folder: int) -> tuple[str, str]:
    """Run one check in a forked child; (status, detail)."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            status, detail = CONTRADICTED, ""
            try:
                detail, status = check.run(folder) or "", PROVED
            except NotHere as reason:
                status, detail = NOT_RUN, str(reason)
            except AssertionError as error:
                detail = str(error) or "AssertionError"
            except BaseException as error:
                detail = f"{type(error).__name__}: {error}"
            os.write(writer, json.dumps([status, detail]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        if not select.select([pipe], [], [], _SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return CONTRADICTED, f"no answer within {_SECONDS} seconds"
        text = pipe.read()
    _, wait_status = os.waitpid(child, 0)
    if not text:
        code = os.waitstatus_to_exitcode(wait_status)
        return CONTRADICTED, f"the child ended with {f'signal {-code}' if code < 0 else f'status {code}'}"
    outcome, detail = json.loads(text)
    return outcome, detail


def _exit_status(results: list[Result]) -> int:
    found = {result.status for result in results}
    return 1 if CONTRADICTED in found else 2 if NOT_RUN in found or not results else 0


def _line(result: Result) -> str:
    mark = {PROVED: "ok  ", CONTRADICTED: "FAIL", NOT_RUN: "--  "}[result.status]
    detail = f" ({result.detail})" if result.detail else ""
    return f"{mark} {result.name:24} {result.claim}{detail}"


def run(arguments: argparse.Namespace) -> int:
    form = next((name for name in ("json", "tap", "explain") if getattr(arguments, name)), "text")
    started = time.monotonic()
    document = report()
    verdict = document["verdict"]
    user = arguments.user
    if user is None:
        plan = checks.all_checks(document)
    else:
        try:
            plan = user_checks.all_checks(user_checks.find_user(user), user)
        except KeyError:
            print(f"libreplace verify: there is no user {user!r} here; give a name or a uid", file=sys.stderr)
            return 2
        except ValueError as error:
            print(f"libreplace verify: {error}", file=sys.stderr)
            return 2
    people = form in ("text", "explain")
    if form == "explain":
        say("\n".join(explain.explain()) + "\n")
    if people and user is not None:
        say(f"libreplace {document['version']}: may user {user} read what imports read?\n")
    elif people:
        say(
            f"libreplace {document['version']}: {verdict['backend']} back end; "
            f"claim: one call changes one {verdict['scope']}\ndecided by {verdict['rule']}\n"
        )
    elif form == "tap":
        say(f"TAP version 14\n1..{len(plan)}")
    results = []
    with tempfile.TemporaryDirectory(prefix="libreplace-verify-") as name:
        os.chmod(name, 0o777)
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        for number, check in enumerate(plan, 1):
            if people and sys.stdout.isatty():
                say(f"\r[{number}/{len(plan)}] {check.name} ...\033[K", end="")
            result = Result(check.name, check.claim, *_in_child(check, folder))
            results.append(result)
            if people:
                say(("\r\033[K" if sys.stdout.isatty() else "") + _line(result))
            elif form == "tap":
                _print_tap(number, result)
        os.close(folder)
    counts = {status: sum(r.status == status for r in results) for status in (PROVED, CONTRADICTED, NOT_RUN)}
    if people:
        if user is None:
            _print_calls(verdict, results)
        words = _words(verdict["scope"], counts) if user is None else _words_about(user, counts)
        say(
            f"\n{counts[PROVED]} proved, {counts[CONTRADICTED]} contradicted, {counts[NOT_RUN]} not run "
            f"in {time.monotonic() - started:.1f} s\n{words}"
        )
    elif form == "json":
        say(
            json.dumps(
                {
                    "version": document["version"],
                    "backend": verdict["backend"],
                    "scope": verdict["scope"],
                    "rule": verdict["rule"],
                    "machine": explain.facts(),
                    **({} if user is None else {"user": user}),
                    "counts": counts,
                    "exit_status": _exit_status(results),
                    "checks": [result._asdict() for result in results],
                },
                indent=1,
            )
        )
    return _exit_status(results)


def _print_tap(number: int, result: Result) -> None:
    word = "not ok" if result.status == CONTRADICTED else "ok"
    skip = f" # SKIP {result.detail}" if result.status == NOT_RUN else ""
    say(f"{word} {number} - {result.name}: {result.claim}{skip}")
    if result.status == CONTRADICTED:
        say(f"  ---\n  message: {json.dumps(result.detail)}\n  ...")


def _print_calls(verdict: dict[str, Any], results: list[Result]) -> None:
    statuses = {result.name: result.status for result in results}
    rows: list[tuple[str, ...]] = [
        (
            call["name"],
            call["backend"],
            call["symbol"],
            call["scope"],
            statuses.get(call["name"], statuses.get("getters", NOT_RUN)),
        )
        for call in verdict["calls"]
    ]
    say("\n" + "\n".join(table(("call", "back end", "symbol", "scope", "observed"), rows)))


def _words(scope: str, counts: dict[str, int]) -> str:
    if counts[CONTRADICTED]:
        return "CONTRADICTED: do not rely on this build here"
    if counts[NOT_RUN]:
        return "nothing contradicts, but not everything could run; try as root, or --explain"
    if scope == "thread":
        return "proved: a switch in one thread leaves the others alone"
    return "proved the opposite of per-thread: a switch in one thread changes the whole process"


def _words_about(user: str, counts: dict[str, int]) -> str:
    if counts[CONTRADICTED]:
        return (
            f"imports under the identity of user {user} can fail, or are dangerous: open the folders, move Python, or "
            "call replace.preload() at program start with all that is imported later"
        )
    if counts[NOT_RUN]:
        return "it cannot be told here; try as root, or --explain"
    return f"proved: user {user} may read Python's files, so imports under that identity can succeed"
