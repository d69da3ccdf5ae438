# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Fixtures of the long tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import servers
from support.builds import PYTHONS, needs_package, run, tool, version
from support.configure import MACHINE
from support.projects import install_library
from test_build import install, wheel


@pytest.fixture(scope="session")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed C library for each value of -Ddefault_library."""
    folder = tmp_path_factory.mktemp("installed")
    for kind in ("static", "shared", "both"):
        install_library(source, folder / f"b-{kind}", folder / kind, f"-Ddefault_library={kind}")
    return folder


@pytest.fixture(scope="session")
def development(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the wheel is installed, for projects that require it at build time."""
    folder = tmp_path_factory.mktemp("development")
    install(wheel(source, folder), folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Variables with which apt knows Debian's packages for arm64, and a Python of a version that Debian has.

    apt keeps everything in a folder of its own, so the machine's architectures and lists do not change.
    """
    if MACHINE != "x86_64":
        pytest.skip("needs x86_64: the page's example is for it")
    tool("apt-get", "downloads Debian's Python for arm64")
    needs_package("meson-python", "pip")
    folder = tmp_path_factory.mktemp("apt")
    for name in ("lists", "archives"):
        (folder / name / "partial").mkdir(parents=True)
    (folder / "apt.conf").write_text(
        'APT { Architecture "arm64"; Architectures { "arm64"; }; Sandbox::User ""; };\n'
        'Acquire { Languages "none"; Retries "3"; };\n'
        f'Dir {{ State {{ lists "{folder}/lists"; status "/dev/null"; }}; Cache "{folder}"; }};\n'
    )
    env = {"APT_CONFIG": str(folder / "apt.conf")}
    updated = run("apt-get", "-q", "update", env=env)
    for python in (sys.executable, *PYTHONS):
        package = "libpython{}.{}-dev:arm64".format(*version(python))
        if run("apt-get", "download", "--print-uris", package, env=env).returncode == 0:
            return env, python
    pytest.skip(f"needs a network and a Python of a version that Debian has for arm64: {updated.stderr.strip()}")


@pytest.fixture
def world() -> Iterator[Path]:
    """The users of a server, and their files."""
    with servers.world() as folder:
        yield folder
