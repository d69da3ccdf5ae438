# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Why a process cannot have a ring of io_uring(7) here, and what to change.

This file asks the kernel and reads the sysctls, without this package's calls. So its answers say nothing about the
build, except the reason that the report gives for a build without a ring.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

from .chosen_ids import text_of
from .observe import kernel_fields

#: The same on every architecture but alpha and mips.
NUMBERS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_SYSCTL = "/proc/sys/kernel/io_uring_disabled"
_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h; only one of the first user namespace counts
_ALL = ["0", "0", "4294967295"]  # the map of that namespace
ALLOW = (
    f"allow {', '.join(NUMBERS)} (in a systemd unit: SystemCallFilter=@aio; in a container: its own seccomp profile)"
)
_NEWER = "use Linux 5.15 or newer, built with CONFIG_IO_URING"


def _first_failure() -> tuple[str, int]:
    """Make a ring. The first call that fails, and its error; 0 if it only reports success. ("", 0) if each works.

    The calls and features are those that a ring of the library needs, up to the newest one.
    """
    library = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: Any) -> int:
        words = [ctypes.c_long(word) if isinstance(word, int) else word for word in (NUMBERS[name], *arguments)]
        return int(library.syscall(*words))

    parameters = (ctypes.c_uint32 * 30)()  # struct io_uring_params; the kernel writes sq_entries and features
    ring = call("io_uring_setup", 4, parameters)
    if ring < 0 or not (parameters[0] and parameters[5]):
        return "io_uring_setup", ctypes.get_errno() if ring < 0 else 0
    limits = (ctypes.c_uint32 * 2)()  # zeros are replaced by the present limits
    for arguments in ((ring, 9, None, 0), (ring, 19, limits, 2)):  # IORING_REGISTER_PERSONALITY, IOWQ_MAX_WORKERS
        if call("io_uring_register", *arguments) < 0:
            return "io_uring_register", ctypes.get_errno()
    if not limits[0]:
        return "io_uring_register", 0
    if call("io_uring_enter", ring, 0, 0, 0, None, 0) < 0:
        return "io_uring_enter", ctypes.get_errno()
    if call("io_uring_enter", ring, 0, 0, 1 << 31, None, 0) >= 0:  # no kernel knows this flag
        return "io_uring_enter", 0
    return "", 0


def _forbidden_by_sysctl() -> tuple[str, str] | None:
    """Source: Documentation/admin-guide/sysctl/kernel.rst, io_uring_allowed() of io_uring/io_uring.c."""
    value, group = text_of(_SYSCTL), text_of("/proc/sys/kernel/io_uring_group")
    if value not in ("1", "2"):
        return None
    change = "set it to 0: sysctl kernel.io_uring_disabled=0"
    if value == "2":
        return "the sysctl kernel.io_uring_disabled is 2, so no process can make a ring", change
    fields = kernel_fields()
    groups = fields.get("Gid", "").split()[-1:] + fields.get("Groups", "").split()
    has_capability = int(fields.get("CapEff", "0"), 16) >> _CAP_SYS_ADMIN & 1
    if group in groups or (has_capability and text_of("/proc/self/uid_map").split() == _ALL):
        return None
    member = f"run this in group {group}" if group.isdigit() else "set kernel.io_uring_group to a group of this process"
    return (
        "the sysctl kernel.io_uring_disabled is 1, and this process has neither CAP_SYS_ADMIN nor the group "
        f"kernel.io_uring_group ({group})",
        f"{change}; or {member}",
    )


def attempt() -> str:
    """Make the calls. If a filter ends the process then, nobody can try a ring."""
    _first_failure()
    return ""


def refusal() -> tuple[str, str] | None:
    """The reason and the advice, if a call fails. attempt() must have returned before."""
    call, number = _first_failure()
    if not call:
        return None
    if not number:
        return f"{call} does nothing here, but reports success", ALLOW
    by_sysctl = _forbidden_by_sysctl() if number == errno.EPERM else None
    if by_sysctl:
        return by_sysctl
    fails = f"{call} fails with {errno.errorcode.get(number, number)}"
    filtered = kernel_fields().get("Seccomp", "0") != "0"
    if number == errno.ENOSYS and not filtered and not os.path.exists(_SYSCTL):
        return f"the kernel (Linux {os.uname().release}) has no io_uring: {fails}", _NEWER
    if number == errno.EINVAL:
        return f"the kernel is too old (Linux {os.uname().release}): {fails}", _NEWER
    cause = "a seccomp filter" if filtered else "a security module, a sandbox or an emulator"
    return f"{cause} refuses io_uring: {fails}", ALLOW


def why_not_built(verdict: dict[str, Any]) -> tuple[str, str] | None:
    """The same for the build of this report. None if it has a ring."""
    if not verdict["no_ring"]:
        return None
    libc = verdict["backend"] == "libc"
    advice = "build with -Dcredentials=syscall" if libc else "build with kernel headers of Linux 5.6 or newer"
    return f"this build has no ring: {verdict['no_ring']}", advice
