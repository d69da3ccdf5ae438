# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The sdist of a fresh clone contains exactly the files that it needs."""

import os
import re
import sys
import tarfile

import pytest
from support.builds import VERSION, needs_package, run, tool

#: Files that a clone has and an sdist does not have (.gitattributes).
CLONE_ONLY = (".ci/", ".clang-format", ".gitattributes", ".github/", ".gitignore")


@pytest.fixture(scope="session")
def built(source, tmp_path_factory):
    """The results of python -m build in a fresh clone. It installs the build requirements into a new environment."""
    needs_package("build")
    folder = tmp_path_factory.mktemp("build") / "clone"
    assert run(tool("git", "a clone"), "clone", "-q", source, folder).returncode == 0
    out = run(sys.executable, "-m", "build", cwd=folder)
    if out.returncode and "No matching distribution" in out.stdout + out.stderr and not os.environ.get("CI"):
        pytest.skip("needs the network: build requirements")
    assert out.returncode == 0, out.stdout + out.stderr
    assert run("git", "status", "--porcelain", cwd=folder).stdout == "", "the build may leave only dist/"
    return folder / "dist"


@pytest.fixture(scope="session")
def unpacked(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built / f"libreplace-{VERSION}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    (tree,) = folder.iterdir()
    return tree


def test_build_creates_a_wheel_and_an_sdist(built):
    wheel, sdist = sorted(path.name for path in built.iterdir())
    assert re.fullmatch(rf"libreplace-{VERSION}-cp3\d+-cp3\d+-linux_\w+\.whl", wheel)
    assert sdist == f"libreplace-{VERSION}.tar.gz"


def test_sdist_contains_all_tracked_files_except_clone_only_ones(source, unpacked):
    tracked = run("git", "ls-files", cwd=source).stdout.splitlines()
    expected = {name for name in tracked if not name.startswith(CLONE_ONLY)} | {"PKG-INFO"}
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert found == expected
    # Some projects forgot these kinds of files in their sdists.
    assert {"LICENSE", "CHANGELOG.md", "meson.options", "detect/probes/thread_credentials.c"} <= found
    assert {"replace/report.schema.json", "tests/cross/macos-aarch64.ini", "docs/packaging.md"} <= found
