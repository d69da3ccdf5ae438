# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""detect/toolchain.py refuses a Python of another machine than the compiler's, and no other Python.

The values are those of real Pythons: Debian's, Alpine's, python.org's, FreeBSD's, pkgsrc's. system/test_cross_wheel.py
has the builds.
"""

import os
import sys
import sysconfig
from typing import NamedTuple

import pytest
import toolchain
from support.builds import ROOT, run
from support.configure import MACHINE


class Machine(NamedTuple):
    """What the compiler compiles for, and what the Python of this machine says."""

    compiled: str  # system, CPU family, endianness, pointer size, C library
    named: str
    suffix: str
    gnu_type: str

    def variables(self):
        size = int(self.compiled.split()[3])
        gnu_types = {"HOST_GNU_TYPE": self.gnu_type, "BUILD_GNU_TYPE": self.gnu_type}
        return {"EXT_SUFFIX": self.suffix, "SIZEOF_VOID_P": size, **gnu_types}


def linux(machine, size, uname, triplet, gnu_type, libc="glibc"):
    return Machine(f"linux {machine} {size} {libc}", f"linux-{uname}", f".cpython-311-{triplet}.so", gnu_type)


MACHINES = {
    "x86_64": linux("x86_64 little", 8, "x86_64", "x86_64-linux-gnu", "x86_64-pc-linux-gnu"),
    "x86_64 with musl": linux("x86_64 little", 8, "x86_64", "x86_64-linux-musl", "x86_64-alpine-linux-musl", "other"),
    "i386": linux("x86 little", 4, "i686", "i386-linux-gnu", "i686-pc-linux-gnu"),
    "aarch64": linux("aarch64 little", 8, "aarch64", "aarch64-linux-gnu", "aarch64-unknown-linux-gnu"),
    "big-endian aarch64": linux("aarch64 big", 8, "aarch64_be", "aarch64_be-linux-gnu", "aarch64_be-none-linux-gnu"),
    "armhf": linux("arm little", 4, "armv7l", "arm-linux-gnueabihf", "arm-unknown-linux-gnueabihf"),
    "big-endian arm": linux("arm big", 4, "armv7b", "armeb-linux-gnueabi", "armeb-unknown-linux-gnueabi"),
    "ppc64le": linux("ppc64 little", 8, "ppc64le", "powerpc64le-linux-gnu", "powerpc64le-unknown-linux-gnu"),
    "ppc64": linux("ppc64 big", 8, "ppc64", "powerpc64-linux-gnu", "powerpc64-unknown-linux-gnu"),
    "riscv64": linux("riscv64 little", 8, "riscv64", "riscv64-linux-gnu", "riscv64-unknown-linux-gnu"),
    "s390x": linux("s390x big", 8, "s390x", "s390x-linux-gnu", "s390x-ibm-linux-gnu"),
    "mips64el": linux("mips64 little", 8, "mips64el", "mips64el-linux-gnuabi64", "mips64el-unknown-linux-gnuabi64"),
    "mips64": linux("mips64 big", 8, "mips64", "mips64-linux-gnuabi64", "mips64-unknown-linux-gnuabi64"),
    "loongarch64": linux("loongarch64 little", 8, "loongarch64", "loongarch64-linux-gnu", "loongarch64-linux-gnu"),
    "macOS on arm64": Machine(
        "darwin aarch64 little 8 other", "macosx-11.0-arm64", ".cpython-311-darwin.so", "aarch64-apple-darwin20.6.0"
    ),
    "macOS on x86_64": Machine(
        "darwin x86_64 little 8 other", "macosx-10.9-x86_64", ".cpython-311-darwin.so", "x86_64-apple-darwin20.6.0"
    ),
    "FreeBSD": Machine(
        "freebsd x86_64 little 8 other", "freebsd-14.1-release-amd64", ".cpython-311.so", "amd64-portbld-freebsd14.1"
    ),
    "FreeBSD on aarch64": Machine(
        "freebsd aarch64 little 8 other", "freebsd-14.1-release-arm64", ".cpython-311.so", "aarch64-portbld-freebsd14.1"
    ),
    "NetBSD": Machine("netbsd x86_64 little 8 other", "netbsd-10.0-amd64", ".so", "x86_64--netbsd"),
}


def refused(kind, compiled, named, variables, limited=False):
    return toolchain.mismatch(limited, [kind, *compiled.split()], named, variables)


@pytest.mark.parametrize("name", MACHINES)
def test_python_of_the_target_is_accepted(name):
    machine = MACHINES[name]
    for limited in (True, False):
        assert not refused("cross", machine.compiled, machine.named, machine.variables(), limited)
        assert not refused("native", machine.compiled, machine.named, machine.variables(), limited)


@pytest.mark.parametrize("name", MACHINES)
def test_python_of_any_other_machine_is_refused(name):
    machine = MACHINES[name]
    for other_name, other in MACHINES.items():
        if other_name != name:
            assert refused("cross", machine.compiled, other.named, other.variables()), other_name


@pytest.mark.parametrize("name", MACHINES)
def test_platform_name_alone_does_not_make_a_python_the_target_s(name):
    """_PYTHON_HOST_PLATFORM is right, but the suffix and the variables are those of another machine."""
    machine = MACHINES[name]
    for other_name, other in MACHINES.items():
        if other.suffix != machine.suffix and ("-linux-" in other.suffix or "-darwin" in other.suffix):
            assert refused("cross", machine.compiled, machine.named, other.variables()), other_name


@pytest.mark.parametrize("name", MACHINES)
def test_variables_alone_do_not_make_a_python_the_target_s(name):
    """_PYTHON_SYSCONFIGDATA_NAME is right, but the wheel is named after another machine."""
    machine = MACHINES[name]
    for other_name, other in MACHINES.items():
        if other.named != machine.named:
            assert refused("cross", machine.compiled, other.named, machine.variables(), True), other_name


@pytest.mark.parametrize(
    ("compiler", "named", "variables"),
    [
        ("darwin aarch64 little 8 other", "macosx-10.9-universal2", MACHINES["macOS on x86_64"].variables()),
        ("linux x86_64 little 8 glibc", "linux-x86_64", {"EXT_SUFFIX": ".pypy310-pp73-x86_64-linux-gnu.so"}),
        ("linux arm little 4 glibc", "linux-armv8l", MACHINES["armhf"].variables()),
        ("linux mips little 4 glibc", "linux-mips64", {"EXT_SUFFIX": ".cpython-311-mipsel-linux-gnu.so"}),
        (
            "linux x86_64 little 8 other",
            "linux-x86_64",
            {**MACHINES["x86_64"].variables(), "HOST_GNU_TYPE": "x86_64-buildroot-linux-musl"},
        ),
    ],
    ids=["universal2", "PyPy", "32 bits on a 64-bit kernel", "mipsel on mips64", "musl with a -gnu suffix"],
)
def test_native_python_is_accepted(compiler, named, variables):
    assert not refused("native", compiler, named, variables)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("x86_64", "x86_64"),
        ("i386", "i386"),
        ("aarch64", "arm64"),
        ("armhf", "armhf"),
        ("armhf", "armel"),
        ("ppc64le", "ppc64el"),
        ("ppc64", "ppc64"),
        ("riscv64", "riscv64"),
        ("s390x", "s390x"),
        ("mips64el", "mips64el"),
        ("loongarch64", "loong64"),
    ],
)
def test_platform_may_be_named_after_debian_s_architecture(name, architecture):
    """pybuild sets _PYTHON_HOST_PLATFORM in this way. No other machine accepts the name."""
    assert not refused("cross", MACHINES[name].compiled, f"linux-{architecture}", MACHINES[name].variables())
    for other in MACHINES.values():
        if other.compiled.split()[1:3] != MACHINES[name].compiled.split()[1:3]:
            assert refused("cross", other.compiled, f"linux-{architecture}", other.variables()), other


def test_cross_built_python_for_musl_may_say_gnu():
    """Its configure was given x86_64-openwrt-linux, and added -gnu."""
    musl = MACHINES["x86_64 with musl"]
    gnu_types = {"HOST_GNU_TYPE": "x86_64-openwrt-linux-gnu", "BUILD_GNU_TYPE": "x86_64-pc-linux-gnu"}
    assert not refused("cross", musl.compiled, musl.named, {**musl.variables(), **gnu_types})


def test_32_bit_compiler_beside_a_64_bit_python_is_refused():
    found = refused("native", MACHINES["i386"].compiled, "linux-x86_64", MACHINES["x86_64"].variables(), True)
    assert found == "the compiler's pointers have 4 bytes, and Python's have 8"
    assert refused("native", MACHINES["x86_64"].compiled, "linux-i686", MACHINES["i386"].variables(), True)


def test_other_c_library_is_refused_without_the_stable_abi():
    """An abi3 module has the same name with each C library, and auditwheel names the library in the wheel's tag."""
    glibc, musl = MACHINES["x86_64"], MACHINES["x86_64 with musl"]
    for kind in ("cross", "native"):
        for compiler, python in ((musl, glibc), (glibc, musl)):
            assert not refused(kind, compiler.compiled, python.named, python.variables(), True)
            found = refused(kind, compiler.compiled, python.named, python.variables())
            assert found == f"Python was built for {python.gnu_type}, and the compiler uses another C library"


# ---- This Python itself


def ask(*words, env=None):
    return run(sys.executable, ROOT / "detect" / "toolchain.py", *words, env=env)


def native():
    family = {"i686": "x86", "armv7l": "arm"}.get(MACHINE, MACHINE)
    size = str(sysconfig.get_config_var("SIZEOF_VOID_P"))
    return [os.uname().sysname.lower(), family, sys.byteorder, size]


def test_python_that_runs_the_tests_is_accepted():
    out = ask("true", "native", *native(), "glibc")
    assert out.returncode == 0, out.stderr
    assert [line.split("\t")[0] for line in out.stdout.splitlines()] == ["python", "cffi", "tag"]


def test_variables_of_a_cross_build_describe_the_target(tmp_path):
    """The target's sysconfigdata is this Python's with another suffix."""
    compiled = ["cross", "linux", "m68k", "big", native()[3], "glibc"]
    variables = {**sysconfig.get_config_vars(), "EXT_SUFFIX": ".cpython-311-m68k-linux-gnu.so"}
    plain = {name: value for name, value in variables.items() if isinstance(value, (str, int))}
    for version, name in ((plain["VERSION"], "target"), ("3.7", "older")):
        text = f"build_time_vars = { ({**plain, 'VERSION': version})!r}\n"
        (tmp_path / f"_sysconfigdata_{name}.py").write_text(text)
    platform = {"_PYTHON_HOST_PLATFORM": "linux-m68k"}
    data = {"_PYTHON_SYSCONFIGDATA_NAME": "_sysconfigdata_target", "PYTHONPATH": str(tmp_path)}
    out = ask("true", *compiled, env={**platform, **data})
    assert out.returncode == 0, out.stderr
    assert out.stdout.rstrip().endswith("-abi3-linux_m68k")
    for env in ({}, platform, data):
        out = ask("true", *compiled, env=env)
        assert out.returncode == 1
        assert "Describe the target's Python: set _PYTHON_HOST_PLATFORM and" in out.stderr
    out = ask("true", *compiled, env={**platform, **data, "_PYTHON_SYSCONFIGDATA_NAME": "_sysconfigdata_older"})
    assert out.returncode == 1
    assert "would build a wheel for Python 3.7; use a Python of the target's version" in out.stderr
