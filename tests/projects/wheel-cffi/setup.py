# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A cffi extension and a module that uses it."""

from setuptools import setup

setup(py_modules=["whoami_cffi"], cffi_modules=["build_whoami.py:ffi"])
