# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""support/start.py: tests start in a known state, and changes are found and undone. Long tests run only on request."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import types
from importlib import metadata

import pytest
from support.builds import ROOT, copy_source, requirements, run, tool
from support.children import IS_PYPY, in_child, needs_root
from support.start import restore, state

#: Prints the process state after set_known_start().
PRINT_STATE = """
import os, resource, signal, stat, sys, tempfile, time
sys.path.insert(0, sys.argv[1])
from support.start import set_known_start
set_known_start()
limits = [resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in ("CORE", "NOFILE", "STACK", "FSIZE")]
mask = os.umask(0)
home = os.environ.pop("HOME")
variables = {name: os.environ[name] for name in sorted(os.environ) if name != "LC_CTYPE"}  # Python sets it (PEP 538)
print([str(signal.getsignal(number)) for number in sorted(signal.valid_signals())])
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), oct(mask), limits, time.tzname, variables)
print(os.read(0, 1), os.get_inheritable(0), os.access(home, os.W_OK), tempfile.gettempdir())
"""

#: sitecustomize.py for an interpreter without some packages.
WITHOUT = """
import sys
from importlib import metadata
class Missing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing)
found = metadata.distribution
def distribution(name):
    if name not in {names}:
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.distribution = distribution
"""


def printed_state(spoil, **variables):
    """Run PRINT_STATE in a child after spoil(); return its output."""
    environment = {"PATH": os.environ["PATH"], **variables}
    words = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-c", PRINT_STATE, ROOT / "tests"]
    out = subprocess.run(
        words, env=environment, preexec_fn=spoil, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert out.returncode == 0, out.stderr
    return out.stdout


def ignored():
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGALRM, signal.SIGIO, signal.SIGINT])


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def small_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (2**20, resource.getrlimit(resource.RLIMIT_STACK)[1]))


def core_dumps():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


@pytest.mark.parametrize(
    "spoil",
    [ignored, blocked, few_files, small_stack, core_dumps, lambda: os.umask(0o777), lambda: os.close(0)],
    ids=["signals ignored", "signals blocked", "64 files", "1 MB of stack", "core dumps", "umask 777", "no stdin"],
)
def test_inherited_process_state_does_not_change_the_start(spoil):
    assert printed_state(spoil) == printed_state(None)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            {"LC_ALL": "tr_TR.UTF-8"},
            marks=pytest.mark.skipif(IS_PYPY, reason="needs a Python that starts in an unknown locale, not PyPy"),
        ),
        {"LC_CTYPE": "C", "LANG": "de_DE"},
        {"TZ": "Pacific/Chatham"},
        {"HOME": "/nonexistent"},
        {"SOURCE_DATE_EPOCH": "1", "CFLAGS": "-Werror", "DESTDIR": "/nonexistent", "MAKEFLAGS": "-j9"},
        {"PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "3"},
    ],
    ids=lambda variables: " ".join(variables),
)
def test_environment_variables_do_not_change_the_start(variables):
    assert printed_state(None, **variables) == printed_state(None)


def test_private_tmpdir_is_replaced():
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        assert printed_state(None, TMPDIR=folder) == printed_state(None)


def test_source_copy_without_git_is_complete(tmp_path):
    git = [tool("git", "lists the files"), "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files"]
    names = [name for name in run(*git).stdout.splitlines() if (ROOT / name).exists()]
    copy_source(ROOT, tmp_path / "copy")
    assert names or not (ROOT / ".git").exists()
    assert [name for name in names if not (tmp_path / "copy" / name).exists()] == []
    for folder in (".git", ".venv", "tests/__pycache__"):
        assert not (tmp_path / "copy" / folder).exists()


def test_copy_of_a_built_or_read_only_source_can_be_changed(tmp_path):
    """debhelper leaves a symbolic link without a target in the source."""
    folder = tmp_path / "source" / "docs"
    folder.mkdir(parents=True)
    (folder / "page.md").touch(0o444)
    (folder / "link").symlink_to("missing")
    folder.chmod(0o555)
    try:
        copy = copy_source(folder.parent, tmp_path / "copy") / "docs"
    finally:
        folder.chmod(0o755)  # pytest removes it
    assert [path.stat().st_mode & 0o200 for path in (copy, copy / "page.md")] == [0o200, 0o200]
    assert os.readlink(copy / "link") == "missing"


# ---- Between two tests


def spoil_handler():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def spoil_mask():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


def spoil_child():
    if os.fork() == 0:
        signal.pause()


def spoil_modules():
    sys.modules["replace"] = types.ModuleType("replace")


def spoil_variable():
    os.environ.update(LIBREPLACE_LEFT="1")


def spoil_ids():
    os.seteuid(80001)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_handler, "handlers of signals"),
        (spoil_mask, "blocked signals"),
        (spoil_child, "child process"),
        (spoil_modules, "modules replace"),
        (spoil_variable, "variables LIBREPLACE_LEFT"),
        (spoil_ids, "ids"),
        (lambda: os.umask(0o077), "the umask 077"),
        (lambda: os.chdir("/"), "the working directory /"),
        (lambda: sys.path.insert(0, "/"), "another sys.path"),
        (lambda: os.open("/", os.O_RDONLY), "descriptor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_changed_process_state_is_found_and_restored(spoil, words, tmp_path, monkeypatch):
    if spoil is spoil_ids:
        needs_root()
    monkeypatch.chdir(tmp_path)

    def body():
        before = state()
        spoil()
        found = restore(before)
        return found, restore(before), state()._replace(threads=()) == before._replace(threads=())

    first, second, same = in_child(body)
    assert [text.startswith(words) for text in first] == [True], first
    assert (second, same) == ([], True)


def test_leftover_thread_is_found():
    def body():
        import support.start

        support.start.HANG = 0.1
        before, leave = state(), threading.Event()
        threading.Thread(target=leave.wait, name="left", daemon=True).start()
        return restore(before)

    assert in_child(body) == ["thread left"]


# ---- Long tests


def collected(*arguments, **variables):
    """Return the tests that pytest collects, and its output."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *arguments]
    out = run(*words, cwd=ROOT, env=variables)
    assert out.returncode == 0, out.stdout + out.stderr
    return [line for line in out.stdout.splitlines() if "::" in line], out.stdout


@pytest.mark.parametrize("long", [[], ["-m", "long"]], ids=["fast", "long"])
def test_all_tests_are_collected_with_no_other_package_than_pytest(tmp_path, long):
    """The interpreter that this test starts finds only pytest, cffi, and what these two require."""
    names = {"libreplace", *requirements("pytest", "cffi")}
    packages = metadata.packages_distributions().items()
    missing = {module for module, owners in packages if not names & {owner.lower() for owner in owners}}
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(missing=missing, names=names))
    tests, text = collected(*long, PYTHONPATH=str(tmp_path), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", CI="")
    assert len(tests) > 100
    assert all(test.startswith("tests/system/") == bool(long) for test in tests)
    for name in ("selenium", "numpy") if long else ("markdown-it-py",):
        assert f"needs {name} (pip install" in text


def test_long_tests_are_collected_only_if_they_are_named():
    assert not any(test.startswith("tests/system/") for test in collected()[0])
    file = "tests/system/test_interrupts.py"
    for name in (file, f"{file}::test_interrupts_script_detects_an_unsafe_context_manager"):
        tests, _ = collected(name)
        assert tests
        assert all(test.startswith(name) for test in tests)
