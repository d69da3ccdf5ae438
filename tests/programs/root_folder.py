# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Makes root folders of Debian, also for other architectures, and runs commands in them.

The package index, the certificates and Debian's archive are those that this machine is configured for.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parent.parent.parent
#: What README asks for (a C compiler, Python and its header files), git for the clone, and certificates for pip.
NEEDED = ("ca-certificates", "gcc", "git", "libc6-dev", "python3", "python3-dev", "python3-venv")
#: What the program itself needs, and what tests need that are otherwise skipped.
TOOLS = ("mount", "passwd", "pkgconf", "procps", "strace", "util-linux-extra")
#: Debian's architectures whose programs run under qemu-user, and their names in qemu.
EMULATED = {"arm64": "aarch64", "armhf": "arm", "s390x": "s390x", "ppc64el": "ppc64le", "riscv64": "riscv64"}
#: Which tests run: README's second command; the tests of what a thread's guard does; the C library's tests.
ALL, GUARDS, C_TESTS = "all", "guards", "C tests"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Root(NamedTuple):
    name: str
    suite: str
    architecture: str = "amd64"
    packages: tuple[str, ...] = ()
    # a shell script that runs once in the new root, which has the source in /source; exit status 77: it cannot be tried
    prepare: str = ""
    environment: tuple[str, ...] = ()  # NAME=VALUE, for the commands
    tests: tuple[str, ...] = (ALL,)


class CannotTry(Exception):
    """This machine cannot make the root.  The text says why."""


class Failed(Exception):
    """A command failed.  The text says which one."""


def pip_environment() -> dict[str, str]:
    """The host's configuration of pip, as environment variables for the root."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.M)
    values = {"PIP_" + key.upper().replace("-", "_"): value for key, value in found if "python" not in key}
    names = ("SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
    return values | {name: os.environ[name] for name in names if name in os.environ}


def shown(environment: dict[str, str]) -> list[str]:
    """The host's files and folders to which these values refer, and how it finds names."""
    words = [word.removeprefix("file://") for value in environment.values() for word in value.split()]
    paths = ["/etc/resolv.conf", "/etc/hosts", *words]
    paths = [path.removesuffix("/simple") for path in paths]  # an index refers to the files beside it
    return [path for path in dict.fromkeys(paths) if path.startswith("/") and os.path.exists(path)]


def mirror() -> str:
    """The first archive in this machine's own list, else Debian's."""
    for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("debian*")]:
        found = re.search(r"^(?:URIs: *|deb (?:\[.*?\] )?)(\S+)", path.read_text() if path.exists() else "", re.M)
        if found:
            return found[1]
    return "http://deb.debian.org/debian"


def mmdebstrap(suite: str, folder: Path, log: Path | None, *options: str) -> None:
    """Make a folder with packages of Debian.  An archive that stands still (a snapshot) is accepted.

    It mounts /proc, /sys and /dev there.  In a mount namespace of its own, the mounts end with it, however it ends.
    Without `log`, it prints what mmdebstrap prints.
    """
    if not shutil.which("mmdebstrap"):
        raise CannotTry("needs mmdebstrap")
    command = ["unshare", "--mount", "--kill-child", "--fork", "mmdebstrap", *options]
    command += ["--aptopt=Acquire::Check-Valid-Until false", "--skip=check/qemu", suite, str(folder), mirror()]
    with log.open("a") if log else contextlib.nullcontext() as file:
        out = subprocess.run(command, stdout=file, stderr=file, check=False)
    if out.returncode:
        raise Failed(f"mmdebstrap: exit status {out.returncode}")


def remove(folder: Path) -> None:
    """Remove a root folder.  If something is mounted in it, that is not touched."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def make(root: Root, folder: Path, log: Path) -> None:
    """Install a release of Debian into a new folder.

    Another architecture's packages are only unpacked, in half a minute. Their scripts would run for three minutes under
    qemu. The tests need only the list of users and the name of the compiler that two of them make.
    """
    is_emulated = root.architecture in EMULATED
    tools = [name for name in TOOLS if not (is_emulated and name == "strace")]  # qemu-user has no ptrace(2)
    include = ",".join([*NEEDED, *tools, *root.packages])
    options = [f"--architectures={root.architecture}", f"--include={include}"]
    if is_emulated:
        mmdebstrap(root.suite, folder, log, "--variant=extract", "--include=?essential", *options)
        for name in ("passwd", "group"):
            shutil.copy(folder / f"usr/share/base-passwd/{name}.master", folder / "etc" / name)
        (folder / "usr/bin/cc").symlink_to("gcc")
    else:
        mmdebstrap(root.suite, folder, log, "--variant=apt", *options)


unpacking = threading.Lock()


def unpack_qemu(folder: Path, log: Path) -> None:
    """Unpack qemu-user, if it is not there. Installing it would register it for all programs of this machine.

    It is Debian 13's: the programs of Debian 12's qemu-user need libraries, which a root folder does not have.
    """
    with unpacking:
        if not folder.exists():
            remove(folder.with_suffix(".new"))
            mmdebstrap("trixie", folder.with_suffix(".new"), log, "--variant=extract", "--include=qemu-user")
            folder.with_suffix(".new").rename(folder)


def emulated(root: Root, qemu: Path, log: Path) -> list[str]:
    """The start of a command that runs the root's programs. The kernel's registration of qemu is only for the command.

    Debian's registration opens qemu now (F), for a root folder has none, and keeps argv[0] (P). With C, a program with
    the set-user-ID bit gets its owner's ids.
    """
    if root.architecture not in EMULATED:
        return []
    unpack_qemu(qemu, log)
    line = (qemu / f"usr/share/qemu/binfmt.d/qemu-{EMULATED[root.architecture]}.conf").read_text().strip()
    *fields, program, flags = line.split(":")
    line = ":".join([*fields, f"{qemu}{program}", f"{flags}C"])
    command = [sys.executable, str(SOURCE / "tests/support/odd_machine.py"), "registered", line]
    if subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise CannotTry("needs Linux 6.7 with binfmt_misc: registrations for one user namespace")
    return command


ENTER = """
mount --bind "$root" "$root"
cd "$root"
for name in dev sys; do mount --rbind "/$name" "$name"; done
mount -t proc proc proc
for path in $shown; do
    if [ -d "$path" ]; then mkdir -p ".$path"; else mkdir -p ".${path%/*}"; touch ".$path"; fi
    mount --bind -o ro "$path" ".$path"
done
mkdir -p .host
pivot_root . .host
umount -l /.host
cd /
sh -c "$script"
exit $?
"""


def run(root: Root, folder: Path, script: str, log: Path, timeout: float = 7200) -> tuple[int, str]:
    """Run a shell script in the root.  Return its exit status and what it printed.

    The root is a mount point, so that processes in it can make user namespaces, which they cannot in a chroot.  It has
    its own process ids, so that nothing goes on when the script has ended.
    """
    pip = pip_environment()
    given = {"root": str(folder), "script": script, "shown": " ".join(shown(pip))}
    environment = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **pip, **given}
    environment |= dict(word.split("=", 1) for word in root.environment)
    command = emulated(root, folder.parent / "qemu", log)
    command += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER]
    with log.open("a") as file:
        print(f"$ {script}", file=file, flush=True)
        start = file.tell()
        status = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=timeout, check=False
        ).returncode
    with log.open(errors="replace") as file:
        file.seek(start)
        return status, file.read()
