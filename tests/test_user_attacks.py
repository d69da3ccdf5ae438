# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Let the processes of two users attack a server whose threads act as these users at that moment.

docs/levels.md has the results. Each attack is also tried on a process of the attacker's own. It must succeed there:
otherwise this machine refuses the call for another reason, and the refusal by the server would prove nothing.
"""

import contextlib
import ctypes
import os
import re
import resource
import select
import signal
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.builds import ROOT
from support.children import ALICE, BOB, HANG, LEVELS, LIBC, as_root, become_server_without_root, in_child, wait_until
from support.syscalls import call, done

import replace
from replace import IdentityExecutor, _native

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux: other systems have no thread with ids of its own"
)

#: Eight bytes of the attacker, as an array of one struct iovec.
BYTES = ctypes.create_string_buffer(8)
IOVEC = struct.pack("PN", ctypes.addressof(BYTES), 8)


def ptrace(request, tid):
    done(LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None))


def attach(pid, tid):
    ptrace(16, tid)
    os.waitpid(tid, 0x40000000)  # __WALL
    ptrace(17, tid)  # PTRACE_DETACH


def proc(name):
    def read(pid, tid):
        with open(f"/proc/{pid}/task/{tid}/{name}", "rb") as file:
            file.read(1)

    return read


def read_memory(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/mem", "rb", buffering=0) as file:
        file.seek(ctypes.addressof(BYTES))  # the same address in the server, of which the attacker is a fork
        assert len(file.read(8)) == 8


def write_oom_score(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/oom_score_adj", "w") as file:
        file.write("500")


def copy_descriptor(pid, tid):
    call("pidfd_getfd", call("pidfd_open", pid, 0), 0, 0)


def count_events(pid, tid):
    """Count instructions outside the kernel: exclude_kernel and exclude_hv."""
    attributes = struct.pack("IIQQQQQ", 1, 112, 0, 0, 0, 0, 1 << 5 | 1 << 6).ljust(112, b"\0")
    call("perf_event_open", attributes, tid, -1, -1, 0)


#: The words of docs/levels.md -> the attacks. Each is called with the ids of a process and of one of its threads.
ATTACKS = {
    "sends a signal": {"tgkill": lambda pid, tid: call("tgkill", pid, tid, 0)},
    "traces the thread": {"attach": attach, "seize": lambda pid, tid: ptrace(0x4206, tid)},
    "reads or writes memory": {
        "process_vm_readv": lambda pid, tid: done(LIBC.process_vm_readv(tid, IOVEC, 1, IOVEC, 1, 0)),
        "process_vm_writev": lambda pid, tid: done(LIBC.process_vm_writev(tid, IOVEC, 1, IOVEC, 1, 0)),
        "mem": read_memory,
        "move_pages": lambda pid, tid: call("move_pages", tid, 0, None, None, None, 0),
    },
    "reads the environment, or other private files of `/proc/PID`": {
        name: proc(name) for name in ("environ", "maps", "auxv", "io", "pagemap", "syscall")
    },
    "gets or compares open files": {
        "fd": lambda pid, tid: os.readlink(f"/proc/{pid}/task/{tid}/fd/0"),
        "root": lambda pid, tid: os.readlink(f"/proc/{pid}/task/{tid}/root"),
        "pidfd_getfd": copy_descriptor,
        "kcmp": lambda pid, tid: call("kcmp", os.getpid(), tid, 2, 0, 0),
    },
    "changes the priority or the processors": {
        "setpriority": lambda pid, tid: os.setpriority(os.PRIO_PROCESS, tid, 5),
        "sched_setscheduler": lambda pid, tid: call("sched_setscheduler", tid, os.SCHED_BATCH, struct.pack("i", 0)),
        "sched_setaffinity": lambda pid, tid: os.sched_setaffinity(tid, os.sched_getaffinity(0)),
        "ioprio_set": lambda pid, tid: call("ioprio_set", 1, tid, 2 << 13 | 7),
    },
    "changes resource limits, or the OOM score": {
        "prlimit": lambda pid, tid: resource.prlimit(tid, resource.RLIMIT_CORE, (0, 0)),
        "oom_score_adj": write_oom_score,
    },
    "counts events of the processor": {"perf_event_open": count_events},
}
EVERYTHING = {name: attack for attacks in ATTACKS.values() for name, attack in attacks.items()}


def succeeds(attack, *victim):
    try:
        attack(*victim)
    except OSError:
        return False
    return True


def successes(attacker, attacks, victims):
    """Attack each victim as a process that is this user for good. Return the names of the attacks that succeeded."""
    replace.drop_privileges(attacker)
    return [{name for name, attack in attacks.items() if succeeds(attack, *victim)} for victim in victims]


def successes_on_own_process(attacker):
    """Attack a process of the user that is as open as an ordinary one."""

    def open_process():
        replace.drop_privileges(attacker)
        LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after execve(2)
        LIBC.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, for kernels with Yama
        os.write(writer, b"x")
        signal.pause()

    reader, writer = os.pipe()
    victim = os.fork()
    if victim == 0:
        try:
            open_process()
        finally:
            os._exit(1)
    try:
        assert os.read(reader, 1) == b"x"
        return in_child(successes, attacker, EVERYTHING, [(victim, victim)])[0]
    finally:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)


@contextlib.contextmanager
def both_users_served(level, function=threading.get_native_id):
    """Yield what the function returns in two workers of a pool, which act as Alice and as Bob during the block."""
    leave, ready, results = threading.Event(), threading.Barrier(3, timeout=HANG), {}

    def serve(user):
        results[user] = function()
        ready.wait()
        leave.wait(HANG)

    with IdentityExecutor(2, level=level) as pool:
        tasks = [pool.submit(user, serve, user) for user in (ALICE, BOB)]
        try:
            ready.wait()
            yield results
        finally:
            leave.set()
            for task in tasks:
                task.result(HANG)


def documented(level):
    """Return what a process of the user can do to a thread that acts as the user, after docs/levels.md."""
    text = (ROOT / "docs" / "levels.md").read_text()
    (table,) = re.findall(r"^\| a process of the user (.*)\n\|.*\n((?:\|.*\n)+)", text, re.M)
    levels = re.findall(r"`(\w+)`", table[0])
    rows = [[cell.strip(" *") for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]
    assert [words for words, *_ in rows] == list(ATTACKS)
    assert sorted(levels) == sorted(LEVELS)
    return {words for words, *answers in rows if dict(zip(levels, answers, strict=True))[level] == "yes"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("server", ["root", "capabilities"])
def test_processes_of_the_users_can_do_to_the_server_only_what_the_levels_page_says(level, server):
    def body():
        own = [successes_on_own_process(user) for user in (ALICE, BOB)]
        if server == "capabilities":
            become_server_without_root()
        with both_users_served(level) as threads:
            victims = [(os.getpid(), tid) for tid in (threads[ALICE], threads[BOB], threading.get_native_id())]
            by_alice, by_bob = (in_child(successes, user, EVERYTHING, victims) for user in (ALICE, BOB))
        return own, by_alice, by_bob

    outcome = as_root(body)
    if outcome is None:
        return
    own, (alice, bob_by_alice, main_by_alice), (alice_by_bob, bob, main_by_bob) = outcome
    assert bob_by_alice == main_by_alice == alice_by_bob == main_by_bob == set()
    assert alice == bob == {name for words in documented(level) for name in ATTACKS[words]}
    if lacking := EVERYTHING.keys() - own[0]:
        pytest.skip(f"needs a kernel that lets a user do this to a process of its own: {', '.join(sorted(lacking))}")
    assert own == [set(EVERYTHING)] * 2


def test_every_user_sees_the_ids_limits_and_mounts_of_the_server():
    def body():
        with both_users_served("shielded") as threads:
            return in_child(successes, BOB, attacks, [(os.getpid(), threads[ALICE])])

    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        if "hidepid" in file.read():
            pytest.skip("needs a /proc without the mount option hidepid")
    attacks = {name: proc(name) for name in ("cmdline", "status", "limits", "mountinfo", "cgroup", "oom_score_adj")}
    assert as_root(body) in ([set(attacks)], None)


def test_user_can_change_the_oom_score_if_the_server_makes_itself_dumpable():
    """docs/limits.md warns of this: the kernel then gives the user the files in /proc of the user's thread."""

    def body():
        with both_users_served("shielded") as threads:
            LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
            return in_child(successes, ALICE, EVERYTHING, [(os.getpid(), threads[user]) for user in (ALICE, BOB)])

    assert as_root(body) in ([{"oom_score_adj"}, set()], None)


# ---- The thread that stores a user's credentials in a ring


def signal_new_threads(server, hit, stop):
    """As Alice, try to signal each thread that the server starts, until `stop` is readable. Write to `hit`."""
    replace.drop_privileges(ALICE)
    while not select.select([stop], [], [], 0)[0]:
        with open("/proc/loadavg") as file:
            newest = int(file.read().split()[-1])
        if any(succeeds(ATTACKS["sends a signal"]["tgkill"], server, tid) for tid in range(newest - 1, newest + 3)):
            os.write(hit, b"x")
            return


def store_credentials(ring):
    """Store the credentials of two users in turn. The ring keeps those of one, so each request needs a new thread."""
    for user in (ALICE, BOB):
        ring.run(_native.RING_STAT, user.uid, user.gid, user._groups, -100, b".", 0, 0, 0, -1, None)


def test_user_cannot_signal_the_thread_that_stores_credentials_in_a_ring():
    def body():
        try:
            ring = _native.Ring(1, False, 0, 1)
        except OSError:
            return None
        (is_hit, hit), (stop, stopper) = os.pipe(), os.pipe()
        with ThreadPoolExecutor(1) as pool:  # it waits for Alice's process
            attack = pool.submit(in_child, signal_new_threads, os.getpid(), hit, stop)
            try:
                for _ in range(3000):
                    store_credentials(ring)
                was_hit = bool(select.select([is_hit], [], [], 0)[0])
                # The control: she can signal threads that have her own user IDs.
                wait_until(lambda: starts_thread_of_alice() or select.select([is_hit], [], [], 0)[0], "a signal")
            finally:
                os.write(stopper, b"x")
            attack.result(HANG)
        return was_hit

    def starts_thread_of_alice():
        thread = threading.Thread(target=_native.setresuid, args=[ALICE.uid] * 3)
        thread.start()
        thread.join()

    assert not as_root(body)


# ---- Keys

SESSION = -3
READ, UPDATE, REVOKE, CHOWN, SETPERM, DESCRIBE, LINK, SEARCH, TIMEOUT, INVALIDATE = 11, 2, 3, 4, 5, 6, 8, 10, 15, 21
KEY_ATTACKS = {
    "describe": lambda key: call("keyctl", DESCRIBE, key, None, 0),
    "read": lambda key: call("keyctl", READ, key, None, 0),
    "update": lambda key: call("keyctl", UPDATE, key, b"new", 3),
    "link": lambda key: call("keyctl", LINK, key, SESSION),
    "add": lambda key: call("add_key", b"user", b"planted", b"x", 1, key),
    "search": lambda key: call("keyctl", SEARCH, key, b"user", b"secret", 0),
    "permit": lambda key: call("keyctl", SETPERM, key, 0x3F3F3F3F),
    "own": lambda key: call("keyctl", CHOWN, key, os.geteuid(), -1),
    "end": lambda key: call("keyctl", TIMEOUT, key, 1),
    "invalidate": lambda key: call("keyctl", INVALIDATE, key),
    "revoke": lambda key: call("keyctl", REVOKE, key),
}
ON_KEYRINGS = {"add", "search", "revoke"}


def add_secret():
    """Add a key to the session keyring of the thread; return the numbers of the key and of the keyring."""
    return call("add_key", b"user", b"secret", b"word", 4, SESSION), call("keyctl", 0, SESSION, 0)


@pytest.mark.parametrize("level", LEVELS)
def test_processes_of_the_users_cannot_use_the_keys_of_the_server_or_of_its_tasks(level):
    def body():
        try:
            call("keyctl", 1, None)  # a new session keyring
        except OSError:
            return None  # a container without keyrings
        keys = add_secret()
        with both_users_served(level, add_secret) as made:
            victims = [(key,) for key in (*keys, *made[ALICE], *made[BOB])]
            found = [in_child(successes, user, KEY_ATTACKS, victims) for user in (ALICE, BOB)]
        return *found, {name for name, attack in KEY_ATTACKS.items() if succeeds(attack, keys[name in ON_KEYRINGS])}

    outcome = as_root(body)
    if outcome is not None:
        by_alice, by_bob, by_server = outcome
        assert by_alice == [set(), set(), {"describe"}, set(), set(), set()]  # describes the key that her task has made
        assert by_bob == [set(), set(), set(), set(), {"describe"}, set()]
        assert by_server == set(KEY_ATTACKS)
