# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Mutation test: builds wrong versions of the C library, and checks that the C tests fail with each.

usage: python tests/programs/mutants.py [--list] [--share N] [--only TEXT]   (as root, on Linux with glibc)

A mutant has one change in replace/core/ or in the generated file, by a rule of tests/support/mutations.py: a condition,
an answer or a loop is always or never true; a call, an operand, an assignment or a whole function is left out; a read
or a step is skipped and reports success; two steps or arguments change places; file system ids are forgotten; users
and groups are confused; a constant is off by one. The tests are programs of tests/c/, and every transition against
the model; _OF_FILE and _OF_CORE say which tests may detect the mutants of which file, the fastest first.
If no test detects a mutant, the mutant survives: the tests have a gap, and the exit status is 1.
tests/support/equivalent_mutants.txt lists mutants that do no harm, with the reason. --share N tries one of N mutants,
always the same ones. --only tries the mutants whose name contains the text. --list only prints the names.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
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
GENERATED = ("replace_calls.c", "build_info.c")
SOURCES = (
    *("guard.c", "prepare.c", "can_return.c", "walk.c", "capabilities.c", "signals.c", "imitation.c", "threads.c"),
    *("fork.c", "names.c", "identity.c", "users_libc.c"),
    *("capabilities_linux.c", "ids_linux.c", "threads_linux.c", "private_fs_linux.c", "open_beneath_linux.c"),
    *("drop.c", "drop_linux.c", "proc_linux.c"),
    *("ring_linux.c", "ring_calls_linux.c", "ring_kernel_linux.c", "ring_users_linux.c"),
)
#: File -> the tests that its mutants must not survive. _OF_CORE lists the tests for all other files.
_OF_FILE = {
    "replace_calls.c": ("conformance", "guard", "filter", "transitions", "reports"),
    "libreplace_process_": ("drop_privileges",),  # functions of replace_calls.c
    "open_beneath_linux.c": ("open_beneath",),
    "threads.c": ("guard", "edges", "reports", "thread_ends", "counter", "threads", "ring_use"),
    "threads_linux.c": ("thread_ends",),
    "identity.c": ("identity", "edges"),
    "can_return.c": (
        *("edges", "filter", "reports", "securebits", "some_exploring"),
        *("some_returns", "imitated", "kernel_rules", "exploring", "returns"),
    ),
    "ids_linux.c": ("namespaces", "edges", "filter", "imitated", "exploring"),
    "imitation.c": ("guard", "edges", "imitated", "exploring"),
    "signals.c": ("guard", "edges", "reports", "forks", "some_steps", "steps"),
    "ring_kernel_linux.c": ("ring_kernel", "ring"),
}
_OF_CORE = (
    *("guard", "edges", "reports", "securebits", "found", "filter", "namespaces", "some_exploring", "forks", "faults"),
    *("some_returns", "kernel_rules", "some_steps", "imitated", "exploring", "threads", "returns"),
)
_ALL = tuple(dict.fromkeys([*_OF_CORE, *(test for tests in _OF_FILE.values() for test in tests)]))
#: Test -> its program and arguments, if the program needs some.
_FORMS = {
    "some_returns": ("returns", "9973"),
    "some_exploring": ("explore", "--runs", "20000"),
    "exploring": ("explore", "--runs", "200000"),
    "counter": ("counter", "--states", "125000"),
    "some_steps": ("steps", "499"),
    "steps": ("steps", "29"),
}
#: The programs of tests/c/ and tests/c/explorer/ that the tests run.
PROGRAMS = tuple(dict.fromkeys(_FORMS.get(test, (test,))[0] for test in _ALL))
#: Files without mutants: texts for people, files that only Python tests (test_executor.py, test_identity_in_c.py,
#: test_drop_privileges.py), and files in which most mutants make a ring hang.
APART = (
    *("build_info.c", "names.c", "private_fs_linux.c", "users_libc.c", "drop.c", "drop_linux.c", "proc_linux.c"),
    *("ring_linux.c", "ring_calls_linux.c", "ring_users_linux.c"),
)
#: File -> its functions that have mutants: those that keep a ring from doing something as root.
PARTLY = {"ring_kernel_linux.c": ("restrict_ring", "libreplace_ring_write")}
#: Seconds until a test counts as hanging, which counts as detected: at least ten times an idle run.
HANG, LONG_HANG = 10, 120
_LONG = ("returns", "steps", "drop_privileges", "threads", "explore", "kernel_rules", "counter", "ring_use")
#: Programs that have a file of replace/core/ in them, and so are built for each mutant.
_WITH_CORE = ("counter", "ring_kernel")


def equivalent() -> dict[str, str]:
    """Return the names of the mutants that do no harm, with the reason."""
    found, reason = {}, ""
    for line in (TESTS / "support" / "equivalent_mutants.txt").read_text().splitlines():
        if line.startswith("    "):
            assert line.strip() not in found, line
            found[line.strip()] = reason
        elif not line.startswith("#"):
            reason = line
    return found


def read_texts(platform: str) -> dict[str, str]:
    """Return the C files of the library."""
    generated = {name: (golden.GOLDEN / platform / name).read_text() for name in GENERATED}
    return {**generated, **{name: (CORE / name).read_text() for name in SOURCES}}


def sources(program: str) -> list[Path]:
    """Return the source files of a program; tests/c/explorer/meson.build lists those of the programs there."""
    explorer = TESTS / "c" / "explorer"
    if not (explorer / f"{program}.c").exists():
        return [TESTS / "c" / f"{program}.c"]
    listed = re.search(rf"executable\('{program}[_'].*?\n((?:\s*'\w+\.c',)+)", (explorer / "meson.build").read_text())
    assert listed, program
    return [explorer / name for name in re.findall(r"\w+\.c", listed[1])]


class Build:
    """The objects and programs of one platform.  Only the changed file is compiled again."""

    def __init__(self, folder: Path, platform: str = "linux-glibc-x86_64", compiler: tuple[str, ...] = ("cc",)) -> None:
        self.folder = folder
        self.wide = "32" if platform.endswith("i386") else ""  # the ending of the names in strace
        if not folder.joinpath("include").exists():
            golden.write_headers(golden.GOLDEN / platform, folder / "include")
        flags = (
            "-O1",
            "-Werror=incompatible-pointer-types",
            "-Werror=int-conversion",
            "-fPIC",
            "-D_GNU_SOURCE",
            f"-I{folder / 'include'}",
            *(f"-I{folder}", f"-I{CORE}"),
            f"-I{TESTS / 'c'}",
        )
        self.cc = (*compiler, *flags)
        if (folder / "libmutant.so").exists():
            return  # a copy
        for name, text in read_texts(platform).items():
            assert self.compile(name, text), name
        self.link()
        for test in PROGRAMS:
            if not (self.wide and (test in ("imitated", "steps", "kernel_rules") or test.startswith("ring"))):
                self._build_program(test)

    def _build_program(self, name: str) -> None:
        command = [*self.cc, *sources(name)]
        if name == "counter":
            command += ["-DLIBREPLACE_PLACES=1"]
        else:
            command += ["-L", self.folder, "-lmutant", "-Wl,-rpath,$ORIGIN", "-pthread", "-ldl"]
        quiet = subprocess.DEVNULL if name in _WITH_CORE else None  # the compiler may warn of the mutant
        subprocess.run([*command, "-o", self.folder / name], check=True, stderr=quiet)

    def compile(self, name: str, text: str) -> bool:
        """Whether it compiles."""
        (self.folder / name).write_text(text)
        command = [*self.cc, "-c", self.folder / name, "-o", self._object(name)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _object(self, name: str) -> Path:
        return self.folder / name.replace(".c", ".o")

    def keep(self, name: str) -> bytes:
        """Return the object of a file, for `put_back()`."""
        return self._object(name).read_bytes()

    def put_back(self, name: str, text: str, kept: bytes) -> None:
        (self.folder / name).write_text(text)
        self._object(name).write_bytes(kept)

    def link(self) -> None:
        objects = [self._object(name) for name in (*GENERATED, *SOURCES)]
        subprocess.run(
            [*self.cc, "-shared", "-Wl,-z,now", *objects, "-pthread", "-o", self.folder / "libmutant.so"], check=True
        )

    def detect(self, file: str, call: str = "") -> str:
        """Return the name of the first test of this file, and of this call, that detects the mutant, or ""."""
        chosen = _OF_FILE.get("libreplace_process_" if call.startswith("process_") else file, _OF_CORE)
        return next((name for name in chosen if self.detects(name, call)), "")

    def detects(self, name: str, call: str = "") -> bool:
        """Whether this test fails."""
        others = {"faults": self._faults, "imitated": self._imitated, "transitions": lambda: self._transitions(call)}
        program, *arguments = _FORMS.get(name, (name,))
        if not (self.folder / program).exists():
            return False
        if program in _WITH_CORE:
            self._build_program(program)
        try:
            return bool(others.get(name, lambda: self._fails(program, *arguments))())
        except (subprocess.TimeoutExpired, ValueError, KeyError):  # the test hangs, or prints something else
            return True

    def _transitions(self, call: str) -> bool:
        """Whether a transition of the call differs from the model.  Without a name: a transition of any call."""
        todo = [one for one in transitions.everything() if call in ("", one[3] + one[0])]
        text = self._output("transitions", "ours", *([call] if call else [])) if todo else ""
        return bool(transitions.wrong(transitions.parse(text), todo))

    def _output(self, name: str, *arguments: str) -> str:
        command = [self.folder / name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG_HANG).stdout

    def _fails(self, name: str, *arguments: str, before: tuple[str, ...] = ()) -> bool:
        command = [*before, self.folder / name, *arguments]
        hang = LONG_HANG if name in _LONG else HANG
        # a fault may end every process of the group, or leave some behind
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                return process.wait(hang) != 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _imitated(self) -> bool:
        """test_uid_wrapper.py in short."""
        powerless = ("setpriv", "--reuid=1000", "--regid=1000")
        with_rights = ("--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid")
        wrapped = ("env", "LD_PRELOAD=libuid_wrapper.so", "UID_WRAPPER=1", "UID_WRAPPER_ROOT=1")
        return (
            self._fails("imitated", "accepted", before=(*powerless, "--clear-groups", *wrapped))
            or self._fails("imitated", "accepted", before=(*powerless, "--groups=5,80001", *wrapped))
            or self._fails("imitated", "refused", before=wrapped)
            or self._fails("imitated", "mixed", before=(*powerless, "--clear-groups", *with_rights, *wrapped))
        )

    def _faults(self) -> bool:
        """test_faults.py in short: faults are found on entry and overcome on leaving, and ids are restored."""
        setters = [name + self.wide for name in ("setgroups", "setresgid", "setresuid")]
        getters = ["getgroups" + self.wide, "getresuid" + self.wide, "getresgid" + self.wide]
        cases: list[tuple[str, ...]]  # what is injected, the line that the program prints, and its arguments
        cases = [(f"{call}:retval=0:when=1", "enter -1 1 7 2") for call in setters]
        cases += [(f"{call}:error=EPERM:when=1", "enter -1 1 . 2") for call in setters]
        cases += [(f"{call}:error=EPERM:when=2", "leave 0 0 0 4") for call in setters]
        cases += [(f"{call}:retval=0:when=2", "leave 0 0 0 4") for call in setters]
        cases += [(f"{call}:error=EIO:when=1", "enter -1 5 2 0") for call in [*getters, "capget"]]
        cases += [(f"{call}:error=EIO:when=2", "enter -1 5 2 2") for call in getters]
        cases += [(f"{call}:error=EIO:when=3", "leave 0 0 0 4") for call in getters]
        cases += [(f"{call}:error=EIO:when=3", "leave -1 1 9 4", "0", "changed") for call in getters]
        cases += [(f"{setters[2]}:error=EAGAIN:when=2", "leave -1 1 9 4", "0", "changed")]
        cases += [(f"{getters[1]}:error=EIO:when=3+", "again -1 131 1 0")]
        cases += [
            ("capget:error=EIO:when=2", "enter -1 5 8 2"),
            ("capset:retval=0:when=3", "enter -1 1 8 2", "0", "capabilities"),
            (f"setresgid{self.wide}:error=EPERM:when=2+", "again -1 131 1 0"),
        ]
        # at level filesystem, both reads of the roll-back fail, and its setresuid does nothing twice
        cases += [
            (f"{call}:error=EIO:when=2..3 {setters[2]}:retval=0:when=1..2", "enter -1 5 2 2", "3") for call in getters
        ]
        for faults, line, *arguments in cases:
            inject = [word for fault in faults.split() for word in ("-e", f"inject={fault}")]
            command = ["strace", "-f", "-o", "/dev/null", *inject, self.folder / "faults", *(arguments or ["0"])]
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
            some = [one for one in mutants(text) if one.function in PARTLY.get(file, (one.function,))]
            found += [(f"{file} {mutant.name}", file, mutant.text) for mutant in some]
    return found


def narrow() -> list[str]:
    """On i386, put each 16-bit call in the place of its 32-bit call.  Return the names that no test detects."""
    gaps = []
    with tempfile.TemporaryDirectory(prefix="libreplace-mutants-") as folder:
        platform = "linux-glibc-i386"
        build = Build(Path(folder), platform, ("cc", "-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"))
        assert not build.detect("replace_calls.c"), "a test fails without a mutation"
        text = read_texts(platform)["replace_calls.c"]
        for number in sorted(set(re.findall(r"SYS_(\w+)32", text))):
            build.compile("replace_calls.c", text.replace(f"SYS_{number}32", f"SYS_{number}"))
            build.link()
            detected_by = build.detect("replace_calls.c")
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
    texts = read_texts("linux-glibc-x86_64")
    every, harmless = all_mutants(texts), equivalent()
    stale = sorted(harmless.keys() - {name for name, _, _ in every})
    if stale:
        raise SystemExit("equivalent_mutants.txt has names of no mutant; remove or change them:\n" + "\n".join(stale))
    todo = [one for one in every if options.only in one[0]]
    todo = [one for one in todo if zlib.crc32(one[0].encode()) % options.share == 0 and one[0] not in harmless]
    if options.list:
        print("\n".join(name for name, _, _ in todo))
        return 0
    with tempfile.TemporaryDirectory(prefix="libreplace-mutants-") as folder:
        Path(folder).chmod(0o755)  # some programs run as another user
        builds: SimpleQueue[Build] = SimpleQueue()
        build = Build(Path(folder) / "0")
        builds.put(build)
        for number in range(1, 2 * len(os.sched_getaffinity(0))):  # a mutant that hangs uses no processor
            shutil.copytree(build.folder, Path(folder) / str(number))
            builds.put(Build(Path(folder) / str(number)))
        with ThreadPoolExecutor() as pool:
            failing = [name for name, fails in zip(_ALL, pool.map(build.detects, _ALL), strict=True) if fails]
        if failing:
            raise SystemExit(f"{', '.join(failing)}: fails without a mutation; fix that first")

        def attempt(one: tuple[str, str, str]) -> tuple[str, str]:
            name, file, text = one
            build = builds.get()
            kept = build.keep(file)
            try:
                if not build.compile(file, text):
                    return name, "-"
                build.link()
                return name, build.detect(file, name.split()[1].rstrip(":").removeprefix("libreplace_"))
            finally:
                build.put_back(file, texts[file], kept)
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
