# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges, popen_as, thread_credentials, assert_clean; a process-wide build with one thread."""

import errno
import os
import subprocess
import sys
import threading

import pytest
from support.builds import run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LIBC,
    as_root,
    change_capabilities,
    ids,
    in_child,
    needs_root,
    switched_elsewhere,
)

import replace
from replace import Identity, drop_privileges, impersonate, popen_as

ALICES = ((80001,) * 3, (80011,) * 3, [80011, 80021], 80001, 80011)


def as_plain_root(body):
    """body in a child that is root without groups, on either back end."""
    needs_root()

    def child():
        os.setgroups([])
        return body()

    return in_child(child)


# ---- drop_privileges


def test_drop_is_for_every_thread_and_for_good():
    def body():
        leave, seen = threading.Event(), []

        def work():
            leave.wait(HANG)
            seen.append(ids())

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        drop_privileges(ALICE)
        leave.set()
        for thread in threads:
            thread.join()
        assert seen == [ALICES] * 5
        assert ids() == ALICES
        assert all(t.effective == t.permitted == 0 for t in replace.thread_credentials())
        for call in (lambda: os.setuid(0), lambda: replace.setresuid(0, 0, 0), lambda: replace.setgroups([0])):
            with pytest.raises(PermissionError):
                call()
        drop_privileges(ALICE)  # once more is no harm
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(BOB)
        assert caught.value.state == "unchanged"
        assert ids() == ALICES

    as_plain_root(body)


def test_drop_with_as_many_groups_as_there_can_be():
    needs_root()

    def body():
        replace.drop_privileges(Identity(80001, 80011, range(100_000, 100_000 + 65536)))
        return os.getresuid(), len(os.getgroups())

    assert in_child(body) == ((80001,) * 3, 65536)


def test_drop_is_refused_while_a_thread_is_switched():
    def body():
        with impersonate(BOB), pytest.raises(replace.IdentityRefused, match="1 of them hold an identity"):
            drop_privileges(ALICE)
        with switched_elsewhere(BOB), pytest.raises(replace.IdentityRefused, match="1 of them hold an identity"):
            drop_privileges(ALICE)
        drop_privileges(ALICE)
        assert ids() == ALICES

    as_root(body)


def test_drop_is_refused_where_threads_differ_since_libc_would_abort():
    def body():
        leave, inside = threading.Event(), threading.Event()

        def work():
            replace.setresuid(80003, 80003, 80003)  # behind our back
            inside.set()
            leave.wait(HANG)

        worker = threading.Thread(target=work)
        worker.start()
        inside.wait()
        with pytest.raises(replace.ThreadsDiffer, match="80003"):
            drop_privileges(ALICE)
        leave.set()
        worker.join()
        assert os.geteuid() == 0

    as_root(body)


def test_nobody_enters_while_a_drop_is_under_way():
    def body():
        refused = []

        def work():
            try:
                impersonate(BOB).__enter__()
            except replace.IdentityRefused as error:
                refused.append(str(error))

        def hook(event, arguments):
            if event == "replace.drop":
                worker = threading.Thread(target=work)
                worker.start()
                worker.join()

        sys.addaudithook(hook)
        drop_privileges(ALICE)
        assert len(refused) == 1
        assert "nobody may enter" in refused[0]

    as_root(body)


def test_drop_refuses_root_and_wrong_types():
    with pytest.raises(replace.IdentityRefused, match="allow_root"):
        drop_privileges(Identity(0, 1))
    with pytest.raises(TypeError, match="should be Identity"):
        drop_privileges("alice")


def test_drop_that_may_not_is_rolled_back():
    """setuid is refused after setgroups and setgid went through: root without CAP_SETUID."""

    def body():
        change_capabilities(lambda sets: sets.__setitem__(slice(2), [bits & ~(1 << 7) for bits in sets[:2]]))
        before = ids()
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(ALICE)
        assert (caught.value.errno, caught.value.step) == (errno.EPERM, "setting the uid")
        assert caught.value.state == "rolled back"
        assert ids() == before

    as_plain_root(body)


def test_drop_of_a_server_with_capabilities_alone():
    def body():
        bits = 1 << 7 | 1 << 6
        assert LIBC.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        change_capabilities(lambda sets: sets.__setitem__(slice(6), [bits, bits, 0, 0, 0, 0]))
        leave = threading.Event()
        worker = threading.Thread(target=leave.wait)
        worker.start()
        with pytest.raises(replace.IdentityRefused, match="capabilities, which only it can drop"):
            drop_privileges(ALICE)
        assert os.geteuid() == 1000
        leave.set()
        worker.join()
        while len(replace.thread_credentials()) > 1:
            pass
        drop_privileges(ALICE)
        assert ids() == ALICES
        assert replace.thread_credentials()[0].permitted == 0

    as_plain_root(body)


def test_drop_without_proc_is_refused():
    needs_root()
    script = (
        "import replace\ntry: replace.drop_privileges(replace.Identity(80001, 80011))\n"
        "except replace.IdentityRefused as error: print(error)\n"
    )
    command = f'mount -t tmpfs none /proc && exec {sys.executable} -c "$0"'
    out = run(tool("unshare", "a mount namespace"), "-m", "sh", "-c", command, script, cwd="/")
    assert "/proc cannot be read" in out.stdout, out.stderr


# ---- Children


def test_popen_as_starts_the_user_for_good(regain):
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


def test_popen_as_another_user_while_switched(regain):
    def body():
        with impersonate(ALICE):
            child = popen_as(BOB, [regain], stdout=subprocess.PIPE, text=True, cwd="/")
            assert os.geteuid() == 80001
        assert child.communicate()[0].strip() == "(80002, 80002, 80002)"

    as_root(body)


# ---- Who is every thread


def test_thread_credentials_of_this_and_of_another_process():
    mine = replace.thread_credentials()
    assert mine[0].tid == os.getpid()
    assert mine[0].uids[:2] == (os.getuid(), os.geteuid())
    (init,) = replace.thread_credentials(1)[:1]
    assert init.tid == 1
    with pytest.raises(FileNotFoundError):
        replace.thread_credentials(2**22 + 1)
    assert "main" not in repr(init)
    assert f"thread {init.tid} ({init.name})" in repr(init)


def test_assert_clean_names_the_thread():
    def body():
        replace.assert_clean()
        with impersonate(ALICE):
            replace.assert_clean()  # the main thread is what the others are held against, and there are none
        with (
            switched_elsewhere(BOB) as worker,
            pytest.raises(replace.ThreadsDiffer, match=f"thread {worker.native_id} .* 80002"),
        ):
            replace.assert_clean()

    as_root(body)


# ---- A build whose calls change the whole process


def test_allow_process_is_for_one_thread():
    needs_root()
    if replace.SCOPE == "thread":
        return

    def body():
        os.setgroups([])
        for level in ("effective", "shielded", "real", "filesystem"):
            with impersonate(ALICE, level=level, allow_process=True):
                assert replace.getfsuid() == 80001
                with pytest.raises(PermissionError):
                    os.open("/etc/shadow", os.O_RDONLY)
            assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)
        leave = threading.Event()
        worker = threading.Thread(target=leave.wait)
        worker.start()
        with pytest.raises(replace.IdentityRefused, match="not known to be its only thread"):
            impersonate(ALICE, allow_process=True).__enter__()
        leave.set()
        worker.join()

    in_child(body)
