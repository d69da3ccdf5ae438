# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""soak.py in its short form, and that it would notice."""

import contextlib
import json
import os
import sys
import tempfile

import pytest
from conftest import ROOT, as_root, run
from soak import Soak

import replace

SCRIPT = ROOT / "tests" / "soak.py"


def test_nobody_is_ever_somebody_else():
    if os.geteuid() != 0:
        pytest.skip("needs root: real ids are switched")
    if replace.SCOPE != "thread":
        return
    out = run(sys.executable, SCRIPT, "--switches", "40000", "--json", cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    figures = json.loads(out.stdout)
    assert figures["wrong"] == {}
    assert figures["switches"] >= 40000
    kinds = ("files", "opens", "refusals", "exceptions", "nested", "elsewhere")
    assert all(figures[kind] > 0 for kind in kinds), figures


@contextlib.contextmanager
def without_groups(one, level):
    replace.setresuid(-1, one.uid, -1)
    try:
        yield
    finally:
        replace.setresuid(-1, 0, -1)


@contextlib.contextmanager
def of_libc(one, level):
    """As people write it; libc changes every thread."""
    os.seteuid(0)
    os.setegid(one.gid)
    os.seteuid(one.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextlib.contextmanager
def for_show(one, level):
    yield


@pytest.mark.parametrize("naive", [without_groups, of_libc, for_show])
def test_a_naive_switch_is_noticed(naive):
    def body(folder):
        soak = Soak(folder, 300, 1 if naive is not of_libc else 4, 8)
        soak.impersonate = naive
        # The executor and acting_as() go on as they are: it is the naive one that must be seen.
        with contextlib.suppress(OSError, replace.IdentityError, replace.ThreadsDiffer):
            count = dict.fromkeys(soak.total, 0)
            for number in range(8):
                with naive(soak.people[number], "effective"):
                    soak.look(number, count)
                    soak.create(number, count)
        return soak.wrong

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        wrong = as_root(body, folder)
        assert replace.SCOPE != "thread" or wrong
