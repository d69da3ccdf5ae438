# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What the tests share: children that may switch ids, builds, and the rule about skips."""

import contextlib
import ctypes
import faulthandler
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parent.parent
# The package under test is the installed one: the source tree, which `python -m pytest`
# would put first, has no built module.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

import replace  # noqa: E402
from replace import Identity, _report, impersonate  # noqa: E402


class InChild(Exception):
    """What a child raised that cannot be passed on as it was."""


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments) in a forked child: its result, or its exception; the caller's ids stay."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # a child that is meant to abort need not tell where
        try:
            os.close(reader)
            try:
                answer = (True, function(*arguments))
            except BaseException as error:
                text = traceback.format_exc()
                try:
                    pickle.loads(pickle.dumps(error))
                    answer = (False, error)
                except Exception:
                    answer = (False, InChild(text))
            with open(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise InChild(f"the child ended with {os.waitstatus_to_exitcode(status)}")
    good, value = pickle.loads(data)
    if good:
        return value
    raise value


def run(
    *command: object, env: dict[str, str] | None = None, cwd: object = None, timeout: int = 280
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; returns what it printed and its status."""
    words = [str(word) for word in command]
    merged = {k: v for k, v in {**os.environ, **(env or {})}.items() if k != "SOURCE_DATE_EPOCH" or env and k in env}
    # meson and ninja lie beside this Python, whose environment need not be activated
    merged["PATH"] = os.pathsep.join([merged.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    return subprocess.run(
        words,
        env=merged,
        cwd=str(cwd) if cwd else None,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )


def tool(name: str, why: str) -> str:
    """The path of a tool; skips with the reason where it is not there."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"needs {name} ({why})")
    return str(found)


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: real ids are switched")


ALICE = Identity(80001, 80011, [80021, 80011])
BOB = Identity(80002, 80012)
LEVELS = ["effective", "shielded", "real", "filesystem"]


def ids():
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def as_root(body, *arguments):
    """body in a child that is root without groups; nothing to do on a process-wide build."""
    needs_root()
    if replace.SCOPE != "thread":
        with pytest.raises(replace.IdentityRefused, match="-Dcredentials=syscall"):
            impersonate(ALICE)
        return None

    def child():
        replace.setgroups([])
        return body(*arguments)

    return in_child(child)


REGAIN = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	uid_t r, e, s;
	if (setresuid(0, 0, 0) != 0 && seteuid(0) != 0 && setgid(0) != 0) {}
	getresuid(&r, &e, &s);
	printf("(%u, %u, %u)\n", r, e, s);
	return 0;
}
"""


@contextlib.contextmanager
def held_elsewhere(manager: Any) -> Any:
    """Another thread is inside of the context manager meanwhile; yields that thread."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with manager:
            inside.set()
            leave.wait(20)

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait(20)
    try:
        yield worker
    finally:
        leave.set()
        worker.join()


def switched_elsewhere(identity: Identity, level: Any = "effective") -> Any:
    """Another thread holds the identity meanwhile; yields that thread."""
    return held_elsewhere(impersonate(identity, level=level))


LIBC = ctypes.CDLL(None, use_errno=True)


def change_capabilities(change: Callable[[Any], None]) -> None:
    """change(six words: effective, permitted, inheritable, twice) of the calling thread (capset(2))."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, sets) == 0
    change(sets)
    assert LIBC.capset(header, sets) == 0


@pytest.fixture(scope="session")
def regain() -> Any:
    """A program that everybody may run: it tries to become root and prints its real, effective and saved uid."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        compiler = [tool("cc", "compiles a child"), "-x", "c", "-o", f"{folder}/regain", "-"]
        subprocess.run(compiler, input=REGAIN, text=True, check=True)
        yield f"{folder}/regain"


def strict_schema(schema: Any) -> Any:
    """The report's schema for what this version writes: a reader lets unknown fields pass, here they are errors."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema and "type" in schema else {}
        return {**{key: strict_schema(value) for key, value in schema.items()}, **closed}
    return [strict_schema(value) for value in schema] if isinstance(schema, list) else schema


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """The report, held against the schema: every report that a test comes by goes through here."""
    jsonschema.validate(document, strict_schema(_report.report_schema()), jsonschema.Draft202012Validator)
    return document


def report_of(build: Path) -> dict[str, Any]:
    """The report that a Meson build makes, validated."""
    out = run(sys.executable, "-m", "mesonbuild.mesonmain", "compile", "-C", build, "build_report.json")
    assert out.returncode == 0, out.stdout + out.stderr
    return valid(json.loads((build / "replace" / "build_report.json").read_text()))


def validate_reports(folder: Path) -> int:
    """Hold every build's report under the folder against the schema; returns how many there were."""
    found = 0
    for place, _, names in os.walk(folder):
        if "build_report.json" in names:
            valid(json.loads(Path(place, "build_report.json").read_text()))
            found += 1
    return found


@pytest.fixture(scope="session", autouse=True)
def reports_satisfy_the_schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Whatever was built, by whichever test: its report is looked at in the end."""
    yield
    validate_reports(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the source as git has it, without what lies about in the tree."""
    target: Path = tmp_path_factory.mktemp("source") / "libreplace"
    if (ROOT / ".git").exists() and shutil.which("git"):
        names = run("git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-co", "--exclude-standard")
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    else:  # the tests of an sdist
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns("__pycache__", "build*", ".*_cache"))
    # Where there is no version control, an sdist cannot be made (meson dist): give the copy a history.
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):
        if shutil.which("git"):
            run("git", *words, cwd=target)
    return target


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Any:
    """Under CI a skip is a failure: there, everything is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def faults(source, tmp_path_factory):
    """The program, from a build of the C library alone (where its default is per-thread: Linux with glibc)."""
    needs_root()
    folder = tmp_path_factory.mktemp("faults")
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    for words in (["setup", folder, source, "-Dpython=false", "-Dcredentials=syscall"], ["compile", "-C", folder]):
        out = run(*meson, *words)
        assert out.returncode == 0, out.stdout + out.stderr
    return folder / "tests" / "faults"


#: Other interpreters to try: paths, separated as in PATH, each with cffi installed; the oldest of them builds one
#: stable-ABI wheel for all, for which it needs meson-python and ninja as well.  .ci/run makes such environments.
PYTHONS = [path for path in os.environ.get("LIBREPLACE_PYTHONS", "").split(os.pathsep) if path]


def version(python):
    code = "import sys; print(*sys.version_info[:3])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], text=True).split()))


@pytest.fixture(scope="session")
def everywhere(source, tmp_path_factory):
    """A folder with the package from one abi3 wheel, built by the oldest of the interpreters."""
    folder = tmp_path_factory.mktemp("everywhere")
    oldest = min(PYTHONS, key=version)
    env = {"PATH": os.path.dirname(oldest) + os.pathsep + os.environ["PATH"]}
    options = ["--no-deps", "--no-build-isolation", "-Csetup-args=-Dpython.allow_limited_api=true"]
    out = run(oldest, "-m", "pip", "wheel", *options, "-w", folder, source, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    (wheel,) = folder.glob("*-abi3-*.whl")
    out = run(oldest, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    assert out.returncode == 0, out.stdout + out.stderr
    return folder / "site"
