# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Rules of the kernel that docs/limits.md names: what a switch clears, and which ids a file system asks for."""

import ctypes
import errno
import os
import signal
import struct
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.children import ALICE, LEVELS, LIBC, as_root
from support.proc_mounts import enter_mount_namespace

from replace import Identity, impersonate, popen_as

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2
#: Operations of include/uapi/linux/fuse.h
FUSE_GETATTR, FUSE_INIT, FUSE_INTERRUPT = 3, 26, 36


def death_signal():
    """The signal that the calling thread gets when its parent ends; 0 for none. Source: PR_GET_PDEATHSIG(2const)."""
    number = ctypes.c_int()
    assert LIBC.prctl(PR_GET_PDEATHSIG, ctypes.byref(number)) == 0
    return number.value


@pytest.mark.parametrize("level", LEVELS)
def test_switch_clears_the_death_signal_of_its_thread(level):
    """Source: commit_creds() in kernel/cred.c."""

    def work():
        assert LIBC.prctl(PR_SET_PDEATHSIG, 12) == 0
        before = death_signal()
        with impersonate(ALICE, level=level):
            return before, death_signal()

    def body():
        assert LIBC.prctl(PR_SET_PDEATHSIG, 15) == 0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result() == (12, 0)
        assert death_signal() == 15, "the other thread's switch does not clear that of this thread"
        with impersonate(ALICE, level=level):
            assert death_signal() == 0
        assert death_signal() == 0, "leaving does not restore it"

    as_root(body)


def serve_files(device, killed=None):
    """Answer the kernel as a FUSE server whose only file is an empty folder of ALICE.

    If `killed` is a list, kill the process that asks for attributes, and append what is known of it before the answer.
    """
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40700, 2, ALICE.uid, ALICE.gid, 0, 4096, 0)
    answers = {
        FUSE_INIT: struct.pack("<4I2H4I28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0),
        FUSE_GETATTR: struct.pack("<QII", 0, 0, 0) + attributes,
    }
    while True:
        try:
            _, operation, number, _, _, _, process = struct.unpack_from("<IIQQIII", os.read(device, 1 << 17))
        except OSError as error:
            if error.errno == errno.ENODEV:  # the file system is not mounted any more
                return
            raise
        if operation == FUSE_GETATTR and killed is not None:
            os.kill(process, signal.SIGKILL)
            while struct.unpack_from("<II", os.read(device, 1 << 17))[1] != FUSE_INTERRUPT:
                pass  # the kernel tells the server when the signal has arrived
            killed += [os.waitpid(process, os.WNOHANG), Identity.of_process(process)]
        answer = answers.get(operation)
        head = struct.pack("<IiQ", 16 + len(answer or b""), 0 if answer else -errno.ENOSYS, number)
        os.write(device, head + (answer or b""))


def needs_fuse_device():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"needs /dev/fuse: {error}")


def test_fuse_mount_of_a_user_is_readable_only_if_every_id_is_the_users():
    """The mount has no option allow_other. Source: fuse_allow_current_process() in fs/fuse/dir.c."""

    def stat(path):
        try:
            return os.stat(path).st_uid
        except OSError as error:
            return errno.errorcode[error.errno]

    def body(folder):
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=40000,user_id={ALICE.uid},group_id={ALICE.gid}"
        enter_mount_namespace()
        assert LIBC.mount(b"none", folder.encode(), b"fuse", 0, options.encode()) == 0, ctypes.get_errno()
        server = threading.Thread(target=serve_files, args=(device,))
        server.start()
        try:
            found = {"server": stat(folder)}
            for level in LEVELS:
                with impersonate(ALICE, level=level):
                    found[level] = stat(folder)
            child = popen_as(ALICE, ["stat", "-c", "%u", folder], stdout=subprocess.PIPE, text=True, cwd="/")
            found["popen_as"] = int(child.communicate()[0])
        finally:
            assert LIBC.umount2(folder.encode(), 0) == 0
            server.join()
        return found

    needs_fuse_device()
    refused = dict.fromkeys(["server", *LEVELS], "EACCES")
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        assert as_root(body, folder) in ({**refused, "popen_as": ALICE.uid}, None)


def test_killed_caller_of_a_fuse_server_keeps_its_number_until_the_answer():
    """So the number cannot belong to another thread. Source: request_wait_answer() in fs/fuse/dev.c."""

    def body(folder):
        device = os.open("/dev/fuse", os.O_RDWR)
        enter_mount_namespace()
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
        assert LIBC.mount(b"none", folder.encode(), b"fuse", 0, options.encode()) == 0, ctypes.get_errno()
        killed = []
        server = threading.Thread(target=serve_files, args=(device, killed))
        server.start()
        try:
            child = popen_as(ALICE, ["stat", folder], cwd="/")
            return child.wait(), *killed
        finally:
            assert LIBC.umount2(folder.encode(), 0) == 0
            server.join()

    needs_fuse_device()
    with tempfile.TemporaryDirectory(prefix="libreplace-test-") as folder:
        os.chmod(folder, 0o755)
        assert as_root(body, folder) in ((-signal.SIGKILL, (0, 0), ALICE), None)
