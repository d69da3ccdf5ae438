# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""What libc's own calls do on this machine, without any code of this package.

If libc's call fails as well, or if the kernel does not show its result, something on the machine prevents the call: a
seccomp filter, a security module, a sandbox, a tracer. A check that needs it is then not run, because its failure
would say nothing about this build. obstacles.py calls each function here in a child process that has one thread. A
function returns the reason, or "".
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from . import chosen_ids
from .chosen_ids import Ids
from .observe import kernel_fields, kernel_ids, new_name, owner_of_new_file, present_ids

_MOST_FILES = 16  # that a check opens


def forbidden(ids: Ids) -> list[tuple[str, tuple[Any, ...]]]:
    """Calls that need privilege with these arguments: (name, arguments)."""
    return [
        ("setresuid", (-1, ids.other, -1)),
        ("setresgid", (-1, ids.other, -1)),
        ("seteuid", (ids.other,)),
        ("setegid", (ids.other,)),
        ("setgroups", ([ids.other],)),
    ]


#: Calls that change nothing, so that no process needs privilege for them.
HARMLESS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("setresuid", (-1, -1, -1)),
    ("setresgid", (-1, -1, -1)),
    ("setreuid", (-1, -1)),
)
#: The errors of a call that needs privilege: EINVAL is for ids that the user namespace does not map.
REFUSALS = (errno.EPERM, errno.EINVAL)


def libc(name: str) -> Callable[..., Any] | None:
    """libc's function. None if there is none."""
    return getattr(os, name, None) or getattr(ctypes.CDLL(None), name, None)


def _failed(name: str, error: OSError) -> str:
    return f"{name} is refused here: libc's own call fails with {errno.errorcode.get(error.errno or 0, error.errno)}"


def become_root() -> None:
    """Set all user and group IDs to 0: a server may have the capabilities, but other ids."""
    if not hasattr(os, "setresuid"):
        os.setgid(0)
        os.setuid(0)
    elif present_ids() != ((0, 0, 0), (0, 0, 0)):
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def root() -> str:
    try:
        become_root()
    except OSError as error:
        return f"this process has the capabilities, but cannot become root: {error.strerror}"
    if kernel_ids()[0] and kernel_ids()[:2] != ("0 0 0 0", "0 0 0 0"):
        return "becoming root changes nothing here: libc's own calls report success"
    return ""


def setter(name: str, ids: Ids) -> str:
    """libc's call must have the result that a check expects of this package's call."""
    call = libc(name)
    if call is None:
        return ""
    arguments, field, after = chosen_ids.expected(ids)[name]
    if name.startswith("setfs"):
        arguments = (ctypes.c_uint32(arguments[0]),)
    become_root()
    try:
        call(*arguments)
    except OSError as error:
        return _failed(name, error)
    shown = dict(zip(("Uid", "Gid", "Groups"), kernel_ids(), strict=True))
    wanted = sorted(after) if field == "Groups" else after
    if shown["Uid"] and shown[field] != " ".join(map(str, wanted)):
        line = f"{field} {shown[field] or '(none)'}"
        return f"{name} changes nothing here: libc's own call reports success, but /proc shows {line}"
    return ""


def getter(name: str) -> str:
    try:
        getattr(os, name, tuple)()
    except OSError as error:
        return _failed(name, error)
    return ""


def group_getter(ids: Ids) -> str:
    os.setgroups([ids.other])
    found = os.getgroups()
    return "" if found == [ids.other] else f"getgroups is refused here: libc's own call returns {found}"


def fs_getter(name: str) -> str:
    """setfsuid(-1) must return the present id, and change nothing. A filter's error number looks like an id."""
    call, shown = libc(name.replace("get", "set")), kernel_ids()[name == "getfsgid"].split()
    if call is None:
        return ""
    present = int(shown[3]) if shown else os.geteuid() if name == "getfsuid" else os.getegid()
    for _ in range(2):
        found = call(ctypes.c_uint32(2**32 - 1)) & 0xFFFFFFFF
        if found != present:
            return f"{name} is refused here: libc's own call returns {found}, not {present}"
    return ""


def shown_ids() -> str:
    """libc's getters and /proc must agree. Under a tracer such as proot they do not."""
    fields, lines = kernel_fields(), kernel_ids()
    if not lines[0] or not hasattr(os, "getresuid"):
        return ""
    tracer = fields.get("TracerPid", "0")
    by = f"process {tracer}, which traces this one, fakes them" if tracer != "0" else "something fakes them"
    for ids, line in ((os.getresuid(), lines[0]), (os.getresgid(), lines[1])):
        if line.split()[:3] != [str(number) for number in ids]:
            return f"needs real ids: libc reports {ids}, but /proc shows {line}; {by}"
    return ""


def owners(folder: int, creators: list[tuple[int, int]]) -> str:
    """A new file must show the ids of its creator: a user and a group each."""
    become_root()
    for uid, gid in creators:
        try:
            if uid:
                os.setegid(gid)
                os.seteuid(uid)
            owner = owner_of_new_file(folder)
        except OSError as error:
            return f"user {uid} cannot make a file in the temporary folder ({error.strerror})"
        if owner != (uid, gid):
            return f"in the temporary folder, a new file of user {uid}, group {gid} belongs to {owner[0]}, {owner[1]}"
        if uid:
            os.seteuid(0)
            os.setegid(0)
    return ""


def openat2(folder: int) -> str:
    """openat2(2) must open a plain file, or be missing. Some filters say EPERM for every call that they do not know."""
    name, library = new_name(), ctypes.CDLL(None, use_errno=True)
    made = os.open(name, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)  # struct open_how; 437: on every architecture but alpha
    words = (ctypes.c_long(437), ctypes.c_long(folder), os.fsencode(name), how, ctypes.c_size_t(ctypes.sizeof(how)))
    opened = library.syscall(*words)
    if opened < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
        return _failed("openat2", OSError(ctypes.get_errno(), ""))
    if opened >= 0 and not os.path.sameopenfile(made, opened):
        return "openat2 opens another file here, asked directly"
    return ""


def loss_of_capabilities(ids: Ids) -> str:
    become_root()
    try:
        os.setresuid(ids.user, ids.user, ids.user)
    except (OSError, AttributeError):
        return ""
    held = int(kernel_fields().get("CapEff", "0"), 16)
    if held:
        return "a user keeps root's capabilities here: the securebit no_setuid_fixup is set"
    return ""


def capabilities(*calls: str) -> str:
    """capget and capset, with which an entry clears and restores the capabilities. capset alone drops them all."""
    if sys.platform != "linux":
        return ""
    # _LINUX_CAPABILITY_VERSION_3: the three sets in two words each
    header, sets, library = (
        (ctypes.c_uint32 * 2)(0x20080522, 0),
        (ctypes.c_uint32 * 6)(),
        ctypes.CDLL(None, use_errno=True),
    )
    for name in calls:
        if getattr(library, name)(header, sets) != 0:
            return _failed(name, OSError(ctypes.get_errno(), ""))
        shown = kernel_fields().get("CapEff")
        if shown is not None and int(shown, 16) != sets[0] | sets[3] << 32:
            return f"{name} reports success here, but /proc shows the effective capabilities {shown}"
        sets[0] = sets[3] = 0  # the effective set
    return ""


def _real_uid(level: str, ids: Ids) -> int:
    """The real uid that a level sets, as setresuid(2) takes it; -2 if the user namespace maps none for it."""
    if level == "shielded":
        return next((number for number in chosen_ids.SHIELDS if chosen_ids.is_mapped(number, "uid")), -2)
    return ids.user if level == "real" else -1


def entry(level: str, ids: Ids) -> str:
    """What entering an identity does, with libc's calls and from the ids of this process."""
    before, real, name = present_ids(), _real_uid(level, ids), "setgroups"
    if real == -2:
        return "neither uid 4294967293 nor uid 65535 is mapped, one of which level shielded needs"
    try:
        os.setgroups([ids.other, ids.high])
        if level == "filesystem":
            return ""
        name = "setresgid"
        os.setresgid(ids.group, ids.group, -1)
        name = "setresuid"
        os.setresuid(real, ids.user, -1)
    except OSError as error:
        return _failed(name, error)
    if any(now == old for now, old in zip(present_ids(), before, strict=True)):
        return "setresuid or setresgid changes nothing here: libc's own call reports success"
    return ""


def way_back(level: str, ids: Ids) -> str:
    """Without CAP_SETUID, setresuid(2) accepts only ids that the thread still has."""
    uids = present_ids()[0]
    if level == "filesystem" or entry(level, ids):
        return ""
    try:
        os.setresuid(*uids)
    except OSError as error:
        return f"a thread with the user IDs {uids} cannot return to them from level {level}: {error.strerror}"
    return ""


def unprivileged(ids: Ids, become: bool) -> str:
    """Without privilege, the kernel must refuse other users' ids."""
    if become:
        become_root()
        os.setresgid(ids.group, ids.group, ids.group)
        os.setresuid(ids.user, ids.user, ids.user)
    reason = capabilities("capset")
    if reason:
        return reason
    for name, arguments in forbidden(ids):
        if not hasattr(os, name):
            continue
        try:
            getattr(os, name)(*arguments)
        except OSError as error:
            if error.errno not in REFUSALS:
                return _failed(name, error)
        else:
            return f"{name}{arguments} succeeds without privilege, by libc's own call, too: a sandbox fakes it"
    for name, arguments in HARMLESS:
        try:
            getattr(os, name, _nothing)(*arguments)
        except OSError as error:
            return _failed(name, error)
    return ""


def _nothing(*arguments: int) -> None:
    """In the place of a function that libc lacks."""


def descriptors(folder: int) -> str:
    try:
        for _ in range(_MOST_FILES):
            os.dup(folder)
    except OSError:
        return f"needs {_MOST_FILES} more open files"
    return ""
