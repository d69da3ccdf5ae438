# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measures stat() in the mount of docs/examples/fuse_mount.py.  docs/fuse.md has the figures.

usage: python tests/benchmarks/fuse.py [ROUNDS COUNT]   (as root; needs mfusepy, pytest and libfuse 3; a minute)

A user asks for a file in a folder of a folder.  Each row compares the program, or a copy with a change, with a copy
that runs everything as root.  Both are mounted at the same time, and take turns in 51 rounds of 50 calls.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from _measure import ALICE, needs_root, ratio

import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.mounted import mount

AS_ROOT = (
    ("client = self._client(", "client = ("),
    ("guard = replace.impersonate(client)", "guard = contextlib.nullcontext()"),
)
CACHED = (("replace.Identity.of_process(thread)", f"replace.Identity(uid, gid, {ALICE.groups})"),)
COPIES = {"the program": (), "the program, if it has the groups already": CACHED}


def stat(path):
    def body(count):
        with replace.impersonate(ALICE):
            for _ in range(count):
                os.stat(path)

    return body


def main(rounds=51, count=50):
    """Print the table."""
    needs_root()
    with tempfile.TemporaryDirectory(prefix="libreplace-benchmark-") as name, contextlib.ExitStack() as stack:
        world = Path(name)
        world.chmod(0o755)
        (world / "served" / "folder" / "folder").mkdir(parents=True)
        (world / "served" / "folder" / "folder" / "file").touch()

        def mounted(changes):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=world)))
            _, point = stack.enter_context(mount(place, world / "served", changes=changes))
            return stat(f"{point}/folder/folder/file")

        as_root = mounted(AS_ROOT)
        for words, changes in COPIES.items():
            value, ours, theirs = ratio(mounted(changes), as_root, count, rounds)
            print(f"{words:42}{value:5.1f}   {ours:5.0f} us : {theirs:4.0f} us", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
