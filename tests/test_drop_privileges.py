# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""drop_privileges() changes every thread permanently, or no thread."""

import errno
import os
import sys
import threading

import pytest
from support.builds import run, tool
from support.children import (
    ALICE,
    BOB,
    HANG,
    LIBC,
    as_plain_root,
    as_root,
    change_capabilities,
    ids,
    in_child,
    needs_root,
    switched_elsewhere,
)

import replace
from replace import Identity, drop_privileges, impersonate

IDS_OF_ALICE = ((80001,) * 3, (80011,) * 3, [80011, 80021], 80001, 80011)


# ---- drop_privileges


def test_drop_changes_every_thread_permanently():
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
        assert seen == [IDS_OF_ALICE] * 5
        assert ids() == IDS_OF_ALICE
        assert all(t.effective == t.permitted == 0 for t in replace.thread_credentials())
        for call in (lambda: os.setuid(0), lambda: replace.setresuid(0, 0, 0), lambda: replace.setgroups([0])):
            with pytest.raises(PermissionError):
                call()
        drop_privileges(ALICE)  # a second drop to the same user succeeds
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(BOB)
        assert caught.value.state == "unchanged"
        assert ids() == IDS_OF_ALICE

    as_plain_root(body)


def test_drop_works_with_65536_groups():
    needs_root()

    def body():
        replace.drop_privileges(Identity(80001, 80011, range(100_000, 100_000 + 65536)))
        return os.getresuid(), len(os.getgroups())

    assert in_child(body) == ((80001,) * 3, 65536)


def test_drop_is_refused_while_a_thread_is_switched():
    def body():
        with impersonate(BOB), pytest.raises(replace.IdentityRefused, match="1 thread holds an identity"):
            drop_privileges(ALICE)
        with switched_elsewhere(BOB), pytest.raises(replace.IdentityRefused, match="1 thread holds an identity"):
            drop_privileges(ALICE)
        drop_privileges(ALICE)
        assert ids() == IDS_OF_ALICE

    as_root(body)


def test_drop_is_refused_if_the_ids_of_threads_differ():
    def body():
        leave, inside = threading.Event(), threading.Event()

        def work():
            replace.setresuid(80003, 80003, 80003)  # not through a guard
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


def test_entry_is_refused_during_a_drop():
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
        assert "try again when it is done" in refused[0]

    as_root(body)


def test_drop_refuses_root_and_wrong_types():
    with pytest.raises(replace.IdentityRefused, match="allow_root"):
        drop_privileges(Identity(0, 1))
    with pytest.raises(TypeError, match="should be Identity"):
        drop_privileges("alice")


def test_failed_drop_is_rolled_back():
    """Root without CAP_SETUID: setgroups and setgid succeed, then setuid fails."""

    def body():
        change_capabilities(lambda sets: sets.__setitem__(slice(2), [bits & ~(1 << 7) for bits in sets[:2]]))
        before = ids()
        with pytest.raises(replace.DropFailed) as caught:
            drop_privileges(ALICE)
        assert (caught.value.errno, caught.value.step) == (errno.EPERM, "setting the uid")
        assert caught.value.state == "rolled back"
        assert ids() == before

    as_plain_root(body)


def test_drop_of_a_server_with_only_capabilities_needs_one_thread():
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
        assert ids() == IDS_OF_ALICE
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
