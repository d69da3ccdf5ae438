# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Prints what the report says about the Python that the package is built for: name, tab, value.

Meson runs this file with that Python. usage: toolchain.py true|false   (whether the build uses the limited API)
"""

import platform
import sys
import sysconfig
from typing import List, Tuple

#: Names of interpreters in the tags of wheels.
_SHORT = {"cpython": "cp", "pypy": "pp"}


def tag(limited_api: bool) -> str:
    """The tag of the wheel that this build gives, before a tool such as auditwheel changes the platform."""
    name, version = sys.implementation.name, "{}{}".format(*sys.version_info[:2])
    soabi = str(sysconfig.get_config_var("SOABI")).split("-")
    abi = "cp" + soabi[1] if name == "cpython" and len(soabi) > 1 else "_".join(soabi[:2])
    system = sysconfig.get_platform()
    if system == "linux-x86_64" and sys.maxsize < 2**32:
        system = "linux-i686"
    words = (_SHORT.get(name, name) + version, "abi3" if limited_api else abi, system)
    return "-".join(word.replace("-", "_").replace(".", "_") for word in words)


def rows(limited_api: bool) -> List[Tuple[str, str]]:
    try:
        import cffi

        version = str(cffi.__version__)
    except ImportError:  # replace/meson.build says that it is missing
        version = ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [("python", python), ("cffi", version), ("tag", tag(limited_api))]


if __name__ == "__main__":
    for row in rows(sys.argv[1] == "true"):
        print(*row, sep="\t")
