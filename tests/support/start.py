# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Give the tests a known process state at the start, and restore it between two tests.

A shell ignores SIGINT in a script's background jobs; a service manager sets the umask and limits; a user has a locale
and compiler flags. Child processes inherit all of it. Without this module, the results would depend on how the tests
were started.
"""

import atexit
import contextlib
import locale
import os
import pwd
import resource
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support.children import HANG

#: Signals that Python itself ignores.
_IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}
#: Variables that change what Python, Meson, compilers or argparse do.
_VARIABLES = (
    "PYTHONCOERCECLOCALE", "PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED",
    "PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONNODEBUGRANGES", "PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME",
    "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONTRACEMALLOC", "PYTHONUNBUFFERED",
    "PYTHONUSERBASE", "PYTHONUTF8", "PYTHONVERBOSE", "PYTHONWARNINGS", "CFLAGS", "CPPFLAGS", "LDFLAGS", "DESTDIR",
    "MAKEFLAGS", "MAKELEVEL", "SOURCE_DATE_EPOCH", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "COLUMNS", "FORCE_COLOR",
    "LANG", "LANGUAGE",
)  # fmt: skip
#: Where the caller has a libreplace for pkg-config. The tests of the installed C library use it, the builds do not.
PKG_CONFIG = {name: os.environ[name] for name in ("PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR") if name in os.environ}


def set_known_start() -> None:
    """Set signals, umask, limits, locale, time zone, HOME, TMPDIR and standard input. conftest.py calls this first."""
    _set_signals()
    os.umask(0o022)
    _set_limits()
    for name in [*_VARIABLES, *(name for name in os.environ if name.startswith("LC_"))]:
        os.environ.pop(name, None)
    os.environ.update(LC_ALL="C.UTF-8", TZ="UTC")
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    time.tzset()
    if not _is_open_to_all(tempfile.gettempdir()):  # the users that tests switch to must reach temporary files
        os.environ.pop("TMPDIR", None)
        tempfile.tempdir = None
    if not os.access(os.environ.get("HOME", ""), os.R_OK | os.W_OK | os.X_OK):
        os.environ["HOME"] = _make_home()
    nothing = os.open(os.devnull, os.O_RDONLY)  # replaces a closed descriptor, a terminal or a pipe
    if nothing != 0:
        os.dup2(nothing, 0)
        os.close(nothing)
    os.set_inheritable(0, True)


def _is_open_to_all(folder: str) -> bool:
    """Whether every user may search the folder and all its parents."""
    path = Path(folder).resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _make_home() -> str:
    """Return the user's home folder. In many containers it does not exist; then return a new folder."""
    with contextlib.suppress(KeyError):
        home = pwd.getpwuid(os.getuid()).pw_dir
        if os.access(home, os.W_OK | os.X_OK):
            return home
    home = tempfile.mkdtemp(prefix="libreplace-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def _set_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} - _IGNORED:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _set_limits() -> None:
    def soft(kind: int, wanted: int) -> None:
        """Set the soft limit to the wanted value, or to the hard limit if that is lower."""
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))

    soft(resource.RLIMIT_CORE, 0)  # some children abort on purpose
    soft(resource.RLIMIT_NOFILE, 4096)
    soft(resource.RLIMIT_STACK, 8 * 2**20)
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_DATA):
        resource.setrlimit(kind, (resource.getrlimit(kind)[1],) * 2)


class State(NamedTuple):
    """The parts of the process state that a test must not change."""

    ids: tuple[Any, ...]
    folder: str
    umask: int
    environment: dict[str, str]
    handlers: dict[signal.Signals, Any]
    mask: frozenset[int]
    children: frozenset[int]
    descriptors: frozenset[int]
    threads: frozenset[threading.Thread]
    path: list[str]
    modules: dict[str, Any]


def _children() -> Iterator[int]:
    """Yield the process ids of the children of each thread (proc_pid_task(5))."""
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except OSError:  # the thread ended
            pass


def _descriptors() -> Iterator[int]:
    """Yield the open file descriptors of this process."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of listdir() itself, which is already closed
            os.fstat(int(name))
            yield int(name)


def state() -> State:
    """Return the present state of this process."""
    mask = os.umask(0o022)
    os.umask(mask)
    others = {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM}  # pytest-timeout uses SIGALRM
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - others}
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    ids = (os.getresuid(), os.getresgid(), sorted(os.getgroups()))
    has_proc = os.path.isdir("/proc/self/task")
    children = frozenset(_children() if has_proc else ())
    descriptors = frozenset(_descriptors() if has_proc else ())
    signals = frozenset(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    threads = frozenset(threading.enumerate())
    modules = dict(sys.modules)
    return State(
        ids, os.getcwd(), mask, environment, handlers, signals, children, descriptors, threads, sys.path[:], modules
    )


def restore(before: State) -> list[str]:
    """Restore the state that a test has changed; return a description of each change."""
    found = []
    now = state()
    if now.ids != before.ids:
        found.append(f"ids {now.ids}")
        for change, ids in ((os.setresuid, before.ids[0]), (os.setresgid, before.ids[1])):
            change(*ids)
        os.setgroups(before.ids[2])
    if now.folder != before.folder:
        found.append(f"the working directory {now.folder}")
        os.chdir(before.folder)
    if now.umask != before.umask:
        found.append(f"the umask {now.umask:03o}")
        os.umask(before.umask)
    if now.environment != before.environment:
        names = {name for name, _ in set(now.environment.items()) ^ set(before.environment.items())}
        found.append(f"variables {', '.join(sorted(names))}")
        for name in names:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.environment.items() if name in names})
    if now.handlers != before.handlers:
        numbers = [number for number, handler in before.handlers.items() if now.handlers[number] != handler]
        found.append(f"handlers of signals {numbers}")
        for number in numbers:
            signal.signal(number, before.handlers[number])
    if now.mask != before.mask:
        found.append(f"blocked signals {sorted(now.mask)}")
        signal.pthread_sigmask(signal.SIG_SETMASK, before.mask)
    if now.path != before.path:
        found.append("another sys.path")
        sys.path[:] = before.path
    # New modules are allowed. A removed or replaced module is a change.
    changed = [name for name, module in before.modules.items() if now.modules.get(name) is not module]
    if changed:
        found.append(f"modules {', '.join(sorted(changed))}")
        sys.modules.update({name: before.modules[name] for name in changed})
    for descriptor in now.descriptors - before.descriptors:
        found.append(f"descriptor {descriptor}, {os.readlink(f'/proc/self/fd/{descriptor}')}")
        os.close(descriptor)
    for thread in now.threads - before.threads:
        thread.join(HANG)  # a thread may need a moment to end after its last event
        if thread.is_alive():
            found.append(f"thread {thread.name}")
    for child in now.children - before.children:
        if _end(child):
            found.append(f"child process {child}")
    return found


def _end(child: int) -> bool:
    """Kill a leftover child process. Return False if it had ended, or if it is Python's helper for shared memory."""
    try:
        with open(f"/proc/{child}/cmdline", "rb") as file:
            if b"multiprocessing" in file.read():
                return False
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (OSError, ChildProcessError):  # it has ended and was waited for
        return False
    return True
