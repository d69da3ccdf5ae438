# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""protect_os(): calls and starts that would break identities raise an exception."""

import asyncio
import copy
import inspect
import os
import pickle
import posix
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import starters
from support.builds import run
from support.children import (
    ALICE,
    BOB,
    IS_PYPY,
    as_root,
    call_in_other_thread,
    counts_references,
    forks_beside_threads,
    in_child,
    needs_root,
    switched_elsewhere,
)

import replace
from replace import _starts, impersonate
from replace._drop_privileges import OS_CALLS


@pytest.mark.parametrize("name", ["setgroups", "seteuid", "setresuid", "setgid"])
def test_os_call_raises_while_a_thread_is_switched(name):
    arguments = {"setgroups": ([7],), "setresuid": (0, 0, 0)}.get(name, (0,))
    if replace.SCOPE == "thread":
        with pytest.raises(replace.IdentityRefused, match=f"os.{name} changes every thread, and 1 thread"):
            call_in_other_thread(lambda: getattr(os, name)(*arguments), protect=True)


def test_os_calls_work_while_no_thread_is_switched():
    def body():
        replace.protect_os()
        replace.protect_os()
        posix.seteuid(80001)
        assert os.geteuid() == 80001
        os.seteuid(0)
        assert os.setuid.__wrapped__ is not os.setuid
        with pytest.raises(TypeError):
            os.setuid("root")
        with impersonate(ALICE):
            pass
        os.setgroups([5])

    as_root(body)


# ---- Starting threads and processes


def check_starter(name, folder, without_events=False):
    """Check in a child: under an identity the starter is refused and starts nothing; without one it works."""

    def body():
        starters.prepare(name, folder)
        if without_events:
            hide_audit_events()
        replace.protect_os()
        start = starters.STARTERS[name]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            before = starters.alive()
            with impersonate(ALICE):
                with pytest.raises(replace.IdentityRefused, match=r"replace.popen_as\(\).*replace.IdentityExecutor"):
                    start()
                assert starters.nothing_new(before)
                assert os.geteuid() == ALICE.uid
            with forks_beside_threads():
                start()
        replace.assert_clean()

    as_root(body)


def hide_audit_events():
    """Hide audit events of starts, as on PyPy."""
    add = sys.addaudithook
    sys.addaudithook = lambda hook: add(lambda event, args: hook(event, args) if event == _starts._HOOK_TEST else None)
    sys.implementation = type(sys.implementation)(**{**vars(sys.implementation), "name": "pypy"})


@pytest.mark.parametrize("name", starters.STARTERS)
def test_starting_a_thread_or_process_is_refused_under_an_identity(name, tmp_path):
    check_starter(name, str(tmp_path))


@pytest.mark.parametrize("name", starters.STARTERS)
def test_starting_is_refused_without_audit_events(name, tmp_path):
    check_starter(name, str(tmp_path), without_events=True)


@pytest.mark.parametrize("name", starters.STARTERS)
def test_thread_without_identity_can_start_threads_and_processes(name, tmp_path):
    def body():
        starters.prepare(name, str(tmp_path))
        replace.protect_os()
        with switched_elsewhere(ALICE), forks_beside_threads():
            starters.STARTERS[name]()

    as_root(body)


def test_every_starting_function_of_this_python_is_known():
    """Only built-in functions are checked, because all other functions of Python's library call one of them."""
    known = {name.rpartition(".")[2] for name in _starts.STARTERS}
    new = {
        f"{module.__name__}.{name}"
        for module in starters.MODULES
        for name, value in vars(module).items()
        if re.search(starters.LOOKS_LIKE, name, re.I) and inspect.isbuiltin(value)
        if not {name, name.lstrip("_")} & known and name not in NOT_STARTING
    }
    assert new == set(), "add each to replace/_starts.py and tests/support/starters.py, or to NOT_STARTING"


NOT_STARTING = {
    *("register_at_fork", "cancel_dump_traceback_later", "exit_thread", "pthread_kill", "getitimer", "setitimer"),
    *("daemon_threads_allowed", "_daemon_threads_allowed", "_setprofileallthreads", "_settraceallthreads"),
    *("_get_main_thread_ident", "_make_thread_handle", "_thread_shutdown", "pypy_find_executable"),
    *("timerfd_create", "timerfd_gettime", "timerfd_gettime_ns", "timerfd_settime", "timerfd_settime_ns"),
    "remote_exec",  # it runs code in an existing process
    "_fatal_error_c_thread",  # the thread ends the process at once
}


def test_functions_without_an_audit_event_are_replaced_everywhere():
    """A function that a module of the program has already imported is replaced, too."""

    def body():
        from importlib import import_module

        sys.modules["__main__"].stored = os.setuid
        replace.protect_os()
        assert sys.modules["__main__"].stored is os.setuid
        for name in _starts._without_event():
            module, function = name.split(".")
            try:
                found = getattr(import_module(module), function)
            except (ImportError, AttributeError):
                continue
            assert type(found) is _starts.StandIn, name
        assert "_posixsubprocess.fork_exec" in _starts._without_event()

    as_root(body)


def test_later_imports_are_guarded_and_lazy_modules_stay_unloaded():
    code = """
import importlib.util, sys

spec = importlib.util.find_spec("colorsys")
spec.loader = importlib.util.LazyLoader(spec.loader)
sys.modules["colorsys"] = lazy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lazy)
import replace

replace.protect_os()
assert "rgb_to_hsv" not in object.__getattribute__(lazy, "__dict__")
from os import setuid
import faulthandler, os, posix, subprocess, _posixsubprocess

assert setuid is os.setuid is posix.setuid
start = getattr(subprocess, "_fork_exec", None) or subprocess._posixsubprocess.fork_exec
assert start is _posixsubprocess.fork_exec  # multiprocessing imports it at each use
print(*{type(function).__name__ for function in (setuid, start, faulthandler.dump_traceback_later)})
"""
    out = run(sys.executable, "-W", "ignore", "-c", code, cwd="/")
    assert (out.returncode, out.stdout) == (0, "StandIn\n"), out.stderr


def test_every_starting_function_is_replaced_on_pypy(monkeypatch):
    monkeypatch.setattr(sys, "implementation", type(sys.implementation)(**{**vars(sys.implementation), "name": "pypy"}))
    assert _starts._without_event() == list(_starts.STARTERS)


def test_children_inherit_can_be_tightened_but_not_loosened():
    def body():
        with pytest.raises(ValueError, match="children should be refuse or inherit, not 'no'"):
            replace.protect_os(children="no")
        assert type(os.setuid) is not _starts.StandIn
        replace.protect_os(children="inherit")
        with impersonate(ALICE):
            threading.Thread(target=int).start()
            with pytest.raises(replace.IdentityRefused):
                os.setgroups([])
        replace.protect_os()
        replace.protect_os(children="inherit")
        with impersonate(ALICE), pytest.raises(replace.IdentityRefused):
            threading.Thread(target=int).start()

    as_root(body)


def test_shared_memory_in_a_task_runs_no_code_of_the_user():
    """The resource tracker is `python -c` in the working directory. As root it must not import alice's files."""
    needs_root()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        os.mkdir(f"{folder}/multiprocessing")
        with open(f"{folder}/multiprocessing/__init__.py", "w") as file:
            file.write(f"open({folder + '/ran'!r}, 'w').close()")
        code = """
from multiprocessing import resource_tracker, shared_memory
import os, sys
import replace
os.chdir(sys.argv[1])
replace.protect_os()
with replace.IdentityExecutor(1) as pool:
    print(type(pool.submit(replace.Identity(80001, 80001), shared_memory.SharedMemory, None, True, 1).exception()))
"""
        out = run(sys.executable, "-W", "ignore", "-c", code, folder, cwd="/")
        if replace.SCOPE == "thread":
            assert (out.returncode, out.stdout) == (0, "<class 'replace.IdentityRefused'>\n"), out.stderr
        assert not os.path.exists(f"{folder}/ran")


# ---- Only popen_as() may start a process


def test_popen_as_is_allowed_under_an_identity(regain):
    def body():
        replace.protect_os()
        for user in (ALICE, BOB):
            with impersonate(ALICE):
                child = replace.popen_as(user, [regain], stdout=subprocess.PIPE, cwd="/")
                assert child.communicate()[0].strip() == f"({user.uid}, {user.uid}, {user.uid})".encode()

    as_root(body)


def test_other_starts_during_popen_as_are_refused():
    def body():
        refused = []

        def start(*_):
            try:
                subprocess.Popen(["/bin/true"])
            except replace.IdentityRefused:
                refused.append(replace._native.depth())

        class Folder:
            def __fspath__(self):
                start()
                return "/"

        busy = []

        def hook(event, args):
            if event == "subprocess.Popen" and not busy:
                busy.append(1)
                start()
                busy.clear()

        replace.protect_os()
        sys.addaudithook(hook)
        with impersonate(BOB):  # otherwise Folder() runs as the server
            child = replace.popen_as(ALICE, ["/bin/true"], cwd=Folder())
        assert child.wait() == 0
        assert len(refused) >= 2
        assert 0 not in refused

    as_root(body)


def test_argument_iterator_cannot_start_a_process():
    """The iterator, which is C code, calls os.system. So the calling Python frame belongs to Popen."""

    def body():
        replace.protect_os()
        before = starters.alive()
        for start in (os.system, lambda name: subprocess.call([name])):
            with impersonate(BOB), pytest.raises(replace.IdentityRefused):
                replace.popen_as(ALICE, map(start, ["true"]), cwd="/")
        assert starters.nothing_new(before)

    as_root(body)


@counts_references
def test_finalizer_cannot_start_a_thread_during_popen_as():
    def body():
        refused = []

        class Dropped:
            def __del__(self):
                try:
                    threading.Thread(target=int).start()
                except replace.IdentityRefused:
                    refused.append(1)

        class Variables(dict):
            def items(self):
                Dropped()
                return super().items()

        replace.protect_os()
        with impersonate(BOB):
            child = replace.popen_as(ALICE, ["/bin/true"], cwd="/", env=Variables())
        assert child.wait() == 0
        assert refused == [1]

    as_root(body)


def test_subclass_of_popen_can_start_only_one_process():
    def body():
        refused = []

        class Busy(subprocess.Popen):
            def _execute_child(self, *args, **kwargs):
                for start in (lambda: os.system("true"), original, lambda: None, original):
                    try:
                        start(self, *args, **kwargs) if start is original else start()
                    except replace.IdentityRefused as error:
                        refused.append(str(error).split()[0])
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

        original = subprocess.Popen._execute_child
        replace.protect_os()
        subprocess.Popen = Busy
        before = starters.alive()
        assert replace.popen_as(ALICE, ["/bin/true"], cwd="/").returncode == 0
        assert refused == ["os.system", "subprocess.Popen"]
        assert starters.nothing_new(before)

    as_root(body)


def test_preexec_fn_can_start_processes_as_the_user(regain):
    """preexec_fn runs in the child, after the child has become the user."""

    def body():
        replace.protect_os()
        child = replace.popen_as(
            ALICE, ["/bin/true"], cwd="/", stdout=subprocess.PIPE, preexec_fn=lambda: os.system(regain)
        )
        assert child.communicate()[0].strip() == b"(80001, 80001, 80001)"

    as_root(body)


def test_audit_hook_can_start_a_process_before_popen_as_enters():
    def body():
        def hook(event, args):
            if event == "replace.enter":
                subprocess.run(["/bin/true"], check=True)

        replace.protect_os()
        sys.addaudithook(hook)
        assert replace.popen_as(ALICE, ["/bin/true"], cwd="/").wait() == 0

    as_root(body)


def test_popen_as_can_be_nested():
    def body():
        inner = []

        class Folder:
            def __fspath__(self):
                inner.append(replace.popen_as(BOB, ["/bin/true"], cwd="/").wait())
                return "/"

        replace.protect_os()
        assert replace.popen_as(ALICE, ["/bin/true"], cwd=Folder()).wait() == 0
        assert set(inner) == {0}

    as_root(body)


# ---- Stand-ins for functions


def signature(function):
    try:
        return inspect.signature(function)
    except ValueError:
        return "Python cannot read it"


#: The functions that protect_os() replaces in this Python, in addition to the calls of os.
WITHOUT_EVENT = [
    f"{function.__module__}.{function.__name__}"
    for function in _starts._find_functions(_starts._without_event())
    if function.__module__ or not IS_PYPY  # whose functions of faulthandler do not know it
]


@pytest.mark.parametrize("name", [*OS_CALLS, *WITHOUT_EVENT])
def test_stand_in_has_the_attributes_of_the_original(name):
    def body():
        from importlib import import_module

        module, _, function = name.rpartition(".")
        module = import_module(module or "posix")
        before = getattr(module, function)
        replace.protect_os()
        after = getattr(module, function)
        assert after is not before
        assert module is not posix or getattr(os, function) is after
        assert after.__wrapped__ is before
        for one in ("__module__", "__name__", "__qualname__", "__doc__", "__text_signature__", "__self__"):
            assert getattr(after, one) == getattr(before, one), one
        assert signature(after) == signature(before)
        assert inspect.isroutine(after)
        assert callable(after)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(after, protocol)) is after
        assert copy.copy(after) is copy.deepcopy(after) is after
        assert {after: 1}[after] == 1

        class Holder:
            call = after

        assert Holder().call is after, "a stand-in in a class, like a built-in function, does not become a method"

    in_child(body)


# ---- In an event loop's thread


@pytest.mark.parametrize("protected", [False, True])
def test_acting_as_in_the_event_loop_thread_cannot_start_a_thread(protected):
    """This holds even without protect_os(), because a new worker of the loop's executor would keep the user's ids."""

    async def main():
        loop = asyncio.get_running_loop()
        for start in (
            lambda: threading.Thread(target=int).start(),
            lambda: loop.run_in_executor(None, int),
            lambda: ThreadPoolExecutor(1).submit(int),
        ):
            before = starters.alive()
            with pytest.raises(replace.IdentityRefused, match="start_"):
                replace.acting_as(ALICE, start)()
            assert starters.nothing_new(before)
        assert await replace.run_as(ALICE, os.geteuid) == ALICE.uid
        assert await asyncio.to_thread(os.geteuid) == 0

    def body():
        if protected:
            replace.protect_os()
        asyncio.run(main())
        if not protected:  # without an event loop, starting a thread is allowed
            with impersonate(ALICE):
                threading.Thread(target=int).start()

    as_root(body)


def test_protect_os_raises_if_its_audit_hook_is_vetoed():
    code = """
import sys
import replace

def veto(event, args):
    if event == "sys.addaudithook":
        raise RuntimeError("no more")

sys.addaudithook(veto)
try:
    replace.protect_os()
except replace.IdentityRefused as error:
    print(error)
"""
    out = run(sys.executable, "-W", "ignore", "-c", code, cwd="/")
    assert out.returncode == 0, out.stderr
    assert "another audit hook vetoes" in out.stdout
