# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Mutation test: builds wrong versions of the C library, and checks that the C tests fail with each.

usage: python tests/programs/mutants.py [--list] [--share N] [--only TEXT]   (as root, on Linux with glibc)

A mutant has one change in a function of replace/core/ or in a generated body, by a rule of tests/support/mutations.py:
a condition is always or never true; an operand, a call or an assignment is left out; a function does or returns
nothing; two steps or arguments change places; users and groups are confused. The tests are conformance.c, guard.c,
edges.c, forks.c, found.c, steps.c (x86_64), threads.c, thread_ends.c, filter.c, open_beneath.c, namespaces.c,
returns.c, identity.c and drop_privileges.c of tests/c/, faults.c under strace, and every transition against the model.
If no test detects a mutant, the mutant survives: the tests have a gap, and the exit status is 1. EQUIVALENT lists
mutants that do no harm, with the reason. --share N tries one of N mutants, always the same ones. --only tries the
mutants whose name contains the text. --list only prints the names.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

import golden  # noqa: E402
from support import transitions  # noqa: E402
from support.mutations import mutants  # noqa: E402

CORE = TESTS.parent / "replace" / "core"
SOURCES = (
    *("guard.c", "prepare.c", "can_return.c", "walk.c", "capabilities.c", "signals.c", "imitation.c", "threads.c"),
    *("fork.c", "names.c", "identity.c", "users_libc.c"),
    *("capabilities_linux.c", "ids_linux.c", "threads_linux.c", "private_fs_linux.c", "open_beneath_linux.c"),
    *("drop.c", "drop_linux.c", "proc_linux.c"),
)
C_TESTS = (
    *("conformance", "guard", "edges", "forks", "found", "transitions", "faults", "threads", "thread_ends"),
    *("open_beneath", "filter", "identity", "drop_privileges", "namespaces", "returns"),
)
#: File -> the tests that its mutants must not survive. _OF_CORE lists the tests for all other files.
_OF_FILE = {
    "replace_calls.c": ("conformance", "guard", "transitions", "filter", "drop_privileges"),
    "open_beneath_linux.c": ("open_beneath",),
    "threads.c": ("guard", "edges", "threads", "thread_ends"),
    "threads_linux.c": ("thread_ends",),
    "identity.c": ("identity",),
    "can_return.c": ("edges", "returns"),
    "ids_linux.c": ("namespaces", "edges", "filter"),
    "signals.c": ("guard", "edges", "forks", "steps"),
}
_OF_CORE = ("guard", "edges", "forks", "found", "namespaces", "faults", "returns", "threads")
#: Files without mutants: texts for people, and files that only Python tests (test_executor.py, test_identity_in_c.py,
#: test_drop_privileges.py, test_uid_wrapper.py).
APART = (
    *("names.c", "private_fs_linux.c", "users_libc.c", "drop.c", "drop_linux.c", "proc_linux.c"),
    "imitation.c",
)
HANG = 60  # seconds; a hang counts as detected

#: Mutants that do no harm, or that cannot be tried here: (function, rule) -> their numbers, and the reason.
_READ_AGAIN = "the value is read again from the kernel, or compared with values that differ anyway"
_WINDOW = "a signal handler must fork between two instructions; tests/system/test_forks.py"
_FENCE = "it only keeps the compiler from moving steps, which no compiler here does"
_SORTED = "a short cut: sorting does no harm"
_IMITATED = "only a layer such as uid_wrapper imitates ids; tests/system/test_uid_wrapper.py"
EQUIVALENT: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {
    ("compare", "condition is false"): ((1, 2), "a short cut: the code below reads and compares everything"),
    ("become_member", "operand is left out"): ((3,), "entering refuses such groups; only another thread could set them"),
    ("libreplace_become_for_good", "call is left out"): ((2,), "is_only() then finds that the child is not the user"),
    ("libreplace_become_for_good", "condition is true"): ((1,), "the second try changes nothing then"),
    ("libreplace_forget", "call is left out"): ((1,), "the fork handler of threads.c has done it"),
    ("become_user", "arguments change places"): ((1, 2, 3, 4), "all three ids are equal"),
    ("check", "assignment is left out"): ((2,), _WINDOW),
    ("enter", "condition is false"): ((1,), _WINDOW),
    ("enter", "operand is left out"): ((1,), _IMITATED),
    ("give_up", "call is left out"): ((1,), "both branches abort"),
    ("give_up", "condition is false"): ((1,), "both branches abort"),
    ("give_up", "condition is true"): ((1,), "both branches abort"),
    ("is_only", "operand is left out"): ((1,), "capget() does not fail"),
    ("leave", "assignment is left out"): ((1, 5), _READ_AGAIN),
    ("leave", "call is left out"): ((2,), _READ_AGAIN),
    ("leave", "condition is false"): ((2,), _WINDOW),
    ("leave", "condition is true"): ((4,), "a short cut: making each step of restoring does no harm"),
    ("libreplace_alone", "nothing is done"): ((1,), "only builds whose calls change the process call it"),
    ("libreplace_alone", "operand is left out"): ((1,), "only builds whose calls change the process call it"),
    ("libreplace_begin", "call is left out"): ((1, 2), _FENCE),
    ("libreplace_count_anew", "condition is true"): ((1,), "a short cut: the place is free already"),
    ("libreplace_end", "call is left out"): ((2, 3, 4), _FENCE),
    ("libreplace_imitates_groups", "nothing is done"): ((1,), _IMITATED),
    ("libreplace_imitates_groups", "condition is false"): ((1,), _IMITATED),
    ("libreplace_imitates_groups", "condition is true"): ((1,), _IMITATED),
    ("libreplace_imitates_groups", "call is left out"): ((1,), _IMITATED),
    ("libreplace_initgroups", "call is left out"): ((1,), "free(): memory leaks, and no test measures that"),
    ("libreplace_read_all", "assignment is left out"): ((1, 2), _IMITATED),
    ("libreplace_read_all", "condition is false"): ((2,), _IMITATED),
    ("libreplace_cannot_return", "condition is false"): ((1,), _IMITATED),
    ("libreplace_read_fs_ids", "arguments change places"): ((1, 2), "the second look tells the same"),
    ("libreplace_read_fs_ids", "operand is left out"): ((2, 4), "the second look tells the same"),
    ("libreplace_may_set_gids", "call is left out"): ((1,), "(void)euid: only for the compiler"),
    ("libreplace_may_set_uids", "call is left out"): ((1,), "(void)euid: only for the compiler"),
    ("libreplace_prepare", "condition is false"): ((3,), _IMITATED),
    ("read_or_guess", "call is left out"): ((1,), _READ_AGAIN),
    ("reaches_gids", "operand is left out"): ((3,), "no level changes the saved id"),
    ("returns_to_gids", "operand is left out"): ((3,), "setgroups(2) fails then, before anything has changed"),
    ("libreplace_reaches_uids", "operand is left out"): ((3,), "no level changes the saved id"),
    ("libreplace_same_groups", "condition is false"): ((2,), _SORTED),
    ("libreplace_same_groups", "operand is left out"): ((2, 3, 4, 5), _SORTED),
    ("libreplace_walk", "condition is false"): ((1,), "a short cut: each step skips ids that are right already"),
    ("libreplace_lose_capabilities", "operand is left out"): ((3, 6), "a short cut, and a second sign of the same fault"),
    ("set_gids", "arguments change places"): ((1,), "every level has the same real and effective gid"),
    ("set_uids", "assignment is left out"): ((1, 2, 3), _READ_AGAIN),
    ("libreplace_kernel_restores_capabilities", "nothing is done"): ((1,), "a short cut: restoring reads them first"),
    ("libreplace_restore_capabilities", "condition is false"): ((1, 2), "capget() works, and a present value may be set again"),
    ("walk_in", "arguments change places"): ((1,), "either id shows whether it is mapped, and the walk sets both"),
    ("walk_in", "condition is false"): ((3,), "getters do not fail"),
}  # fmt: skip


class Build:
    """The objects and programs of one platform.  Only the changed file is compiled again."""

    def __init__(self, folder: Path, platform: str = "linux-glibc-x86_64", compiler: tuple[str, ...] = ("cc",)) -> None:
        self.folder, self.family = folder, golden.GOLDEN / platform
        self.wide = "32" if platform.endswith("i386") else ""  # the ending of the names in strace
        golden.write_headers(self.family, folder / "include")
        flags = (
            "-O1",
            "-Werror=incompatible-pointer-types",
            "-Werror=int-conversion",
            "-fPIC",
            "-D_GNU_SOURCE",
            f"-I{folder / 'include'}",
            f"-I{CORE}",
            f"-I{TESTS / 'c'}",
        )
        self.cc = (*compiler, *flags)
        for name, text in self.texts().items():
            assert self.compile(name, text), name
        self.link()
        for test in (*C_TESTS, *([] if self.wide else ["steps"])):
            program = [
                *self.cc,
                TESTS / "c" / f"{test}.c",
                "-L",
                folder,
                "-lmutant",
                f"-Wl,-rpath,{folder}",
                "-pthread",
            ]
            subprocess.run([*program, "-o", folder / test], check=True)

    def texts(self) -> dict[str, str]:
        return {
            "replace_calls.c": (self.family / "replace_calls.c").read_text(),
            **{name: (CORE / name).read_text() for name in SOURCES},
        }

    def compile(self, name: str, text: str) -> bool:
        """Whether it compiles."""
        (self.folder / name).write_text(text)
        command = [*self.cc, "-c", self.folder / name, "-o", self.folder / name.replace(".c", ".o")]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def link(self) -> None:
        objects = [self.folder / name.replace(".c", ".o") for name in ("replace_calls.c", *SOURCES)]
        library = self.folder / "libmutant.so"
        subprocess.run([*self.cc, "-shared", *objects, "-pthread", "-o", library], check=True)

    def detect(self, file: str = "", call: str = "") -> str:
        """Return the name of the first test of this file, and of this call, that detects the mutant, or ""."""
        tests = {
            "conformance": lambda: self._fails("conformance"),
            "guard": lambda: self._fails("guard"),
            "edges": lambda: self._fails("edges"),
            "forks": lambda: self._fails("forks"),
            "found": lambda: self._fails("found"),
            "steps": lambda: self._fails("steps", "29"),
            "transitions": lambda: self._transitions(call),
            "faults": self._faults,
            "threads": lambda: self._fails("threads"),
            "thread_ends": lambda: self._fails("thread_ends"),
            "open_beneath": lambda: self._fails("open_beneath"),
            "filter": lambda: self._fails("filter"),
            "identity": lambda: self._fails("identity"),
            "drop_privileges": lambda: self._fails("drop_privileges"),
            "namespaces": lambda: self._fails("namespaces"),
            "returns": lambda: self._fails("returns"),
        }
        chosen = _OF_FILE.get(file, _OF_CORE) if file else C_TESTS
        return next((name for name in chosen if self._detects(tests[name])), "")

    def _transitions(self, call: str) -> bool:
        """Whether a transition of the call differs from the model.  Without a name: a transition of any call."""
        todo = [one for one in transitions.everything() if call in ("", one[3] + one[0])]
        text = self._output("transitions", "ours", *([call] if call else [])) if todo else ""
        return bool(transitions.wrong(transitions.parse(text), todo))

    @staticmethod
    def _detects(test: object) -> bool:
        try:
            return bool(test())  # type: ignore[operator]
        except (subprocess.TimeoutExpired, ValueError, KeyError):  # the test hangs, or prints something else
            return True

    def _output(self, name: str, *arguments: str) -> str:
        command = [self.folder / name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG).stdout

    def _fails(self, name: str, *arguments: str) -> bool:
        command = [self.folder / name, *arguments]
        return subprocess.run(command, capture_output=True, check=False, timeout=HANG).returncode != 0

    def _faults(self) -> bool:
        """test_faults.py in short: faults are found on entry and overcome on leaving, and ids are restored."""
        setters = [name + self.wide for name in ("setgroups", "setresgid", "setresuid")]
        getters = ["getgroups" + self.wide, "getresuid" + self.wide, "getresgid" + self.wide]
        cases: list[tuple[str, ...]]  # what is injected, the line that the program prints, and its mode if any
        cases = [(f"{call}:retval=0:when=1", "enter -1 1 7 2") for call in setters]
        cases += [(f"{call}:error=EPERM:when=1", "enter -1 1 . 2") for call in setters]
        cases += [(f"{call}:error=EPERM:when=2", "leave 0 0 0 4") for call in setters]
        cases += [(f"{call}:retval=0:when=2", "leave 0 0 0 4") for call in setters]
        cases += [(f"{call}:error=EIO:when=1", "enter -1 5 2 0") for call in [*getters, "capget"]]
        cases += [(f"{call}:error=EIO:when=2", "enter -1 5 2 2") for call in getters]
        cases += [(f"{call}:error=EIO:when=3", "leave 0 0 0 4") for call in getters]
        cases += [(f"{call}:error=EIO:when=3", "leave -1 1 9 4", "changed") for call in getters]
        cases += [(f"{getters[1]}:error=EIO:when=3+", "again -1 131 1 0")]
        cases += [
            ("capget:error=EIO:when=2", "enter -1 5 8 2"),
            ("capset:retval=0:when=3", "enter -1 1 8 2", "capabilities"),
            (f"setresgid{self.wide}:error=EPERM:when=2+", "again -1 131 1 0"),
        ]
        for fault, line, *mode in cases:
            command = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={fault}", self.folder / "faults", "0", *mode]
            text = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG).stdout
            before = re.search(r"^before.*?\|(.*)$", text, re.M)
            after = re.search(rf"^{line}\|(.*)$", text, re.M)
            if not (before and after and ("again" in line or before.group(1) == after.group(1))):
                return True
        order = self.folder / "order"
        trace = ["strace", "-f", "-o", order, "-e", f"trace={','.join(setters)}", self.folder / "faults", "0"]
        subprocess.run(trace, capture_output=True, check=False, timeout=HANG)
        seen = re.findall(r"(set\w+)\(", order.read_text())
        return seen != setters + setters[::-1]


def all_mutants(texts: dict[str, str]) -> list[tuple[str, str, str]]:
    """(name, file, text) of each mutant."""
    found = []
    for file, text in texts.items():
        if file not in APART:
            found += [(f"{file} {mutant.name}", file, mutant.text) for mutant in mutants(text)]
    return found


def equivalent(name: str) -> str:
    """The reason why a mutant does no harm, or ""."""
    match = re.fullmatch(r"\S+ (\w+): (.*) (\d+)", name)
    assert match, name
    numbers, why = EQUIVALENT.get((match[1], match[2]), ((), ""))
    return why if int(match[3]) in numbers else ""


def narrow() -> list[str]:
    """On i386, put each 16-bit call in the place of its 32-bit call.  Return the names that no test detects."""
    gaps = []
    with tempfile.TemporaryDirectory(prefix="libreplace-mutants-") as folder:
        build = Build(Path(folder), "linux-glibc-i386", ("cc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"))
        assert not build.detect(), "a test fails without a mutation"
        text = build.texts()["replace_calls.c"]
        for number in sorted(set(re.findall(r"SYS_(\w+)32", text))):
            build.compile("replace_calls.c", text.replace(f"SYS_{number}32", f"SYS_{number}"))
            build.link()
            detected_by = build.detect()
            print(f"{detected_by or 'SURVIVED':12} i386: 16-bit {number}", flush=True)
            gaps += [] if detected_by else [number]
    return gaps


def main() -> int:
    """Print one line for each mutant.  Returns the exit status."""
    parser = argparse.ArgumentParser(description="build wrong C libraries, and check that the C tests fail with each")
    parser.add_argument("--list", action="store_true", help="only print the names of the mutants")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="try one of N mutants")
    parser.add_argument("--only", default="", metavar="TEXT", help="try the mutants whose name contains the text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="libreplace-mutants-") as folder:
        builds: SimpleQueue[Build] = SimpleQueue()
        for number in range(2 * len(os.sched_getaffinity(0))):  # a mutant that hangs uses no processor
            builds.put(Build(Path(folder) / str(number)))
        build = builds.get()
        detected_by = build.detect()
        if detected_by:
            raise SystemExit(f"{detected_by} fails without a mutation; fix that first")
        texts = build.texts()
        builds.put(build)
        every = all_mutants(texts)
        stale = sum(len(numbers) for numbers, _ in EQUIVALENT.values()) - sum(
            bool(equivalent(name)) for name, _, _ in every
        )
        if stale:
            raise SystemExit(f"{stale} numbers in EQUIVALENT belong to no mutant; remove or change them")
        todo = [one for one in every if options.only in one[0]]
        todo = [one for one in todo if zlib.crc32(one[0].encode()) % options.share == 0 and not equivalent(one[0])]
        if options.list:
            print("\n".join(name for name, _, _ in todo))
            return 0

        def attempt(one: tuple[str, str, str]) -> tuple[str, str]:
            name, file, text = one
            build = builds.get()
            try:
                if not build.compile(file, text):
                    return name, "-"
                build.link()
                return name, build.detect(file, name.split()[1].rstrip(":").removeprefix("libreplace_"))
            finally:
                build.compile(file, texts[file])
                builds.put(build)

        gaps, tried = [], 0
        with ThreadPoolExecutor(builds.qsize()) as pool:
            for number, (name, detected_by) in enumerate(pool.map(attempt, todo), 1):
                print(f"{number}/{len(todo)} {detected_by or 'SURVIVED':12} {name}", flush=True)
                tried += detected_by != "-"
                gaps += [] if detected_by else [name]
    gaps += narrow() if not options.only else []
    print(f"{tried} mutants, {len(gaps)} survived")
    for name in gaps:
        print(f"survived: {name}")
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
