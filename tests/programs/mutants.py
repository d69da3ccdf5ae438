# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Would the tests notice?  Wrong bodies and missing steps, each built and judged by the C tests.

usage: python tests/programs/mutants.py   (as root, on Linux with glibc)

Every body of the generated module is mutated in turn (another call, arguments swapped, -1 not
refused, nothing done, not verified, a 16-bit call), and every step of enter and leave.
Judges: conformance.c, guard.c, faults.c under strace, and every transition against the
model.  A mutant that no judge notices is a gap in the tests; exit status 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402
from support import transitions  # noqa: E402

CORE = TESTS.parent / "replace" / "core"
SOURCES = ("guard.c", "walk.c", "threads.c", "fork.c", "names.c", "capabilities_linux.c")
JUDGES = ("conformance", "guard", "faults", "transitions")


class Mutant(NamedTuple):
    what: str
    file: str
    text: str  # of the whole mutated file


def _bodies(text: str) -> list[tuple[str, str]]:
    found = re.findall(r"^(int libreplace_(\w+)\(.*?\)\n\{\n.*?^\}\n)", text, re.S | re.M)
    return [(name, body) for body, name in found]


#: The kernel itself refuses -1 there, so without our own test nothing changes: not a mutant.
_SAME = {("setuid", "-1 is not refused"), ("setgid", "-1 is not refused"), ("initgroups", "-1 is not refused")}


def of_bodies(text: str) -> list[Mutant]:
    """Mutants of each body of the generated module."""
    found = []
    for name, body in _bodies(text):
        head, inside = body.split("\n{\n", 1)
        names = re.findall(r"(\w+)(?:,|\))", head)
        changes = {"nothing is done": f"{head}\n{{\n\treturn 0;\n}}\n"}
        call = re.search(r"syscall\((SYS_\w+)", inside)
        if call:
            number = call.group(1)
            other = number.replace("uid", "gid") if "uid" in number else number.replace("gid", "uid")
            if other != number:
                changes["the other kind's call"] = body.replace(number, other)
        arguments = re.search(r"syscall\(SYS_\w+, (\w+), (\w+)", inside)
        if arguments and "groups" not in name:
            one, two = arguments.groups()
            changes["arguments swapped"] = body.replace(f", {one}, {two}", f", {two}, {one}")
        if ", -1)" in inside and "setres" in inside:
            changes["the saved id is set, too"] = body.replace(", -1)", f", {names[0]})")
        if "== (" in inside and "EINVAL" in inside:
            changes["-1 is not refused"] = re.sub(r"if \(\w+ == \(\w+\)-1\)", "if (0)", body)
        if "INT_MAX" in inside:
            changes["too long a list is not refused"] = body.replace("size > INT_MAX", "0")
        if "EPERM" in inside:
            changes["not verified"] = re.sub(r"if \((?:.*) != \w+\)", "if (0)", body)
        found += [
            Mutant(f"{name}: {what}", "replace_calls.c", text.replace(body, changed))
            for what, changed in changes.items()
            if changed != body and (name, what) not in _SAME
        ]
    return found


#: (file, what, from, to): the steps of enter and leave
STEPS = (
    ("walk.c", "groups are not set", "if (lists && changed(", "if (0 && changed("),
    ("walk.c", "gids are not set inwards", "if (!outwards && (set_gids(guard, now, to) != 0 || ", "if (!outwards && ("),
    ("walk.c", "gids are not set outwards", "set_uids(guard, now, to) != 0 || set_gids(guard, now, to) != 0", "set_uids(guard, now, to) != 0"),
    ("walk.c", "outwards, gids before uids", "set_uids(guard, now, to) != 0 || set_gids(guard, now, to) != 0", "set_gids(guard, now, to) != 0 || set_uids(guard, now, to) != 0"),
    ("walk.c", "inwards, uids before gids", "(set_gids(guard, now, to) != 0 || set_uids(guard, now, to) != 0)", "(set_uids(guard, now, to) != 0 || set_gids(guard, now, to) != 0)"),
    ("walk.c", "not verified", "return libreplace_fail(guard, LIBREPLACE_STEP_VERIFY, EPERM);", "return 0;"),
    ("walk.c", "uids are not verified", "if (!libreplace_same_uids(now, to) || !libreplace_same_gids(now, to)", "if (!libreplace_same_gids(now, to)"),
    ("walk.c", "gids are not verified", "if (!libreplace_same_uids(now, to) || !libreplace_same_gids(now, to)", "if (!libreplace_same_uids(now, to)"),
    ("walk.c", "groups are not verified", " ||\n\t    !libreplace_same_groups(now, list, to, groups))\n\t\treturn libreplace_fail", ")\n\t\treturn libreplace_fail"),
    ("walk.c", "not by way of the privileged id", "} else if (now->euid != privileged) {", "} else if (0) {"),
    ("walk.c", "capabilities are not raised", "privileged != 0 && libreplace_raise", "0 && libreplace_raise"),
    ("walk.c", "the fs uid is not set", "if (now->fsuid != to->fsuid) {", "if (0) {"),
    ("walk.c", "the fs gid is not set", "if (now->fsgid != to->fsgid &&", "if (0 &&"),
    ("walk.c", "steps that change nothing are made", "if (!libreplace_same_uids(now, to)) {\n\t\tif (changed", "if (1) {\n\t\tif (changed"),
    ("guard.c", "capabilities are not checked", "if (libreplace_forbidden_capabilities(now.effective, level) != 0)", "if (0)"),
    ("guard.c", "capabilities are not put down", "if (puts_down(guard) && libreplace_put_down", "if (0 && libreplace_put_down"),
    ("guard.c", "capabilities are not given back", "if (!puts_down(guard) && held->effective == held->permitted)", "if (1)"),
    ("guard.c", "not rolled back", "libreplace_read_all(guard, &now, libreplace_scratch(guard)) != 0 || restore(guard, &now) != 0", "0"),
    ("guard.c", "not tried twice", "if (go_back(guard, now) != 0 &&\n", "if (go_back(guard, now) != 0)\n\t\treturn -1;\n\tif (0 &&\n"),
    ("guard.c", "out of order is accepted", "return libreplace_mine.top == guard && libreplace_mine.token == guard->token;", "return 1;"),
    ("guard.c", "libreplace_check looks not at the ids", "else if (compare(guard, &now) == 0 && guard->set.fsuid != 0)", "else if (guard->set.fsuid != 0)"),
    ("guard.c", "libreplace_check looks not at the capabilities", "libreplace_forbidden_capabilities(caps.effective, guard->level) != 0", "0"),
    ("guard.c", "libreplace_check looks not at what is permitted", "caps.permitted != held->permitted", "0"),
    ("guard.c", "libreplace_check takes the level for another", "guard->level = level;", "guard->level = LIBREPLACE_LEVEL_EFFECTIVE;"),
    ("guard.c", "a tainted thread is accepted", "if (libreplace_mine.tainted)\n\t\treturn ENOTRECOVERABLE;", ""),
    ("guard.c", "root is accepted", "if (libreplace_identity_has_root(who) && !(guard->flags & LIBREPLACE_ALLOW_ROOT))", "if (0)"),
    ("guard.c", "changes in between are not noticed", "return libreplace_fail(guard, LIBREPLACE_STEP_FOUND, EPERM);", "return 0;"),
    ("guard.c", "back to 0 instead of what was observed", "libreplace_walk(guard, now, &guard->before, libreplace_found(guard))", "libreplace_walk(guard, now, &libreplace_mine.base, libreplace_found(guard))"),
    ("guard.c", "the real gid stays", "to->rgid = to->egid = who->gid;", "to->egid = who->gid;"),
    ("guard.c", "the shield is forgotten", "to->ruid = LIBREPLACE_SHIELD_UID;", "(void)0;"),
    ("guard.c", "a level is mistaken", "else if (level == LIBREPLACE_LEVEL_SHIELDED)", "else"),
    ("threads.c", "a thread is counted for ever", "atomic_fetch_sub(&active, 1);\n}\n\nstatic void thread_ended", "}\n\nstatic void thread_ended"),
    ("fork.c", "a forked child keeps its way back", "become_for_good();\n\tlibreplace_mine.depth", "libreplace_mine.depth"),
    ("threads.c", "entering during a drop", "if (atomic_load(&dropping)) {", "if (0) {"),
    ("threads.c", "dropping while switched", "if (atomic_load(&active) == 0)", "if (1)"),
    ("capabilities_linux.c", "inheritable ones stay", "held->inheritable & ~held->permitted)", "held->inheritable)"),
)  # fmt: skip


def of_steps() -> list[Mutant]:
    found = []
    for file, what, old, new in STEPS:
        text = (CORE / file).read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{file}: {what}: the text to change is there {text.count(old)} times: {old!r}")
        found.append(Mutant(f"{file}: {what}", file, text.replace(old, new)))
    return found


class Build:
    """The objects and programs of one platform, recompiled where a file changes."""

    def __init__(self, folder: Path, platform: str, compiler: tuple[str, ...] = ("cc",)) -> None:
        self.folder, self.family = folder, golden.GOLDEN / platform
        self.wide = "32" if platform.endswith("i386") else ""  # of the names that strace knows
        include = folder / "include" / "libreplace"
        include.mkdir(parents=True)
        for header in (*self.family.glob("*.h"), *(CORE / "libreplace").glob("*.h")):
            (include / header.name).write_text(header.read_text())
        flags = ("-O1", "-w", "-D_GNU_SOURCE", f"-I{folder / 'include'}", f"-I{CORE}", f"-I{TESTS / 'c'}")
        self.cc = (*compiler, *flags)
        for name in ("replace_calls.c", *SOURCES):
            self.compile(name, (self.family if name == "replace_calls.c" else CORE).joinpath(name).read_text())
        for judge in JUDGES:
            subprocess.run([*self.cc, "-c", TESTS / "c" / f"{judge}.c", "-o", folder / f"judge-{judge}.o"], check=True)

    def compile(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        object_file = self.folder / name.replace(".c", ".o")
        subprocess.run([*self.cc, "-c", self.folder / name, "-o", object_file], check=True)

    def judge(self) -> str:
        """Which judge notices; empty if none does."""
        objects = [self.folder / name.replace(".c", ".o") for name in ("replace_calls.c", *SOURCES)]
        for judge in JUDGES:
            program = [*self.cc, self.folder / f"judge-{judge}.o", *objects, "-pthread", "-o", self.folder / judge]
            subprocess.run(program, check=True)
        judges = {
            "conformance": lambda: self._status("conformance"),
            "guard": lambda: self._status("guard"),
            "faults": self._faults,
            "transitions": lambda: bool(transitions.wrong(transitions.parse(self._output("transitions", "ours")))),
        }
        return next((name for name, notices in judges.items() if notices()), "")

    def _output(self, name: str, *arguments: str) -> str:
        command = [self.folder / name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout

    def _status(self, name: str) -> bool:
        return subprocess.run([self.folder / name], capture_output=True, check=False, timeout=60).returncode != 0

    def _faults(self) -> bool:
        """What test_faults.py asserts, in short: caught on the way in, overcome on the way out, nothing left over."""
        setters = [name + self.wide for name in ("setgroups", "setresgid", "setresuid")]
        cases = [(f"{call}:retval=0:when=1", "enter -1 1 7 2") for call in setters]
        cases += [(f"{call}:error=EPERM:when=2", "leave 0 0 0 4") for call in setters]
        cases += [
            ("capset:retval=0:when=3", "enter -1 1 8 2"),
            (f"setresgid{self.wide}:error=EPERM:when=2+", "again -1 131 1 0"),
        ]
        for fault, line in cases:
            mode = ["capabilities"] if "capset" in fault else []
            command = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={fault}", self.folder / "faults", "0", *mode]
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            before = re.search(r"^before.*?\|(.*)$", text, re.M)
            after = re.search(rf"^{line}\|(.*)$", text, re.M)
            if not (before and after and ("again" in line or before.group(1) == after.group(1))):
                return True
        order = self.folder / "order"
        trace = ["strace", "-f", "-o", order, "-e", f"trace={','.join(setters)}", self.folder / "faults", "0"]
        subprocess.run(trace, capture_output=True, check=False)
        seen = re.findall(r"(set\w+)\(", order.read_text())
        return seen != setters + setters[::-1]


def main() -> int:
    """Print a line a mutant; returns the exit status."""
    gaps, total = [], 0
    plans = [
        ("linux-glibc-x86_64", ("cc",), lambda text: of_bodies(text) + of_steps()),
        (
            "linux-glibc-i386",
            ("cc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"),
            lambda text: [
                Mutant(f"i386: 16-bit {number}", "replace_calls.c", text.replace(f"SYS_{number}32", f"SYS_{number}"))
                for number in sorted(set(re.findall(r"SYS_(\w+)32", text)))
            ],
        ),
    ]
    for platform, compiler, mutants in plans:
        with tempfile.TemporaryDirectory(prefix="libreplace-mutants-") as folder:
            build = Build(Path(folder), platform, compiler)
            noticed = build.judge()
            if noticed:
                raise SystemExit(f"{platform}: {noticed} fails without any mutation")
            for mutant in mutants((build.family / "replace_calls.c").read_text()):
                total += 1
                original = (Path(folder) / mutant.file).read_text()
                build.compile(mutant.file, mutant.text)
                noticed = build.judge()
                build.compile(mutant.file, original)
                print(f"{noticed or 'NOBODY':12} {mutant.what}", flush=True)
                gaps += [] if noticed else [mutant.what]
    print(f"{total} mutants, {len(gaps)} not noticed")
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
