# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run code in children and threads that may switch ids, and read their ids."""

import contextlib
import ctypes
import faulthandler
import functools
import gc
import os
import pickle
import queue
import sys
import sysconfig
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import replace
from replace import Identity, IdentityExecutor, impersonate
from support.odd_machine import ACTIONS, number_of, set_filter

#: Timeout in seconds for events that must happen. It only detects hangs.
HANG = 240


def wait_until(holds: Callable[[], Any], event: str = "a condition") -> None:
    """Wait until a condition holds. Fail after the timeout."""
    deadline = time.monotonic() + HANG
    while not holds():
        assert time.monotonic() < deadline, f"waited {HANG} s for {event}"
        time.sleep(0.001)


def count_idle(pool: IdentityExecutor) -> int:
    """Return the number of workers that wait for a task."""
    return sum(map(len, list(pool._pool.idle.values())))


class InChild(Exception):
    """A child died, or raised an exception that cannot be pickled."""


#: The filters of warnings belong to the whole process.
_filtering = threading.RLock()


@contextlib.contextmanager
def forks_beside_threads() -> Iterator[None]:
    """Accept forks while other threads run. CPython warns from 3.12 on. From 3.15 on, the tests' filter raises it."""
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def fork() -> int:
    """os.fork(), also while other threads run."""
    with forks_beside_threads():
        return os.fork()


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call function(*arguments) in a forked child; return its result or raise its exception."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        faulthandler.disable()  # some children abort on purpose and need no traceback
        try:
            os.close(reader)
            try:
                answer: tuple[Any, Any] = (True, function(*arguments))
            except pytest.skip.Exception as skipped:
                answer = (None, str(skipped))
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
    if good is None:
        pytest.skip(value)
    raise value


ALICE = Identity(80001, 80011, [80021, 80011])
BOB = Identity(80002, 80012)
#: The result of ids() for root without supplementary groups.
ROOT_IDS: tuple[Any, ...] = ((0, 0, 0), (0, 0, 0), [], 0, 0)
LEVELS = ["effective", "shielded", "real", "filesystem"]


#: The real uid that level shielded sets. No user has it.
SHIELD = 2**32 - 3


@functools.cache
def obstacle() -> str:
    """Return why this process cannot switch to any id; "" if it can. A child tries, because uid 0 proves nothing.

    In a user namespace or a container, uid 0 may lack the capabilities, or the ids may not be mapped. fakeroot only
    pretends to switch. So does uid_wrapper, which runs some tests on purpose.
    """
    if os.geteuid() != 0:
        return "real ids are switched"
    if "UID_WRAPPER" in os.environ:
        return ""

    def switch() -> str:
        os.setgroups(ALICE.groups)
        os.setresgid(ALICE.gid, ALICE.gid, 0)
        os.setresuid(SHIELD, ALICE.uid, 0)
        try:
            os.kill(os.getppid(), 0)
        except PermissionError:
            return ""
        return "here, uid 0 only pretends to switch ids"

    def mount() -> str:
        return "" if LIBC.unshare(0x20000) == 0 else "here, uid 0 cannot make a mount namespace (CAP_SYS_ADMIN)"

    try:
        return str(in_child(switch) or in_child(mount))
    except OSError as error:
        return f"here, uid 0 cannot switch to every id ({error.strerror})"


def needs_root() -> None:
    """Skip the test if this process cannot switch to any id."""
    if obstacle():
        pytest.skip(f"needs root: {obstacle()}")


@functools.cache
def _can_make_user_namespaces() -> bool:
    return bool(in_child(lambda: LIBC.unshare(0x10000000) == 0))


def needs_user_namespace() -> None:
    """Skip the test if this process cannot make a user namespace."""
    if not _can_make_user_namespaces():
        pytest.skip("needs user namespaces; the kernel refuses them in a chroot, and a limit, a filter or qemu can")


@functools.cache
def _has_other_threads() -> bool:
    return bool(in_child(lambda: len(os.listdir("/proc/self/task")) > 1))


def needs_own_threads() -> None:
    """Skip the test if each process has a thread that its program did not start. No program can change its ids."""
    if os.path.isdir("/proc/self/task") and _has_other_threads():
        pytest.skip("needs processes without a thread of an emulator, which keeps its ids (qemu-user)")


def needs_true_ids() -> None:
    """Skip the test if libc's calls do not return the kernel's ids, as under fakeroot."""
    with contextlib.suppress(FileNotFoundError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file)
        if tuple(map(int, fields["Uid"].split()[:2])) != (os.getuid(), os.geteuid()):
            pytest.skip("needs calls of libc that return the kernel's ids; fakeroot replaces them")


def needs_terminal() -> None:
    """Skip the test if this process cannot make a pseudo terminal."""
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError as error:
        pytest.skip(f"needs pseudo terminals, /dev/ptmx and /dev/pts ({error.strerror})")


def needs_root_or_user() -> None:
    """Skip the test if this process has uid 0 but is not root: an ordinary user is what the test expects instead."""
    if os.geteuid() == 0:
        needs_root()


def ids() -> tuple[Any, ...]:
    """Return the results of all getters in the calling thread."""
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def as_root(body: Callable[..., Any], *arguments: Any) -> Any:
    """Run body in a child that is root without groups. On a process-wide build, check that impersonate() is refused."""
    needs_root()
    if replace.SCOPE != "thread":
        with pytest.raises(replace.IdentityRefused, match="-Dcredentials=syscall"):
            impersonate(ALICE)
        return None
    return as_plain_root(functools.partial(body, *arguments))


def as_plain_root(body: Callable[[], Any]) -> Any:
    """Run body in a child that is root without groups, on both back ends. nice(1) may have started the tests."""
    needs_root()

    def child() -> Any:
        replace.setgroups([])
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        return body()

    return in_child(child)


def call_in_other_thread(call: Callable[[], object], protect: bool) -> Any:
    """Run `call` in another thread while this thread is switched, and raise its exception."""

    def body() -> None:
        if protect:
            replace.protect_os(children="inherit")  # the other thread starts under the identity
        with impersonate(ALICE):
            before = ids()
            outcome: list[Exception] = []

            def work() -> None:
                replace.setresuid(0, 0, 0)  # this thread inherited the identity; become root again
                replace.setresgid(0, 0, 0)
                try:
                    call()
                except Exception as error:
                    outcome.append(error)

            other = threading.Thread(target=work)
            other.start()
            other.join()
            assert ids() == before or not protect
            if outcome:
                raise outcome[0]

    return as_root(body)


def collect_often(threshold: int) -> None:
    """Let the collector of reference cycles run after so many new objects. PyPy's has no such number."""
    if hasattr(gc, "set_threshold"):
        gc.set_threshold(threshold)


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
    """Keep another thread inside the context manager during the block; yield that thread."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with manager:
            inside.set()
            leave.wait(HANG)

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait(HANG)
    try:
        yield worker
    finally:
        leave.set()
        worker.join()


def switched_elsewhere(identity: Identity, level: Any = "effective") -> Any:
    """Keep another thread under the identity during the block; yield that thread."""
    return held_elsewhere(impersonate(identity, level=level))


LIBC = ctypes.CDLL(None, use_errno=True)

IS_PYPY = sys.implementation.name == "pypy"
#: For tests in which the last reference to an object goes. PyPy destroys it later, in whatever thread then runs.
counts_references = pytest.mark.skipif(IS_PYPY, reason="needs reference counts, which PyPy does not have")
#: For tests in which a thread drops an object of another thread. The owner, which made the object, may destroy it.
with_gil = pytest.mark.skipif(
    sysconfig.get_config_var("Py_GIL_DISABLED") == 1,
    reason="needs the GIL: without it, the thread that made an object may destroy it",
)
#: For tests with an audit hook that stops what PyPy does not report.
raises_audit_events = pytest.mark.skipif(IS_PYPY, reason="needs CPython's audit events")
#: For tests in which a signal handler or a destructor interrupts a queue and uses it.
has_reentrant_queue = pytest.mark.skipif(
    queue.SimpleQueue is getattr(queue, "_PySimpleQueue", None),
    reason="needs queue.SimpleQueue in C",
)
#: For tests of children that run no fork handlers.
calls_vfork = pytest.mark.skipif(IS_PYPY, reason="needs a subprocess module that calls vfork(2); PyPy's calls fork(2)")
#: For tests that throw an exception into another thread.
throws = pytest.mark.skipif(not hasattr(ctypes, "pythonapi"), reason="needs PyThreadState_SetAsyncExc(), not in PyPy")


def throw(thread: int, exception: type[BaseException]) -> bool:
    """Throw an exception into the thread with this ident. Return whether there is such a thread."""
    number = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))
    return bool(number)


def change_capabilities(change: Callable[[Any], None]) -> None:
    """Edit this thread's capability sets: six words, (effective, permitted, inheritable) twice (capset(2))."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, sets) == 0
    change(sets)
    assert LIBC.capset(header, sets) == 0


def become_server_without_root() -> None:
    """Make this process, which has one thread, a server of uid 1000 that has only CAP_SETUID and CAP_SETGID."""
    bits = 1 << 7 | 1 << 6
    assert LIBC.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)
    change_capabilities(lambda sets: sets.__setitem__(slice(6), [bits, bits, 0, 0, 0, 0]))


def call_number(call: str) -> int:
    """Return the number of a system call on this machine. If it is not known, skip the test."""
    try:
        return number_of(call)
    except KeyError:
        pytest.skip(f"needs the number of {call}(2), from the C compiler's headers (Debian: gcc, libc6-dev)")


def set_scheduler(policy: int, priority: int = 0) -> None:
    """Set the calling thread's scheduling policy. Raises OSError. musl's function of this name always fails."""
    _scheduler("sched_setscheduler", policy, ctypes.byref(ctypes.c_int(priority)))


def scheduler() -> int:
    """Return the calling thread's scheduling policy."""
    return _scheduler("sched_getscheduler")


def _scheduler(call: str, *arguments: Any) -> int:
    result: int = LIBC.syscall(call_number(call), 0, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def has_filters() -> bool:
    """Return whether this process can have seccomp filters (PR_GET_SECCOMP of prctl(2)). An emulator has none."""
    return bool(LIBC.prctl(21, 0, 0, 0, 0) >= 0)


def needs_filters() -> None:
    """Skip the test if this process cannot have seccomp filters."""
    if not has_filters():
        pytest.skip("needs seccomp filters, which an emulator lacks")


def install_filter(call: str, action: int) -> None:
    """Install a seccomp filter: one system call fails with this errno. For 0 it only reports success."""
    needs_filters()
    call_number(call)
    set_filter(call, ACTIONS["false 0"] | action)
