# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Every function of Python's library that starts a thread or a process, and how to call it.

Each entry of STARTERS is a callable that starts something, waits for it and cleans up. This module imports everything
that the entries need, because the user of a test may be unable to read Python's library.
"""

# mypy: ignore-errors
# Some names exist only in some versions of Python.

import _posixsubprocess
import _thread
import asyncio
import asyncio.subprocess
import asyncio.unix_events
import concurrent.futures
import concurrent.futures.process
import concurrent.futures.thread
import contextlib
import faulthandler
import importlib
import logging.handlers
import multiprocessing
import multiprocessing.dummy
import multiprocessing.forkserver
import multiprocessing.managers
import multiprocessing.pool
import multiprocessing.popen_fork
import multiprocessing.popen_forkserver
import multiprocessing.popen_spawn_posix
import multiprocessing.queues
import multiprocessing.resource_tracker
import multiprocessing.shared_memory
import multiprocessing.spawn
import multiprocessing.synchronize
import multiprocessing.util
import os
import platform
import posix
import pty
import pydoc
import queue
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import types
import uuid
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from replace import _native
from support.children import needs_terminal

TRUE = "/bin/true"
#: The module of subinterpreters (PEP 734) or its predecessor; None if this Python has neither.
INTERPRETERS: Any = None
for _name in ("_interpreters", "_xxsubinterpreters"):
    with contextlib.suppress(ImportError):
        INTERPRETERS = INTERPRETERS or importlib.import_module(_name)

STARTERS: dict[str, Callable[[], object]] = {}


def alive() -> tuple[set[str], set[str]]:
    """Return the threads and the children of this process, including zombies."""
    threads = set(os.listdir("/proc/self/task"))
    children: set[str] = set()
    for tid in threads:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children.update(Path(f"/proc/self/task/{tid}/children").read_text().split())
    return threads, children


def nothing_new(before: tuple[set[str], set[str]]) -> bool:
    """Whether no thread or child is new. A thread may be missing, because a joined thread may end late."""
    return all(now <= then for now, then in zip(alive(), before, strict=True))


def prepare(name: str, folder: str) -> None:
    """Make, in a child, the objects that cannot be made under an identity.

    multiprocessing puts its temporary files into the folder. If it made the folder itself, it could not delete it,
    because children end by os._exit().
    """
    if name in TERMINALS:
        needs_terminal()
    sys.modules["__main__"] = types.ModuleType("__main__")  # otherwise multiprocessing's children import pytest
    if name.startswith("interpreters."):  # a process with interpreters cannot always fork
        _made.append(INTERPRETERS.create())
    multiprocessing.current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]
    platform._uname_cache = None


_made: list[Any] = []


def starts(name: str, *arguments: Any) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add a function to STARTERS."""

    def add(function: Callable[..., object]) -> Callable[..., object]:
        STARTERS[name] = partial(function, *arguments)
        return function

    return add


def wait_for_success(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0


# ---- os


def fork(function: Callable[[], int]) -> None:
    pid = function()
    if pid == 0:
        os._exit(0)
    wait_for_success(pid)


def terminal(function: Callable[[], tuple[int, int]]) -> None:
    pid, descriptor = function()
    if pid == 0:
        os._exit(0)
    wait_for_success(pid)
    os.close(descriptor)


def execute(name: str, *arguments: Any) -> None:
    """Call an exec function: in this process under an identity, where it is refused, and otherwise in a child."""
    function = getattr(os, name)
    if _native.depth():
        function(*arguments)
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        finally:
            os._exit(1)
    wait_for_success(pid)


STARTERS["os.fork"] = lambda: fork(os.fork)
TERMINALS = ("os.forkpty", "pty.fork", "pty.spawn")
STARTERS["os.forkpty"] = lambda: terminal(os.forkpty)
STARTERS["pty.fork"] = lambda: terminal(pty.fork)
STARTERS["pty.spawn"] = lambda: pty.spawn([TRUE], master_read=lambda descriptor: b"")
if hasattr(os, "posix_spawn"):  # not in PyPy
    STARTERS["os.posix_spawn"] = lambda: wait_for_success(os.posix_spawn(TRUE, ["true"], {}))
    STARTERS["os.posix_spawnp"] = lambda: wait_for_success(os.posix_spawnp("true", ["true"], os.environ))
STARTERS["os.system"] = lambda: os.system("true")
STARTERS["os.popen"] = lambda: os.popen("true").close()
for _name, _rest in {
    "l": ("true",), "le": ("true", {}), "lp": ("true",), "lpe": ("true", {}),
    "v": (["true"],), "ve": (["true"], {}), "vp": (["true"],), "vpe": (["true"], {}),
}.items():  # fmt: skip
    STARTERS[f"os.exec{_name}"] = partial(execute, f"exec{_name}", TRUE, *_rest)
    STARTERS[f"os.spawn{_name}"] = partial(getattr(os, f"spawn{_name}"), os.P_WAIT, TRUE, *_rest)
STARTERS["os._execvpe"] = partial(execute, "_execvpe", TRUE, ["true"], {})
STARTERS["os._spawnvef"] = partial(os._spawnvef, os.P_WAIT, TRUE, ["true"], None, os.execv)


# ---- subprocess and its users

STARTERS["_posixsubprocess.fork_exec"] = lambda: wait_for_success(
    multiprocessing.util.spawnv_passfds(TRUE.encode(), [b"true"], [])
)
STARTERS["subprocess.Popen"] = lambda: subprocess.Popen([TRUE]).wait()
STARTERS["subprocess.Popen, by posix_spawn"] = lambda: subprocess.Popen([TRUE], close_fds=False).wait()
STARTERS["subprocess.Popen, with preexec_fn"] = lambda: subprocess.Popen([TRUE], preexec_fn=int).wait()
STARTERS["subprocess.Popen, by a shell"] = lambda: subprocess.Popen("true", shell=True).wait()
STARTERS["subprocess.run"] = lambda: subprocess.run([TRUE], check=True)
STARTERS["subprocess.call"] = lambda: subprocess.call([TRUE])
STARTERS["subprocess.check_output"] = lambda: subprocess.check_output([TRUE])
STARTERS["subprocess.getoutput"] = lambda: subprocess.getoutput("true")
STARTERS["platform.processor"] = lambda: platform._Processor.from_subprocess()
STARTERS["uuid.getnode"] = lambda: uuid._get_command_stdout("true")
STARTERS["webbrowser.open"] = lambda: webbrowser.GenericBrowser("true").open("http://localhost")
STARTERS["pydoc.pipepager"] = lambda: getattr(pydoc, "pipepager", pydoc.pager)("", "cat >/dev/null")


@starts("socketserver.ForkingMixIn", socketserver.ForkingMixIn)
@starts("socketserver.ThreadingMixIn", socketserver.ThreadingMixIn)
def serve(kind: Any) -> None:
    class Base:
        def nothing(self, *_: Any) -> None: ...

        finish_request = shutdown_request = close_request = handle_error = server_close = nothing

    class Server(kind, Base): ...

    server = Server()
    server.process_request(None, None)
    if kind is socketserver.ForkingMixIn:
        server.collect_children(blocking=True)
    else:
        server.server_close()


# ---- Threads


@starts("_thread.start_new_thread", "start_new_thread", _thread)
@starts("_thread.start_new", "start_new", _thread)
@starts("threading._start_new_thread", "_start_new_thread", threading)
def thread(name: str, module: Any) -> None:
    start = getattr(module, name, None)
    if start is None:  # threading of CPython 3.13
        return thread("start_new_thread", _thread)
    done = _thread.allocate_lock()
    done.acquire()
    start(done.release, ())
    assert done.acquire()
    return None


if hasattr(_thread, "start_joinable_thread"):
    STARTERS["_thread.start_joinable_thread"] = lambda: _thread.start_joinable_thread(int).join()
    STARTERS["threading._start_joinable_thread"] = lambda: threading._start_joinable_thread(int).join()


@starts("threading.Thread", threading.Thread)
@starts("threading.Timer", partial(threading.Timer, 0, int))
@starts("multiprocessing.dummy.Process", multiprocessing.dummy.Process)
def run(make: Callable[[], Any]) -> None:
    made = make()
    made.start()
    made.join()


@starts("faulthandler.dump_traceback_later")
def dump_later() -> None:
    before = alive()
    faulthandler.dump_traceback_later(3600, file=sys.__stderr__)
    assert alive()[0] - before[0]
    faulthandler.cancel_dump_traceback_later()


@starts("logging.handlers.QueueListener")
def listen() -> None:
    listener = logging.handlers.QueueListener(queue.SimpleQueue())
    listener.start()
    listener.stop()


@starts("concurrent.futures.ThreadPoolExecutor", concurrent.futures.ThreadPoolExecutor)
@starts("concurrent.futures.ProcessPoolExecutor", concurrent.futures.ProcessPoolExecutor)
def submit(kind: Any) -> None:
    executor = kind(1, **({"mp_context": FORK} if kind is concurrent.futures.ProcessPoolExecutor else {}))
    try:
        assert executor.submit(int).result() == 0
    finally:
        if not _native.depth():
            executor.shutdown()


if hasattr(concurrent.futures, "InterpreterPoolExecutor"):
    STARTERS["concurrent.futures.InterpreterPoolExecutor"] = partial(submit, concurrent.futures.InterpreterPoolExecutor)


# ---- multiprocessing

FORK, SPAWN, FORKSERVER = map(multiprocessing.get_context, ("fork", "spawn", "forkserver"))

for _context in (FORK, SPAWN, FORKSERVER):
    STARTERS[f"multiprocessing.Process, {_context.get_start_method()}"] = partial(
        run, partial(_context.Process, target=int)
    )


@starts("multiprocessing.resource_tracker.ensure_running")
def track() -> None:
    tracker = multiprocessing.resource_tracker.ResourceTracker()
    tracker.ensure_running()
    tracker._stop() if hasattr(tracker, "_stop") else _stop_tracker(tracker)


def _stop_tracker(tracker: Any) -> None:
    os.close(tracker._fd)
    wait_for_success(tracker._pid)


@starts("multiprocessing.forkserver.ensure_running")
def serve_forks() -> None:
    server = multiprocessing.forkserver.ForkServer()
    server.ensure_running()
    server._stop()


@starts("multiprocessing.shared_memory.SharedMemory")
def share() -> None:
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=1)
    memory.close()
    memory.unlink()


@starts("multiprocessing.Pool", FORK.Pool)
@starts("multiprocessing.pool.ThreadPool", multiprocessing.pool.ThreadPool)
def use_pool(make: Callable[[int], Any]) -> None:
    pool = make(1)
    assert pool.apply(int) == 0
    pool.close()
    pool.join()


@starts("multiprocessing.Manager")
def manage() -> None:
    manager = FORK.Manager()
    manager.shutdown()


@starts("multiprocessing.Queue")
def feed() -> None:
    pipe = FORK.Queue()
    pipe.put(1)
    assert pipe.get() == 1
    pipe.close()
    pipe.join_thread()


# ---- asyncio


async def _child(*words: str) -> None:
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0


async def _shell() -> None:
    assert await (await asyncio.create_subprocess_shell("true")).wait() == 0


async def _thread_of_loop() -> None:
    assert await asyncio.to_thread(int) == 0


async def _look_up() -> None:
    assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)


STARTERS["asyncio.create_subprocess_exec"] = lambda: asyncio.run(_child(TRUE))
STARTERS["asyncio.create_subprocess_shell"] = lambda: asyncio.run(_shell())
STARTERS["asyncio.to_thread"] = lambda: asyncio.run(_thread_of_loop())
STARTERS["asyncio.loop.getaddrinfo"] = lambda: asyncio.run(_look_up())

_watcher = vars(asyncio.unix_events).get("ThreadedChildWatcher") or vars(asyncio.unix_events).get(
    "_ThreadedChildWatcher"
)


@starts("asyncio.ThreadedChildWatcher")
def watch() -> None:
    async def body() -> None:
        done = asyncio.Event()
        pid = _pid_of_an_ended_child()
        _watcher().add_child_handler(pid, lambda *_: done.set())
        await done.wait()

    asyncio.run(body())


def _pid_of_an_ended_child() -> int:
    """Return the process id of an ended child, or an unused id under an identity, where no child can start."""
    if _native.depth():
        return 2**22
    return os.spawnv(os.P_NOWAIT, TRUE, ["true"])


# ---- Subinterpreters, which have their own audit hooks

if INTERPRETERS:

    @starts("interpreters.create")
    def create() -> None:
        INTERPRETERS.destroy(INTERPRETERS.create())

    for _name, _argument in {
        "call": lambda: None,
        "exec": "pass",
        "run_func": lambda: None,
        "run_string": "pass",
    }.items():
        if hasattr(INTERPRETERS, _name):
            STARTERS[f"interpreters.{_name}"] = lambda name=_name, argument=_argument: getattr(INTERPRETERS, name)(
                _made[0], argument
            )


#: The modules that are searched for more starting functions, and the pattern of names that may start something.
MODULES: tuple[Any, ...] = (
    *(os, posix, pty, subprocess, _posixsubprocess, _thread, threading, faulthandler, signal, sys),
    *(multiprocessing, concurrent.futures, multiprocessing.pool, multiprocessing.util, multiprocessing.context),
    *(multiprocessing.forkserver, multiprocessing.resource_tracker, asyncio, socketserver),
    *([INTERPRETERS] if INTERPRETERS else []),
)
LOOKS_LIKE = "fork|spawn|exec|system$|popen|start|thread|later|process|pool|timer|manager"
