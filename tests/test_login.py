# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""popen_as(login=True): the child has what the user's own login has, and nothing of the server.

Each attack is also tried without login, where it succeeds if this kernel permits it.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import pytest
from support.builds import ROOT, run, tool
from support.children import (
    ALICE,
    HANG,
    LIBC,
    as_plain_root,
    call_number,
    counts_references,
    forks_beside_threads,
    in_child,
    install_filter,
    needs_root,
    needs_terminal,
    needs_user_namespace,
)
from support.credentials import (
    KEEP_CAPS,
    LOCKS,
    NOROOT,
    SETGID,
    SETPCAP,
    SETUID,
    Credentials,
    become,
    from_status,
    look,
)
from support.servers import nss_wrapper

import replace
from replace import Account, Identity, popen_as

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: the tests read /proc")

ACCOUNT = Account("alice", 80001, 80011, (80021,), "/usr", "/bin/dash", "")
PLAIN = {"USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/dash", "PATH": "/usr/local/bin:/usr/bin:/bin"}


def output(*words, account=ACCOUNT, **options):
    """Return what the program prints that ALICE's login starts."""
    child = popen_as(ALICE, words, account=account, stdout=subprocess.PIPE, **options)
    return child.communicate()[0].decode()


def environment(text):
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)


def nothing_started():
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# ---- What the child has


def test_environment_has_only_the_variables_of_the_account_and_env():
    def body():
        os.environ.update(DB_PASSWORD="hunter2", LANG="de_DE.UTF-8", HOME="/root", LD_LIBRARY_PATH="/srv")
        own = {**PLAIN, "HOME": "/usr", "LANG": "de_DE.UTF-8"}
        assert environment(output("/bin/cat", "/proc/self/environ")) == own
        given = {"PATH": "/bin", "LESS": "-R"}
        assert environment(output("/bin/cat", "/proc/self/environ", env=given)) == {**own, **given}
        given = {b"HOME": b"/\xff"}
        words = ["/bin/cat", "/proc/self/environ"]
        text = popen_as(ALICE, words, account=ACCOUNT, stdout=subprocess.PIPE, env=given).communicate()[0]
        assert b"HOME=/\xff\0" in text
        assert text.count(b"HOME=") == 1
        del os.environ["LANG"]
        assert environment(output("/bin/cat", "/proc/self/environ"))["LANG"] == "C.UTF-8"
        empty = ACCOUNT._replace(home="", shell="")
        found = environment(output("/bin/cat", "/proc/self/environ", account=empty))
        assert (found["HOME"], found["SHELL"]) == ("/", "/bin/sh")

    as_plain_root(body)


def test_secrets_of_the_server_are_in_no_environment_of_the_child():
    def body(**options):
        os.environ["DB_PASSWORD"] = "hunter2"
        child = popen_as(ALICE, ["/bin/sleep", "1000"], stdout=subprocess.DEVNULL, cwd="/", **options)
        try:
            return "hunter2" in pathlib.Path(f"/proc/{child.pid}/environ").read_text()
        finally:
            child.kill()
            child.wait()

    assert as_plain_root(body)
    assert not as_plain_root(lambda: body(account=ACCOUNT))


def test_account_is_looked_up_by_the_uid():
    def body():
        nobody = pwd.getpwnam("nobody")
        user = Identity(nobody.pw_uid, 80011)
        child = popen_as(user, ["/bin/cat", "/proc/self/environ"], login=True, stdout=subprocess.PIPE)
        found = environment(child.communicate()[0].decode())
        assert (found["USER"], found["HOME"]) == ("nobody", nobody.pw_dir)

    as_plain_root(body)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"login": True}, KeyError, "no user has the uid 80001.*pass account="),
        ({"account": ACCOUNT._replace(uid=80002)}, replace.IdentityRefused, "another uid, 80002"),
        ({"account": tuple(ACCOUNT)}, TypeError, "Account, not tuple"),
        ({"account": ACCOUNT._replace(shell="/bin/\0sh")}, ValueError, "null byte in its SHELL"),
        ({"account": ACCOUNT, "start_new_session": False}, ValueError, "session of its own"),
        ({"account": ACCOUNT, "process_group": 0}, ValueError, "its own process group"),
        ({"process_group": 0}, ValueError, "its own process group.*start_new_session=False"),
    ],
)
def test_wrong_argument_starts_nothing(options, error, match):
    def body():
        with pytest.raises(error, match=match):
            popen_as(ALICE, ["/bin/true"], **options)
        nothing_started()

    as_plain_root(body)


@pytest.mark.parametrize(
    ("home", "cwd"),
    [
        ("/usr", "/usr"),
        ("/no/such/folder", "/"),
        ("closed", "/"),
        ("closed/below", "/"),
        ("", "/"),
        ("usr", "/"),
        ("/etc/passwd", "/"),
        ("of alice", "of alice"),
    ],
)
def test_working_directory_is_the_home_if_the_user_can_enter_it(home, cwd):
    def body():
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o711)
            os.makedirs(f"{folder}/closed/below")
            os.chmod(f"{folder}/closed", 0o700)
            os.mkdir(f"{folder}/of alice", 0o100)
            os.chown(f"{folder}/of alice", 80001, 80011)
            os.chdir("/")
            mine = ("closed", "closed/below", "of alice")
            account = ACCOUNT._replace(home=f"{folder}/{home}" if home in mine else home)
            child = popen_as(ALICE, ["/bin/sleep", "1000"], account=account)
            try:
                assert os.readlink(f"/proc/{child.pid}/cwd") == (f"{folder}/{cwd}" if cwd in mine else cwd)
            finally:
                child.kill()
                child.wait()
            assert output("/bin/pwd", account=account, cwd="/etc") == "/etc\n"

    as_plain_root(body)


def test_umask_session_and_standard_input_are_those_of_a_login():
    def body():
        os.umask(0o77)
        script = "umask; cut -d' ' -f6,7 /proc/$$/stat; echo $$; readlink /proc/self/fd/0"
        umask, session, number, stdin = output("/bin/sh", "-c", script).splitlines()
        assert (umask, session, stdin) == ("0022", f"{number} 0", "/dev/null")
        assert output("/bin/sh", "-c", "umask", umask=0o27) == "0027\n"
        reader, writer = os.pipe()
        os.write(writer, b"typed\n")
        assert output("/bin/sh", "-c", "read line; echo $line", stdin=reader) == "typed\n"
        assert os.umask(0o77) == 0o77

    as_plain_root(body)


def test_no_new_privs_is_set_with_and_without_login():
    def value(**options):
        words = ["/bin/grep", "NoNewPrivs", "/proc/self/status"]
        return popen_as(ALICE, words, stdout=subprocess.PIPE, cwd="/", **options).communicate()[0].split()[1]

    def body():
        for login in ({}, {"account": ACCOUNT}):
            assert value(**login) == b"0"
            assert value(no_new_privs=True, **login) == b"1"

    as_plain_root(body)


def test_no_new_privs_is_refused_on_a_system_without_it():
    def body():
        install_filter("prctl", errno.EINVAL)  # what Linux before 3.5 says
        with pytest.raises(replace.IdentityRefused, match="PR_SET_NO_NEW_PRIVS") as caught:
            popen_as(ALICE, ["/bin/true"], cwd="/", no_new_privs=True)
        assert caught.value.errno == errno.ENOSYS
        nothing_started()

    as_plain_root(body)


# ---- No capability in any set


def capabilities(**options):
    """Return the capability sets of a program of the login."""
    child = from_status(output("/bin/cat", "/proc/self/status", **options).encode())
    return child.effective, child.permitted, child.inheritable, child.ambient, child.bounding


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("ambient", [0, SETUID | SETGID])
@pytest.mark.parametrize("setpcap", [0, SETPCAP])
@pytest.mark.parametrize("bits", [0, KEEP_CAPS, NOROOT, NOROOT | LOCKS])
def test_child_has_no_capability_in_any_set_or_is_refused(uid, ambient, setpcap, bits, regain):
    """systemd's AmbientCapabilities= and SecureBits= give such states."""

    def body(bounding):
        mine = SETUID | SETGID | setpcap
        ids = (uid,) * 4
        become(Credentials(ids, ids, (), mine, mine, ambient, ambient, look().bounding & bounding, bits))
        before = look()
        if setpcap or not bounding:
            assert capabilities() == (0, 0, 0, 0, 0)
            assert output(regain) == "(80001, 80001, 80001)\n"
        else:
            with pytest.raises(replace.IdentityRefused, match="CAP_SETPCAP") as caught:
                capabilities()
            assert (caught.value.errno, caught.value.state) == (errno.EPERM, "unchanged")
            nothing_started()
        assert look() == before

    as_plain_root(lambda: body(-1))
    if not ambient:  # otherwise every entry is refused: the thread could not get its ambient capabilities back
        as_plain_root(lambda: body(0))


@pytest.mark.parametrize("bits", [0, NOROOT])
def test_root_that_logs_in_has_no_capability(bits):
    """With NOROOT, the program has only the ambient capabilities."""

    def body():
        mine = SETUID | SETGID | SETPCAP
        ambient = mine if bits else 0
        become(Credentials((0,) * 4, (0,) * 4, (), mine, mine, ambient, ambient, look().bounding, bits))
        account = Account("root", 0, 0, (), "/", "/bin/sh", "")
        words = ["/bin/cat", "/proc/self/status"]
        child = popen_as(Identity(0, 0), words, account=account, allow_root=True, stdout=subprocess.PIPE)
        found = from_status(child.communicate()[0])
        assert found.uids == (0,) * 4
        assert found.effective | found.permitted | found.inheritable | found.ambient | found.bounding == 0

    as_plain_root(body)


def test_login_works_in_a_user_namespace():
    needs_root()
    needs_user_namespace()
    script = f"""
import replace, subprocess
account = replace.{ACCOUNT!r}
child = replace.popen_as(account.identity, ["/bin/cat", "/proc/self/status"], account=account, stdout=subprocess.PIPE)
print(child.communicate()[0].decode())
"""
    machine = ROOT / "tests" / "support" / "odd_machine.py"
    out = run(sys.executable, machine, "maps", "0 0 100000", "0 0 100000", sys.executable, "-c", script, cwd="/")
    found = from_status(out.stdout.encode())
    assert found.uids == (80001,) * 4, out.stderr
    assert found.effective | found.permitted | found.inheritable | found.ambient | found.bounding == 0


# ---- Why a program did not start

#: name, PATH, options -> the error, or None
PROGRAMS = [
    ("good", "closed:open", {}, None),
    ("missing", "open", {}, errno.ENOENT),
    ("missing", "closed:open", {}, errno.ENOENT),
    ("missing", "open:closed", {}, errno.ENOENT),
    ("missing", "closed/below:open", {}, errno.ENOENT),
    ("inside", "closed:open", {}, errno.ENOENT),
    ("missing", "closed", {}, errno.ENOENT),
    ("missing", "none:file", {}, errno.ENOENT),
    ("missing", "loop:open", {}, errno.ENOENT),
    ("text", "loop:file:open", {}, errno.ENOEXEC),
    ("x" * 300, "open", {}, errno.ENOENT),
    ("{0}/loop/x", "open", {}, errno.ELOOP),
    ("plain", "closed:open", {}, errno.EACCES),
    ("plain", "open:closed", {}, errno.EACCES),
    ("folder", "closed:open", {}, errno.EACCES),
    ("text", "closed:open", {}, errno.ENOEXEC),
    ("text", "open:closed", {}, errno.ENOEXEC),
    ("script", "closed:open", {}, errno.ENOENT),
    ("good", "closed:open", {"args": ["x" * 200000]}, errno.E2BIG),
    ("{0}/open/missing", "closed", {}, errno.ENOENT),
    ("{0}/open/plain", "closed", {}, errno.EACCES),
    ("{0}/open/folder", "closed", {}, errno.EACCES),
    ("{0}/open/text", "closed", {}, errno.ENOEXEC),
    ("{0}/open/script", "closed", {}, errno.ENOENT),
    ("{0}/closed/inside", "closed", {}, errno.EACCES),
    ("./missing", "closed", {"cwd": "{0}/open"}, errno.ENOENT),
    ("./plain", "closed", {"cwd": "{0}/open"}, errno.EACCES),
    ("./good", "closed", {"cwd": "{0}/open"}, None),
    ("good", "closed:./open", {"cwd": "{0}"}, None),
    ("missing", "./closed:./open:", {"cwd": "{0}"}, errno.ENOENT),
    ("plain", "./closed:./open", {"cwd": "{0}"}, errno.EACCES),
    ("text", "closed:", {"cwd": "{0}/open"}, errno.ENOEXEC),
    ("good", "closed:", {"cwd": "{0}/open"}, None),
    ("text", "./closed:./open", {"cwd": "{0}"}, errno.ENOEXEC),
    ("missing", "closed:open", {"cwd": "{0}/closed"}, errno.EACCES),
    ("missing", "closed:open", {"cwd": "{0}/none"}, errno.ENOENT),
    ("missing", "closed:open", {"executable": "good"}, None),
    ("good", "closed:open", {"executable": "missing"}, errno.ENOENT),
    ("true", "closed", {"shell": True}, None),
    ("true", "closed:open", {"shell": True, "executable": "missing"}, errno.ENOENT),
]
ERRORS = {errno.ENOENT: FileNotFoundError, errno.EACCES: PermissionError}


@pytest.fixture(scope="module")
def programs():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("open", "closed/below", "open/folder"):
            os.makedirs(f"{folder}/{name}")
        for name, text, mode in (
            ("open/good", "#!/bin/sh\n", 0o755),
            ("open/plain", "#!/bin/sh\n", 0o644),
            ("open/text", "true\n", 0o755),
            ("open/script", "#!/no/such/interpreter\n", 0o755),
            ("closed/inside", "#!/bin/sh\n", 0o755),
            ("file", "", 0o644),
        ):
            pathlib.Path(folder, name).write_text(text)
            os.chmod(f"{folder}/{name}", mode)
        os.chmod(f"{folder}/closed", 0o700)
        os.symlink("loop", f"{folder}/loop")
        yield folder


@pytest.mark.parametrize("login", [{}, {"account": ACCOUNT}], ids=["inherited", "login"])
@pytest.mark.parametrize(("name", "path", "options", "error"), PROGRAMS)
def test_error_says_why_the_program_did_not_start(name, path, options, error, login, programs):
    def body():
        os.chdir("/")
        filled = {key: value.format(programs) if isinstance(value, str) else value for key, value in options.items()}
        words = [name.format(programs), *filled.pop("args", [])]
        folders = ":".join(f"{programs}/{part}" if part and part[0] != "." else part for part in path.split(":"))
        start = {"env": {"PATH": folders}, "cwd": "/", **filled, **login}
        if error is None:
            assert popen_as(ALICE, words, **start).wait() == 0
            return
        with pytest.raises(ERRORS.get(error, OSError)) as caught:
            popen_as(ALICE, words, **start)
        assert caught.value.errno == error, caught.value
        assert isinstance(caught.value.filename, str)
        if filled.get("cwd") in (f"{programs}/closed", f"{programs}/none"):
            assert caught.value.filename == filled["cwd"]
        nothing_started()

    as_plain_root(body)


def test_error_is_right_with_the_path_of_the_server(programs, monkeypatch):
    """Such as /root/bin in root's PATH."""

    def body():
        with pytest.raises(FileNotFoundError, match="'missing'"):
            popen_as(ALICE, ["missing"], cwd="/")

    monkeypatch.setenv("PATH", f"{programs}/closed:/bin")
    as_plain_root(body)


@counts_references
@pytest.mark.parametrize("name", ["missing", "text"])
def test_failed_call_leaves_nothing(name, programs):
    """No descriptor, and no cycle of references that would keep the exception's frames."""

    def body():
        options = {"account": ACCOUNT, "env": {"PATH": f"{programs}/closed:{programs}/open"}}
        files = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        gc.disable()
        for _ in range(2):
            gc.collect()
            before = os.listdir("/proc/self/fd")
            with contextlib.suppress(OSError):
                popen_as(ALICE, [name], **options, **files)
            found = gc.collect()
            assert os.listdir("/proc/self/fd") == before
        assert found == 0
        nothing_started()

    as_plain_root(body)


# ---- Attacks

ATTACK = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The attacks. The last word is the descriptor for the answer: for each attempt, 0 or errno. */
int main(int count, char **words)
{
	int answer = atoi(words[count - 1]), status;
	long number = atol(words[2]), result;
	char text[64] = "", path[64];

	switch (*words[1]) {
	case 'p': /* push input into the terminal at this descriptor */
		(void)ioctl((int)number, TIOCSCTTY, 0);
		result = 0;
		for (const char *typed = "id\n"; *typed && result == 0; typed++)
			result = ioctl((int)number, TIOCSTI, typed);
		dprintf(answer, "%d", result < 0 ? errno : 0);
		break;
	case 'r': /* read from the terminal at this descriptor */
		result = read((int)number, text, sizeof text - 1);
		dprintf(answer, "%d %s", result < 0 ? errno : 0, text);
		break;
	case 'k': /* read this key */
		result = syscall(SYS_keyctl, 11, number, text, sizeof text - 1);
		dprintf(answer, "%d %s", result < 0 ? errno : 0, text);
		break;
	case 'd': /* describe the session keyring */
		result = syscall(SYS_keyctl, 6, -3, text, sizeof text - 1);
		dprintf(answer, "%d %s", result < 0 ? errno : 0, text);
		break;
	case 'c': { /* tell the effective user ID and the capabilities */
		unsigned header[2] = {0x20080522, 0}, data[6] = {0};
		(void)syscall(SYS_capget, header, data);
		dprintf(answer, "%d %x %x", (int)geteuid(), data[0] | data[3], data[1] | data[4]);
		break;
	}
	default: { /* read the memory of this process, and trace it */
		struct iovec here = {text, 1}, there = {words[0], 1};
		snprintf(path, sizeof path, "/proc/%ld/mem", number);
		dprintf(answer, "%d ", open(path, O_RDONLY) < 0 ? errno : 0);
		result = process_vm_readv((pid_t)number, &here, 1, &there, 1, 0);
		dprintf(answer, "%d ", result < 0 && errno != EFAULT ? errno : 0);
		result = ptrace(PTRACE_ATTACH, (pid_t)number, NULL, NULL);
		dprintf(answer, "%d", result < 0 ? errno : 0);
		if (result == 0)
			waitpid((pid_t)number, &status, __WALL);
	}
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def attack():
    """A program that every user may run. It attacks, and says what it achieved."""
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        compiler = [tool("cc", "compiles a child"), "-x", "c", "-o", f"{folder}/attack", "-"]
        subprocess.run(compiler, input=ATTACK, text=True, check=True)
        yield f"{folder}/attack"


def answer(attack, *words, **options):
    """Return the words with which the attack of ALICE's child answers."""
    reader, writer = os.pipe()
    child = popen_as(ALICE, [attack, *map(str, words), str(writer)], pass_fds=[writer], **{"cwd": "/", **options})
    os.close(writer)
    with open(reader) as pipe:
        text = pipe.read().split()
    child.wait()
    return text


LOGIN = {"account": ACCOUNT}


def test_process_that_an_audit_hook_starts_before_the_entry_keeps_its_capabilities():
    """It is the server's, not the user's."""

    def body():
        before, reader, writer = look(), *os.pipe()

        def hook(event, args):
            if event == "replace.enter" and os.fork() == 0:
                os.write(writer, b"kept" if look() == before else b"lost")
                os._exit(0)

        sys.addaudithook(hook)
        assert popen_as(ALICE, ["/bin/true"], account=ACCOUNT).wait() == 0
        os.wait()
        return os.read(reader, 9)

    needs_root()
    if replace.SCOPE == "thread":
        assert as_plain_root(body) == b"kept"


def test_set_user_id_program_gets_no_capability(attack):
    """sudo and su have root's user ID, but not the capabilities of root."""

    def body():
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(attack, folder)
            os.chown(program, 0, ALICE.gid)
            os.chmod(program, 0o4750)  # no other user may run it
            user, *held = answer(program, "capabilities", 0)
            if user != "0":
                pytest.skip(f"needs a file system with set-user-ID programs at {folder}")
            assert "0" not in held
            assert answer(program, "capabilities", 0, **LOGIN) == ["0", "0", "0"]
            assert answer(program, "capabilities", 0, no_new_privs=True, **LOGIN) == ["80001", "0", "0"]

    as_plain_root(body)


@pytest.mark.parametrize("effective", [0, 1])
def test_program_with_file_capabilities_starts_without_them_or_is_refused(effective, attack):
    def body():
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(attack, folder)
            value = struct.pack("<5I", 0x02000000 | effective, 1 << 0, 0, 0, 0)  # CAP_CHOWN; linux/capability.h
            try:
                os.setxattr(program, "security.capability", value)
                found = answer(program, "capabilities", 0)
            except OSError as error:
                pytest.skip(f"needs file capabilities at {folder} ({error})")
            assert found == ["80001", str(effective), "1"]
            if not effective:
                assert answer(program, "capabilities", 0, **LOGIN) == ["80001", "0", "0"]
                return
            with pytest.raises(PermissionError) as caught:
                popen_as(ALICE, [program], **LOGIN)
            assert caught.value.errno == errno.EPERM

    needs_root()
    as_plain_root(body)


#: If this is 0, no program may push input into a terminal. Older kernels have no such file, and always permit it.
TIOCSTI = pathlib.Path("/proc/sys/dev/tty/legacy_tiocsti")


def may_push():
    return not TIOCSTI.exists() or TIOCSTI.read_text() == "1\n"


def with_terminal(*, controlling):
    """Make a new terminal the standard output and error, and the controlling terminal of this process or of nobody.

    Return the other side of the terminal.
    """
    os.setsid()
    master, slave = os.openpty()
    os.dup2(slave, 1)
    os.dup2(slave, 2)
    if controlling:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return master


def test_child_cannot_push_input_into_the_terminal_of_root(attack):
    def body():
        with_terminal(controlling=True)
        if may_push():
            assert answer(attack, "push", 1, start_new_session=False) == ["0"]
            assert os.read(1, 9) == b"id\n"
        denied = str(errno.EPERM if may_push() else errno.EIO)
        for options in ({}, LOGIN):
            for descriptor in (1, 2):
                assert answer(attack, "push", descriptor, **options) == [denied], options

    needs_root()
    needs_terminal()
    as_plain_root(body)


@pytest.mark.parametrize("descriptor", [1, 2])
@pytest.mark.parametrize("given", [False, True])
def test_child_cannot_push_input_into_a_terminal_that_no_session_has(descriptor, given, attack):
    """The child has a new session, so it could make the terminal its controlling terminal first."""

    def body(expected, **options):
        with_terminal(controlling=False)
        files = {"stdout": 1, "stderr": 2} if given else {}
        assert answer(attack, "push", descriptor, **files, **options) == [str(expected)]

    needs_root()
    needs_terminal()
    if may_push():
        as_plain_root(lambda: body(0))
    as_plain_root(lambda: body(errno.EPERM if may_push() else errno.EIO, **LOGIN))


@pytest.mark.parametrize("controlling", [False, True])
def test_child_cannot_read_what_somebody_types_in_the_terminal_of_the_server(controlling, attack):
    def body(expected, **options):
        os.write(with_terminal(controlling=controlling), b"password\n")
        assert answer(attack, "read", 1, **options) == expected

    needs_root()
    needs_terminal()
    as_plain_root(lambda: body(["0", "password"]))
    as_plain_root(lambda: body([str(errno.EBADF)], **LOGIN))


def test_child_writes_to_the_terminal_of_the_server():
    def body():
        master = with_terminal(controlling=True)
        before = os.listdir("/proc/self/fd")
        for options in ({}, {"stderr": subprocess.STDOUT}, {"stdout": 2}):
            script = "echo out; echo err >&2"
            assert popen_as(ALICE, ["/bin/sh", "-c", script], account=ACCOUNT, **options).wait() == 0
            printed = b""
            while not printed.endswith(b"err\r\n"):
                printed += os.read(master, 99)
            assert printed == b"out\r\nerr\r\n"
        assert os.listdir("/proc/self/fd") == before

    needs_root()
    needs_terminal()
    as_plain_root(body)


def test_terminal_that_is_the_input_of_the_child_stays_as_it_is(attack):
    """A server for remote logins makes a terminal for each user."""

    def body():
        master, slave = os.openpty()
        os.write(master, b"typed\n")
        files = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
        assert answer(attack, "read", 2, **files, **LOGIN) == ["0", "typed"]
        words = ["/bin/sh", "-c", "exec readlink /proc/self/fd/3 3>&1 >&2"]
        reader, writer = os.pipe()
        assert popen_as(ALICE, words, stdout=master, stderr=writer, **LOGIN).wait() == 0
        assert os.read(reader, 99).endswith(b"ptmx\n")  # not one more terminal

    needs_root()
    needs_terminal()
    as_plain_root(body)


def test_terminal_that_cannot_be_opened_again_is_refused(attack):
    """Its owner is another user, and the server has no right to open it."""

    def body():
        with_terminal(controlling=False)
        os.fchown(1, 80002, 80012)
        os.fchmod(1, 0o600)
        mine = SETUID | SETGID | SETPCAP
        become(Credentials((1000,) * 4, (1000,) * 4, (), mine, mine, 0, 0, look().bounding, 0))
        with pytest.raises(replace.IdentityRefused, match="stdout is a terminal.*pass stdout="):
            popen_as(ALICE, ["/bin/true"], account=ACCOUNT)
        nothing_started()
        assert popen_as(ALICE, ["/bin/true"], account=ACCOUNT, stdout=-3, stderr=-3).wait() == 0

    needs_root()
    needs_terminal()
    as_plain_root(body)


def session_key():
    """Put a secret key into a new session keyring of this thread. Return the key's number."""
    assert LIBC.syscall(call_number("keyctl"), 1, None) > 0  # KEYCTL_JOIN_SESSION_KEYRING
    key = LIBC.syscall(call_number("add_key"), b"user", b"secret", b"hunter2", ctypes.c_size_t(7), -3)
    assert key > 0
    return key


def needs_keys():
    needs_root()
    if in_child(LIBC.syscall, call_number("keyctl"), 1, None) <= 0:
        pytest.skip("needs keyctl(2)")


def test_child_cannot_read_the_keys_of_the_server(attack):
    def body():
        key = session_key()
        if replace.SCOPE == "thread":
            assert answer(attack, "key", key) == ["0", "hunter2"]
        assert answer(attack, "key", key, **LOGIN) == [str(errno.EACCES)]
        keyring = answer(attack, "describe", 0, **LOGIN)
        assert keyring[0] == "0"
        assert keyring[1].startswith("keyring;80001;80011;")
        assert LIBC.syscall(call_number("keyctl"), 11, key, None, 0) == 7  # the server still can

    needs_keys()
    as_plain_root(body)


def test_child_starts_if_nobody_may_have_keys():
    def body(error):
        install_filter("keyctl", error)
        assert popen_as(ALICE, ["/bin/true"], account=ACCOUNT).wait() == 0

    for error in (errno.EPERM, errno.ENOSYS):
        as_plain_root(lambda error=error: body(error))


@pytest.mark.parametrize(("error", "seconds"), [(errno.ENOMEM, 0), (errno.EDQUOT, 1)])
def test_child_without_a_keyring_of_its_own_runs_no_program(error, seconds):
    """A full quota is often empty soon, because the kernel frees keyrings late."""

    def body():
        install_filter("keyctl", error)
        start = time.monotonic()
        with pytest.raises(replace.IdentityError, match="keyring") as caught:
            popen_as(ALICE, ["/bin/true"], account=ACCOUNT)
        assert caught.value.errno == error
        if replace.SCOPE == "thread":
            assert time.monotonic() - start >= seconds
        nothing_started()

    as_plain_root(body)


def may_trace():
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    return not scope.exists() or scope.read_text() == "0\n"


@pytest.mark.parametrize("login", [{}, LOGIN], ids=["inherited", "login"])
def test_user_cannot_trace_the_server_or_the_child_before_the_program_runs(login, attack):
    """preexec_fn runs in the child, as the user, before the program."""

    def body():
        running, writer = os.pipe()
        waiting, proceed = os.pipe()
        numbers = []

        def wait():
            os.write(writer, b"%d" % os.getpid())
            os.read(waiting, 1)

        def start():
            try:
                numbers.append(popen_as(ALICE, ["/bin/sleep", "1000"], cwd="/", preexec_fn=wait, **files, **login))
            except BaseException:
                os.write(writer, b"failed")
                raise

        files = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        thread = threading.Thread(target=start)
        thread.start()
        child = int(os.read(running, 20))
        try:
            for victim in (child, os.getpid()):
                found = answer(attack, "trace", victim, **files)
                assert found == [str(errno.EACCES), str(errno.EPERM), str(errno.EPERM)], victim
            os.write(proceed, b"x")
            thread.join(HANG)
            if may_trace():  # the program itself is the user's
                assert answer(attack, "trace", child, **files) == ["0", "0", "0"]
        finally:
            os.kill(child, signal.SIGKILL)
            thread.join(HANG)
        numbers[0].wait()

    with forks_beside_threads():
        as_plain_root(body)


# ---- The page's other way


def test_runuser_runs_a_command_in_a_login_shell(tmp_path):
    needs_root()
    tool("runuser", "opens a PAM session")
    (line,) = re.findall(r"^runuser .*", (ROOT / "docs" / "children.md").read_text(), re.M)
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:80001:80011::/usr:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\nalice:x:80011:\n")
    users = {"NSS_WRAPPER_PASSWD": f"{tmp_path}/passwd", "NSS_WRAPPER_GROUP": f"{tmp_path}/group"}
    out = run(*shlex.split(line), env={**os.environ, "LD_PRELOAD": nss_wrapper(), **users}, cwd="/")
    assert out.stdout == "/usr\n", out.stderr
