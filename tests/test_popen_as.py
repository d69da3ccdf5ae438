# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as() starts a child that permanently becomes the user."""

import _thread
import asyncio
import codecs
import contextlib
import encodings
import errno
import os
import pathlib
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import warnings

import pytest
from support.builds import imported, run, tool
from support.children import (
    ALICE,
    BOB,
    IS_PYPY,
    LIBC,
    as_plain_root,
    as_root,
    call_number,
    calls_vfork,
    forks_beside_threads,
    ids,
    install_filter,
    needs_root,
    scheduler,
    set_scheduler,
)
from support.credentials import (
    KEEP_CAPS,
    LOCKS,
    NO_SETUID_FIXUP,
    NOROOT,
    Credentials,
    become,
    from_status,
    look,
)
from support.odd_machine import ACTIONS, set_filter

import replace
from replace import Account, Identity, impersonate, popen_as


def test_popen_as_child_cannot_become_root(regain):
    def body():
        child = popen_as(ALICE, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
        assert child.communicate()[0].strip() == "(80001, 80001, 80001)"
        script = "id -u; id -g; id -G; grep Cap /proc/self/status | cut -f2 | head -n 4 | uniq"
        child = popen_as(ALICE, ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, cwd="/")
        assert child.communicate()[0].split("\n")[:4] == ["80001", "80011", "80011 80021", "0" * 16]
        with pytest.raises(TypeError, match="sets user from the identity"):
            popen_as(ALICE, ["true"], user=0)
        with pytest.raises(replace.IdentityRefused, match="allow_root"):
            popen_as(Identity(0, 0), ["true"])
        with pytest.raises(FileNotFoundError):
            popen_as(ALICE, ["/no/such/program"], cwd="/")
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_plain_root(body)


def test_popen_as_can_start_another_user_while_switched(regain):
    def body():
        with impersonate(ALICE):
            child = popen_as(BOB, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
            assert os.geteuid() == 80001
        assert child.communicate()[0].strip() == "(80002, 80002, 80002)"

    as_root(body)


def session(**options):
    """Return the session id and the process id of a child."""
    program = ["/bin/sh", "-c", "cut -d' ' -f6 /proc/$$/stat"]
    child = popen_as(ALICE, program, stdout=subprocess.PIPE, text=True, cwd="/", **options)
    return int(child.communicate()[0]), child.pid


def test_popen_as_child_has_its_own_session_by_default():
    def body():
        own, child = session()
        assert own == child
        assert session(start_new_session=False)[0] == os.getsid(0)

    as_plain_root(body)


def test_popen_as_is_refused_in_the_event_loop_thread(regain):
    """The calling thread waits until the child runs its program, so a stopped child would block the loop."""

    async def main():
        with pytest.raises(replace.IdentityRefused, match="asyncio.to_thread"):
            popen_as(ALICE, [regain], cwd="/")
        child = await asyncio.to_thread(popen_as, ALICE, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
        return child.communicate()[0].strip()

    assert as_root(lambda: asyncio.run(main())) in ("(80001, 80001, 80001)", None)


# ---- Starting states

#: CAP_SETGID and CAP_SETUID, and with CAP_SETPCAP
BOTH = 1 << 6 | 1 << 7
ID_CAPABILITIES = BOTH | 1 << 8


def show(**options):
    """Return the credentials of a program that popen_as() starts as ALICE."""
    child = popen_as(ALICE, ["/bin/cat", "/proc/self/status"], stdout=subprocess.PIPE, cwd="/", **options)
    return from_status(child.communicate()[0])


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("inheritable", [0, ID_CAPABILITIES])
@pytest.mark.parametrize("ambient", [0, BOTH])
@pytest.mark.parametrize("bits", [0, KEEP_CAPS, NOROOT, NO_SETUID_FIXUP, NOROOT | NO_SETUID_FIXUP | LOCKS])
def test_child_cannot_become_root_whatever_capabilities_the_server_has(uid, inheritable, ambient, bits, regain):
    """systemd's AmbientCapabilities= gives such states."""

    def body():
        become(
            Credentials((uid,) * 4, (uid,) * 4, (), BOTH, BOTH, inheritable | ambient, ambient, look().bounding, bits)
        )
        before = look()
        if bits == NO_SETUID_FIXUP:  # without NOROOT
            with pytest.raises(replace.CapabilitiesRemain):
                show()
        elif bits & NO_SETUID_FIXUP and uid == 0 and replace.SCOPE == "thread":  # the thread would keep capabilities
            with pytest.raises(replace.IdentityError):
                show()
        else:
            child = show()
            assert child[:3] == ((80001,) * 4, (80011,) * 4, (80011, 80021))
            assert child.effective | child.permitted | child.inheritable | child.ambient == 0
            out = popen_as(ALICE, [regain], stdout=subprocess.PIPE, cwd="/").communicate()[0]
            assert out.strip() == b"(80001, 80001, 80001)"
        assert look() == before

    as_plain_root(body)


def test_child_is_refused_if_setuid_programs_would_keep_capabilities():
    def body():
        become(Credentials((1000,) * 4, (1000,) * 4, (), BOTH, BOTH, 0, 0, look().bounding, NO_SETUID_FIXUP))
        with pytest.raises(replace.CapabilitiesRemain, match=r"set-user-ID program.*PR_SET_SECUREBITS") as caught:
            popen_as(ALICE, ["/bin/true"], cwd="/")
        assert caught.value.state == "unchanged"

    as_plain_root(body)


def test_child_is_refused_if_nobody_can_read_the_securebits():
    def body():
        become(Credentials((1000,) * 4, (1000,) * 4, (), BOTH, BOTH, 0, 0, look().bounding, NO_SETUID_FIXUP))
        install_filter("prctl", errno.EPERM)
        with pytest.raises(replace.IdentityError, match="securebits") as caught:
            popen_as(ALICE, ["/bin/true"], cwd="/")
        assert (caught.value.state, caught.value.errno) == ("unchanged", errno.EPERM)

    as_plain_root(body)


def test_server_keeps_the_ambient_capabilities_that_a_child_lost():
    def body():
        become(Credentials((1000,) * 4, (1000,) * 4, (), BOTH, BOTH, BOTH, BOTH, look().bounding, 0))
        assert show().ambient == 0
        assert look().ambient == BOTH

    as_plain_root(body)


@contextlib.contextmanager
def no_child_left():
    """The block leaves no child, not even a zombie. A child that is left is killed."""
    try:
        yield
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    finally:
        for number in pathlib.Path("/proc/thread-self/children").read_text().split():
            os.kill(int(number), signal.SIGKILL)


def test_child_that_cannot_become_the_user_runs_no_program(tmp_path):
    """A filter refuses setgroups(2), so the child would keep the server's groups, or the entry is refused."""

    def body():
        os.setgroups([5])
        install_filter("setgroups", errno.EPERM)
        with pytest.raises(replace.IdentityError) as caught:
            popen_as(ALICE, ["/bin/touch", str(tmp_path / "ran")], cwd="/", stdout=subprocess.PIPE)
        assert (caught.value.step, caught.value.errno) == ("setgroups", errno.EPERM)
        assert caught.value.state in ("unchanged", "rolled back")
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, 0)  # it was waited for
        assert os.getresuid() == (0, 0, 0)

    os.chmod(tmp_path, 0o777)
    as_plain_root(body)
    assert not (tmp_path / "ran").exists()


@calls_vfork
def test_child_without_fork_handlers_is_ended(tmp_path):
    """Somebody's Popen starts the program with vfork(2), which runs no fork handlers. So the child did not change."""

    def body():
        class Other(subprocess.Popen):
            def __init__(self, args, **options):
                del options["user"]
                super().__init__(args, **options)

        subprocess.Popen = Other
        with no_child_left(), pytest.raises(replace.IdentityError, match="not started with fork"):
            popen_as(ALICE, ["/bin/sleep", "1000"], cwd="/")

    as_plain_root(body)


class Fails(subprocess.Popen):
    """Raises when the program runs, as leaving the identity may do."""

    def __init__(self, args, **options):
        super().__init__(args, **options)
        raise ZeroDivisionError


def test_program_ends_if_nobody_gets_its_popen(monkeypatch):
    def body():
        before = os.listdir("/proc/self/fd")
        with no_child_left(), pytest.raises(ZeroDivisionError):
            popen_as(ALICE, ["/bin/sleep", "1000"], cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert os.listdir("/proc/self/fd") == before

    monkeypatch.setattr(subprocess, "Popen", Fails)
    as_plain_root(body)


def test_child_that_is_stopped_ends_if_the_call_is_interrupted():
    """It would keep a copy of the server's memory and files."""

    def body():
        reader, writer = os.pipe()

        def stop():
            os.write(writer, b"x")
            os.kill(os.getpid(), signal.SIGSTOP)

        def interrupt():
            os.read(reader, 1)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=interrupt).start()
        with no_child_left(), pytest.raises(KeyboardInterrupt):
            popen_as(ALICE, ["/bin/true"], cwd="/", preexec_fn=stop)

    with forks_beside_threads():
        as_plain_root(body)


def interrupt_after_fork():
    """From now on, each fork of a process with preexec_fn receives SIGINT before it returns the child's number."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.register_at_fork(after_in_parent=_thread.interrupt_main)  # not a function in Python: it would be interrupted


@pytest.mark.parametrize("login", [{}, {"login": True}], ids=["inherited", "login"])
def test_child_whose_number_nobody_has_stored_ends_if_the_call_is_interrupted(login):
    def body():
        interrupt_after_fork()
        for _ in range(20):
            with no_child_left(), pytest.raises(KeyboardInterrupt):
                popen_as(user, ["/bin/sleep", "1000"], cwd="/", preexec_fn=os.getpid, **login)

    user = Identity(pwd.getpwnam("nobody").pw_uid, 80011)
    as_plain_root(body)


STOPS = """
#include <pthread.h>
#include <signal.h>

int stops;

static void stop(void)
{
	if (stops)
		raise(SIGSTOP);
}

__attribute__((constructor)) static void install(void)
{
	pthread_atfork(NULL, NULL, stop);
}
"""

CALLED_OFF = """
import _thread, ctypes, os, signal, sys
library = ctypes.CDLL(sys.argv[1])  # its handler runs before those of replace
import replace
reader, writer = os.pipe()
os.register_at_fork(after_in_parent=_thread.interrupt_main)
ctypes.c_int.in_dll(library, "stops").value = 1
try:
    words = ["/bin/sh", "-c", f"echo ran >&{writer}"]
    replace.popen_as(replace.Identity(80001, 80011), words, cwd="/", preexec_fn=os.getpid, pass_fds=[writer])
except KeyboardInterrupt:
    os.close(writer)
    (child,) = open("/proc/thread-self/children").read().split()
    os.kill(int(child), signal.SIGCONT)
    print(os.waitstatus_to_exitcode(os.wait()[1]), os.read(reader, 9))
"""


def test_child_whose_number_stays_unknown_runs_no_program(tmp_path):
    """It is stopped before it can tell its number."""
    needs_root()
    compiler = [tool("cc", "compiles a fork handler"), "-shared", "-fPIC", "-x", "c", "-o", tmp_path / "stops.so", "-"]
    subprocess.run(compiler, input=STOPS, text=True, check=True)
    out = run(sys.executable, "-c", CALLED_OFF, tmp_path / "stops.so", cwd="/")
    assert out.stdout == "1 b''\n", out.stderr


def test_child_of_the_server_goes_on_if_the_call_is_interrupted():
    """An audit hook has started it before the entry."""

    def body():
        reader, writer = os.pipe()

        def hook(event, args):
            if event == "replace.enter" and os.fork() == 0:
                os.read(reader, 1)
                os._exit(7)
            if event == "subprocess.Popen":
                raise ZeroDivisionError

        sys.addaudithook(hook)
        with pytest.raises(ZeroDivisionError):
            popen_as(ALICE, ["/bin/true"], cwd="/")
        os.write(writer, b"x")
        return os.waitstatus_to_exitcode(os.wait()[1])

    needs_root()
    if replace.SCOPE == "thread":
        assert as_plain_root(body) == 7


class Forks(subprocess.Popen):
    """Forks another child before or after it starts the program, as an audit hook or a signal handler may do."""

    when = "after"
    remove: tuple[str, ...] = ()

    def __init__(self, args, **options):
        for name in self.remove:
            del options[name]
        for step in ("before", "itself", "after"):
            if step == "itself":
                super().__init__(args, **options)
            elif step == self.when and (other := os.fork()) == 0:
                os._exit(0)
            elif step == self.when:
                self.other = other


@pytest.mark.parametrize("when", ["before", "after"])
def test_another_child_of_the_thread_does_not_speak_for_the_program(when, monkeypatch):
    """The program has become the user, so popen_as() must not end it because the other child is not ready yet."""

    def body():
        for _ in range(50):
            child = popen_as(ALICE, ["/bin/true"], cwd="/")
            assert os.waitpid(child.other, 0)[1] == 0
            assert child.wait() == 0

    monkeypatch.setattr(subprocess, "Popen", Forks)
    monkeypatch.setattr(Forks, "when", when)
    as_plain_root(body)


@calls_vfork
@pytest.mark.parametrize("when", ["before", "after"])
def test_another_child_of_the_thread_does_not_hide_a_program_that_has_not_changed(when, monkeypatch):
    """The program is started with vfork(2), which runs no fork handlers. The other child becomes the user."""

    def body():
        with no_child_left():
            with pytest.raises(replace.IdentityError, match="not started with fork"):
                popen_as(ALICE, ["/bin/sleep", "1000"], cwd="/")
            os.waitpid(-1, 0)  # the other child

    monkeypatch.setattr(subprocess, "Popen", Forks)
    monkeypatch.setattr(Forks, "when", when)
    monkeypatch.setattr(Forks, "remove", ("user",))
    as_plain_root(body)


def test_program_in_a_new_pid_namespace_is_recognised():
    """The program has another number there."""

    def body():
        assert LIBC.unshare(0x20000000) == 0  # CLONE_NEWPID
        child = popen_as(ALICE, ["sh", "-c", "echo $$"], stdout=subprocess.PIPE, cwd="/")
        assert child.communicate()[0] == b"1\n"

    as_plain_root(body)


def test_popen_as_is_refused_in_a_greenlet():
    """gevent's Popen runs other greenlets while it waits for the child."""
    greenlet = imported("greenlet")

    def body():
        def work():
            with pytest.raises(replace.IdentityRefused, match="greenlets"):
                popen_as(ALICE, ["/bin/true"], cwd="/")
            return "refused"

        return greenlet.greenlet(work).switch()

    assert as_plain_root(body) == "refused"


def test_working_directory_is_entered_as_the_user():
    def body():
        with tempfile.TemporaryDirectory() as folder, pytest.raises(PermissionError):  # mode 0700
            popen_as(ALICE, ["true"], cwd=folder)

    as_plain_root(body)


# ---- What Popen does under the identity

TEXT = {
    "encoding": [None, "cp1140", "utf-16"],
    "errors": [None, "replace"],
    "text": [None, True],
    "bufsize": [-1, 0, 1],
}


def test_nothing_is_imported_under_the_identity():
    """Also not by a warning that Python shows: bufsize=1 without text, pass_fds without close_fds, no encoding."""
    script = """
import itertools, os, pathlib, subprocess, sys
import replace
asked = []
class Noted:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if os.geteuid() != 0:
            asked.append(name)
sys.meta_path.insert(0, Noted)
pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
alice = replace.Identity(80001, 80011)
def start(**options):
    try:
        replace.popen_as(alice, ["true"], cwd="/", **options).communicate()
    except (LookupError, OSError, subprocess.SubprocessError):
        pass
sets = %r
for values in itertools.product(*sets.values()):
    start(**pipes, **dict(zip(sets, values)))
for options in (
    {"shell": True}, {"preexec_fn": lambda: None}, {"preexec_fn": lambda: 1 / 0}, {"pass_fds": [0], "close_fds": False},
    {"stdout": subprocess.DEVNULL}, {"executable": pathlib.Path("/bin/true")}, {"executable": "/none"}, {"umask": 7},
    {"env": {b"a": "b"}}, {"restore_signals": False}, {"start_new_session": False}, {"universal_newlines": True},
):
    start(**options)
print(asked)
"""
    needs_root()
    words = (sys.executable, "-W", "always", "-X", "warn_default_encoding", "-c", script % TEXT)
    out = run(*words, cwd="/")
    assert out.stdout == "[]\n", out.stdout + out.stderr
    assert "RuntimeWarning" in out.stderr


@pytest.mark.parametrize(
    "options", [{"encoding": "nonsense"}, {"errors": "nonsense"}, {"encoding": "hex"}, {"encoding": "", "text": True}]
)
def test_unknown_codec_starts_nothing(options):
    def body():
        with pytest.raises(LookupError):
            popen_as(ALICE, ["/bin/true"], cwd="/", **options)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, 0)

    as_plain_root(body)


CODEC = """
import codecs
found = codecs.lookup("latin-1")
def getregentry():
    return codecs.CodecInfo(*found, name="closed", incrementalencoder=found.incrementalencoder,
                            incrementaldecoder=found.incrementaldecoder)
"""


def test_codec_of_a_closed_folder_is_found():
    """The user cannot read the codec's file. The server can."""

    def body():
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "closed.py").write_text(CODEC)
            encodings.__path__.append(folder)
            child = popen_as(ALICE, ["echo", "x"], stdout=subprocess.PIPE, encoding="closed", cwd="/")
            assert child.communicate()[0] == "x\n"
            assert codecs.lookup("closed").name == "closed"

    as_plain_root(body)


def test_code_in_the_arguments_runs_as_the_server():
    def body():
        seen = []

        class Name:
            def __init__(self, text):
                self.text = text

            def __fspath__(self):
                seen.append(os.geteuid())
                return self.text

        class Stream:
            def fileno(self):
                seen.append(os.geteuid())
                return 1

        class Variables(dict):
            def items(self):
                seen.append(os.geteuid())
                return super().items()

        os.PathLike.register(Name)
        args = [Name("sh"), "-c", Name('test "$a" = b')]
        child = popen_as(ALICE, args, executable=Name("/bin/sh"), cwd=Name("/"), env=Variables(a="b"), stdout=Stream())
        assert child.wait() == 0
        assert child.args is args
        assert len(seen) >= 6
        assert set(seen) == {0}

    as_plain_root(body)


def traced(base, seen):
    """A subclass that notes the user who calls one of its methods."""

    def noted(function):
        def method(self, *args, **kwargs):
            seen.append((function.__name__, os.geteuid()))
            return function(self, *args, **kwargs)

        return method

    names = {"__new__", "__init__", "__getattribute__", "__init_subclass__", "__subclasshook__", "__class__"}
    methods = {name: noted(getattr(base, name)) for name in set(dir(base)) - names if callable(getattr(base, name))}
    return type(base.__name__, (base,), methods)


@pytest.mark.skipif(IS_PYPY, reason="needs the methods of str in C: those of PyPy call each other")
def test_methods_of_subclasses_run_as_the_server():
    """Subclasses of str, bytes and int, and objects that have a truth value."""

    def body():
        seen = []
        text, data, number = (traced(base, seen) for base in (str, bytes, int))

        class Yes:
            def __bool__(self):
                seen.append(("__bool__", os.geteuid()))
                return True

        for options in (
            {"executable": data(b"/bin/true"), "cwd": text("/"), "env": {text("a"): text("b"), data(b"c"): data(b"d")}},
            {"stdout": number(subprocess.PIPE), "bufsize": number(1), "umask": number(7), "pipesize": number(65536)},
            {"close_fds": Yes(), "start_new_session": Yes(), "restore_signals": Yes(), "shell": Yes()},
            {"encoding": text("utf-8"), "errors": text("strict"), "text": Yes(), "stdout": subprocess.PIPE},
        ):
            for args in (text("true"), data(b"true"), [text("true"), data(b"x")]):
                popen_as(ALICE, args, **{"cwd": "/", **options}).communicate()
        assert seen
        assert {user for name, user in seen} == {0}, seen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bufsize=1 needs text
        as_plain_root(body)


def test_file_that_only_the_arguments_refer_to_stays_open(tmp_path):
    def body():
        return popen_as(ALICE, ["echo", "x"], stdout=path.open("wb"), cwd="/").wait()

    path = tmp_path / "out"
    assert as_plain_root(body) == 0
    assert (tmp_path / "out").read_bytes() == b"x\n"


# ---- What the child inherits


#: The real-time signals that libc keeps for itself. musl leaves one of them ignored.
OF_LIBC = sum(1 << number - 1 for number in range(32, signal.SIGRTMIN))


def signals(**options):
    """Return the ignored and the blocked signals of a program, as in proc_pid_status(5)."""
    child = popen_as(ALICE, ["/bin/grep", "^Sig[IB]", "/proc/self/status"], stdout=subprocess.PIPE, cwd="/", **options)
    fields = dict(line.split() for line in child.communicate()[0].splitlines())
    return int(fields[b"SigIgn:"], 16) & ~OF_LIBC, int(fields[b"SigBlk:"], 16) & ~OF_LIBC


def test_no_signal_is_ignored_or_blocked_in_the_program():
    def body():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGRTMAX, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGRTMIN])
        assert signals() == (0, 0)
        ignored, blocked = signals(restore_signals=False)
        assert ignored & 1 << signal.SIGHUP - 1
        assert blocked & 1 << signal.SIGTERM - 1
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    as_plain_root(body)


def nice_and_policy_of_a_program():
    child = popen_as(ALICE, ["/bin/cat", "/proc/self/stat"], stdout=subprocess.PIPE, cwd="/")
    fields = child.communicate()[0].rpartition(b")")[2].split()
    return int(fields[16]), int(fields[38])


@pytest.mark.skipif(not hasattr(os, "SCHED_RR"), reason="needs sched_setscheduler(2)")
def test_program_has_no_priority_of_the_server():
    def body():
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setpriority(os.PRIO_PROCESS, 0, -5)
        with contextlib.suppress(OSError):
            set_scheduler(os.SCHED_RR, 1)
        assert nice_and_policy_of_a_program() == (0, os.SCHED_OTHER)
        return scheduler(), os.getpriority(os.PRIO_PROCESS, 0)

    assert as_plain_root(body) in [(os.SCHED_RR, -5), (0, 0), (os.SCHED_RR, 0), (0, -5)]


@pytest.mark.parametrize("call", ["sched_getscheduler", "getpriority"])
def test_child_ends_if_nobody_can_read_its_priority(call):
    def body():
        install_filter(call, errno.EPERM)
        with pytest.raises(replace.IdentityError, match="so it was ended") as caught:
            popen_as(ALICE, ["/bin/true"], cwd="/")
        assert caught.value.errno == errno.EPERM

    as_plain_root(body)


def test_child_that_a_signal_kills_did_not_fail():
    """The user may kill the child when it has become the user. Here a filter kills it: SIGSYS."""

    def body():
        call_number("sched_getscheduler")
        set_filter("sched_getscheduler", ACTIONS["KILL_PROCESS"])
        with no_child_left(), pytest.raises(replace.IdentityError, match="a signal killed it") as caught:
            popen_as(ALICE, ["/bin/true"], cwd="/")
        assert (caught.value.state, caught.value.errno) == ("unchanged", errno.ESRCH)

    as_plain_root(body)


def test_positive_nice_value_stays():
    def body():
        os.setpriority(os.PRIO_PROCESS, 0, 7)
        return nice_and_policy_of_a_program()

    assert as_plain_root(body) == (7, os.SCHED_OTHER)


def test_child_cannot_be_traced_before_it_runs_the_program():
    """The server has the user's uid and capabilities. preexec_fn runs in the child, as the user, before the program."""

    def body():
        reader, writer = os.pipe()
        become(Credentials((1000,) * 4, (1000,) * 4, (), BOTH, BOTH, 0, 0, look().bounding, 0))
        LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: the server has made itself traceable
        child = popen_as(
            Identity(1000, 1000),
            ["/bin/true"],
            cwd="/",
            preexec_fn=lambda: os.write(writer, b"%d" % LIBC.prctl(3, 0, 0, 0, 0)),
        )
        assert child.wait() == 0
        return os.read(reader, 9)

    with forks_beside_threads():
        assert as_plain_root(body) == b"0"


@pytest.mark.parametrize("account", [None, Account("alice", 80001, 80011, (), "/", "/bin/sh", "")])
def test_attributes_that_the_page_names_are_inherited(account):
    """docs/children.md says that the program inherits these."""

    def body():
        resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77))
        os.umask(0o27)
        os.nice(5)
        LIBC.prctl(29, 70000, 0, 0, 0)  # PR_SET_TIMERSLACK
        LIBC.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        script = "umask; ulimit -n; nice; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status; exec cat $0"
        pathlib.Path("/proc/self/oom_score_adj").write_text("12")
        words = ["sh", "-c", script, "/proc/self/timerslack_ns"]
        return popen_as(ALICE, words, stdout=subprocess.PIPE, cwd="/", account=account).communicate()[0].split()

    umask = b"0022" if account else b"0027"
    assert as_plain_root(body) == [umask, b"77", b"5", b"12", b"NoNewPrivs:", b"1", b"70000"]
