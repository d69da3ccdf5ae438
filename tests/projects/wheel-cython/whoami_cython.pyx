# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A Cython extension that uses the declarations of replace.libreplace."""

import os

from libc.stdlib cimport free, malloc
from posix.types cimport gid_t, uid_t
from posix.unistd cimport geteuid

from replace.libreplace cimport (
    LIBREPLACE_LEVEL_EFFECTIVE,
    libreplace_enter,
    libreplace_guard,
    libreplace_guard_init,
    libreplace_identity,
    libreplace_leave,
)


def who(uid_t uid, call):
    cdef libreplace_identity user = libreplace_identity(uid, 80011, 0, NULL)
    cdef size_t size = sizeof(libreplace_guard) + 3 * 64 * sizeof(gid_t)
    cdef libreplace_guard *guard = <libreplace_guard *>malloc(size)
    if guard == NULL:
        raise MemoryError
    libreplace_guard_init(guard, size)
    try:
        if libreplace_enter(guard, &user, LIBREPLACE_LEVEL_EFFECTIVE) != 0:
            raise OSError(guard.error, os.strerror(guard.error))
        try:
            inside = geteuid()
            call()
        finally:
            libreplace_leave(guard)
        return inside, geteuid()
    finally:
        free(guard)
