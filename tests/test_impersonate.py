# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""impersonate(): levels, nesting, arguments and refusals. test_guards.py tests interference by other code."""

import asyncio
import ctypes
import errno
import gc
import os
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import (
    ALICE,
    BOB,
    LEVELS,
    ROOT_IDS,
    SHIELD,
    as_root,
    held_elsewhere,
    ids,
    in_child,
    needs_own_threads,
    needs_root,
)
from support.peers import enter_user_namespace

import replace
from replace import Identity, _native, impersonate


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_changes_and_restores_the_ids(level, tmp_path, folder, root_file):
    tmp_path.chmod(0o777)
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o640)

    def body():
        before = ids()
        with impersonate(ALICE, level=level) as user:
            assert user is ALICE
            for path in ("secret", root_file):
                with pytest.raises(PermissionError):
                    os.open(path, os.O_RDONLY, dir_fd=folder)
            made = os.fstat(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
            assert (made.st_uid, made.st_gid) == (80001, 80011)
            assert replace.getgroups() == [80011, 80021]
        assert ids() == before
        os.unlink("made", dir_fd=folder)
        return True

    assert as_root(body) in (True, None)


def test_eight_threads_act_as_eight_users_at_once(tmp_path, folder):
    tmp_path.chmod(0o777)

    def work(number):
        user = Identity(81000 + number, 82000 + number, [83000 + number])
        for turn in range(100):
            with impersonate(user):
                file = os.open(f"{number}-{turn}", os.O_CREAT | os.O_WRONLY, dir_fd=folder)
            made = os.fstat(file)
            os.close(file)
            assert (made.st_uid, made.st_gid) == (81000 + number, 82000 + number)
        return ids()

    def body():
        before = ids()
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [before] * 8
        return True

    assert as_root(body) in (True, None)


def test_nested_identities_are_restored_in_order():
    def body():
        with impersonate(ALICE):
            with impersonate(BOB, level="real"):
                with impersonate(ALICE, level="filesystem"):
                    assert replace.getfsuid() == 80001
                assert replace.getresuid() == (80002, 80002, 0)
            assert replace.getresuid() == (SHIELD, 80001, 0)
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_root(body)


@pytest.mark.parametrize("user", [Identity(0, 1), Identity(1, 0), Identity(1, 1, [0])], ids=repr)
def test_root_is_refused_unless_allowed(user):
    def body():
        with pytest.raises(replace.IdentityRefused, match="allow_root") as caught:
            impersonate(user)
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert (error.identity, error.errno, error.step, error.state) == (user, 1, "refusing", "unchanged")
            assert str(error).startswith(f"{user!r} is refused: ")
        if user.uid:
            with impersonate(user, allow_root=True):
                assert os.geteuid() == user.uid

    as_root(body)


class EqualToAll:
    def __eq__(self, other):
        return True

    __hash__ = None


def test_impersonate_refuses_wrong_arguments():
    with pytest.raises(TypeError, match="should be Identity"):
        impersonate("alice")
    for level in ("root", None, [], EqualToAll()):
        with pytest.raises(ValueError, match="shielded, effective, real, filesystem"):
            impersonate(ALICE, level=level)


@pytest.mark.parametrize(("size", "shield"), [(2**32 - 1, SHIELD), (65536, 65535), (65535, None)])
def test_default_level_uses_an_unused_real_uid_or_is_refused(size, shield):
    def body():
        enter_user_namespace(f"0 0 {size}", f"0 0 {size}")
        if shield is None:
            with pytest.raises(replace.IdentityRefused, match="effective, real or filesystem") as caught:
                impersonate(Identity(1001, 1001)).__enter__()
            assert (caught.value.errno, caught.value.state) == (errno.EOVERFLOW, "unchanged")
            assert ids() == ROOT_IDS
            with impersonate(Identity(1001, 1001), level="effective"):
                assert os.geteuid() == 1001
        else:
            with impersonate(Identity(1001, 1001)):
                assert replace.getresuid() == (shield, 1001, 0)
        assert ids() == ROOT_IDS

    as_root(body)


def test_entry_is_refused_in_asyncio():
    async def use():
        with pytest.raises(replace.IdentityRefused, match="asyncio"), impersonate(ALICE):
            raise AssertionError("entered")
        with pytest.raises(TypeError, match="await"):
            async with impersonate(ALICE):
                raise AssertionError("entered")
        assert os.geteuid() == 0

    as_root(lambda: asyncio.run(use()))


def generator(user):
    with impersonate(user, across_yield=True):
        yield os.geteuid()


def test_generator_closed_in_another_thread_raises_and_keeps_the_ids():
    """The other thread gets an error, and both threads keep their ids."""

    def body():
        held = generator(ALICE)
        other = ThreadPoolExecutor(1, "other")
        before = other.submit(ids).result()
        assert next(held) == 80001
        with pytest.raises(replace.ThreadTainted, match="leaving in the wrong order") as caught:
            other.submit(held.close).result()
        for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
            assert "entered in thread 'MainThread', and this is thread 'other_0'" in str(error)
        assert other.submit(ids).result() == before
        assert os.geteuid() == 80001

    as_root(body)


def test_interleaved_generators_taint_the_thread():
    def body():
        first, second = generator(ALICE), generator(BOB)
        assert (next(first), next(second)) == (80001, 80002)
        with pytest.raises(replace.ThreadTainted) as caught:
            first.close()
        assert caught.value.state == "tainted"
        assert "the thread still holds an identity that was entered inside this one" in str(caught.value)
        assert os.geteuid() == 80002, "the thread must still act as bob"
        with pytest.raises(replace.ThreadTainted, match="end this thread"), impersonate(ALICE):
            raise AssertionError("entered")

    as_root(body)


def test_deleting_the_guard_restores_the_ids():
    def body():
        manager = impersonate(ALICE)
        manager.__enter__()
        assert os.geteuid() == 80001
        del manager
        gc.collect()
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_root(body)


def test_libc_seteuid_inside_raises_on_leaving():
    def body():
        with pytest.raises(replace.IdentityChanged, match="libc") as caught, impersonate(ALICE):
            os.seteuid(0)
        assert caught.value.state == "restored"
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_root(body)


def test_entry_is_rolled_back_if_capabilities_remain():
    def body():
        assert ctypes.CDLL(None).prctl(28, 4, 0, 0, 0) == 0  # PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP
        with pytest.raises(replace.CapabilitiesRemain) as caught, impersonate(ALICE):
            raise AssertionError("entered")
        assert (caught.value.state, caught.value.identity) == ("rolled back", ALICE)
        assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)

    as_root(body)


def test_entry_without_privilege_is_refused():
    def body():
        replace.setresgid(80005, 80005, 80005)
        replace.setresuid(80005, 80005, 80005)
        before = ids()
        with pytest.raises(replace.IdentityError, match="could return: .*; nothing changed") as caught:
            impersonate(ALICE).__enter__()
        assert caught.value.errno == errno.EPERM
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert ids() == before

    as_root(body)


def test_guard_sets_65536_groups_and_can_be_entered_once():
    def body():
        many = Identity(80001, 80011, range(1, 65537))
        manager = impersonate(many)
        with manager:
            assert replace.getgroups() == list(range(1, 65537))
        with pytest.raises(RuntimeError, match="entered before"), manager:
            raise AssertionError("entered")
        assert replace.getgroups() == []

    as_root(body)


def test_allow_process_is_refused_with_a_second_thread(root_file):
    needs_root()
    if replace.SCOPE == "thread":
        return

    def body():
        os.setgroups([])
        for level in ("effective", "shielded", "real", "filesystem"):
            with impersonate(ALICE, level=level, allow_process=True):
                assert replace.getfsuid() == 80001
                with pytest.raises(PermissionError):
                    os.open(root_file, os.O_RDONLY)
            assert ids() == ((0, 0, 0), (0, 0, 0), [], 0, 0)
        leave = threading.Event()
        worker = threading.Thread(target=leave.wait)
        worker.start()
        with pytest.raises(replace.IdentityRefused, match="not known to be its only thread"):
            impersonate(ALICE, allow_process=True).__enter__()
        leave.set()
        worker.join()

    in_child(body)


def test_audit_hooks_see_each_event_and_can_veto_it():
    needs_own_threads()

    def body():
        seen, veto = [], []

        def hook(event, arguments):
            if event.startswith("replace."):
                seen.append((event, arguments[0], *arguments[1:], os.geteuid()))
                if veto:
                    raise RuntimeError("no")

        sys.addaudithook(hook)
        with impersonate(ALICE, level="shielded"):
            pass
        level = _native.LEVELS["shielded"]
        assert seen == [("replace.enter", ALICE, level, 0), ("replace.leave", ALICE, level, 0)]
        veto.append(True)
        with pytest.raises(RuntimeError, match="no"), impersonate(ALICE):
            raise AssertionError("entered")
        assert ids() == ROOT_IDS
        with pytest.raises(RuntimeError, match="no"):
            replace.drop_privileges(ALICE)
        assert ids() == ROOT_IDS
        veto.clear()
        replace.drop_privileges(ALICE)
        assert seen[-1][:2] == ("replace.drop", ALICE)

    as_root(body)


def end_of_repr(guard):
    """Return the part of a guard's repr that follows the level."""
    text = repr(guard)
    start = "<replace.Guard uid=80001 gid=80011 groups=[80011, 80021] level=shielded, "
    assert text.startswith(start), text
    return text[len(start) : -1]


def test_guard_repr_names_the_user_and_the_state():
    def body():
        guard = impersonate(ALICE)
        assert end_of_repr(guard) == "not entered"
        with guard:
            assert end_of_repr(guard) == "held by this thread"
            with impersonate(BOB) as inner:
                assert inner is BOB
                assert end_of_repr(guard) == "held by this thread"
        assert end_of_repr(guard) == "left"

    as_root(body)


def test_guard_repr_names_the_thread_that_holds_it():
    def body():
        guard = impersonate(ALICE)
        with held_elsewhere(guard) as thread:
            assert end_of_repr(guard) == f"held by thread {thread.ident}"
        assert end_of_repr(guard) == "left"

    as_root(body)


def test_guard_repr_after_a_failed_entry():
    def body():
        os.setgroups([])
        os.setresgid(80011, 80011, 80011)
        os.setresuid(80001, 80001, 80001)
        guard = impersonate(BOB)
        with pytest.raises(replace.IdentityError), guard:
            raise AssertionError("entered")
        assert repr(guard) == "<replace.Guard uid=80002 gid=80012 groups=[] level=shielded, rolled back>"

    as_root(body)


def test_guard_repr_of_a_tainted_guard():
    def body():
        guard = impersonate(ALICE)
        guard.__enter__()
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(replace.ThreadTainted):
                pool.submit(guard.__exit__, None, None, None).result()
            assert (
                pool.submit(end_of_repr, guard).result() == f"held by thread {threading.get_ident()}, which is tainted"
            )
        assert end_of_repr(guard) == "held by this thread, which is tainted"
        guard.__exit__(None, None, None)
        assert end_of_repr(guard) == "left"

    as_root(body)


def test_guard_repr_in_a_forked_child():
    def body():
        guard = impersonate(ALICE)
        guard.__enter__()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            before = end_of_repr(guard)
            try:
                guard.__exit__(None, None, None)
            except replace.ForkedUnderIdentity:
                os.write(writing, f"{before}; {end_of_repr(guard)}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 1000).decode() == "held in the parent process; this process is the user for good"
        assert end_of_repr(guard) == "held by this thread"
        guard.__exit__(None, None, None)

    as_root(body)


def test_guard_repr_shortens_a_long_list_of_groups():
    guard = impersonate(Identity(80001, 80011, range(1, 65537)), allow_process=True)
    text = repr(guard)
    assert "groups=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, and 65520 more] level=" in text
    largest = impersonate(Identity(4294967294, 4294967294, range(4294967279, 4294967295)), allow_process=True)
    assert "uid=4294967294 gid=4294967294 groups=[4294967279, " in repr(largest)
    assert ", 4294967294] level=shielded, not entered>" in repr(largest)
