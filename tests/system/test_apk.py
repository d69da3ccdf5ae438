# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The Alpine packages of docs/examples/APKBUILD: its functions run here in the order of abuild.

abuild needs Alpine. Stand-ins take the place of abuild's functions and of abuild-meson. The C library is built for
musl, and the wheel for this Python. LIBREPLACE_MUSL_PYTHON can name a Python on musl that has meson-python, ninja,
cffi, gpep517, installer and shtab. Then the wheel is built for that one, and the C tests run, too.
"""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.builds import ROOT, VERSION, needs_package, run, tool
from support.projects import development_files

MUSL = os.environ.get("LIBREPLACE_MUSL_PYTHON", "")
#: The packages of `makedepends`, and those that they need.
NEEDED = [
    *("cffi", "gpep517", "installer", "meson", "meson-python", "ninja", "shtab"),
    *("packaging", "pycparser", "pyproject-metadata"),
]
#: What abuild does with an APKBUILD: variables, amove, the functions that split a package, the order of the steps.
ABUILD = r"""
set -e
srcdir=$PWD/src pkgbasedir=$PWD/pkg pkgdir=$PWD/pkg/libreplace

amove() {
	for i in "$@"; do
		mkdir -p "$subpkgdir/$(dirname "$i")"
		mv "$pkgdir/$i" "$subpkgdir/$i"
		(cd "$pkgdir"; rmdir -p --ignore-fail-on-non-empty "$(dirname "$i")")
	done
}
found() { cd "$pkgdir"; find usr "$@"; }
static() { amove $(found -name '*.a'); }
default_dev() {
	amove $(found -path usr/include -o -path usr/lib/pkgconfig -o -path usr/lib/cmake -o -type l -name 'lib*.so')
}
doc() { amove $(found -path usr/share/doc -o -path usr/share/man -o -path usr/share/licenses); }
pyc() { amove $(found -name __pycache__); }
completion() {
	amove $(found -name completions -o -name site-functions -o -name vendor_completions.d | grep $shell)
}
. ./APKBUILD

mkdir -p "$srcdir"
tar -C "$srcdir" -xf "${source##*/}"
for step in build check package package; do # `abuild rootpkg` runs package again
	rm -rf "$pkgdir"
	mkdir -p "$pkgdir"
	(cd "$builddir"; $step)
done
for name in $subpackages; do
	subpkgname=${name%%:*} step=${name##*[-:]} shell=${name%-completion}
	subpkgdir=$pkgbasedir/$subpkgname shell=${shell##*-}
	(cd "$builddir"; $step; echo "$depends" > "$subpkgdir.depends")
done
"""
#: The options of Alpine's abuild-meson. Without Python on musl, the C tests (half a minute) are not built.
ABUILD_MESON = f"""#!/bin/sh
CC=musl-gcc exec meson setup --prefix=/usr --libdir=/usr/lib --buildtype=plain --wrap-mode=nodownload -Db_pie=true \
	{"" if MUSL else "-Dtests=false"} "$@"
"""


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


@pytest.fixture(scope="module")
def packages(source, tmp_path_factory):
    """The files of each package, by its name, and the folder with a folder of each package."""
    needs_package("build", *NEEDED)
    tool("musl-gcc", "builds for Alpine")
    tool("git", "an sdist")
    folder = tmp_path_factory.mktemp("apk")
    for name in ("bin", "makedepends"):
        (folder / name).mkdir()
    # The recipe's virtual environment sees the packages of the system. Here it sees these, but not this libreplace.
    for distribution in map(metadata.distribution, NEEDED):
        for top in {path.parts[0] for path in distribution.files or []} - {"..", "__pycache__"}:
            (folder / "makedepends" / top).symlink_to(str(distribution.locate_file(top)))
    python = MUSL or sys.executable
    path = os.pathsep.join([str(folder / "bin"), os.path.dirname(python), "/usr/sbin:/usr/bin:/sbin:/bin"])
    words = ["-m", "build", "--no-isolation", "--skip-dependency-check", "--sdist", "--outdir"]
    out = run(sys.executable, *words, folder, source, env={"PATH": path})
    assert out.returncode == 0, out.stderr
    (folder / "APKBUILD").write_bytes((ROOT / "docs/examples/APKBUILD").read_bytes())
    (folder / "bin/abuild-meson").write_text(ABUILD_MESON)
    (folder / "bin/abuild-meson").chmod(0o755)
    variables = [f"PATH={path}", "HOME=/nonexistent", "LC_ALL=C.UTF-8"]
    variables += ["CC=musl-gcc"] if MUSL else [f"PYTHONPATH={folder}/makedepends"]
    out = run("env", "-i", *variables, "sh", "-c", ABUILD, cwd=folder, timeout=900)
    assert out.returncode == 0, (out.stdout + out.stderr)[-3000:]
    return {path.name: files(path) for path in (folder / "pkg").iterdir() if path.is_dir()}, folder / "pkg"


def test_each_alpine_package_contains_its_files(packages):
    found, folder = packages
    (site,) = {name.split("/replace/")[0] for name in found["py3-libreplace"] if "/replace/" in name}
    assert re.fullmatch(r"usr/lib/python3\.\d+/site-packages", site)
    assert found.pop("libreplace") == {"usr/lib/libreplace.so.0", f"usr/lib/libreplace.so.{VERSION}"}
    assert found.pop("libreplace-static") == {"usr/lib/libreplace.a"}
    devel = development_files("usr/lib") | {"usr/lib/libreplace.so", "usr/share/libreplace/build_report.json"}
    assert found.pop("libreplace-dev") == devel
    assert {"usr/share/licenses/libreplace/LICENSE", "usr/share/doc/libreplace/packaging.md"} <= found.pop(
        "libreplace-doc"
    )
    python = found.pop("py3-libreplace")
    assert {"usr/bin/libreplace", f"{site}/replace/__init__.py", f"{site}/replace/_cli/verify.py"} <= python
    assert not [name for name in python if re.search(r"\.(a|h|pc|pyc|cmake)$|build_report", name)]
    assert (folder / "py3-libreplace.depends").read_text() == "py3-cffi\n"
    completion = {"bash": "bash-completion/completions/libreplace", "zsh": "zsh/site-functions/_libreplace"}
    completion["fish"] = "fish/vendor_completions.d/libreplace.fish"
    for shell, name in completion.items():
        assert found.pop(f"py3-libreplace-{shell}-completion") == {f"usr/share/{name}"}
    assert all("/__pycache__/" in name for name in found.pop("py3-libreplace-pyc"))
    assert not found


def test_alpine_library_is_for_musl_and_changes_one_thread(packages):
    _, folder = packages
    library = folder / "libreplace/usr/lib/libreplace.so.0"
    needed = subprocess.check_output([tool("readelf", "reads a library"), "-d", library], text=True)
    assert re.findall(r"\(NEEDED\).*\[(.*)\]", needed) == ["libc.so"]
    pc = (folder / "libreplace-dev/usr/lib/pkgconfig/libreplace.pc").read_text()
    assert re.search("^backend=syscall$", pc, re.M)
    assert re.search("^scope=thread$", pc, re.M)
