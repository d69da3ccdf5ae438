# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""`libreplace verify`, run by root, while a user attacks its temporary folder.

tests/system/test_verify_program.py does the same with the C program.
"""

import errno
import os
import stat
import sys

import pytest
from support.builds import run
from support.children import needs_root
from support.folder_attacker import KEPT, NOBODY, SWAPS, attacker, slowed, untouched

from replace._cli.check_folder import CheckFolder

VERIFY = (sys.executable, "-m", "replace", "verify")


def folders(tmp_path):
    """A folder for temporary files, and one that only root may enter."""
    needs_root()
    place, victim = tmp_path / "place", tmp_path / "victim"
    place.mkdir()
    victim.mkdir(mode=0o700)
    return place, victim


def attacked(place, victim, swap, *program):
    """Run the program until the attacker has seen its folder. Every claim must be proved."""
    with attacker(place, victim, swap) as seen:
        for _ in range(10):
            out = run(*slowed(*program), cwd="/", env={"TMPDIR": str(place)})
            assert untouched(victim)
            assert out.returncode == 0, out.stdout + out.stderr
            if seen.folders:
                return seen
    raise AssertionError("the attacker never saw the folder")


def check_names(tmp_path, *program):
    """A user makes names in the program's folder, if he can reach it."""
    place, victim = folders(tmp_path)
    place.chmod(0o1777)
    seen = attacked(place, victim, "", *program)
    assert not seen.successes
    assert not list(place.iterdir())


def check_swap(tmp_path, swap, *program):
    """TMPDIR belongs to the user, as after `sudo -E`."""
    place, victim = folders(tmp_path)
    kept = place / KEPT
    kept.mkdir(mode=0o700)
    (kept / "files").mkdir()
    inode = kept.stat().st_ino
    os.chown(place, NOBODY, NOBODY)
    attacked(place, victim, swap, *program)
    found = []
    for left in place.iterdir():  # what the user moved away, and what he put there
        if left.lstat().st_uid == 0 and not left.is_symlink():
            assert stat.S_IMODE(left.stat().st_mode) == 0o700
            names = [path.name for path in left.rglob("*")]
            assert names == (["files"] if left.stat().st_ino == inode else [])
            found.append(left.stat().st_ino)
    assert inode in found


def test_names_that_a_user_makes_in_time_do_not_contradict(tmp_path):
    check_names(tmp_path, *VERIFY)


@pytest.mark.parametrize("swap", SWAPS)
def test_user_who_swaps_the_folder_changes_nothing_of_root(tmp_path, swap):
    check_swap(tmp_path, swap, *VERIFY)


def test_folder_is_reached_only_through_its_descriptor(tmp_path, monkeypatch):
    """Mode 0777 is inside mode 0700, also if the place passes on its group."""
    os.chmod(tmp_path, 0o2777)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = CheckFolder()
    try:
        (outer,) = tmp_path.iterdir()
        (inner,) = outer.iterdir()
        assert stat.S_IMODE(outer.stat().st_mode) & 0o777 == 0o700
        assert stat.S_IMODE(inner.stat().st_mode) == 0o777
        assert os.path.samestat(os.fstat(made.descriptor), inner.stat())
        for name in ("file", "new", "a b"):
            os.close(os.open(name, os.O_CREAT, dir_fd=made.descriptor))
    finally:
        made.remove()
        made.remove()
        made.close()
    assert list(tmp_path.iterdir()) == []


def test_unusable_place_is_replaced_by_the_next(monkeypatch):
    for value in ("/dev/null", "/nowhere", "/proc", ""):
        monkeypatch.setenv("TMPDIR", value)
        made = CheckFolder()
        made.remove()
        made.close()


def test_failure_to_open_the_folder_leaves_nothing(tmp_path, monkeypatch):
    """Each of the system calls fails once. The next place is the same folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("open", "mkdir", "fchmod", "fstat"):
        for call in range(3):
            original, left = getattr(os, name), [call]

            def fails(*arguments, original=original, left=left, **options):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.EMFILE, "no more")
                return original(*arguments, **options)

            with monkeypatch.context() as patch:
                patch.setattr(os, name, fails)
                try:
                    made = CheckFolder()
                except OSError:
                    continue
            made.remove()
            made.close()
    assert list(tmp_path.iterdir()) == []
