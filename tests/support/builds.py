# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run commands, find tools, read builds and list other interpreters."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from support.schema import valid
from support.start import PKG_CONFIG

ROOT = Path(__file__).resolve().parent.parent.parent
#: An sdist has no .ci/, no .github/, and none of git's own files.
IS_SDIST = not (ROOT / ".gitattributes").exists()
#: The version, from the one place where it is written. Each build has it from there.
VERSION = re.findall(r"^  version: '([\d.]+)',$", (ROOT / "meson.build").read_text(), re.M)[0]


def run(
    *command: object, env: dict[str, str] | None = None, cwd: object = None, timeout: int = 280
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; return its output and its status."""
    words = [str(word) for word in command]
    merged = {k: v for k, v in {**os.environ, **(env or {})}.items() if k != "SOURCE_DATE_EPOCH" or env and k in env}
    # meson and ninja are in the folder of this Python, so its environment need not be activated
    merged["PATH"] = os.pathsep.join([merged.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    return subprocess.run(
        words,
        env=merged,
        cwd=str(cwd) if cwd else None,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )


#: Tools whose Debian package has a different name.
DEBIAN = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "abidiff": "abigail-tools",
    "abidw": "abigail-tools",
    "apt-get": "apt",
    "c++": "g++",
    "cc": "gcc",
    "chromedriver": "chromium-driver",
    "clang++": "clang",
    "dh": "debhelper",
    "dh_python3": "dh-python",
    "dpkg-buildpackage": "dpkg-dev",
    "env": "coreutils",
    "fusermount3": "fuse3",
    "ip": "iproute2",
    "ld": "binutils",
    "ld.gold": "binutils",
    "ld.lld": "lld",
    "ld.mold": "mold",
    "musl-gcc": "musl-tools",
    "nm": "binutils",
    "nsenter": "util-linux",
    "prlimit": "util-linux",
    "py3versions": "python3",
    "qemu-aarch64": "qemu-user",
    "readelf": "binutils",
    "rpmbuild": "rpm",
    "rpmspec": "rpm",
    "s390x-linux-gnu-gcc": "gcc-s390x-linux-gnu",
    "setpriv": "util-linux",
    "sftp": "openssh-client",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}


def tool(name: str, why: str) -> str:
    """Return the path of a tool. If it is missing, skip the test and name the reason and the package.

    BusyBox's tools do not count: they lack options that the tests use.
    """
    found = shutil.which(name)
    if not found or os.path.basename(os.path.realpath(found)) == "busybox":
        pytest.skip(f"needs {name} ({why}; Debian: {DEBIAN.get(name, name)})")
    if name == "fakeroot" and "FAKEROOTKEY" in os.environ:
        pytest.skip("needs to start outside of fakeroot, which does not run inside itself")
    return str(found)


def needs_proot() -> str:
    """The path of proot. That of Debian sid in November 2026 changes no id, so then the test is skipped."""
    path = tool("proot", "fakes ids")
    if run(path, "-i", "4711:4712", "id", "-u", cwd="/").stdout != "4711\n":
        pytest.skip("needs a proot that fakes ids; the installed one changes none")
    return path


def in_namespaces(*options: str) -> list[str]:
    """Return the words that start a command in new namespaces. If the kernel refuses them, skip the test.

    In a chroot whose folder is not a mount point, unshare(1) cannot make the mounts private. A minimal Debian has no
    mount(8), for which the new mount namespaces are.
    """
    if any(re.match(r"-\w*m", option) for option in options):
        tool("mount", "changes the mounts of a new namespace")
    words = [tool("unshare", "new namespaces"), *options]
    out = run(*words, "true")
    if out.returncode:
        pytest.skip(f"needs `unshare {' '.join(options)}`, which fails here: {out.stderr.strip()}")
    return words


#: Why a test skips if a distribution has split the package.
NO_C_LIBRARY = "needs the C library's files, which this package does not have (Debian: libreplace-dev)"


def flags_for_c(*options: str) -> str:
    """Return what `libreplace config` prints. If the C library's files are not there, skip the test.

    A distribution has them in another package. PKG_CONFIG_PATH may say where.
    """
    out = run(sys.executable, "-m", "replace", "config", *options, cwd="/", env=PKG_CONFIG)
    if "this package has no " in out.stderr:
        pytest.skip(NO_C_LIBRARY)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


def requirements(*packages: str) -> set[str]:
    """Return the names of these PyPI packages, and of those that they require here."""
    found: set[str] = set()
    new = set(packages)
    while new:
        found |= new
        lines = []
        for name in new:
            with contextlib.suppress(metadata.PackageNotFoundError):  # only other versions of Python need it
                lines += [line for line in metadata.requires(name) or [] if "extra ==" not in line]
        new = {re.split(r"[^\w.-]", line)[0].lower() for line in lines} - found
    return found


def needs_meson(why: str) -> None:
    """Skip the test if Meson or ninja is missing, and name the package."""
    needs_package("meson")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable)])
    if not any(shutil.which(name, path=path) for name in (os.environ.get("NINJA", "ninja"), "ninja-build", "samu")):
        pytest.skip(f"needs ninja ({why}; pip install '.[test-all]')")


def uid_wrapper() -> str:
    """Return the path of uid_wrapper's library. If it is missing, skip the test and name the package."""
    for folder in (f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib64", "/usr/lib"):
        if os.path.exists(f"{folder}/libuid_wrapper.so"):
            return f"{folder}/libuid_wrapper.so"
    pytest.skip("needs uid_wrapper (Debian: libuid-wrapper)")


def needs_debian_12() -> None:
    """Skip the test on another system, which has other versions of Debian's tools."""
    version = Path("/etc/debian_version")
    if not (version.exists() and version.read_text().startswith("12.")):
        pytest.skip("needs Debian 12")


def needs_package(*names: str) -> None:
    """Skip the test if one of these PyPI packages is missing, and name that package."""
    for name in names:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            pytest.skip(f"needs {name} (pip install '.[test-all]')", allow_module_level=True)


def imported(package: str, module: str = "") -> Any:
    """Return a module of a PyPI package. If the package is missing, skip the test and name the package."""
    name = module or package
    if name not in sys.modules:  # a thread that acts as a user can perhaps not read the package's metadata
        needs_package(package)
    return importlib.import_module(name)


def no_source(folder: str, names: list[str]) -> set[str]:
    """Return the names that do not belong to the source: caches, history, environments and build folders."""
    marks = ("pyvenv.cfg", "meson-private")
    found = {name for name in names if any(Path(folder, name, mark).exists() for mark in marks)}
    return found | {name for name in names if name in ("__pycache__", ".git") or name.endswith("_cache")}


def copy_source(folder: Path, target: Path, *without: str) -> Path:
    """Copy a folder of the source, which may be read-only. The copy can be changed.

    It lacks what does not belong to the source, and the names that match one of the patterns `without`.
    """

    def ignored(place: str, names: list[str]) -> set[str]:
        return no_source(place, names) | shutil.ignore_patterns(*without)(place, names)

    shutil.copytree(folder, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    for place, _, names in os.walk(target):
        for path in [place, *(os.path.join(place, name) for name in names)]:
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o200)
    return target


def report_of(build: Path) -> dict[str, Any]:
    """Make and validate the report of a Meson build."""
    out = run(sys.executable, "-m", "mesonbuild.mesonmain", "compile", "-C", build, "package_files")
    assert out.returncode == 0, out.stdout + out.stderr
    return valid(json.loads((build / "replace" / "build_report.json").read_text()))


#: Paths of other interpreters to test, separated as in PATH. Each needs cffi. The oldest one builds one stable-ABI
#: wheel for all of them, so it also needs meson-python and ninja. .ci/run makes such environments.
PYTHONS = [path for path in os.environ.get("LIBREPLACE_PYTHONS", "").split(os.pathsep) if path]


def version(python: str) -> tuple[int, ...]:
    """Return the first three numbers of an interpreter's sys.version_info."""
    code = "import sys; print(*sys.version_info[:3])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], text=True).split()))
