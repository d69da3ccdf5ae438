# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Identity: its values, refused values, and the identities of socket peers and of processes (for FUSE servers)."""

import asyncio
import contextlib
import ctypes
import errno
import os
import pickle
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from support.builds import imported, in_namespaces, run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LIBC,
    as_root,
    call_number,
    held_elsewhere,
    in_child,
    needs_root,
    needs_true_ids,
    wait_until,
)
from support.odd_machine import ACTIONS, set_filter
from support.peers import become, connected, enter_user_namespace, other_process
from support.proc_mounts import enter_mount_namespace
from support.servers import with_users

import replace
from replace import Identity, IdentityRefused, impersonate

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: other kernels have no such interface")
#: Maps of a user namespace: without ALICE's ids, without her second group, and with all ids.
WITHOUT_ALICE, WITHOUT_80021, EVERYTHING = "0 0 70000", "0 0 80021", "0 0 4294967295"

# ---- Identity


def test_identity_is_sorted_hashable_immutable_and_picklable():
    assert ALICE.groups == (80011, 80021)
    assert Identity(80001, 80011, (80011, 80021, 80021)) == ALICE
    assert len({ALICE, Identity(80001, 80011, [80011, 80021]), BOB}) == 2
    assert eval(repr(ALICE)) == ALICE
    assert pickle.loads(pickle.dumps(ALICE)) == ALICE
    assert ALICE != (80001, 80011, (80011, 80021))
    for name in ("uid", "gid", "groups", "other"):
        with pytest.raises(AttributeError):
            setattr(ALICE, name, 0)
    with pytest.raises(AttributeError):
        del ALICE.uid


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ((-1, 0), OverflowError),
        ((0, -1), OverflowError),
        ((0, 0, [-1]), OverflowError),
        ((2**32 - 1, 0), OverflowError),
        ((True, 0), TypeError),
        ((1.0, 0), TypeError),
        (("1", 0), TypeError),
        ((1, 1, "12"), TypeError),
        ((1, 1, 5), TypeError),
        ((1, 1, range(65537)), ValueError),
    ],
)
def test_invalid_identity_raises(arguments, exception):
    with pytest.raises(exception):
        Identity(*arguments)


def test_groups_are_counted_without_duplicates():
    assert Identity(1, 1, [7] * 70000).groups == (7,)
    assert len(Identity(1, 1, [*range(65536), 5]).groups) == 65536
    with pytest.raises(ValueError, match="too many groups: 65537; the kernel accepts at most 65536"):
        Identity(1, 1, range(65537))


def test_from_user_and_current_agree_with_the_system():
    daemon = Identity.from_user("daemon")
    assert daemon == Identity.from_user(daemon.uid)
    assert daemon.groups == tuple(sorted(set(os.getgrouplist("daemon", daemon.gid))))
    with pytest.raises(KeyError, match="no user has the name 'no-such-user'"):
        Identity.from_user("no-such-user")
    assert Identity.current().uid == os.geteuid()


# ---- from_peer


@LINUX
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET], ids=["stream", "seqpacket"])
@pytest.mark.parametrize("count", [0, 1, 17, 64, 65, 300, 65536])
def test_from_peer_returns_the_ids_and_all_groups(kind, count):
    needs_root()
    groups = range(90000, 90000 + count)
    with connected(become(80001, 80011, groups), kind) as connection:
        assert Identity.from_peer(connection) == Identity(80001, 80011, groups)


@LINUX
def test_from_peer_uses_the_groups_of_the_process_not_the_database(tmp_path):
    """alice has `team` only in the database. bob has `team` only in his process."""
    needs_root()
    code = (
        "from replace import Identity\n"
        "from support.peers import become, connected\n"
        "assert Identity.from_user('alice') == Identity(80001, 80011, [80011, 80300])\n"
        "for start in (become(80001, 80011, [80011]), become(80002, 80012, [80300])):\n"
        "    with connected(start) as connection: print(Identity.from_peer(connection))\n"
    )
    users = ["root:x:0:0::/:/bin/sh", "alice:x:80001:80011::/:/bin/sh", "bob:x:80002:80012::/:/bin/sh"]
    text = with_users(tmp_path, users, ["alice:x:80011:", "bob:x:80012:", "team:x:80300:alice"], code)
    assert text.splitlines() == [repr(Identity(80001, 80011, [80011])), repr(Identity(80002, 80012, [80300]))]


@LINUX
def test_from_peer_uses_the_effective_ids():
    needs_root()

    def start():
        os.setgroups([80021])
        os.setresgid(1, 80011, 2)
        os.setresuid(3, 80001, 4)

    with connected(start) as connection:
        assert Identity.from_peer(connection) == Identity(80001, 80011, [80021])


@LINUX
def test_from_peer_returns_the_ids_at_the_time_of_connect():
    needs_root()

    def after(end):
        become(80002, 80012)()
        if os.fork() == 0:
            end.send(b"from another process")
            os._exit(0)
        os.wait()

    with connected(become(0, 80011, [80021]), after=after) as connection:
        assert connection.recv(99) == b"from another process"
        assert Identity.from_peer(connection) == Identity(0, 80011, [80021])


@LINUX
def test_from_peer_works_after_the_peer_has_closed():
    needs_root()
    with connected(become(80001, 80011), after=lambda end: end.close()) as connection:
        assert connection.recv(1) == b""
        assert Identity.from_peer(connection) == Identity(80001, 80011)


@LINUX
def test_from_peer_in_a_client_returns_the_listener():
    needs_root()

    def body():
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as end:
            listener.bind("")
            os.setgroups([80021])
            os.setegid(80011)
            listener.listen()
            os.setegid(0)
            os.setgroups([])
            end.connect(listener.getsockname())
            return Identity.from_peer(end)

    assert in_child(body) == Identity(0, 80011, [80021])


@LINUX
def test_from_peer_of_a_socketpair_returns_its_creator():
    needs_true_ids()
    one, other = socket.socketpair()
    with one, other:
        assert Identity.from_peer(one) == Identity.from_peer(other) == Identity.current()


@LINUX
def test_from_peer_accepts_the_socket_of_an_asyncio_writer():
    needs_root()
    found = []

    async def serve(reader, writer):
        found.append(Identity.from_peer(writer.get_extra_info("socket")))
        writer.close()
        asked.set()

    async def main(listener):
        async with await asyncio.start_unix_server(serve, sock=listener):
            await asyncio.wait_for(asked.wait(), HANG)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")

        def start():
            become(80001, 80011, [80021])()
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(listener.getsockname())

        listener.listen()
        with other_process(start):
            asked = asyncio.Event()
            asyncio.run(main(listener))
    assert found == [Identity(80001, 80011, [80021])]


@LINUX
def test_from_peer_accepts_a_trio_socket():
    needs_true_ids()
    one, other = imported("trio").socket.socketpair()
    with one, other:
        assert Identity.from_peer(one) == Identity.current()


def listening():
    one = socket.socket(socket.AF_UNIX)
    one.bind("")
    one.listen()
    return one


def connected_datagram_socket():
    """Return a connected datagram socket, for which the kernel has no credentials."""
    one, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with other:
        other.bind("")
        one.connect(other.getsockname())
    return one


def end_of_pair(*words):
    one, other = socket.socketpair(*words)
    other.close()
    return one


def closed():
    one = end_of_pair()
    one.close()
    return one


def tcp_shown_as_unix():
    """Return a TCP socket that Python takes for a Unix socket."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=socket.socket(socket.AF_INET).detach())


@LINUX
@pytest.mark.parametrize(
    ("make", "exception", "words"),
    [
        (listening, ValueError, "a listening socket has no peer"),
        (lambda: socket.socket(socket.AF_UNIX), OSError, os.strerror(errno.ENOTCONN)),
        (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), OSError, os.strerror(errno.ENOTCONN)),
        (connected_datagram_socket, ValueError, "a datagram socket has no single peer"),
        (lambda: end_of_pair(socket.AF_UNIX, socket.SOCK_DGRAM), ValueError, "a datagram socket has no single peer"),
        (lambda: socket.socket(socket.AF_INET), ValueError, "not a Unix socket"),
        (lambda: socket.socket(socket.AF_INET6), ValueError, "not a Unix socket"),
        (lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), ValueError, "not a Unix socket"),
        (tcp_shown_as_unix, ValueError, "not a Unix socket"),
        (closed, OSError, os.strerror(errno.EBADF)),
        (lambda: open(os.devnull), TypeError, "socket should be a socket"),  # noqa: SIM115  (the test closes it)
        (lambda: contextlib.nullcontext(5), TypeError, "socket should be a socket"),
    ],
    ids=[
        *("listening", "unconnected", "unconnected seqpacket", "datagram", "pair of datagrams", "TCP", "IPv6", "UDP"),
        *("TCP shown as Unix", "closed", "a file", "no socket"),
    ],
)
def test_from_peer_refuses_a_socket_without_a_known_peer(make, exception, words):
    with make() as one, pytest.raises(exception, match=words):
        Identity.from_peer(one)


@LINUX
@pytest.mark.parametrize("thing", [0, True, -1, "socket", b"socket", None], ids=repr)
def test_from_peer_refuses_an_object_that_is_not_a_socket(thing):
    with pytest.raises(TypeError, match="socket should be a socket, not <class"):
        Identity.from_peer(thing)


def refuse_peergroups(number):
    """Install a seccomp filter that makes getsockopt(..., SO_PEERGROUPS, ...) fail (seccomp(2))."""
    call_number("getsockopt")
    peergroups = 59
    set_filter("getsockopt", ACTIONS["false 0"] | number, (2, 0xFFFFFFFF, peergroups))
    with end_of_pair() as one, contextlib.suppress(OSError):
        one.getsockopt(socket.SOL_SOCKET, peergroups, 400)
        pytest.skip("needs a libc that calls getsockopt(2); that of i386 calls socketcall(2), with arguments in memory")


@LINUX
def test_from_peer_without_peergroups_warns_once_and_uses_the_database():
    needs_root()
    daemon = Identity.from_user("daemon")

    def body(*connections):
        refuse_peergroups(errno.ENOPROTOOPT)
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always")
            found = [Identity.from_peer(one) for one in (connections[0], connections[0])]
            with pytest.raises(KeyError, match="no user has the uid 80001"):
                Identity.from_peer(connections[1])
        assert [(warning.category, warning.filename) for warning in recorded] == [(RuntimeWarning, __file__)]
        assert "groups come from the group database" in str(recorded[0].message)
        return found

    with (
        connected(become(daemon.uid, 80011, [80021])) as first,
        connected(become(80001, 80011)) as second,
    ):
        assert in_child(body, first, second) == [Identity(daemon.uid, 80011, daemon.groups)] * 2


@LINUX
def test_from_peer_raises_if_peergroups_fails():
    def body():
        refuse_peergroups(errno.EPERM)
        with end_of_pair() as one:
            Identity.from_peer(one)

    with pytest.raises(PermissionError):
        in_child(body)


# ---- of_process


@LINUX
@pytest.mark.parametrize("count", [0, 1, 17, 300, 65536])
def test_of_process_returns_the_ids_and_all_groups(count):
    needs_root()
    groups = range(4294900000, 4294900000 + count)
    with other_process(become(80001, 80011, groups)) as process:
        assert Identity.of_process(process) == Identity(80001, 80011, groups)


def test_of_process_accepts_a_thread_id():
    def body():
        with held_elsewhere(impersonate(ALICE, level="filesystem")) as thread:
            assert Identity.of_process(thread.native_id) == ALICE
            assert Identity.of_process(os.getpid()) == Identity(0, 0)

    as_root(body)


def test_of_process_uses_the_file_system_ids():
    def body():
        replace.setfsgid(80011)
        replace.setfsuid(80001)
        assert os.geteuid() == os.getegid() == 0
        return Identity.of_process(os.getpid())

    assert as_root(body) in (Identity(80001, 80011), None)


@LINUX
@pytest.mark.parametrize("name", [b"a) R 0 0 0 (b", b"a\nUid:\t1 1 1 1", b"\xff\x00", b")", b""], ids=repr)
def test_of_process_is_not_confused_by_the_process_name(name):
    needs_root()

    def start():
        become(80001, 80011, [80021])()
        assert LIBC.prctl(15, name, 0, 0, 0) == 0  # PR_SET_NAME

    with other_process(start) as process:
        assert Identity.of_process(process) == Identity(80001, 80011, [80021])


@LINUX
@pytest.mark.parametrize(
    ("number", "exception", "words"),
    [
        (0, IdentityRefused, "outside of this pid namespace"),
        (-1, ValueError, "process id -1 is not in 1..2147483647"),
        (2**31, ValueError, "is not in 1"),
        (2**31 - 1, ProcessLookupError, "no process 2147483647"),
        (True, TypeError, "should be integer, not bool"),
        ("self", TypeError, "should be integer, not str"),
        (1.0, TypeError, "should be integer, not float"),
        (None, TypeError, "should be integer, not NoneType"),
    ],
)
def test_of_process_refuses_an_invalid_process_id(number, exception, words):
    with pytest.raises(exception, match=words):
        Identity.of_process(number)


@LINUX
def test_of_process_refuses_a_zombie():
    child = os.fork()
    if child == 0:
        os._exit(0)
    wait_until(lambda: ") Z " in Path(f"/proc/{child}/stat").read_text())
    with pytest.raises(ProcessLookupError, match="it has ended"):
        Identity.of_process(child)
    os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError, match="it has ended"):
        Identity.of_process(child)


def is_kernel_thread(number):
    with open(f"/proc/{number}/stat", "rb") as file:
        return bool(int(file.read().rpartition(b")")[2].split()[6]) & 0x00200000)


@LINUX
def test_of_process_refuses_a_kernel_thread():
    if not os.path.exists("/proc/2/stat") or not is_kernel_thread(2):
        return  # a container does not see kernel threads
    with pytest.raises(IdentityRefused, match="belongs to the kernel"):
        Identity.of_process(2)


def test_of_process_refuses_an_io_uring_worker():
    def body():
        parameters = (ctypes.c_uint32 * 30)()  # struct io_uring_params
        parameters[2] = 2  # flags: IORING_SETUP_SQPOLL
        ring = LIBC.syscall(425, 4, parameters)
        if ring < 0:
            return "refused"
        (worker,) = (thread.tid for thread in replace.thread_credentials() if thread.tid != os.getpid())
        with pytest.raises(IdentityRefused, match="belongs to the kernel"):
            Identity.of_process(worker)
        os.close(ring)
        return "worked"

    assert as_root(body) in ("worked", "refused", None)


#: A process ends while of_process() reads its files, and a new process gets its id at once (pid_namespaces(7)).
REPLACED = """
import os, signal, sys
from replace import Identity

def start():
    child = os.fork()
    if child == 0:
        signal.pause()
    return child

def replace_it(event, args):
    global hooked
    if event == "open" and args[0] == sys.argv[1] and hooked:
        hooked = False
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(process - 1))
        assert start() == process

hooked, process = True, start()
sys.addaudithook(replace_it)
try: print(Identity.of_process(process))
except ProcessLookupError as error: print(error)
assert not hooked
"""


@LINUX
@pytest.mark.parametrize("when", ["stat", "status"])
def test_of_process_detects_a_reused_process_id(when):
    needs_root()
    out = run(*in_namespaces("-pfm", "--mount-proc", "--kill-child"), sys.executable, "-c", REPLACED, when, cwd="/")
    assert "it has ended" in out.stdout, out.stdout + out.stderr


def test_of_process_refuses_ids_that_change_during_the_read(monkeypatch):
    def body():
        change, changed, end = threading.Event(), threading.Event(), threading.Event()
        calls, pread = [], os.pread

        def work():
            replace.setfsuid(80001)
            assert change.wait(HANG)
            replace.setfsuid(80002)
            changed.set()
            assert end.wait(HANG)

        def after_some(*arguments):
            calls.append(arguments)
            if len(calls) == moment:
                change.set()
                assert changed.wait(HANG)
            return pread(*arguments)

        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: Identity.of_process(thread.native_id).uid == 80001)
        monkeypatch.setattr(os, "pread", after_some)
        moment = 5  # stat and status are each read to the end, and then both again
        with pytest.raises(IdentityRefused, match="changes its ids at this moment"):
            Identity.of_process(thread.native_id)
        end.set()
        thread.join()

    as_root(body)


# ---- /proc

ASK = """
import os, replace, socket, sys
one, other = socket.socketpair()
for ask in (lambda: replace.Identity.from_peer(one), lambda: replace.Identity.of_process(int(sys.argv[1]))):
    try: print(ask())
    except Exception as error: print(f"{type(error).__name__}: {error}")
"""
WITHOUT_PTRACE = ["setpriv", "--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace"]


@LINUX
@pytest.mark.parametrize(
    ("mount", "before", "words"),
    [
        ("-t tmpfs none /proc", [], "IdentityRefused: /proc cannot be read"),
        ("-t proc -o hidepid=1,gid=80099 proc /proc", WITHOUT_PTRACE, "IdentityRefused: /proc/{} cannot be read"),
        ("-t proc -o hidepid=2,gid=80099 proc /proc", WITHOUT_PTRACE, "ProcessLookupError: [Errno 3] there is no"),
        ("-t proc -o hidepid=2,gid=80099 proc /proc", [], "Identity(uid=80001, gid=80011, groups=(80021,))"),
    ],
    ids=["no /proc", "hidepid=1", "hidepid=2", "hidepid=2 for root"],
)
def test_of_process_reports_a_missing_or_restricted_proc(mount, before, words):
    needs_root()
    if before:
        tool(before[0], "drops a capability")
    command = f'mount {mount} && exec {" ".join(before)} "$0" -c "$1" "$2"'
    with other_process(become(80001, 80011, [80021])) as process:
        out = run(*in_namespaces("-m"), "sh", "-c", command, sys.executable, ASK, process, cwd="/")
    peer, found = out.stdout.splitlines()
    assert peer.startswith("Identity(uid=0, gid=0, groups=("), "from_peer() works without /proc"
    assert found.startswith(words.format(process))


# ---- User namespaces


def in_user_namespace(uids, gids, function):
    """Call function() in a user namespace with these maps; return its result or its error text."""

    def body():
        enter_user_namespace(uids, gids)
        try:
            return function()
        except IdentityRefused as error:
            return str(error)

    needs_root()
    return in_child(body)


@LINUX
@pytest.mark.parametrize(
    ("uids", "gids", "words"),
    [
        (WITHOUT_ALICE, EVERYTHING, "has uid 65534, which in this user namespace stands for every uid that"),
        (EVERYTHING, WITHOUT_ALICE, "has gid 65534, which in this user namespace stands for every gid that"),
        (EVERYTHING, WITHOUT_80021, "has gid 65534, which in this user namespace stands for every gid that"),
        ("0 0 90000", "0 0 90000", ALICE),
        (EVERYTHING, EVERYTHING, ALICE),
        ("0 0 80001\n80002 80002 4294887293\n80001 80001 1", EVERYTHING, ALICE),
        ("1000 0 90000", "1000 0 90000", Identity(81001, 81011, [81011, 81021])),
    ],
    ids=["no uid", "no gid", "no group", "all of alice", "all ids", "all ids in three parts", "other numbers"],
)
def test_id_that_the_user_namespace_does_not_map_is_refused(uids, gids, words):
    """The kernel shows an unmapped id as 65534, which may be the id of another user."""
    needs_root()
    change = become(ALICE.uid, ALICE.gid, ALICE.groups)
    with connected(change) as connection, other_process(change) as process:
        for ask in (lambda: Identity.from_peer(connection), lambda: Identity.of_process(process)):
            found = in_user_namespace(uids, gids, ask)
            assert found == words or words in found


@LINUX
def test_uid_65534_is_accepted_only_if_every_id_is_mapped():
    needs_root()
    nobody = Identity(65534, 65534, [65534])
    with connected(become(65534, 65534, [65534])) as connection:
        assert Identity.from_peer(connection) == nobody
        assert in_user_namespace(EVERYTHING, EVERYTHING, lambda: Identity.from_peer(connection)) == nobody
        refused = in_user_namespace(WITHOUT_ALICE, WITHOUT_ALICE, lambda: Identity.from_peer(connection))
        assert "has uid 65534" in refused, "65534 may stand for an unmapped uid"


@LINUX
def test_overflow_uid_is_the_kernel_setting_or_65534_without_proc(tmp_path):
    needs_root()
    setting = tmp_path / "overflowuid"
    setting.write_text("80001\n")

    def inside(command, connection):
        def child():
            enter_mount_namespace()
            subprocess.run([tool("mount", "replaces /proc"), *command], check=True)
            if "tmpfs" not in command:
                enter_user_namespace("0 0 90000", "0 0 90000")
            try:
                return Identity.from_peer(connection)
            except IdentityRefused as error:
                return str(error)

        return in_child(child)

    with connected(become(80001, 80011)) as alice, connected(become(65534, 80011)) as nobody:
        bind = ["--bind", str(setting), "/proc/sys/kernel/overflowuid"]
        assert "has uid 80001" in inside(bind, alice)
        without = ["-t", "tmpfs", "none", "/proc"]
        assert inside(without, alice) == Identity(80001, 80011)
        assert "has uid 65534" in inside(without, nobody)
