# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Changes the effective uid of one thread through cffi."""

import os

from _whoami_cffi import ffi, lib


def who(uid, call):
    if lib.libreplace_seteuid(uid) != 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    inside = os.geteuid()
    call()
    if lib.libreplace_seteuid(0) != 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return inside, os.geteuid()
