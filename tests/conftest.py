# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Hooks and fixtures. Other shared code is in support/."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

# Test the installed package. `python -m pytest` would put the source tree first, which has no built module.
ROOT = Path(__file__).resolve().parent.parent
SYSTEM = ROOT / "tests" / "system"
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

from support.start import restore, set_known_start, state  # noqa: E402

set_known_start()

from support.builds import PYTHONS, copy_source, needs_meson, run, tool, version  # noqa: E402
from support.children import REGAIN, needs_root  # noqa: E402
from support.odd_machine import numbers  # noqa: E402
from support.schema import validate_reports  # noqa: E402

import replace  # noqa: E402

numbers()  # the tests' children inherit the answer, and need not start a compiler


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the option `timeout`, so that pytest also starts without pytest-timeout. Tests then have no limit."""
    if not pluginmanager.hasplugin("timeout"):
        parser.addini("timeout", "seconds for each test; needs pytest-timeout")


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): the limit of one test; needs pytest-timeout")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect the long tests in tests/system/ only if they are requested by `-m` or by name."""
    requested = [Path(str(argument).split("::")[0]).resolve() for argument in config.args]
    named = any(path == SYSTEM or SYSTEM in path.parents for path in requested)
    return True if collection_path == SYSTEM and not named and not config.option.markexpr else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if SYSTEM in item.path.parents:
        item.add_marker("long")
    assert " at 0x" not in item.name, f"{item.name}: its name contains an address; give the case an id"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if replace.SCOPE != "thread":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("per_thread")])
        items[:] = [item for item in items if not item.get_closest_marker("per_thread")]


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Any:
    """Fail a test that changes this process, and restore the process for the next test."""
    before = state()
    yield
    left = restore(before)
    assert not left, f"the test left {'; '.join(left)}"


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    """The descriptor of a new folder. Users cannot reach the folder by its path, because only root can search it."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(scope="session")
def root_file() -> Any:
    """A file that only root may read, as /etc/shadow, which minimal systems lack. Every user can search its folder."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "secret")
        path.touch(0o600)
        yield str(path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Any:
    """Turn a skip into a failure under CI, where every tool and package is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def reports_satisfy_the_schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """At the end, validate the report of each build that a test made."""
    yield
    validate_reports(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the source files in git, without caches and build folders."""
    tool("cc", "compiles the C library")  # each user of this fixture builds the source
    needs_meson("builds the C library")
    target: Path = tmp_path_factory.mktemp("source") / "libreplace"
    if (ROOT / ".git").exists() and shutil.which("git"):
        names = run("git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-co", "--exclude-standard")
        for name in names.stdout.splitlines():
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    else:  # this is an sdist, or git is missing
        copy_source(ROOT, target)
    # `meson dist` makes an sdist only under version control, so give the copy a history.
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):
        if shutil.which("git"):
            run("git", *words, cwd=target)
    return target


@pytest.fixture(scope="session")
def regain() -> Any:
    """A program that every user may run. It tries to become root and prints its real, effective and saved uid."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        compiler = [tool("cc", "compiles a child"), "-x", "c", "-o", f"{folder}/regain", "-"]
        subprocess.run(compiler, input=REGAIN, text=True, check=True)
        yield f"{folder}/regain"


@pytest.fixture(scope="session")
def faults(source, tmp_path_factory):
    """The program tests/c/faults.c, from a build of only the C library with the syscall back end."""
    needs_root()
    folder = tmp_path_factory.mktemp("faults")
    meson = [sys.executable, "-m", "mesonbuild.mesonmain"]
    for words in (["setup", folder, source, "-Dpython=false", "-Dcredentials=syscall"], ["compile", "-C", folder]):
        out = run(*meson, *words)
        assert out.returncode == 0, out.stdout + out.stderr
    return folder / "tests" / "c" / "faults"


@pytest.fixture(scope="session")
def abi3_site(source, tmp_path_factory):
    """A folder with the package, installed from one abi3 wheel that the oldest interpreter of PYTHONS built."""
    folder = tmp_path_factory.mktemp("abi3")
    oldest = min(PYTHONS, key=version)
    env = {"PATH": os.path.dirname(oldest) + os.pathsep + os.environ["PATH"]}
    options = ["--no-deps", "--no-build-isolation", "-Csetup-args=-Dpython.allow_limited_api=true"]
    out = run(oldest, "-m", "pip", "wheel", *options, "-w", folder, source, env=env)
    assert out.returncode == 0, out.stdout + out.stderr
    (wheel,) = folder.glob("*-abi3-*.whl")
    out = run(oldest, "-m", "pip", "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    assert out.returncode == 0, out.stdout + out.stderr
    return folder / "site"
