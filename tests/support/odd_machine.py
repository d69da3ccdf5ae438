# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run a command in an unusual environment: a seccomp filter, a user namespace, a folder that is an idmapped mount.

Usage, as root:
    odd_machine.py filter CALL ACTION COMMAND...    a system call of x86_64 fails; ACTION: a key of ACTIONS, or an errno
    odd_machine.py maps UID_MAP GID_MAP [deny] COMMAND...    rows of a map are separated by commas; deny: no setgroups()
    odd_machine.py idmapped FOLDER MAP COMMAND...    the folder shows only the ids of the map, and is TMPDIR

It imports nothing of this project, because the command is often tried as another user.
"""

import ctypes
import errno
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
#: arch/x86/entry/syscalls/syscall_64.tbl
NUMBERS = {
    "setuid": 105,
    "setgid": 106,
    "setreuid": 113,
    "setregid": 114,
    "setgroups": 116,
    "setresuid": 117,
    "setresgid": 119,
    "setfsuid": 122,
    "setfsgid": 123,
    "getgroups": 115,
    "getresuid": 118,
    "getresgid": 120,
    "capget": 125,
    "capset": 126,
    "openat2": 437,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
}
#: include/uapi/linux/seccomp.h; "false 0" only reports success
ACTIONS = {"false 0": 0x00050000, "KILL_THREAD": 0, "KILL_PROCESS": 0x80000000, "TRAP": 0x00030000}


def set_filter(
    number: int, action: int, argument: tuple[int, int, int] | None = None, *, every_thread: bool = False
) -> None:
    """Install a seccomp filter (seccomp(2)) that answers one system call with this action.

    With `argument` (its index, a mask, a value), it answers only calls whose argument has this value under the mask.
    With `every_thread`, it is also for the other threads of the process. Both are for x86_64.
    """
    load, equal, both, leave, ret = 0x20, 0x15, 0x54, 0x7FFF0000, 0x06
    lines = [(load, 0, 0, 0), (equal, 0, 1, number), (ret, 0, 0, action), (ret, 0, 0, leave)]
    if argument:
        index, mask, value = argument
        lines[1:2] = [(equal, 0, 4, number), (load, 0, 0, 16 + 8 * index), (both, 0, 0, mask), (equal, 0, 1, value)]
    program = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(program)
    pointer = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(buffer)))
    _must(LIBC.prctl(38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
    if every_thread:
        thread = _must(LIBC.syscall(317, 1, 1, pointer))  # seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC)
        if thread:
            raise OSError(f"thread {thread} has another filter")
    else:
        _must(LIBC.prctl(22, 2, pointer, 0, 0))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _must(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _write_maps(pid: int, uid_map: str, gid_map: str, setgroups: str = "allow") -> None:
    for name, text in (("setgroups", setgroups), ("uid_map", uid_map), ("gid_map", gid_map)):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(text.replace(",", "\n"))


def _in_new_user_namespace(child: Callable[[], Any], prepare: Callable[[int], Any]) -> int:
    """Call prepare(pid) for a child in a new user namespace. Then the child calls child(). Return its status."""
    (said, say), (heard, tell) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _must(LIBC.unshare(0x10000000))  # CLONE_NEWUSER
            os.write(say, b"x")
            os.close(tell)
            if os.read(heard, 1):
                child()
        finally:
            os._exit(125)
    os.close(say)
    os.read(said, 1)
    try:
        prepare(pid)
        os.write(tell, b"x")
    finally:
        os.close(tell)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status


def filtered(call: str, action: str, *command: str) -> None:
    value = ACTIONS[action] if action in ACTIONS else ACTIONS["false 0"] | getattr(errno, action)
    set_filter(NUMBERS[call], value)
    os.execvp(command[0], command)


def mapped(uid_map: str, gid_map: str, *command: str) -> int:
    deny = command[:1] == ("deny",)
    words = command[deny:]
    rows = (uid_map, gid_map, "deny" if deny else "allow")
    return _in_new_user_namespace(lambda: os.execvp(words[0], words), lambda pid: _write_maps(pid, *rows))


def idmapped(folder: str, rows: str, *command: str) -> None:
    """mount_setattr(2): its example program."""

    def mount(pid: int) -> None:
        _write_maps(pid, rows, rows)
        user_namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        _must(LIBC.unshare(0x00020000))  # CLONE_NEWNS
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        tree = _must(LIBC.syscall(428, -100, os.fsencode(folder), 1))  # open_tree, AT_FDCWD, OPEN_TREE_CLONE
        attributes = (ctypes.c_uint64 * 4)(0x00100000, 0, 0, user_namespace)  # MOUNT_ATTR_IDMAP
        _must(LIBC.syscall(442, tree, b"", 0x1000, attributes, 32))  # mount_setattr, AT_EMPTY_PATH
        _must(LIBC.syscall(429, tree, b"", -100, os.fsencode(folder), 4))  # move_mount, MOVE_MOUNT_F_EMPTY_PATH

    _in_new_user_namespace(lambda: None, mount)
    os.environ["TMPDIR"] = folder
    os.execvp(command[0], command)


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    sys.exit({"filter": filtered, "maps": mapped, "idmapped": idmapped}[kind](*words))
