# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""A short run of soak.py, and controls that it must reject."""

import contextlib
import json
import os
import sys
import tempfile

import pytest
from soak import Soak
from support.builds import ROOT, run
from support.children import as_root, needs_root

import replace

SCRIPT = ROOT / "tests" / "programs" / "soak.py"


def test_soak_finds_no_wrong_identity():
    needs_root()
    if replace.SCOPE != "thread":
        return
    out = run(sys.executable, SCRIPT, "--switches", "40000", "--json", cwd="/")
    assert out.returncode == 0, out.stdout + out.stderr
    figures = json.loads(out.stdout)
    assert figures["wrong"] == {}
    assert figures["switches"] >= 40000
    kinds = ("files", "opens", "refusals", "exceptions", "nested", "elsewhere")
    assert all(figures[kind] > 0 for kind in kinds), figures


# ---- Controls: faulty ways to switch, each with a different fault


@contextlib.contextmanager
def without_groups(one, level):
    replace.setresuid(-1, one.uid, -1)
    try:
        yield
    finally:
        replace.setresuid(-1, 0, -1)


@contextlib.contextmanager
def process_wide(one, level):
    """Make all calls in the right order, but with libc, which changes every thread."""
    os.setgroups(one.groups)
    os.setegid(one.gid)
    os.seteuid(one.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


@contextlib.contextmanager
def without_switch(one, level):
    yield


@contextlib.contextmanager
def keeping_groups(one, level):
    with replace.impersonate(one, level=level, across_yield=True):
        yield
    replace.setgroups(one.groups)


kept = []


@contextlib.contextmanager
def leaking_memory(one, level):
    kept.append(b"x" * (1 << 14))
    with replace.impersonate(one, level=level, across_yield=True):
        yield


def find_faults(control):
    """Return the faults that a soak with this way to switch finds in eight threads, or None on a process-wide build."""

    def body(folder):
        sys.setswitchinterval(0.0005)
        return Soak(folder, 4000, 8, 8, control).run()["wrong"]

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        return as_root(body, folder)


@pytest.mark.parametrize(
    ("control", "fault"),
    [
        (without_groups, "wrong owner"),
        (process_wide, "base ids drifted"),
        (without_switch, "a forbidden open succeeded"),
        (keeping_groups, "base ids drifted"),
        (leaking_memory, "memory grew"),
    ],
)
def test_soak_detects_a_faulty_switch(control, fault):
    wrong = find_faults(control)
    assert wrong is None or any(name.startswith(fault) for name in wrong), wrong


def test_soak_accepts_impersonate():
    """The same short run with the correct switch finds nothing."""
    assert find_faults(replace.impersonate) in ({}, None)
