# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Fixtures of the long tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import servers
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


@pytest.fixture
def world() -> Iterator[Path]:
    """The users of a server, and their files."""
    with servers.world() as folder:
        yield folder
