# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A plain C extension. libreplace config prints the options for the compiler and the linker."""

import shlex
import subprocess

from setuptools import Extension, setup


def config(option):
    return shlex.split(subprocess.check_output(["libreplace", "config", option], text=True))


setup(
    py_modules=[],
    ext_modules=[
        Extension("_whoami", ["_whoami.c"], extra_compile_args=config("--cflags"), extra_link_args=config("--libs"))
    ],
)
