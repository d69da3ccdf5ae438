# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run a command in an unusual environment: a seccomp filter, a user namespace, a folder that is an idmapped mount,
programs of another architecture.

Usage, as root:
    odd_machine.py filter CALL ACTION COMMAND...    a system call fails; ACTION: a key of ACTIONS, or an errno
    odd_machine.py maps UID_MAP GID_MAP [deny] COMMAND...    rows of a map are separated by commas; deny: no setgroups()
    odd_machine.py idmapped FOLDER MAP COMMAND...    the folder shows only the ids of the map, and is TMPDIR
    odd_machine.py registered LINE COMMAND...    binfmt_misc has this line, only for the command; needs Linux 6.7

It imports nothing of this project, because the command is often tried as another user.
"""

import ctypes
import errno
import functools
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
#: include/uapi/linux/seccomp.h; "false 0" only reports success
ACTIONS = {"false 0": 0x00050000, "KILL_THREAD": 0, "KILL_PROCESS": 0x80000000, "TRAP": 0x00030000}


@functools.cache
def numbers() -> dict[str, str]:
    """Return the macros of this machine's system calls. Without a C compiler for this Python's width, there are none.

    The C compiler's headers know the numbers of every architecture. uname(2) does not: it reports x86_64 to a 32-bit
    program, too.
    """
    words = ["cc", "-E", "-dM", "-x", "c", "-"]
    try:
        out = subprocess.run(words, input="#include <sys/syscall.h>\n", capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    macros = dict(re.findall(r"^#define (\w+) (.*)$", out.stdout, re.M))
    return macros if macros["__SIZEOF_POINTER__"] == str(struct.calcsize("P")) else {}


def name_of(call: str) -> str:
    """Return the kernel's name for a system call: on i386 and arm, the calls for 32-bit ids end in 32."""
    return f"{call}32" if f"__NR_{call}32" in numbers() else call


def number_of(call: str) -> int:
    """Return the number of a system call on this machine. Raises KeyError if the headers do not have it."""

    def value(macro: str) -> int:  # on arm and x32, a macro is the sum of a number and another macro
        words = re.findall(r"\w+", numbers()[macro])
        return sum(int(word, 0) if word[0].isdigit() else value(word) for word in words)

    return value(f"__NR_{name_of(call)}")


def set_filter(
    call: str, action: int, argument: tuple[int, int, int] | None = None, *, every_thread: bool = False
) -> None:
    """Install a seccomp filter (seccomp(2)) that answers one system call with this action.

    With `argument` (its index, a mask, a value), it answers only calls whose argument has this value under the mask.
    With `every_thread`, it is also for the other threads of the process.
    """
    number = number_of(call)
    load, equal, both, leave, ret = 0x20, 0x15, 0x54, 0x7FFF0000, 0x06
    lines = [(load, 0, 0, 0), (equal, 0, 1, number), (ret, 0, 0, action), (ret, 0, 0, leave)]
    if argument:
        index, mask, value = argument
        place = 16 + 8 * index + (4 if sys.byteorder == "big" else 0)  # the low half of a 64-bit word
        lines[1:2] = [(equal, 0, 4, number), (load, 0, 0, place), (both, 0, 0, mask), (equal, 0, 1, value)]
    program = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(program)
    pointer = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(buffer)))
    _must(LIBC.prctl(38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
    if every_thread:
        # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
        thread = _must(LIBC.syscall(number_of("seccomp"), 1, 1, pointer))
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
    set_filter(call, value)
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


def registered(line: str, *command: str) -> int:
    """Register an interpreter of programs for one command.

    Each user namespace has its own registrations (Documentation/admin-guide/binfmt-misc.rst). This one maps every id to
    itself. In it, root can mount /proc only in a new PID namespace, and can make no devices.
    """

    def die_with_parent() -> None:
        _must(LIBC.prctl(1, 9, 0, 0, 0))  # PR_SET_PDEATHSIG, SIGKILL

    def child() -> None:
        die_with_parent()
        _must(LIBC.unshare(0x00020000))  # CLONE_NEWNS
        _must(LIBC.mount(b"none", b"/", None, 0x00044000, None))  # MS_REC | MS_PRIVATE
        _must(LIBC.mount(b"none", b"/proc/sys/fs/binfmt_misc", b"binfmt_misc", 0, None))
        with open("/proc/sys/fs/binfmt_misc/register", "w") as file:
            file.write(line)
        # The registration ends with its last mount, which the command may lose. So this process keeps one.
        os._exit(subprocess.run(command, preexec_fn=die_with_parent, check=False).returncode)

    rows = "0 0 4294967295"
    return _in_new_user_namespace(child, lambda pid: _write_maps(pid, rows, rows))


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    kinds = {"filter": filtered, "maps": mapped, "idmapped": idmapped, "registered": registered}
    sys.exit(kinds[kind](*words))
