# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Prints what the report says about the Python that the package is built for: name, tab, value.

Meson runs this file with that Python. usage: toolchain.py true|false cross|native SYSTEM CPU_FAMILY ENDIAN POINTER_SIZE
LIBC   (whether the build uses the limited API; then what the compiler compiles for). If this Python would give a wheel
for another machine, the exit status is 1.
"""

import os
import platform
import re
import sys
import sysconfig
from typing import Dict, List, Optional, Tuple

#: Names of interpreters in the tags of wheels.
_SHORT = {"cpython": "cp", "pypy": "pp"}

#: How platforms and GNU triplets spell Meson's CPU families, if not as Meson does. Debian's pybuild names the platform
#: after Debian's architecture, such as linux-armhf and linux-ppc64el.
_SPELLINGS = {
    "x86": "i[3-6]86|x86",
    "x86_64": "x86_64|amd64",
    "aarch64 little": "aarch64|arm64(_v8a)?|evbarm",
    "aarch64 big": "aarch64_be",
    "arm little": r"arm(hf|el|v[4-8]\w*(?<!b))?|armeabi_v7a|evbarm",
    "arm big": r"armeb|armv\w+b",
    "loongarch64": "loong(arch)?64",
    "mips little": r"mips(isa32)?\w*el",
    "mips64 little": r"mips(isa)?64\w*el",
    "parisc": "hppa|parisc",
    "ppc": "ppc|powerpc",
    "ppc64 little": "ppc64(le|el)|powerpc64le",
    "ppc64 big": "ppc64|powerpc64",
}

#: How platforms spell Meson's systems, if not as Meson does.
_SYSTEMS = {"darwin": "macosx", "sunos": "solaris"}

_ADVICE = (
    "Configure stops, because the wheel would be installed on the wrong machine. {} "
    'See "Cross building the Python package" in docs/packaging.md. -Dpython=false builds only the C library.'
)
_CROSS = _ADVICE.format(
    "Describe the target's Python: set _PYTHON_HOST_PLATFORM and _PYTHON_SYSCONFIGDATA_NAME, and put the folder of the "
    "target's sysconfigdata on PYTHONPATH."
)
_NATIVE = _ADVICE.format("Use a compiler and a Python of one kind.")


def wheel_platform() -> str:
    """The platform in the name of a wheel, as meson-python reads it."""
    found = sysconfig.get_platform()
    if found.startswith("macosx"):  # a universal2 Python gives wheels for the machine where it runs
        named = os.environ.get("_PYTHON_HOST_PLATFORM", "").split("-")
        return "-".join([*found.split("-")[:2], named[2] if len(named) > 2 else platform.mac_ver()[2]])
    if sys.maxsize < 2**32:  # on a 64-bit kernel
        return {"linux-x86_64": "linux-i686", "linux-aarch64": "linux-armv7l"}.get(found, found)
    return found


def _is_spelling(word: str, family: str, endian: str) -> bool:
    spelling = _SPELLINGS.get(family) or _SPELLINGS.get(f"{family} {endian}") or re.escape(family)
    return re.fullmatch(spelling, word) is not None


def mismatch(limited_api: bool, compiled: List[str], named: str, variables: Dict[str, Optional[object]]) -> str:
    """Say in what this Python and the compiler disagree, so that the wheel would be wrong, or "".

    Args:
        compiled: cross or native; system, CPU family and endianness; pointer size; C library.
        named: The result of wheel_platform().
        variables: The variables of sysconfig.
    """
    kind, system, family, endian, pointer_size, libc = compiled
    machine = f"{system} on {family} ({endian} endian)"
    size = variables.get("SIZEOF_VOID_P")
    if size and str(size) != pointer_size:
        return f"the compiler's pointers have {pointer_size} bytes, and Python's have {size}"
    suffix = str(variables.get("EXT_SUFFIX"))
    if kind == "cross":
        running, version = "{}.{}".format(*sys.version_info[:2]), variables.get("VERSION")
        if version and version != running:
            return f"Python {running} would build a wheel for Python {version}; use a Python of the target's version"
        words = named.lower().split("-")
        is_system = words[0] == _SYSTEMS.get(system, system)
        if not is_system or not any(_is_spelling(word, family, endian) for word in words[1:]):
            return f"the compiler compiles for {machine}, and the wheel is named after {named}"
        # A suffix without a triplet (.cpython-311.so) names no machine.
        triplet = re.search(r"-(\w+)-linux-\w+\.", suffix)
        is_target = system in ("linux", "android") and triplet and _is_spelling(triplet.group(1), family, endian)
        if (triplet and not is_target) or ("-darwin." in suffix and system != "darwin"):
            return f"the compiler compiles for {machine}, and Python's suffix of extension modules is {suffix}"
    # abi3 modules have the same name with each C library, and auditwheel adds the C library to the wheel's name. The
    # suffix is no evidence: some Pythons for musl have one with -gnu. In a cross build of Python, configure turns the
    # triplet ARCH-VENDOR-linux into -gnu with each C library, so -gnu is no evidence there, either.
    triplet = re.search(r"-linux-(gnu|musl)\w*$", str(variables.get("HOST_GNU_TYPE")))
    is_glibc = triplet and triplet.group(1) == "gnu"
    certain = not is_glibc or variables.get("BUILD_GNU_TYPE") == variables.get("HOST_GNU_TYPE")
    if triplet and certain and not limited_api and is_glibc != (libc == "glibc"):
        return f"Python was built for {triplet.string}, and the compiler uses another C library"
    return ""


def tag(limited_api: bool) -> str:
    """The tag of the wheel that this build gives, before a tool such as auditwheel changes the platform."""
    name, version = sys.implementation.name, "{}{}".format(*sys.version_info[:2])
    soabi = str(sysconfig.get_config_var("SOABI")).split("-")
    abi = "cp" + soabi[1] if name == "cpython" and len(soabi) > 1 else "_".join(soabi[:2])
    words = (_SHORT.get(name, name) + version, "abi3" if limited_api else abi, wheel_platform())
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
    limited = sys.argv[1] == "true"
    different = mismatch(limited, sys.argv[2:], wheel_platform(), sysconfig.get_config_vars())
    if different:
        sys.exit(f"{different}. {_CROSS if sys.argv[2] == 'cross' else _NATIVE}")
    for row in rows(limited):
        print(*row, sep="\t")
