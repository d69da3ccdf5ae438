# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A Cython extension, with the declarations that the package brings."""

import os

from libc.stdlib cimport calloc, free
from posix.types cimport gid_t, uid_t
from posix.unistd cimport geteuid

from replace.libreplace cimport REP_LEVEL_EFFECTIVE, rep_enter, rep_guard, rep_identity, rep_leave


def who(uid_t uid, call):
    cdef rep_identity user = rep_identity(uid, 80011, 0, NULL)
    cdef rep_guard *guard = <rep_guard *>calloc(1, sizeof(rep_guard) + 3 * 64 * sizeof(gid_t))
    guard.room = 64
    try:
        if rep_enter(guard, &user, REP_LEVEL_EFFECTIVE) != 0:
            raise OSError(guard.error, os.strerror(guard.error))
        try:
            inside = geteuid()
            call()
        finally:
            rep_leave(guard)
        return inside, geteuid()
    finally:
        free(guard)
