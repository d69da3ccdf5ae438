# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Short runs of soak.py and soak_files.py, and controls that they must reject."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile

import pytest
import soak_files
from soak import Soak
from support.builds import ROOT, run
from support.children import as_root, needs_root

import replace
import replace.aio

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


# ---- soak_files.py


@pytest.mark.parametrize("backend", soak_files.BACKENDS)
def test_soak_of_files_finds_no_wrong_owner(backend):
    needs_root()
    if replace.SCOPE != "thread":
        return
    operations = {"io_uring": 20000, "threads": 10000}[backend]
    words = ("--operations", str(operations), "--backend", backend, "--json")
    out = run(sys.executable, SCRIPT.with_name("soak_files.py"), *words, cwd="/")
    if out.returncode == 2:
        pytest.skip(out.stderr.splitlines()[-1])
    assert out.returncode == 0, out.stdout + out.stderr
    figures = json.loads(out.stdout)
    assert figures["wrong"] == {}
    assert figures["operations"] >= operations
    kinds = ("open", "create", "stat", "mkdir", "unlink", "rename", "link", "symlink")
    kinds += ("refused", "cancelled", "left by cancelled operations", "failed by a filter")
    assert all(figures[kind] > 0 for kind in kinds), figures


class OtherUser(replace.aio.Files):
    """Make a request as the user of the request before, as if a ring gave the number of that user."""

    before = replace.Identity(80000, 81000)

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if name not in ("open", "stat", "mkdir", "unlink", "rename", "link", "symlink"):
            return method

        def wrong(identity, *arguments, **options):
            identity, self.before = self.before, identity
            return method(identity, *arguments, **options)

        return wrong


class RootAfterError(replace.aio.Files):
    """If nobody can become the user, open the file all the same."""

    async def open(self, identity, path, flags, mode=0o600, *, dir_fd=None):
        try:
            return await super().open(identity, path, flags, mode, dir_fd=dir_fd)
        except replace.IdentityError:
            return os.open(path, flags, mode, dir_fd=dir_fd)


class LeakingDescriptors(replace.aio.Files):
    async def stat(self, identity, path, *, dir_fd=None):
        try:
            return await super().stat(identity, path, dir_fd=dir_fd)
        except asyncio.CancelledError:
            os.dup(dir_fd)
            raise


class LeakingMemory(replace.aio.Files):
    async def stat(self, identity, path, *, dir_fd=None):
        kept.append(b"x" * (1 << 18))
        return await super().stat(identity, path, dir_fd=dir_fd)


def find_faults_with_files(control):
    """Return what a soak with this kind of Files finds, or None on a process-wide build."""

    def body(folder):
        os.umask(0o022)
        soak = soak_files.Soak(folder, lambda small: control(backend="threads"), 4000, tasks=32, users=4, patience=5)
        return asyncio.run(soak.run())["wrong"]

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        return as_root(body, folder)


@pytest.mark.parametrize(
    ("control", "faults"),
    [
        (OtherUser, {"a permitted create failed", "a forbidden open succeeded", "a forbidden unlink succeeded"}),
        (RootAfterError, {"wrong owner", "a forbidden open succeeded"}),
        (LeakingDescriptors, {"descriptors stay open"}),
        (LeakingMemory, {"memory grew"}),
    ],
)
def test_soak_of_files_detects_faulty_files(control, faults):
    wrong = find_faults_with_files(control)
    assert wrong is None or all(any(name.startswith(fault) for name in wrong) for fault in faults), wrong


def test_soak_of_files_accepts_files():
    """The same short run with the real class finds nothing."""
    assert find_faults_with_files(replace.aio.Files) in ({}, None)
