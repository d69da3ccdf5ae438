# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify`: runs the checks of checks.py or user_checks.py, and shows the results.

Each check runs in a child process, so the caller's ids never change.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from .._build import report
from . import checks, explain, obstacles, user_checks
from .check_folder import CheckFolder
from .children import Died, in_child
from .completion import USER, complete_as
from .documents import REACH
from .observe import NotHere
from .obstacles import Machine, no_process
from .text import Failed, harmless, say, show_progress, table

HELP = "check the build's decision on this machine"
DESCRIPTION = """\
Switch ids in child processes, and compare the results with the build's decision.

Run it as root, or with CAP_SETUID and CAP_SETGID, to run every check. The ids of the command itself never change. If
libc's own calls fail here as well, then something on this machine prevents a check: that check is not run, and
--explain says what to change. Any other failure shows that the build is wrong here.

With --as USER, it checks instead that USER can read the files that Python needs for an import. An import under USER's
identity runs with USER's ids. A child process becomes USER and opens every entry of sys.path, the standard library,
the interpreter and the files of this package. The output names each path that USER cannot read, and the folder in
the path that USER cannot enter. It also names each relative entry of sys.path, because such an entry is dangerous. The
command checks its own sys.path, so run it with the server's Python and PYTHONPATH."""
EXIT_STATUS = {
    0: "every claim was proved",
    1: "a claim is wrong; with --as, USER cannot read a file, or an entry of sys.path is relative",
    2: "a check could not run (for example, it needs root, or a filter refuses a call), or there is no such USER",
}
EXAMPLE = "sudo libreplace verify --explain"

PROVED, CONTRADICTED, NOT_RUN = "proved", "contradicted", "not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    user = parser.add_argument(
        "--as",
        dest="user",
        metavar="USER",
        help="check instead that USER (a name or a uid) can read the files that Python's imports need",
    )
    complete_as(user, USER)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for programs")
    form.add_argument("--tap", action="store_true", help="print the Test Anything Protocol, version 14")
    form.add_argument(
        "--explain",
        action="store_true",
        help="first print what this kernel, container and environment allow, and what to change",
    )


class Result(NamedTuple):
    name: str
    claim: str
    status: str
    detail: str


def _outcome(check: checks.Check, machine: Machine) -> tuple[str, str]:
    """Run one check; (status, detail)."""
    try:
        return PROVED, check.run(machine) or ""
    except NotHere as reason:
        return NOT_RUN, str(reason)
    except AssertionError as error:
        return CONTRADICTED, str(error) or "AssertionError"
    except RuntimeError as error:
        if "can't start new thread" in str(error):
            return NOT_RUN, f"{error}: raise the limit of processes"
        return CONTRADICTED, f"RuntimeError: {error}"
    except OSError as error:
        no_space = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return NOT_RUN if no_space else CONTRADICTED, f"{type(error).__name__}: {error}"
    except BaseException as error:
        return CONTRADICTED, f"{type(error).__name__}: {error}"


def _judge(check: checks.Check, machine: Machine) -> tuple[str, str]:
    """Run one check in a child process, unless something prevents it; (status, detail)."""
    obstacle = machine.prevents(check.requires)
    if obstacle:
        return NOT_RUN, obstacle.reason
    try:
        status, detail = in_child(partial(_outcome, check, machine))
    except Died as died:
        if died.signal == signal.SIGSYS:  # seccomp(2): only a filter sends it
            return NOT_RUN, "a seccomp filter ended the check's process with SIGSYS"
        return CONTRADICTED, str(died)
    except OSError as error:
        return NOT_RUN, no_process(error).reason
    return status, detail


_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def _end_with(number: int, folder: CheckFolder) -> None:
    """End the process because of a signal. An exception is no way out: Python ignores it in the functions of a fork."""
    folder.remove()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the first process of a container survives its own signal


@contextmanager
def _folder() -> Iterator[tuple[int, str]]:
    """A descriptor of the folder of check_folder.py; or -1, and why there is none."""
    mask, reason = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING), ""
    try:
        made = CheckFolder()
        heard = {number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN}
        handlers = {number: signal.signal(number, lambda *got: _end_with(got[0], made)) for number in heard}
    except OSError as error:
        reason = f"no temporary folder can be made: {error.strerror}"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if reason:
        yield -1, reason
        return
    try:
        yield made.descriptor, ""
    finally:
        made.remove()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        made.close()


def _exit_status(results: list[Result]) -> int:
    found = {result.status for result in results}
    return 1 if CONTRADICTED in found else 2 if NOT_RUN in found or not results else 0


def _line(result: Result) -> str:
    mark = {PROVED: "ok  ", CONTRADICTED: "FAIL", NOT_RUN: "--  "}[result.status]
    detail = f" ({result.detail})" if result.detail else ""
    return f"{mark} {result.name:24} {result.claim}{detail}"


def run(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, a child's status is lost
    form = next((name for name in ("json", "tap", "explain") if getattr(arguments, name)), "text")
    started = time.monotonic()
    document = report()
    verdict = document["verdict"]
    user = arguments.user
    if user is None:
        plan = checks.all_checks(document)
    else:
        try:
            identity = user_checks.find_user(user)
            plan, machine = user_checks.all_checks(identity, user), obstacles.for_user(identity.uid)
        except KeyError:
            raise Failed(f"there is no user {user!r}; give a name or a uid") from None
        except ValueError as error:
            raise Failed(str(error)) from error
    people = form in ("text", "explain")
    results = []
    with _folder() if user is None else nullcontext((-1, "")) as (folder, no_folder):
        if user is None:
            machine = obstacles.find(folder, no_folder, verdict)
        if form == "explain":
            say(*explain.explain(machine), "")
        if people and user is not None:
            say(f"libreplace {document['version']}: can user {user} read the files that imports need?", "")
        elif people:
            say(
                f"libreplace {document['version']}: {verdict['backend']} back end; "
                f"claim: a call changes {REACH[verdict['scope']]}",
                f"rule: {verdict['rule']}",
                "",
            )
        elif form == "tap":
            say("TAP version 14", f"1..{len(plan)}")
        for number, check in enumerate(plan, 1):
            if people:
                show_progress(f"[{number}/{len(plan)}] {check.name} ...")
            result = Result(check.name, check.claim, *_judge(check, machine))
            results.append(result)
            if people:
                show_progress()
                say(_line(result))
            elif form == "tap":
                _print_tap(number, result)
    counts = {status: sum(r.status == status for r in results) for status in (PROVED, CONTRADICTED, NOT_RUN)}
    if people:
        if user is None:
            _print_calls(verdict, results)
        words = _words(verdict["scope"], counts) if user is None else _words_about(user, counts)
        say(
            "",
            f"{counts[PROVED]} proved, {counts[CONTRADICTED]} contradicted, {counts[NOT_RUN]} not run "
            f"in {time.monotonic() - started:.1f} s",
            words,
        )
    elif form == "json":
        say(
            *json.dumps(
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
            ).split("\n")
        )
    return _exit_status(results)


def _print_tap(number: int, result: Result) -> None:
    word = "not ok" if result.status == CONTRADICTED else "ok"
    skip = f" # SKIP {result.detail}" if result.status == NOT_RUN else ""
    say(f"{word} {number} - {_tap(result.name)}: {_tap(result.claim)}{skip}")
    if result.status == CONTRADICTED:
        say("  ---", f"  message: {json.dumps(result.detail)}", "  ...")


def _tap(text: str) -> str:
    """The text in a description of TAP, where # begins a directive. The name of a folder may have one."""
    return harmless(text).replace("\\", "\\\\").replace("#", "\\#")


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
    say("", *table(("call", "back end", "symbol", "scope", "observed"), rows))


def _words(scope: str, counts: dict[str, int]) -> str:
    if counts[CONTRADICTED]:
        return "CONTRADICTED: do not use this build on this machine"
    if counts[NOT_RUN]:
        return "no claim is wrong, but some checks could not run; --explain says what prevents them, and what to change"
    if scope == "thread":
        return "proved: a switch in one thread does not change other threads"
    return "proved: a switch in one thread changes the whole process"


def _words_about(user: str, counts: dict[str, int]) -> str:
    if counts[CONTRADICTED]:
        return (
            f"imports under the identity of user {user} can fail, or are dangerous: let the user read these "
            "files and enter these folders, move Python to another folder, or call replace.preload() at program start "
            "with all modules that are imported later"
        )
    if counts[NOT_RUN]:
        return "some checks could not run; run this as root, or use --explain to see why"
    return f"proved: user {user} can read Python's files, so imports under that identity can succeed"
