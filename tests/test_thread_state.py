# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What a task of one user leaves on the worker of an IdentityExecutor for the next user's task, besides ids."""

import asyncio
import collections
import contextlib
import contextvars
import ctypes
import ctypes.util
import decimal
import errno
import importlib.util
import os
import re
import signal
import struct
import sys
import threading

import pytest
from support.builds import run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LEVELS,
    LIBC,
    as_root,
    become_server_without_root,
    call_number,
    counts_references,
    has_filters,
    install_filter,
    needs_filters,
    needs_root,
    raises_audit_events,
    scheduler,
    set_scheduler,
    with_gil,
)
from support.proc_mounts import enter_mount_namespace
from support.syscalls import call, done, injected, plain

import replace
from replace import Identity, IdentityExecutor

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux: other systems have no thread with ids of its own"
)

CARL = Identity(80003, 80013)
SCHED_RESET_ON_FORK = 0x40000000  # linux/sched.h; PyPy lacks the name
LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
LIBC.uselocale.restype = LIBC.newlocale.restype = ctypes.c_void_p
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def prctl(option, *arguments):
    return done(LIBC.prctl(option, *[ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:4]]))


def with_capabilities(function, *arguments):
    """Call a function with the saved user ID as the effective one, which restores the effective capabilities."""
    user = replace.getresuid()[1]
    replace.setresuid(-1, 0, -1)
    try:
        return function(*arguments)
    finally:
        replace.setresuid(-1, user, -1)


def own_file(name):
    with open(f"/proc/thread-self/{name}") as file:
        return file.read()


def own_status(name):
    return re.search(rf"^{name}:\s*(.*)$", own_file("status"), re.MULTILINE)[1]


def namespace(name):
    return os.readlink(f"/proc/thread-self/ns/{name}")


def filter_getcpu():
    install_filter("getcpu", errno.EPERM)


def filter_nothing():
    """Install a seccomp filter without no_new_privs, which needs CAP_SYS_ADMIN."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
    pointer = ctypes.create_string_buffer(struct.pack("HP", 1, ctypes.addressof(program)))
    prctl(22, 2, ctypes.addressof(pointer))


def restrict_files():
    """Forbid this thread to create files: landlock(7)."""
    ruleset = call("landlock_create_ruleset", struct.pack("Q", 1 << 8), 8, 0)  # LANDLOCK_ACCESS_FS_MAKE_REG
    prctl(38, 1)
    call("landlock_restrict_self", ruleset, 0)
    os.close(ruleset)


def can_create():
    try:
        os.close(os.open(f"/tmp/{os.getpid()}.{threading.get_native_id()}", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except PermissionError:
        return False
    os.unlink(f"/tmp/{os.getpid()}.{threading.get_native_id()}")
    return True


stack = ctypes.create_string_buffer(1 << 16)


def signal_stack(flags=None):
    """Set or read the stack for signal handlers: sigaltstack(2)."""

    class Stack(ctypes.Structure):
        _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

    old = Stack()
    new = None if flags is None else ctypes.byref(Stack(ctypes.addressof(stack), flags, 1 << 16))
    done(LIBC.sigaltstack(new, ctypes.byref(old)))
    return old.flags


def unshare(flag):
    done(LIBC.unshare(flag))


def join_other_group():
    """Put this thread into another control group of version 1."""
    folder = f"/sys/fs/cgroup/pids/{os.getpid()}"

    def join():
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/tasks", "w") as file:
            file.write(str(threading.get_native_id()))

    with_capabilities(join)


def log_in():
    def write():
        with open("/proc/thread-self/loginuid", "w") as file:
            file.write("80001")

    with_capabilities(write)


def cannot_be_tried():
    """Return the cases that cannot be tried here, and what each one needs."""
    lacks = {}
    if not os.access("/proc/thread-self/loginuid", os.F_OK) or own_file("loginuid") != "4294967295":
        lacks["loginuid"] = "a process without a loginuid"
    if not os.path.exists("/sys/fs/cgroup/pids/tasks"):
        lacks["control group"] = "the controller pids of cgroup v1"
    if LIBC.syscall(call_number("landlock_create_ruleset"), None, 0, 1) < 1:
        lacks["landlock"] = "landlock"
    if not has_filters():
        lacks["seccomp"] = lacks["seccomp without no_new_privs"] = "seccomp filters, which an emulator lacks"
    try:
        call("set_mempolicy", 0, None, 0)
    except OSError:
        lacks["memory policy"] = "memory policies: set_mempolicy(2)"
    if not importlib.util.find_spec("gevent"):
        lacks["greenlets"] = "gevent (pip install '.[test-all]')"
    return lacks


#: Name -> what a task of Alice does, and what a task of Bob looks at. The worker must be replaced.
SEEN = {
    "no_new_privs": (lambda: prctl(38, 1), lambda: prctl(39)),
    "seccomp": (filter_getcpu, lambda: own_status("Seccomp")),
    "seccomp without no_new_privs": (lambda: with_capabilities(filter_nothing), lambda: own_status("Seccomp")),
    "landlock": (restrict_files, can_create),
    "keepcaps": (lambda: prctl(8, 1), lambda: prctl(7)),
    "securebits": (lambda: with_capabilities(prctl, 28, 1 << 6), lambda: prctl(27)),  # SECBIT_NO_CAP_AMBIENT_RAISE
    "bounding set": (lambda: with_capabilities(prctl, 24, 30), lambda: prctl(23, 30)),
    "nice": (lambda: os.setpriority(os.PRIO_PROCESS, 0, 7), lambda: os.getpriority(os.PRIO_PROCESS, 0)),
    "scheduling class": (
        lambda: set_scheduler(os.SCHED_BATCH),
        scheduler,
    ),
    "reset on fork": (
        lambda: set_scheduler(os.SCHED_OTHER | SCHED_RESET_ON_FORK),
        scheduler,
    ),
    "affinity": (
        lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
        lambda: os.sched_getaffinity(0),
    ),
    "timer slack": (lambda: prctl(29, 1_000_000), lambda: prctl(30)),
    "personality": (lambda: LIBC.personality(0x0040000), lambda: LIBC.personality(0xFFFFFFFF)),
    "I/O priority": (lambda: call("ioprio_set", 1, 0, 3 << 13), lambda: call("ioprio_get", 1, 0)),
    "memory policy": (
        lambda: call("set_mempolicy", 1, struct.pack("Q", 1), 64),
        lambda: call("get_mempolicy", ctypes.byref(mode := ctypes.c_int()), None, 0, None, 0) or mode.value,
    ),
    "memory failures": (lambda: prctl(33, 1, 1), lambda: prctl(34)),
    "signal stack": (lambda: signal_stack(0), signal_stack),
    "descriptors": (lambda: unshare(0x400), lambda: call("kcmp", os.getpid(), threading.get_native_id(), 2, 0, 0) > 0),
    "directories": (
        lambda: (unshare(0x200), os.chdir("/tmp"), os.umask(0)),
        lambda: (os.getcwd(), own_status("Umask")),
    ),
    "semaphores": (
        lambda: unshare(0x40000),
        lambda: call("kcmp", os.getpid(), threading.get_native_id(), 6, 0, 0) > 0,
    ),
    "control group": (join_other_group, lambda: own_file("cgroup")),
    "loginuid": (log_in, lambda: own_file("loginuid")),
    "greenlets": (lambda: importlib.import_module("gevent").get_hub(), lambda: None),
    "loop": (lambda: asyncio._set_running_loop(loops), lambda: asyncio._get_running_loop()),
    **{
        name: (
            lambda flag=flag: with_capabilities(unshare, flag),
            lambda name=name: namespace(name),
        )
        for name, flag in {
            "mnt": 0x20000,
            "cgroup": 0x2000000,
            "uts": 0x4000000,
            "ipc": 0x8000000,
            "pid_for_children": 0x20000000,
            "net": 0x40000000,
            "time_for_children": 0x80,
        }.items()
    },
}
loops = object()


def trace(*event):
    return trace


def set_attributes():
    thread = threading.current_thread()
    thread.name = "alice"
    thread.client = "alice"


def change_hooks():
    sys.set_asyncgen_hooks(trace, trace)
    sys.set_coroutine_origin_tracking_depth(9)


def use_locale():
    LIBC.uselocale(ctypes.c_void_p(LIBC.newlocale(0x1FBF, b"POSIX", None)))


#: The same for what is restored: the worker stays.
RESTORED = {
    "signal mask": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    ),
    "name of the kernel": (
        lambda: LIBC.prctl(15, ctypes.create_string_buffer(b"alice")),
        lambda: own_file("comm"),
    ),
    "name and attributes of Thread": (
        set_attributes,
        lambda: (threading.current_thread().name, hasattr(threading.current_thread(), "client")),
    ),
    "trace function": (lambda: sys.settrace(trace), sys.gettrace),
    "profile function": (lambda: sys.setprofile(trace), sys.getprofile),
    "hooks": (change_hooks, lambda: (*sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth())),
    "context": (lambda: variable.set("alice"), variable.get),
    "decimal": (lambda: setattr(decimal.getcontext(), "prec", 3), lambda: decimal.getcontext().prec),
    "locale": (use_locale, lambda: LIBC.uselocale(None) == ctypes.c_void_p(-1).value),
    "rounding": (lambda: LIBM.fesetround(0x400), LIBM.fegetround),
}


def tried(leave, look, **options):
    """Return what Bob sees in a new pool and after a task of Alice, and whether the worker stayed."""
    with IdentityExecutor(1, **options) as pool:
        expected = pool.submit(BOB, look).result(HANG)
    with IdentityExecutor(1, **options) as pool:
        before = pool.submit(ALICE, threading.get_native_id).result(HANG)
        pool.submit(ALICE, lambda: (leave(), None)[1]).result(HANG)
        seen = pool.submit(BOB, look).result(HANG)
        return expected, seen, pool.submit(BOB, threading.get_native_id).result(HANG) == before


@pytest.mark.parametrize("name", SEEN)
def test_worker_is_replaced_if_a_task_changed(name):
    def body():
        if name in cannot_be_tried():
            return None
        return tried(*SEEN[name])

    outcome = as_root(body)
    if replace.SCOPE != "thread":
        return
    if outcome is None:
        pytest.skip(f"needs {cannot_be_tried()[name]}")
    expected, seen, stayed = outcome
    assert (seen, stayed) == (expected, False)


@pytest.mark.parametrize("name", SEEN)
def test_thread_isolation_hides_what_a_task_changed(name):
    def body():
        if name in cannot_be_tried():
            return None
        return tried(*SEEN[name], isolation="thread")

    outcome = as_root(body)
    if outcome is not None:
        assert (outcome[1], outcome[2]) == (outcome[0], False)


@pytest.mark.parametrize("name", RESTORED)
def test_worker_restores(name):
    def body():
        return [repr(one) for one in tried(*RESTORED[name])]

    outcome = as_root(body)
    if outcome is not None:
        expected, seen, stayed = outcome
        executor = re.compile("Executor-[0-9]+")
        assert (executor.sub("", seen), stayed) == (executor.sub("", expected), "True")


def test_what_the_initializer_set_stays():
    def start():
        os.setpriority(os.PRIO_PROCESS, 0, 3)
        os.sched_setaffinity(0, {0})
        variable.set("initializer")
        decimal.getcontext().prec = 50
        threading.current_thread().name = "mine"
        sys.setprofile(trace)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})

    def look():
        decimal.getcontext().prec += 1  # changes the context in place
        variable.set(variable.get() + "+")
        return (
            os.getpriority(os.PRIO_PROCESS, 0),
            os.sched_getaffinity(0),
            variable.get(),
            decimal.getcontext().prec,
            threading.current_thread().name,
            sys.getprofile() is trace,
            signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        )

    def body():
        with IdentityExecutor(1, initializer=start) as pool:
            thread = pool.submit(ALICE, threading.get_native_id).result(HANG)
            for user in (ALICE, ALICE, BOB, ALICE):
                seen = pool.submit(user, look).result(HANG)
                assert seen == (3, {0}, "initializer+", 51, "mine", True, {signal.SIGUSR2})
            assert pool.submit(BOB, threading.get_native_id).result(HANG) == thread

    as_root(body)


def test_worker_stays_if_tasks_change_nothing():
    def body(level, private_fs):
        with IdentityExecutor(1, level=level, private_fs=private_fs) as pool:
            assert (
                len({pool.submit(user, threading.get_native_id).result(HANG) for user in (ALICE, BOB, CARL) * 20}) == 1
            )

    def without_root():
        become_server_without_root()
        body("shielded", True)

    for level in LEVELS:
        as_root(body, level, False)
        as_root(body, level, True)
    as_root(without_root)


@with_gil
def test_trace_function_of_a_task_never_runs_as_the_server():
    def body():
        seen = set()

        class SetsTrace:
            def __del__(self):
                sys.settrace(note)

        def note(frame, event, argument):
            seen.add(os.geteuid())
            return note

        with IdentityExecutor(1) as pool:
            for setter in (sys.settrace, sys.setprofile):
                pool.submit(ALICE, setter, note).result(HANG)
                for user in (BOB, ALICE):
                    pool.submit(user, int).result(HANG)
                pool.submit(ALICE, lambda it: None, SetsTrace()).result(HANG)
                pool.submit(BOB, int).result(HANG)
        assert seen <= {ALICE.uid}

    as_root(body)


@counts_references
def test_destructor_of_an_attribute_sets_no_trace_function_for_the_server():
    def body():
        seen = set()

        def note(frame, event, argument):
            seen.add(os.geteuid())
            return note

        class SetsTrace:
            def __init__(self, again):
                self.again = again

            def __del__(self):
                sys.settrace(note)
                if self.again:
                    threading.current_thread().again = SetsTrace(self.again - 1)

        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, lambda: setattr(threading.current_thread(), "notes", SetsTrace(2))).result(HANG)
            for user in (BOB, ALICE):
                pool.submit(user, int).result(HANG)
        assert seen == {ALICE.uid}

    as_root(body)


@pytest.mark.parametrize("answer", [True, ValueError])
def test_objects_of_a_task_do_not_decide_whether_they_are_removed(answer):
    def body():
        seen = set()

        class Odd:
            __hash__ = None

            def __eq__(self, other):
                if answer is not True:
                    raise answer
                return True

            def __call__(self, *event):
                seen.add(os.geteuid())
                return self

        def leave():
            threading.current_thread().odd = Odd()
            sys.settrace(Odd())
            sys.setprofile(Odd())

        def start():
            threading.current_thread().odd = mine

        mine = Odd()
        with IdentityExecutor(1, initializer=start) as pool:
            before = pool.submit(ALICE, threading.get_native_id).result(HANG)
            pool.submit(ALICE, leave).result(HANG)
            assert pool.submit(BOB, lambda: threading.current_thread().odd is mine).result(HANG)
            assert pool.submit(BOB, threading.get_native_id).result(HANG) == before
            assert pool.submit(BOB, lambda: (sys.gettrace(), sys.getprofile())).result(HANG) == (None, None)
        assert seen == {ALICE.uid}
        replace.assert_clean()

    as_root(body)


@raises_audit_events
def test_worker_is_replaced_if_an_audit_hook_keeps_its_trace_function():
    def body():
        def note(*event):
            return note

        def keep(event, arguments):
            if event == "sys.settrace" and sys.gettrace() is note:
                raise PermissionError

        sys.addaudithook(keep)
        with IdentityExecutor(1) as pool:
            before = pool.submit(ALICE, threading.get_native_id).result(HANG)
            pool.submit(ALICE, sys.settrace, note).result(HANG)
            assert pool.submit(BOB, lambda: (os.geteuid(), sys.gettrace())).result(HANG) == (BOB.uid, None)
            assert pool.submit(BOB, threading.get_native_id).result(HANG) != before
        replace.assert_clean()

    as_root(body)


@counts_references
def test_attribute_of_the_thread_is_destroyed_as_the_user_of_its_task():
    class Notes:
        def __del__(self):
            seen.append(os.geteuid())

    seen: list[int] = []

    def body():
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, lambda: setattr(threading.current_thread(), "notes", Notes())).result(HANG)
            pool.submit(BOB, int).result(HANG)
        return seen

    assert as_root(body) in ([ALICE.uid], None)


def test_each_task_has_its_own_context():
    def body():
        with IdentityExecutor(1) as pool:
            for _ in range(3):
                assert pool.submit(ALICE, lambda: (variable.get(), variable.set("set"))[0]).result(HANG) == "default"
            done = pool.submit(ALICE, lambda: None)
            done.result(HANG)

    as_root(body)


def python_after(fault, code):
    """Run code while strace changes system calls."""
    strace = [tool("strace", "makes system calls fail"), "-f", "-o", "/dev/null", *map(injected, fault)]
    return run(*strace, sys.executable, "-c", code, cwd="/")


COUNT_THREADS = """
import replace, sys, threading
with replace.IdentityExecutor(1, **eval(sys.argv[1]) if len(sys.argv) > 1 else {}) as pool:
    users = [replace.Identity(80001, 80011), replace.Identity(80002, 80012)]
    print(len({pool.submit(user, threading.get_native_id).result() for user in users * 4}),
          len({pool.submit(users[0], threading.get_native_id).result() for _ in range(4)}))
"""


@pytest.mark.parametrize(
    ("fault", "threads"),
    {
        ("sched_getattr:error=ENOSYS",): 8,
        ("get_mempolicy:error=EPERM",): 8,
        ("get_mempolicy:error=EPERM", "set_mempolicy:error=EPERM"): 1,
        ("kcmp:error=EPERM",): 8,
        ("kcmp:error=EPERM", "unshare:error=EPERM"): 1,
        ("ioprio_get:error=ENOSYS",): 8,
        ("readlinkat:error=EACCES",): 8,
        ("keyctl:error=ENOSYS",): 1,
        ("keyctl:error=EPERM",): 1,
    }.items(),
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else None,
)
def test_worker_is_replaced_if_its_state_cannot_be_read(fault, threads):
    needs_root()
    if replace.SCOPE == "thread":
        out = python_after(fault, COUNT_THREADS)
        assert out.stdout.split() == [str(threads), "1"], out.stderr


def test_without_proc_each_user_gets_a_new_worker():
    def body():
        enter_mount_namespace()
        with IdentityExecutor(1) as pool:
            done(LIBC.umount2(b"/proc", 2))  # MNT_DETACH
            threads = [pool.submit(user, threading.get_native_id).result(HANG) for user in (ALICE, ALICE, BOB, ALICE)]
        assert threads[0] == threads[1]
        assert len(set(threads)) == 3

    as_root(body)


def test_landlock_cannot_be_seen_if_the_server_has_no_new_privs():
    """A task needs no other right than no_new_privs. So if the server has it, each user gets a new worker."""

    def body():
        if "landlock" in cannot_be_tried():
            return
        prctl(38, 1)
        expected, seen, stayed = tried(*SEEN["landlock"])
        assert (expected, seen, stayed) == (True, True, False)

    as_root(body)


def test_seccomp_filter_is_seen_if_the_server_has_one():
    needs_filters()

    def body():
        filter_nothing()
        look = lambda: own_status("Seccomp_filters")  # noqa: E731
        assert tried(lambda: with_capabilities(filter_nothing), look) == ("1", "1", False)

    as_root(body)


# ---- File system ids


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("setter", [replace.setfsuid, replace.setfsgid])
def test_fs_ids_of_a_task_do_not_stay_for_the_next_one(level, setter):
    def body():
        with IdentityExecutor(1, level=level) as pool:
            for user in (ALICE, BOB):
                assert isinstance(pool.submit(ALICE, setter, 0).exception(HANG), replace.IdentityChanged)
                seen = pool.submit(user, lambda: (replace.getfsuid(), replace.getfsgid())).result(HANG)
                assert seen == (user.uid, user.gid)

    as_root(body)


class SetsIdsWhenItGoes:
    def __init__(self, setter):
        self.setter = setter

    def __del__(self):
        self.setter(0)


@counts_references
@with_gil
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("setter", [replace.setfsuid, replace.setfsgid])
def test_fs_ids_of_a_destructor_do_not_stay_for_the_next_task(level, setter):
    def body():
        gate = threading.Event()
        with IdentityExecutor(1, level=level) as pool:
            first = pool.submit(ALICE, lambda it: gate.wait(HANG), SetsIdsWhenItGoes(setter))
            second = pool.submit(ALICE, lambda: (replace.getfsuid(), replace.getfsgid()))
            gate.set()
            assert second.result(HANG) == (ALICE.uid, ALICE.gid)
            assert isinstance(first.exception(HANG), replace.IdentityChanged)

    as_root(body)


STICKY = """
import os, replace, threading
alice = replace.Identity(80001, 80011)
with replace.IdentityExecutor(1, private_fs={}) as pool:
    print(pool.submit(alice, threading.get_native_id).result())
    for _ in range(2):
        pool.submit(alice, os.getpgid, 0).result()
        for _ in range(50):
            pool.submit(alice, int).result()
"""


@counts_references
@pytest.mark.parametrize("private_fs", [False, True])
def test_next_task_of_the_same_user_makes_no_system_call_but_those_that_read_the_ids(tmp_path, private_fs):
    needs_root()
    if replace.SCOPE != "thread":
        return
    strace = [tool("strace", "lists system calls"), "-f", "-o", tmp_path / "log"]
    worker = run(*strace, sys.executable, "-c", STICKY.format(private_fs), cwd="/").stdout.strip()
    lines = [line.split(None, 1) for line in (tmp_path / "log").read_text().splitlines()]
    calls = [plain(call.partition("(")[0]) for thread, call in lines if thread == worker and not call.startswith("<")]
    first, last = [number for number, call in enumerate(calls) if call == "getpgid"]
    counts = collections.Counter(calls[first + 1 : last])
    reads = {"getgroups", "getresuid", "getresgid", "setfsuid", "setfsgid", "capget"}
    waits = {"futex", "futex_time64", "sched_yield", "madvise", "mprotect", "brk", "munmap", "mmap", "mmap2"}
    assert set(counts) - waits == reads | ({"umask", "fchdir"} if private_fs else set())
    assert all(counts[name] <= 2 * 51 for name in reads), "once after each task, and once when a task wakes the worker"


# ---- Keyrings


ADD, SESSION, THREAD, PROCESS, USER = 0, -3, -1, -2, -4


def add_key(ring, name, value=b"secret"):
    return call("add_key", b"user", name.encode(), value, len(value), ring)


def read(serial):
    """The value of a key."""
    buffer = ctypes.create_string_buffer(100)
    size = call("keyctl", 11, serial, buffer, 100)  # KEYCTL_READ
    return buffer.raw[:size]


def key(name):
    """The value of the key that this thread finds, or None."""
    try:
        return read(call("request_key", b"user", name.encode(), None, 0))
    except OSError:
        return None


def has_keys():
    return LIBC.syscall(call_number("keyctl"), 0, -3, 1) > 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)


def keyring_body(body):
    def with_keys():
        if has_keys():
            body()

    as_root(with_keys)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("ring", [SESSION, THREAD, PROCESS])
def test_key_of_a_user_is_not_found_by_another(level, ring):
    def body():
        with IdentityExecutor(1, level=level) as pool:
            for setup in (None, lambda: call("keyctl", 1, b"shared")):  # also in a keyring with a name
                if setup is not None:
                    pool.submit(ALICE, setup).result(HANG)
                serial = pool.submit(ALICE, add_key, ring, "of alice").result(HANG)
                assert pool.submit(ALICE, key, "of alice").result(HANG) == b"secret"
                assert pool.submit(BOB, key, "of alice").result(HANG) is None
                with contextlib.suppress(OSError):
                    pool.submit(BOB, call, "keyctl", 1, b"shared").result(HANG)
                assert pool.submit(BOB, key, "of alice").result(HANG) is None
                assert isinstance(pool.submit(BOB, read, serial).exception(HANG), OSError)

    keyring_body(body)


def test_keyring_that_a_task_kept_does_not_get_the_next_users_keys():
    """Alice links her session keyring to her user keyring, so she still has it in another thread."""

    def body():
        with IdentityExecutor(2, level="real") as pool:
            both = threading.Barrier(2)
            for user in (ALICE, CARL):
                pool.submit(user, both.wait, HANG)
            session = pool.submit(ALICE, lambda: call("keyctl", 0, SESSION, 0)).result(HANG)
            pool.submit(ALICE, call, "keyctl", 8, SESSION, USER).result(HANG)  # KEYCTL_LINK
            added = {pool.submit(BOB, add_key, SESSION, f"bob {n}").result(HANG) for n in range(3)}
            rings = {pool.submit(BOB, lambda: call("keyctl", 0, SESSION, 0)).result(HANG) for n in range(3)}
            assert session not in rings
            for serial in added:
                assert isinstance(pool.submit(ALICE, read, serial).exception(HANG), OSError)

    keyring_body(body)


def test_session_keyring_that_a_task_spoiled_is_not_the_next_users():
    def body():
        for spoil in (
            lambda: call("keyctl", 3, SESSION),  # KEYCTL_REVOKE
            lambda: call("keyctl", 21, SESSION),  # KEYCTL_INVALIDATE
            lambda: call("keyctl", 15, SESSION, 1),  # KEYCTL_SET_TIMEOUT
            lambda: call("keyctl", 29, SESSION, None, None),  # KEYCTL_RESTRICT_KEYRING
            lambda: call("keyctl", 14, 1),  # KEYCTL_SET_REQKEY_KEYRING
        ):
            with IdentityExecutor(1) as pool:
                pool.submit(ALICE, spoil).result(HANG)
                pool.submit(BOB, add_key, SESSION, "of bob").result(HANG)
                assert pool.submit(BOB, key, "of bob").result(HANG) == b"secret"
                assert pool.submit(BOB, call, "keyctl", 14, -1).result(HANG) == 0

    keyring_body(body)


def test_keys_stay_for_the_next_task_of_the_same_user():
    def body():
        with IdentityExecutor(1) as pool:
            pool.submit(ALICE, add_key, SESSION, "of alice").result(HANG)
            assert pool.submit(ALICE, key, "of alice").result(HANG) == b"secret"

    keyring_body(body)


def test_keyrings_false_keeps_the_keys_of_the_server():
    def body():
        call("keyctl", 1, None)
        add_key(SESSION, "of the server")
        for options, expected in (({"keyrings": False}, b"secret"), ({}, None)):
            with IdentityExecutor(1, **options) as pool:
                for user in (ALICE, BOB):
                    assert pool.submit(user, key, "of the server").result(HANG) == expected

    keyring_body(body)


def test_user_keyring_belongs_to_the_real_user_id():
    """pools.md and limits.md warn of this. Bob finds what Alice has put into @u, except at level real."""

    def body():
        for level in LEVELS:
            with IdentityExecutor(1, level=level) as pool:
                serial = pool.submit(ALICE, add_key, USER, "of alice").result(HANG)
                try:
                    found = pool.submit(BOB, call, "keyctl", 10, USER, b"user", b"of alice", 0)  # KEYCTL_SEARCH
                    assert (found.exception(HANG) is None) == (level != "real")
                finally:
                    pool.submit(ALICE, call, "keyctl", 9, serial, USER).result(HANG)  # KEYCTL_UNLINK

    keyring_body(body)


def test_many_users_need_no_more_keys_than_the_quota():
    def body(prepare, count):
        if not has_keys():
            return
        prepare()
        with IdentityExecutor(2) as pool:
            for n in range(count):
                user = Identity(90000 + n, 90000 + n)
                assert pool.submit(user, os.geteuid).result(HANG) == user.uid

    as_root(body, int, 3000)
    as_root(body, become_server_without_root, 500)


def test_pool_is_refused_if_no_keyring_can_be_joined():
    needs_root()
    if replace.SCOPE == "thread":
        code = (
            "import replace, threading\n"
            "try: replace.IdentityExecutor(1)\n"
            "except OSError as problem: print(problem, threading.active_count())\n"
            "with replace.IdentityExecutor(1, keyrings=False) as pool: print(pool.submit({}, int).result())\n"
        ).format("replace.Identity(80001, 80011)")
        out = python_after(("keyctl:error=EACCES",), code).stdout
        assert re.fullmatch(r".*Permission denied.*keyrings=False.* 1\n0\n", out), out


def test_unknown_isolation_is_refused():
    with pytest.raises(ValueError, match="state or thread"):
        IdentityExecutor(1, isolation="process")
