# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Builds the Debian packages in Debian sid, with the commands of docs/packaging.md, and checks them there.

usage: python3 tests/programs/debian_sid.py [ROOT]

Needs root, mmdebstrap and Debian's archive. Without ROOT, it makes a root folder of sid and removes it at the end. With
ROOT, the folder is kept and used again. It builds the packages, looks for paths of the build folders in the extension
modules, and runs lintian and the autopkgtest commands. Exit status 1 if something is wrong.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from root_folder import SOURCE, mmdebstrap

#: lintian's tags that are accepted in sid.
ACCEPTED = {
    "initial-upload-closes-no-bugs": "an example has no bug to close (ITP) in Debian",
    "debian-watch-does-not-check-openpgp-signature": "PyPI has no OpenPGP signatures",
    "package-uses-old-debhelper-compat-version": "13 is the newest one of Debian 12 and 13",
}


def make_root(root: Path) -> None:
    """Install sid with the packages of Build-Depends."""
    control = (SOURCE / "docs/examples/debian/control").read_text()
    (depends,) = re.findall(r"^Build-Depends:\n((?: .*\n)+)", control, re.M)
    names = [line.split()[0].rstrip(",").replace("debhelper-compat", "debhelper") for line in depends.splitlines()]
    include = "--include=" + ",".join([*names, "build-essential", "git", "lintian", "python3-build"])
    mmdebstrap("sid", root, None, "--variant=apt", include)


def run(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in the root, with its own mounts of /proc and /dev. Print what it prints."""
    mounts = 'for i in proc dev; do mount --rbind /$i "$0/$i"; done; exec chroot "$0" env -i "$@"'
    variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"]
    command = ["unshare", "-m", "sh", "-c", mounts, str(root), *variables, "bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def must_run(root: Path, title: str, script: str) -> str:
    """Run a script in the root. End the program if it fails."""
    print("==", title, flush=True)
    out = run(root, script)
    if out.returncode:
        sys.exit(out.stdout[-5000:] + f"\n{title}: exit status {out.returncode}")
    return out.stdout


def check(root: Path) -> None:
    """Build the packages and check them."""
    page = (SOURCE / "docs/packaging.md").read_text()
    (build,) = re.findall(r"^```sh\n# Debian sid\n(.*?)^```", page, re.M | re.S)
    subprocess.run(["rm", "-rf", str(root / "build")], check=True)
    safe = ["-c", "safe.directory=*"]
    subprocess.run(["git", *safe, "clone", "-q", "--no-local", str(SOURCE), str(root / "build")], check=True)
    must_run(root, "dpkg-buildpackage", "cd /build\n" + build)

    deb = "/build/deb"
    unstripped = f"ls {deb}/libreplace-*/.pybuild/*/build/replace/_native*.so"
    found = must_run(root, "extension modules", f"{unstripped}; py3versions -s").split()
    modules = [name for name in found if name.startswith("/")]
    pythons = [name for name in found if not name.startswith("/")]
    print(*pythons)
    if len(modules) != len(pythons):
        sys.exit(f"{len(pythons)} supported Pythons, but these modules: {modules}")
    for name in modules:
        if b".pybuild" in (root / name[1:]).read_bytes():
            sys.exit(f"{name} contains the path of its build folder")

    tags = must_run(root, "lintian", f"cd {deb}; lintian --allow-root -EI --display-level '>=pedantic' *.changes")
    print(tags, end="")
    lines = re.findall(r"^[EWIPXC]: .*?: (\S+)", tags, re.M)
    if wrong := set(lines) - set(ACCEPTED):
        sys.exit(f"lintian reports {wrong}")

    must_run(root, "installation", f"cd {deb}; dpkg -i python3-replace_*.deb libreplace-dev_*.deb")
    control = (SOURCE / "docs/examples/debian/tests/control").read_text()
    for command in re.findall(r"^Test-Command: (.*)$", control, re.M):
        print(must_run(root, command, f"cd /; {command}"), end="")
    for name in re.findall(r"^Tests: (.*)$", control, re.M):
        print(must_run(root, name, f"cd /; sh {deb}/libreplace-*/debian/tests/{name}"), end="")


def main() -> None:
    if sys.argv[1:2] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="libreplace-sid-") as folder:
        root = Path(sys.argv[1] if sys.argv[1:] else folder + "/root")
        if not (root / "usr/bin/lintian").exists():
            make_root(root)
        check(root)


if __name__ == "__main__":
    main()
