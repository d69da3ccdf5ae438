# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The few functions of Samba's wafsamba that this project uses, in our own words.

Samba's file is not on PyPI, and its licence is the GPL, so the tests run with this one. The project also builds with
Samba's folders `buildtools` and `third_party`; see test_existing_c_code.py.

What matters here: each name in `deps` has one type in one table. The own library and a system's library cannot have
the same name there.
"""

import shlex
import sys

from waflib import Logs, Options
from waflib.Configure import conf

_extension = ""


@conf
def RECURSE(context, folder):
    context.recurse(folder)


def PRIVATE_EXTENSION_DEFAULT(context, name):
    global _extension
    _extension = name


Options.OptionsContext.RECURSE = RECURSE
Options.OptionsContext.PRIVATE_EXTENSION_DEFAULT = PRIVATE_EXTENSION_DEFAULT


@conf
def DEFINE(configuration, name, value):
    configuration.define(name, value)


@conf
def SAMBA_CONFIG_H(configuration):
    configuration.write_config_header("config.h")


@conf
def CHECK_CFG(configuration, args, **words):
    """Ask pkg-config; store the flags as variables that end with the value of `uselib_store`."""
    return configuration.check_cfg(args=shlex.split(args), mandatory=False, global_define=True, **words)


@conf
def SET_TARGET_TYPE(context, name, kind):
    types = dict(pair.split("=") for pair in context.env.TARGET_TYPES)
    if name in types:
        Logs.error(f"Target '{name}' re-defined as {kind} - was {types[name]}")
        sys.exit(1)
    context.env.append_value("TARGET_TYPES", f"{name}={kind}")


@conf
def SAMBA_LIBRARY(build, name, source, private_library):
    build.SET_TARGET_TYPE(name, "LIBRARY")
    build.shlib(name=name, source=source, target=f"{name}-{_extension}" if private_library else name)


@conf
def SAMBA_BINARY(build, name, source, deps):
    """Link a program. A system's library has the flags that were stored under its name in capital letters."""
    build.SET_TARGET_TYPE(name, "BINARY")
    types = dict(pair.split("=") for pair in build.env.TARGET_TYPES)
    use = []
    for dependency in deps.split():
        if dependency not in types:
            Logs.error(f"Unknown dependency '{dependency}' in '{name}'")
            sys.exit(1)
        use.append(dependency.upper() if types[dependency] == "SYSLIB" else dependency)
    build.program(source=source, target=name, use=use, rpath=[build.bldnode.abspath()])
