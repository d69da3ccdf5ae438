# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The source of a cffi extension. replace.get_include() is the folder of the header files."""

import shlex
import subprocess

import cffi

import replace

libs = shlex.split(subprocess.check_output(["libreplace", "config", "--libs"], text=True))
ffi = cffi.FFI()
ffi.cdef("typedef int... uid_t; int libreplace_seteuid(uid_t euid);")
ffi.set_source(
    "_whoami_cffi",
    "#include <libreplace/replace.h>",
    include_dirs=[replace.get_include()],
    extra_link_args=libs,
)
