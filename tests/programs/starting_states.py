# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Starts threads and processes with random credentials, and enters identities in every way that Python offers.

usage: python tests/programs/starting_states.py [--seed SEED] [--states N | --replay NUMBER]   (as root)

Each starting state has random ids, groups, capability sets and securebits. Each state gets some random plans: a with
block, acting_as, impersonated, run_as or an IdentityExecutor, each with a random identity and level, and often with
others inside. The entry must be refused with the right exception, and change nothing; or the thread has exactly the
identity, and afterwards exactly its starting state. It is never tainted. A child that is forked inside, and a program
that popen_as() starts, is the user for good. In the end, some processes drop their privileges, or nothing changes.

The kernel says what a thread has: /proc/thread-self/status. The state depends only on the seed, its number and what the
program itself may do, so a failure prints the command that tries it again. Prints counts. Exit status 1 for a fault, 2
for wrong usage or a build with process-wide calls, 77 without root.

tests/support/credentials.py makes the states; entries.py makes the plans and says what must hold. The command works in
a user namespace, too, if it maps 0 and the ids of the states: tests/support/odd_machine.py maps ... COMMAND.
"""

from __future__ import annotations

import argparse
import functools
import mmap
import os
import random
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from support.children import HANG, LEVELS, in_child  # noqa: E402
from support.credentials import (  # noqa: E402
    NO_SETUID_FIXUP,
    NOROOT,
    SETGID,
    SETPCAP,
    SETUID,
    Credentials,
    become,
    from_status,
    look,
    random_credentials,
)
from support.entries import (  # noqa: E402
    FORKS,
    GIDS,
    OUTER_WAYS,
    UIDS,
    WAYS,
    Fault,
    Plan,
    Ways,
    random_plan,
    wrong_child,
    wrong_inside,
    wrong_refusal,
)

import replace  # noqa: E402
from replace._native import depth, tainted  # noqa: E402

#: One state of this many is that of a whole process, which has not entered any identity before. Half of these processes
#: make a pool. The other states belong to one thread each.
PROCESSES = 8
#: A program that shows its credentials.
SHOW = ["/bin/cat", "/proc/self/status"]
#: So many states share a child process.
BATCH = 500


def keeps_capabilities_of_programs(now: Credentials) -> bool:
    """Whether popen_as() refuses these securebits, because set-user-ID programs would keep capabilities."""
    return now.securebits & (NOROOT | NO_SETUID_FIXUP) == NO_SETUID_FIXUP


class Visit:
    """Carries out plans in one starting state."""

    def __init__(self, base: Credentials, ways: Ways) -> None:
        self.base, self.ways, self.counts = base, ways, Counter[str]()

    def carry_out(self, plan: Plan) -> None:
        before, held, entered = look(), depth(), []

        def body() -> None:
            entered.append(plan)
            self.inside(plan, before)

        try:
            self.ways[plan.way](plan, body)
        except (replace.IdentityRefused, replace.IdentityError) as problem:
            self.counts[f"refused with {type(problem).__name__}: {problem.step}, {problem.state}"] += 1
            after = f"it entered, and then ({problem.__context__})"
            wrong = after if entered else wrong_refusal(plan, self.base, before, problem)
            if wrong:
                raise Fault(f"{plan}: {wrong}: {type(problem).__name__}: {problem}") from problem
        else:
            if not entered:
                raise Fault(f"{plan}: the body did not run")
            self.counts[f"entered by {plan.way}"] += 1
        if look() != before:
            raise Fault(f"{plan}: before {before}, afterwards {look()}")
        if tainted() or depth() != held:
            raise Fault(f"{plan}: tainted, or {depth()} entries held instead of {held}")

    def inside(self, plan: Plan, before: Credentials) -> None:
        now = look()
        wrong = wrong_inside(plan, self.base, before, now)
        if wrong:
            raise Fault(f"{plan}: before {before}, inside {now}: wrong {wrong}")
        if plan.forks:
            child = in_child(look)
            wrong = wrong_child(plan, self.base, child)
            if wrong:
                raise Fault(f"{plan}: forked child {child}: wrong {wrong}")
            self.counts["forked inside"] += 1
            self.start_child(plan)
        if plan.inner is not None:
            self.counts["tried inside another identity"] += 1
            self.carry_out(plan.inner)
        if look() != now:
            raise Fault(f"{plan}: before the inner identity {now}, afterwards {look()}")

    def start_child(self, plan: Plan) -> None:
        """Start a program with popen_as(), inside another identity or outside."""
        before, held = look(), depth()
        try:
            child = replace.popen_as(
                plan.identity, SHOW, allow_root=plan.allow_root, stdout=subprocess.PIPE, cwd="/", env={}
            )
        except (replace.IdentityRefused, replace.IdentityError) as problem:
            wrong = wrong_refusal(plan._replace(level="shielded"), self.base, before, problem)
            if type(problem) is replace.CapabilitiesRemain and keeps_capabilities_of_programs(before):
                wrong = ""
        else:
            text, _ = child.communicate()
            wrong = wrong_child(plan, self.base, from_status(text))
            self.counts["programs started by popen_as"] += 1
        if wrong or look() != before or tainted() or depth() != held:
            raise Fault(f"popen_as with the identity of {plan}: {wrong}: before {before}, afterwards {look()}")

    def fork_outside(self) -> None:
        child = in_child(look)
        if child != self.base:
            raise Fault(f"forked outside of all identities: {child}")

    def drop(self, plan: Plan) -> None:
        """Become the user for good, in all threads. Or nothing must change."""
        try:
            replace.drop_privileges(plan.identity, allow_root=plan.allow_root)
        except (replace.IdentityRefused, replace.DropFailed) as problem:
            self.counts[f"drops refused with {type(problem).__name__}: {problem.step}, {problem.state}"] += 1
            if problem.state == "tainted" or look() != self.base:
                raise Fault(f"{problem}: {look()}") from problem
        else:
            self.counts["drops"] += 1
            now, gid = look(), {plan.identity.gid}
            if {*now.groups} - gid == {*plan.identity.groups} - gid:  # the gid does not count
                now = now._replace(groups=plan.identity.groups)
            wrong = wrong_child(plan, self.base, now)
            if wrong:
                raise Fault(f"drop_privileges({plan.identity}): {now}: wrong {wrong}")

    def in_pool(self, choose: random.Random) -> None:
        """Carry out plans as tasks of an IdentityExecutor."""
        begun: list[Credentials] = []
        plans = [random_plan(choose) for _ in range(6)]
        level, allow_root = choose.choice(LEVELS), choose.random() < 0.8

        def way(plan: Plan, body: Callable[[], None]) -> None:
            submit = choose.choice([functools.partial(pool.submit, plan.identity), submit_bound])
            submit(body).result(HANG)

        def submit_bound(body: Callable[[], None]) -> Any:
            return pool.bound(plan.identity).submit(body)

        self.ways = {**self.ways, "pool": way}
        with replace.IdentityExecutor(
            2, initializer=lambda: begun.append(look()), level=level, allow_root=allow_root
        ) as pool:
            for plan in plans:
                self.carry_out(plan._replace(way="pool", level=level, allow_root=allow_root))
        if any(one != self.base for one in begun):
            raise Fault(f"workers began as {begun}")
        self.counts["workers of pools"] += len(begun)


# ---- The search


def is_of_process(number: int) -> bool:
    return number % PROCESSES == 0


def visit(seed: str, number: int, ways: Ways) -> Counter[str]:
    """Try one starting state: give it to the calling thread, and carry out some plans. Raises Fault."""
    choose = random.Random(f"{seed}/{number}")
    start = random_credentials(choose, look(), UIDS[:3], GIDS[:3])
    one = Visit(start, ways)
    try:
        become(start)
        if is_of_process(number) and choose.random() < 0.5:
            one.in_pool(choose)
            replace.assert_clean()
        else:
            for _ in range(4):
                one.carry_out(random_plan(choose))
            if choose.randrange(100) < FORKS:
                one.fork_outside()
                one.start_child(random_plan(choose))
        if look() != start:
            raise Fault(f"in the end: {look()}")
        if is_of_process(number):
            one.drop(random_plan(choose))
    except BaseException as problem:
        text = str(problem) if isinstance(problem, Fault) else traceback.format_exc()
        raise Fault(f"starting state {number}: {start}\n{text}") from problem
    return one.counts


def visit_many(seed: str, numbers: range, ways: Ways, at: mmap.mmap) -> Counter[str]:
    """Try these states: each in a child or thread of its own. `at` holds the present number."""
    warnings.simplefilter("ignore", DeprecationWarning)  # os.fork() in a thread, from CPython 3.12 on; others only wait
    counts = Counter[str]()

    def work(number: int) -> None:
        try:
            counts.update(visit(seed, number, ways))
        except Fault as problem:
            faults.append(problem)

    faults: list[Fault] = []
    for number in sorted(numbers, key=is_of_process, reverse=True):  # this process has not entered before the children
        at[:8] = struct.pack("q", number)
        if is_of_process(number):
            counts.update(in_child(visit, seed, number, ways))
        else:
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()
            if faults:
                raise faults[0]
    return counts


def search(seed: str, numbers: range, ways: Ways = WAYS | OUTER_WAYS, progress: bool = False) -> Counter[str]:
    """Try the starting states with these numbers. Returns counts. A Fault names the command that tries it again."""
    replace.preload("asyncio")  # the users cannot read Python's files if these are below /root
    counts = Counter[str]()
    with mmap.mmap(-1, 8) as at:  # shared with the children
        for first in range(numbers.start, numbers.stop, BATCH):
            batch = range(first, min(first + BATCH, numbers.stop))
            try:
                counts.update(in_child(visit_many, seed, batch, ways, at))
            except Exception as problem:
                number = struct.unpack("q", at[:8])[0]
                command = f"python tests/programs/starting_states.py --seed {seed} --replay {number}"
                raise Fault(f"{problem}\nto try it again: {command}") from problem
            counts["starting states"] += len(batch)
            if progress:
                print(f"\r{counts['starting states']:>9} of {len(numbers)} states", end="", file=sys.stderr, flush=True)
    return counts


def why_not() -> tuple[str, int]:
    """Why the search is impossible here, and the exit status. The reason is empty if it is possible."""
    if replace.SCOPE != "thread":
        return "needs a build whose calls change one thread (-Dcredentials=syscall)", 2
    needed = SETUID | SETGID | SETPCAP
    if os.geteuid() != 0 or look().effective & needed != needed:
        return "needs root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP: real ids are switched", 77
    return "", 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=10_000, help="how many starting states (default %(default)s)")
    parser.add_argument("--seed", default="1", help="another seed gives other states (default %(default)s)")
    parser.add_argument("--replay", type=int, metavar="NUMBER", help="try only the state that has this number")
    arguments = parser.parse_args()
    if arguments.states < 1:
        parser.error("--states should be at least 1")
    reason, status = why_not()
    if reason:
        print(f"{parser.prog}: {reason}", file=sys.stderr)
        return status
    began = time.monotonic()
    numbers = range(arguments.states) if arguments.replay is None else range(arguments.replay, arguments.replay + 1)
    try:
        counts = search(arguments.seed, numbers, progress=sys.stderr.isatty())
    except Fault as problem:
        print(problem)
        return 1
    for name, count in sorted(counts.items()):
        print(f"{count:>9} {name}")
    print(f"no fault in {time.monotonic() - began:.1f} s with seed {arguments.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
