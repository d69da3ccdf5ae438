# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Unusual environments: namespaces, missing capabilities, filters, fakeroot, uid_wrapper, limits, and failing calls.

The tests check the exact outcome and the words of the errors.
"""

import ctypes
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest
from support.builds import ROOT, in_namespaces, run, tool, uid_wrapper
from support.children import (
    ALICE,
    IS_PYPY,
    LIBC,
    ROOT_IDS,
    SHIELD,
    as_root,
    change_capabilities,
    ids,
    install_filter,
    needs_root,
)
from support.odd_machine import numbers
from support.syscalls import injected

import replace
from replace import impersonate

CALLS = ["setresuid", "setgroups", "setresgid"]
SETFS = ["setfsuid", "setfsgid"]


def python(script, *before, env=None):
    """Run a Python script and return its output. The words in `before` are a command that starts it."""
    out = run(*before, sys.executable, "-c", script, cwd="/", env=env)
    assert out.returncode == 0, out.stderr
    return out.stdout


TRY = """
import replace
def attempt(name, *arguments):
    before = (replace.getresuid(), replace.getresgid(), replace.getgroups())
    try: getattr(replace, name)(*arguments); text = "ok"
    except OSError as error: text = str(error)
    same = before == (replace.getresuid(), replace.getresgid(), replace.getgroups())
    print(name, text, "unchanged" if same else "changed")
def enter(user):
    try:
        with replace.impersonate(user, allow_process=True): print("inside")
    except replace.IdentityError as error: print(type(error).__name__, error.errno, error.step, error.state)
alice = replace.Identity(80001, 80011, [80021])
"""


# ---- User namespaces


def test_entry_is_rolled_back_if_the_namespace_denies_setgroups():
    needs_root()
    script = TRY + "attempt('setgroups', []); attempt('initgroups', 'root', 0); enter(alice)"
    text = python(script, *in_namespaces("--user", "--map-root-user"))
    assert text == (
        "setgroups [Errno 1] Operation not permitted unchanged\n"
        "initgroups [Errno 1] Operation not permitted unchanged\n"
        "IdentityError 1 setgroups rolled back\n"
    )


def test_unmapped_id_fails_with_einval():
    needs_root()
    script = TRY + (
        "attempt('setresuid', -1, 80001, -1); attempt('setresgid', -1, 80001, -1); attempt('setuid', 80001)\n"
        "attempt('setfsuid', 80001); enter(replace.Identity(80001, 80011, replace.getgroups()) if 0 not in "
        "replace.getgroups() else alice)\n"
    )
    text = python(script, *in_namespaces("--user", "--map-root-user"))
    invalid = f"[Errno {errno.EINVAL}] Invalid argument unchanged\n"
    assert text.startswith(
        f"setresuid {invalid}setresgid {invalid}setuid {invalid}setfsuid [Errno 1] Operation not permitted unchanged\n"
    )
    assert "Error" in text.splitlines()[-1]
    assert text.splitlines()[-1].endswith("rolled back")


# ---- Capabilities and no_new_privs


@pytest.mark.parametrize(
    ("bit", "step", "state"),
    [(7, "setting the uid", "rolled back"), (6, "checking that the thread could return", "unchanged")],
)
def test_entry_without_cap_setuid_or_cap_setgid_fails(bit, step, state):
    def body():
        change_capabilities(lambda sets: sets.__setitem__(slice(2), [word & ~(1 << bit) for word in sets[:2]]))
        name = "setresuid" if bit == 7 else "setresgid"
        with pytest.raises(PermissionError, match="Operation not permitted"):
            getattr(replace, name)(-1, 80001, -1)
        with pytest.raises(replace.IdentityError) as caught:
            impersonate(ALICE).__enter__()
        assert (caught.value.errno, caught.value.step, caught.value.state) == (errno.EPERM, step, state)
        assert "libreplace verify --explain" in str(caught.value)
        assert ids() == ROOT_IDS

    as_root(body)


def test_no_new_privs_does_not_prevent_entry():
    def body():
        assert LIBC.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        with impersonate(ALICE):
            assert os.geteuid() == 80001
        assert ids() == ROOT_IDS

    as_root(body)


# ---- Filters


STEP = {"setresuid": "setting the uid", "setgroups": "setgroups", "setresgid": "setting the gid"}


@pytest.mark.parametrize("action", ["EPERM", "ENOSYS", "false 0"])
@pytest.mark.parametrize("call", CALLS)
def test_entry_is_rolled_back_if_seccomp_refuses_a_call(call, action):
    def body():
        number = 0 if action == "false 0" else getattr(errno, action)
        install_filter(call, number)
        arguments = ([5],) if call == "setgroups" else (-1, 80001, -1)
        if number:
            with pytest.raises(OSError, match=os.strerror(number)) as low:
                getattr(replace, call)(*arguments)
            assert low.value.errno == number
        else:
            getattr(replace, call)(*arguments)  # the call itself cannot detect this; impersonate() verifies the ids
        assert ids() == ROOT_IDS
        with pytest.raises(replace.IdentityError) as caught:
            impersonate(ALICE).__enter__()
        step = STEP[call] if number else "verifying"
        assert (caught.value.errno, caught.value.step) == (number or errno.EPERM, step)
        assert caught.value.state == "rolled back"
        assert ids() == ROOT_IDS

    as_root(body)


@pytest.mark.parametrize("action", ["EPERM", "ENOSYS", "EACCES", "false 0"])
@pytest.mark.parametrize("level", ["shielded", "effective", "real"])
def test_level_without_setfsuid_works_if_seccomp_refuses_it(level, action, folder):
    def body():
        for call in SETFS:
            install_filter(call, 0 if action == "false 0" else getattr(errno, action))
        assert (replace.getfsuid(), replace.getfsgid()) == (0, 0)
        os.chmod(folder, 0o777)
        guard = impersonate(ALICE, level=level)
        with guard:
            assert (replace.getfsuid(), replace.getfsgid()) == (ALICE.uid, ALICE.gid)
            assert guard.check()
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        made = os.stat("file", dir_fd=folder)
        assert (made.st_uid, made.st_gid) == (ALICE.uid, ALICE.gid)
        with pytest.raises(replace.IdentityError) as caught:
            impersonate(ALICE, level="filesystem").__enter__()
        assert (caught.value.step, caught.value.state) == ("setting the gid", "rolled back")
        assert ids() == ROOT_IDS

    as_root(body)


@pytest.mark.parametrize("action", ["EPERM", "ENOSYS", "EACCES"])
def test_unknown_fs_id_is_an_error_and_not_an_id(action):
    def body():
        for call in (*SETFS, "pipe2", "pipe"):
            if call != "pipe" or "__NR_pipe" in numbers():  # not every architecture has it
                install_filter(call, getattr(errno, action))
        for getter in (replace.getfsuid, replace.getfsgid):
            with pytest.raises(OSError, match="denied|permitted"):
                getter()
        with pytest.raises(replace.IdentityError) as caught:
            impersonate(ALICE).__enter__()
        assert (caught.value.step, caught.value.state) == ("reading the ids", "unchanged")
        assert (replace.getresuid(), replace.getresgid(), replace.getgroups()) == ROOT_IDS[:3]

    as_root(body)


# ---- fakeroot and uid_wrapper


def test_error_under_fakeroot_names_fakeroot():
    needs_root()
    if replace.SCOPE != "thread":
        return
    script = (
        TRY + "attempt('setresuid', -1, 80001, -1); enter(alice)\ntry:\n    replace.impersonate(alice).__enter__()\n"
    )
    script += "except replace.IdentityError as error: print(error)\n"
    # Root without CAP_SETUID and CAP_SETGID: it can switch no ids, but can read this interpreter.
    powerless = [tool("setpriv", "drops capabilities"), "--bounding-set=-setuid,-setgid"]
    text = python(script, *powerless, tool("fakeroot", "fakes libc's calls"))
    lines = text.splitlines()
    assert lines[0] == (
        "setresuid [Errno 1] Operation not permitted (fakeroot replaces libc's calls, but this call goes to the "
        "kernel; run it as real root) unchanged"
    )
    assert lines[1].startswith("IdentityError 1 ")
    assert "fakeroot replaces libc's calls, not the kernel's" in lines[2]


@pytest.mark.parametrize(
    ("prefix", "preloaded", "loaded"),
    [
        (["fakeroot"], True, True),
        (["fakeroot", "env", "-u", "LD_PRELOAD"], False, False),
        (["env", "FAKEROOTKEY=1"], False, False),
    ],
    ids=["fakeroot", "child without its library", "only its variable"],
)
def test_fakeroot_is_detected_by_its_loaded_library(prefix, preloaded, loaded):
    tool("fakeroot", "fakes libc's calls")
    script = "import os; from replace import _native; print('LD_PRELOAD' in os.environ, _native.fakeroot_is_loaded())"
    out = run(*prefix, sys.executable, "-c", script, cwd="/")
    assert out.stdout.split() == [str(preloaded), str(loaded)], out.stderr


def test_uid_wrapper_fakes_raw_calls_in_each_thread():
    """Raw calls go through libc's syscall(), so uid_wrapper fakes them for each thread, without privilege."""
    needs_root()
    script = """
import threading, replace
def shapes():
    replace.setgroups([5, 80001]); assert replace.getgroups() == [5, 80001], replace.getgroups()
    replace.setresgid(-1, 80011, -1); assert replace.getresgid() == (0, 80011, 0), replace.getresgid()
    replace.setresuid(-1, 80001, -1); assert replace.getresuid() == (0, 80001, 0), replace.getresuid()
    replace.setresuid(-1, 0, -1); replace.setresgid(-1, 0, -1); replace.setgroups([])
    replace.seteuid(80002); replace.seteuid(0); replace.setegid(80002); replace.setegid(0)
    replace.setreuid(-1, 80003); assert replace.getresuid()[1] == 80003
    done.append(replace.getresuid()[1])
done = []
thread = threading.Thread(target=shapes); thread.start(); thread.join()
assert done == [80003], "the thread failed"
print(replace.SCOPE, replace.getresuid() == (0, 0, 0))
"""
    environment = {"LD_PRELOAD": uid_wrapper(), "UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
    powerless = [tool("setpriv", "drops capabilities"), "--bounding-set=-setuid,-setgid"]
    text = python(script, *powerless, env=environment)
    assert text == ("thread True\n" if replace.SCOPE == "thread" else "process False\n")


@pytest.mark.timeout(1800)
def test_suite_passes_under_uid_wrapper():
    """Only tests of ids and groups run: uid_wrapper fakes no fs ids, does not sort lists and accepts -1 in a list."""
    needs_root()
    environment = {"LD_PRELOAD": uid_wrapper(), "UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
    powerless = [tool("setpriv", "drops capabilities"), "--bounding-set=-setuid,-setgid"]
    suite = [ROOT / "tests" / "test_input.py", ROOT / "tests" / "test_os_own_tests.py"]
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    chosen = "not setfs and not minus_one_is_refused and not good_groups"
    command = [*powerless, sys.executable, "-m", "pytest", *options, "-k", chosen, *suite]
    out = run(*command, env=environment, cwd="/", timeout=1700)
    assert out.returncode == 0, out.stdout[-2000:]
    assert int(out.stdout.rsplit(" passed", 1)[0].split()[-1]) > 150, out.stdout[-500:]


def test_c_program_passes_under_uid_wrapper_without_root(faults):
    needs_root()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(faults.with_name("conformance"), folder)
        wrapped = ["env", f"LD_PRELOAD={uid_wrapper()}", "UID_WRAPPER=1", "UID_WRAPPER_ROOT=1"]
        user = [tool("setpriv", "becomes a user"), "--reuid=80001", "--regid=80001", "--clear-groups"]
        out = run(*user, *wrapped, f"{folder}/conformance", cwd="/")
    assert (out.returncode, out.stdout) == (0, "syscall\n"), out.stderr


# ---- Limits


def test_rlimit_nproc_is_counted_for_the_real_uid():
    """setresuid succeeds; fork fails if the real uid is not root's (setrlimit(2), kernel/fork.c)."""

    def body():
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        with impersonate(ALICE, level="real"), pytest.raises(BlockingIOError):
            os.fork()
        with impersonate(ALICE), pytest.raises(BlockingIOError):  # counts the processes of the shield uid
            os.fork()
        with impersonate(ALICE, level="effective"):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        assert ids() == ROOT_IDS

    as_root(body)


# ---- After fork and exec, in a thread of C, in a subinterpreter and at shutdown


def test_entry_works_after_fork_and_exec():
    def body():
        with impersonate(ALICE):
            pass
        child = os.fork()
        if child == 0:
            with impersonate(ALICE):
                good = os.geteuid() == 80001
            os._exit(0 if good and ids() == ROOT_IDS else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return python(TRY + "enter(alice); print(replace.getresuid())")

    assert as_root(body) in ("inside\n(0, 0, 0)\n", None)


def test_entry_works_in_a_thread_started_by_c(tmp_path):
    text = """
#include <pthread.h>
static void *start(void *body) { ((void (*)(void))body)(); return 0; }
void run(void (*body)(void)) { pthread_t t; pthread_create(&t, 0, start, body); pthread_join(t, 0); }
"""
    command = [tool("cc", "a C compiler"), "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "run.so", "-pthread"]
    subprocess.run(command, input=text, text=True, check=True)
    library = ctypes.CDLL(str(tmp_path / "run.so"))
    seen = []

    def body():
        def inside():
            with impersonate(ALICE):
                seen.append((os.geteuid(), threading.get_native_id()))
            seen.append(os.geteuid())

        library.run(ctypes.CFUNCTYPE(None)(inside))
        assert [seen[0][0], seen[1]] == [80001, 0]
        assert seen[0][1] != threading.get_native_id()
        assert ids() == ROOT_IDS

    as_root(body)


def test_entry_works_in_a_subinterpreter():
    needs_root()
    if replace.SCOPE != "thread":
        return
    if IS_PYPY:
        pytest.skip("needs subinterpreters, which PyPy does not have")
    script = (
        "try: import _interpreters as sub; new = lambda: sub.create('legacy')\n"
        "except ImportError: import _xxsubinterpreters as sub; new = lambda: sub.create(isolated=False)\n"
        "code = 'import os, replace\\n' + 'with replace.impersonate(replace.Identity(80001, 80001)): ' + "
        "'print(os.geteuid(), flush=True)\\n' + 'print(replace.getresuid(), flush=True)'\n"
        "one = new(); sub.run_string(one, code); sub.destroy(one)\n"
        "import replace\nwith replace.impersonate(replace.Identity(80002, 80002)): print(replace.getresuid())\n"
    )
    assert python(script) == f"80001\n(0, 0, 0)\n({SHIELD}, 80002, 0)\n"


def test_entry_works_at_interpreter_shutdown():
    needs_root()
    script = TRY + "import atexit\natexit.register(lambda: (enter(alice), attempt('setresuid', -1, -1, -1)))\n"
    assert python(script) == "inside\nsetresuid ok unchanged\n"


# ---- Faults in every system call of a setter or getter


FAULTS = """
import os, replace
def status():
    with open("/proc/thread-self/status", "rb") as file:
        return [line for line in file.read().splitlines() if line[:4] in (b"Uid:", b"Gid:", b"Grou")]
before = status()
for name, arguments in (
    ("setuid", (5,)), ("seteuid", (5,)), ("setreuid", (5, 5)), ("setresuid", (5, 5, 5)), ("setfsuid", (5,)),
    ("setgid", (5,)), ("setegid", (5,)), ("setregid", (5, 5)), ("setresgid", (5, 5, 5)), ("setfsgid", (5,)),
    ("setgroups", ([5],)), ("setgroups", (range(2000),)), ("initgroups", ("root", 5)),
    ("getresuid", ()), ("getresgid", ()), ("getgroups", ()),
):
    try: getattr(replace, name)(*arguments); text = 0
    except OSError as error: text = error.errno
    print(name, text, status() == before)
"""


@pytest.mark.parametrize("error", ["EPERM", "EAGAIN", "EINVAL", "ENOMEM", "ENOSYS"])
def test_failed_system_call_reaches_the_caller_and_changes_nothing(error):
    """strace makes every system call of the list fail."""
    needs_root()
    names = ["setuid", "setreuid", "setresuid", "setgid", "setregid", "setresgid", "setgroups", "setfsuid", "setfsgid"]
    names += ["getresuid", "getresgid"] if error != "EINVAL" else []
    options = [injected(f"{name}:error={error}") for name in names]
    text = python(FAULTS, tool("strace", "makes system calls fail"), "-o", "/dev/null", *options)
    for line in text.splitlines():
        name, number, same = line.split()
        wanted = getattr(errno, error)
        if name.startswith("setfs"):
            wanted = errno.EPERM  # the kernel reports no error; a second call shows that the id did not change
        elif name == "getgroups" or (name.startswith("get") and error == "EINVAL"):
            wanted = 0
        assert (int(number), same) == (wanted, "True"), line
    assert len(text.splitlines()) == 16
