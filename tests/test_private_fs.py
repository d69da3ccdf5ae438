# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""private_fs=True: with which working directory, umask and root each task of an IdentityExecutor starts."""

import contextlib
import ctypes
import os
import sys
import tempfile
import threading

import pytest
from support.builds import run, tool
from support.children import ALICE, BOB, HANG, LEVELS, LIBC, as_root, needs_root
from support.proc_mounts import enter_mount_namespace

import replace
from replace import IdentityExecutor
from replace._native import O_PATH

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux: only it has threads with directories of their own"
)


def state():
    mask = os.umask(0o077)
    os.umask(mask)
    return os.getcwd(), mask


def mount(source, target, flags):
    assert LIBC.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) == 0


def in_folder(body, *arguments):
    """Call body(folder, ...) in a child with a new mount name space and a new folder that everybody may enter."""

    def child():
        enter_mount_namespace()
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            try:
                body(os.path.realpath(folder), *arguments)
            finally:
                os.chdir("/")
                LIBC.umount2(f"{folder}/open/conf".encode(), 2)

    as_root(child)


def descriptors():
    """What is open, by number."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listdir() used
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_each_task_starts_where_the_initializer_was(level):
    def body(folder):
        os.chdir("/")
        os.umask(0o022)

        def start():
            os.chdir(folder)
            os.umask(0o027)

        def move():
            found = state()
            os.chdir("/tmp")
            os.umask(0)
            return found

        with IdentityExecutor(1, initializer=start, private_fs=True, level=level) as pool:
            for user in (ALICE, ALICE, BOB, ALICE, BOB, BOB):
                assert pool.submit(user, move).result(HANG) == (folder, 0o027)
        assert state() == ("/", 0o022), "the process keeps its own"

    in_folder(body)


def test_tasks_start_where_the_process_was_when_the_pool_was_made():
    def body(folder):
        os.chdir(folder)
        os.umask(0o027)
        with IdentityExecutor(2, private_fs=True) as pool:
            os.chdir("/")
            os.umask(0o022)
            both = threading.Barrier(2)
            found = [pool.submit(user, lambda: (both.wait(HANG), state())[1]) for user in (ALICE, BOB)]
            assert [future.result(HANG) for future in found] == [(folder, 0o027)] * 2

    in_folder(body)


@pytest.mark.parametrize("level", LEVELS)
def test_bind_mount_of_the_same_folder_is_noticed(level):
    """The folder of the pool, reached through another mount, has another parent."""

    def body(folder, level):
        for name, text in (("home", "server"), ("open", "alice")):
            os.makedirs(f"{folder}/{name}/conf")
            with open(f"{folder}/{name}/who", "w") as file:
                file.write(text)
        mount(f"{folder}/home/conf", f"{folder}/open/conf", 0x1000)  # MS_BIND
        os.chdir(f"{folder}/home/conf")

        def who():
            with open("../who") as file:
                return file.read()

        with IdentityExecutor(1, private_fs=True, level=level) as pool:
            for user in (ALICE, BOB):
                pool.submit(ALICE, os.chdir, f"{folder}/open/conf").result(HANG)
                assert pool.submit(user, who).result(HANG) == "server"

    in_folder(body, level)


@pytest.mark.parametrize("level", LEVELS)
def test_users_who_may_not_enter_the_folder_start_in_it(level):
    def body(folder, level):
        os.mkdir(f"{folder}/closed", 0o700)
        os.chdir(f"{folder}/closed")
        with IdentityExecutor(1, private_fs=True, level=level) as pool:
            for user in (ALICE, BOB, ALICE, ALICE):
                assert (
                    os.path.basename(pool.submit(user, os.readlink, "/proc/thread-self/cwd").result(HANG)) == "closed"
                )
                pool.submit(user, os.chdir, "/").result(HANG)

    in_folder(body, level)


def test_umask_and_directory_that_a_destructor_changes_do_not_stay():
    class Moves:
        def __del__(self):
            os.chdir("/tmp")
            os.umask(0)

    def body(folder):
        os.chdir(folder)
        os.umask(0o027)
        with IdentityExecutor(1, private_fs=True) as pool:
            for user in (ALICE, BOB):
                gate = threading.Event()
                pool.submit(ALICE, lambda it, gate=gate: gate.wait(HANG), Moves())
                found = pool.submit(user, state)
                gate.set()
                assert found.result(HANG) == (folder, 0o027)

    in_folder(body)


def test_destructor_of_a_cancelled_task_changes_no_directory_of_the_next_one():
    class Moves:
        def __del__(self):
            os.chdir("/tmp")
            os.umask(0)

    def body(folder):
        os.chdir(folder)
        os.umask(0o027)
        gate = threading.Event()
        with IdentityExecutor(1, private_fs=True) as pool:
            pool.submit(ALICE, gate.wait, HANG)
            assert pool.submit(ALICE, print, Moves()).cancel()
            found = pool.submit(ALICE, state)
            gate.set()
            assert found.result(HANG) == (folder, 0o027)

    in_folder(body)


def test_next_user_has_the_root_directory_of_the_server():
    """chroot(2) needs CAP_SYS_CHROOT, which a task has at level filesystem."""

    def body(folder):
        mount(folder, folder, 0x1000)

        def leave(where):
            os.chroot(where)

        for where in (folder, "/tmp"):
            with IdentityExecutor(1, private_fs=True, level="filesystem") as pool:
                pool.submit(ALICE, leave, where).result(HANG)
                assert pool.submit(BOB, os.path.exists, "/proc/self").result(HANG)
                assert pool.submit(BOB, os.getcwd).result(HANG) == os.getcwd()
        mount("/", folder, 0x1000)
        with IdentityExecutor(1, private_fs=True, level="filesystem") as pool:
            expected = pool.submit(BOB, mount_of_root).result(HANG)
            assert pool.submit(ALICE, leave, folder).result(HANG) is None
            assert pool.submit(BOB, mount_of_root).result(HANG) == expected, "the same folder in another mount"
        os.chdir("/")
        LIBC.umount2(folder.encode(), 2)
        LIBC.umount2(folder.encode(), 2)

    def mount_of_root():
        descriptor = os.open("/", O_PATH)
        try:
            with open(f"/proc/self/fdinfo/{descriptor}") as file:
                return [line for line in file if line.startswith("mnt_id")]
        finally:
            os.close(descriptor)

    in_folder(body)


def test_no_descriptor_stays_open():
    def body(folder):
        os.chdir(folder)
        before = descriptors()
        for _ in range(3):
            with IdentityExecutor(3, private_fs=True) as pool:
                both = threading.Barrier(2)
                for user in (ALICE, BOB):
                    pool.submit(user, both.wait, HANG)
                pool.submit(ALICE, replace.setresuid, -1, 0, -1).exception(HANG)  # ends its worker
                pool.submit(ALICE, LIBC.prctl, 38, 1, 0, 0, 0).result(HANG)
                pool.submit(BOB, int).result(HANG)
        assert descriptors() == before
        with IdentityExecutor(1, initializer=raise_in_pool, private_fs=True) as pool:
            assert pool.submit(ALICE, int).exception(HANG)
        assert descriptors() == before

    def raise_in_pool():
        raise ZeroDivisionError

    in_folder(body)


def test_no_descriptor_stays_open_if_the_supervisor_cannot_start(tmp_path):
    needs_root()
    if replace.SCOPE != "thread":
        return
    code = (
        "import os, replace, threading\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "def fails(*arguments, **options): raise RuntimeError('no thread')\n"
        "start, threading.Thread.start = threading.Thread.start, fails\n"
        "try: replace.IdentityExecutor(1, private_fs=True)\n"
        "except RuntimeError: print(len(os.listdir('/proc/self/fd')) - before)\n"
        "threading.Thread.start = start\n"
        "try: replace.IdentityExecutor(1, private_fs=True)\n"
        "except OSError: print(len(os.listdir('/proc/self/fd')) - before)\n"
    )
    strace = [
        tool("strace", "makes system calls fail"),
        "-f",
        "-o",
        tmp_path / "log",
        "-e",
        "inject=unshare:error=EPERM",
    ]
    assert run(*strace, sys.executable, "-c", code, cwd="/").stdout.split() == ["0", "0"]


def test_closed_descriptor_of_the_directory_ends_the_worker():
    """A task closes descriptors that it does not know."""

    def body(folder):
        os.chdir(folder)
        with IdentityExecutor(1, private_fs=True) as pool:
            (number,) = [
                number for number, name in pool.submit(ALICE, descriptors).result(HANG).items() if name == folder
            ]
            pool.submit(ALICE, os.close, number).result(HANG)
            pool.submit(ALICE, os.chdir, "/").result(HANG)
            for user in (BOB, ALICE):
                assert pool.submit(user, os.getcwd).result(HANG) == folder

    in_folder(body)
