# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A real io_uring, with bare system calls: what another library in the process may hold. Source: io_uring(7)."""

import contextlib
import ctypes
import mmap
import os
import struct

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER, REGISTER = 425, 426, 427  # on every architecture
SQPOLL = 2  # IORING_SETUP_SQPOLL: a thread of the kernel submits
NOP, OPENAT = 0, 18
ASYNC = 1 << 4  # IOSQE_ASYNC: a worker thread of the kernel does the work
_REGISTER_PERSONALITY, _GETEVENTS, _SQES = 9, 1, 0x10000000


class Ring:
    """A ring for one operation at a time."""

    def __init__(self, flags: int = 0) -> None:
        params = ctypes.create_string_buffer(struct.pack("8x3I", flags, 0, 1).ljust(120, b"\0"), 120)
        self.fd = LIBC.syscall(SETUP, 4, params)
        if self.fd < 0:
            why = os.strerror(ctypes.get_errno())
            pytest.skip(f"needs io_uring, which is not permitted here: {why}; try sysctl kernel.io_uring_disabled=0")
        found = params.raw
        size, entries = struct.unpack_from("2I", found)
        self._tail, self._mask, self._array = (struct.unpack_from("I", found, 40 + at)[0] for at in (4, 8, 24))
        self._head, self._cq_mask, self._cqes = (struct.unpack_from("I", found, 80 + at)[0] for at in (0, 8, 20))
        self._ring = mmap.mmap(self.fd, max(self._array + size * 4, self._cqes + entries * 16))
        self._entries = mmap.mmap(self.fd, size * 64, offset=_SQES)

    def register_personality(self) -> int:
        """Store the credentials of the calling thread in the ring."""
        number: int = LIBC.syscall(REGISTER, self.fd, _REGISTER_PERSONALITY, None, 0)
        assert number > 0
        return number

    def do(self, code: int, flags: int = 0, path: bytes = b"", personality: int = 0) -> int:
        """Do one operation. Return its result, negative for an error."""
        name = ctypes.create_string_buffer(path)
        row = (code, flags, -100, ctypes.addressof(name) if path else 0, personality)  # AT_FDCWD
        self._entries[:64] = struct.pack("=BBxxi8xQ18xH20x", *row)
        tail = struct.unpack_from("I", self._ring, self._tail)[0]
        mask = struct.unpack_from("I", self._ring, self._mask)[0]
        struct.pack_into("I", self._ring, self._array + (tail & mask) * 4, 0)
        struct.pack_into("I", self._ring, self._tail, tail + 1)
        assert LIBC.syscall(ENTER, self.fd, 1, 1, _GETEVENTS, None, 0) == 1
        head = struct.unpack_from("I", self._ring, self._head)[0]
        mask = struct.unpack_from("I", self._ring, self._cq_mask)[0]
        result: int = struct.unpack_from("i", self._ring, self._cqes + (head & mask) * 16 + 8)[0]
        struct.pack_into("I", self._ring, self._head, head + 1)
        return result

    def close_descriptors(self) -> None:
        """Close every descriptor of a ring, also those that Python's mappings have. The mappings stay."""
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                if "[io_uring]" in os.readlink(f"/proc/self/fd/{name}"):
                    os.close(int(name))

    def close(self) -> None:
        self._ring.close()
        self._entries.close()
        os.close(self.fd)
